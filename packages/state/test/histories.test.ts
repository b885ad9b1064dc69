import { surql } from "@sentient/db-pool";
import { canonicalJson, type Json } from "@sentient/schema";
import { sabotage, seeded } from "@sentient/testkit";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { heldOf } from "../src/lease.ts";
import { freshState, type Fresh } from "./support/fresh.ts";
import { claimed, done } from "./support/histories.ts";

const KEYS = ["a", "b", "c", "constructor", "prototype", "", "a/b", "a~1b", "0", "1"];
const { json } = fc.letrec<{ json: Json }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom<Json>(null, true, false, "", 0, 1.5, -7),
    fc.string({ maxLength: 6, unit: "grapheme" }).filter((text) => text.isWellFormed()),
    fc.array(tie("json"), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom(...KEYS), tie("json"), { maxKeys: 5 }),
  ),
}));
/** Some are so large that a change of them is kept as a patch. */
const states = fc.oneof(
  json,
  json.map((value): Json => ({ pad: "x".repeat(400), value })),
);

const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant("commit" as const), state: states, checkpoint: fc.boolean() }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("restore" as const), at: fc.nat() }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant("fork" as const),
        at: fc.nat(),
        state: fc.option(states, { nil: undefined }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("tell" as const) }) },
  ),
  { minLength: 1, maxLength: 14 },
);

type Script = readonly (typeof steps extends fc.Arbitrary<(infer Step)[]> ? Step : never)[];

/** What a run had after one of its events. */
interface Was {
  state: Json;
  keys: readonly string[];
}

interface Known {
  run: string;
  /** By n; nothing was before the first. */
  was: Was[];
  restores: { at: number; to: number }[];
}

function know({ was }: Known, n: number, after: Was): void {
  while (was.length <= n) was.push(after);
}

const counts = ({ restores }: Known, n: number) => !restores.some(({ at, to }) => n > to && n < at);

/** Runs on a queue of their own: one that is begun, and what is forked of it. */
async function play(fresh: Fresh, queue: string, script: Script): Promise<Known[]> {
  const { state, bus } = fresh;
  const { run } = await state.start({ name: "write", queue });
  const nothing = { state: {}, keys: [] };
  let now: Known = { run: run.id, was: [nothing, nothing], restores: [] };
  const all = [now];
  let lease = await claimed(fresh, queue);
  know(now, heldOf(lease).n, nothing);
  const pause = async () => know(now, (await state.commit(lease, PAUSE)).n, now.was.at(-1)!);
  const goOn = async (from: Was) => {
    lease = await claimed(fresh, queue);
    know(now, heldOf(lease).n, from);
  };
  for (const [i, step] of script.entries()) {
    const last = now.was.at(-1)!;
    if (step.do === "commit") {
      const checkpoint = step.checkpoint ? { checkpoint: { name: `c${i}` } } : {};
      const change = { state: step.state, steps: [done(`s${i}`, i)], ...checkpoint };
      const { n } = await state.commit(lease, change);
      know(now, n, { state: step.state, keys: [...last.keys, `main/s${i}#1`] });
    } else if (step.do === "tell") {
      await bus.publish({ type: "other.told", run: now.run });
      know(now, now.was.length, last);
    } else if (step.do === "restore") {
      const there = now.was.map((_, n) => n).filter((n) => n > 0 && counts(now, n));
      const to = there[step.at % there.length]!;
      await pause();
      now.restores = (await state.restore(now.run, { n: to })).restores!;
      await goOn(now.was[to]!);
    } else {
      const n = 1 + (step.at % (now.was.length - 1));
      const from = now.was[n]!;
      await pause();
      const edit = step.state === undefined ? {} : { state: step.state };
      const forked = await state.fork(now.run, { n, ...edit });
      now = { run: forked.run.id, was: [nothing], restores: [] };
      all.push(now);
      await goOn({ ...from, ...edit });
    }
  }
  return all;
}

const PAUSE = { end: { pause: { by: "a test" } } };

test("whatever was written, restored and forked, the state and the steps after each event are what they were then", async () => {
  const fresh = await freshState();
  let queues = 0;
  const there = async ({ run, was }: Known) => {
    const points = was.slice(1).map((_, i) => i + 1);
    const states = await Promise.all(points.map((n) => fresh.state.stateAt(run, { n })));
    expect(states.map(canonicalJson)).toEqual(was.slice(1).map(({ state }) => canonicalJson(state)));
    const journals = await Promise.all(points.map((n) => fresh.state.journal(run, { at: { n } })));
    const keys = was.slice(1).map(({ keys: then }) => then.toSorted());
    expect(journals.map((journal) => [...journal.keys()].toSorted())).toEqual(keys);
    expect(canonicalJson(await fresh.state.stateAt(run))).toEqual(canonicalJson(was.at(-1)!.state));
    expect((await fresh.state.journal(run)).size).toBe(was.at(-1)!.keys.length);
  };
  await fc.assert(
    fc.asyncProperty(steps, async (script) => {
      for (const known of await play(fresh, `q${queues++}`, script)) await there(known);
    }),
    { numRuns: 15, seed: seeded().seed },
  );
});

test("control: a run that has forgotten where it was restored remembers what does not count", async () => {
  const fresh = await freshState();
  const [known] = await play(fresh, "q", [
    { do: "commit", state: 1, checkpoint: false },
    { do: "commit", state: 2, checkpoint: false },
    { do: "restore", at: 2 },
  ]);
  const { run, was } = known!;
  const isAsItWas = async () => expect((await fresh.state.journal(run)).size).toBe(was.at(-1)!.keys.length);
  await isAsItWas();
  await fresh.db.query(surql`UPDATE type::record("run", ${run}) SET restores = NONE`);
  await sabotage("no restores", isAsItWas);
});
