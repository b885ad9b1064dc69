// Carrying runs from one database into another: what comes along.

import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { surql } from "@sentient/db-pool";
import { sabotage } from "@sentient/testkit";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createState, type State } from "../src/index.ts";
import { freshFolder, freshState } from "./support/fresh.ts";
import { claimed, type Deed, linesOf, live } from "./support/lives.ts";
import { pictureOf } from "./support/picture.ts";
import { codeOf, done, failure, held, running, started } from "./support/runs.ts";
import { answering, dyingAt } from "./support/broken.ts";

const deeds: Deed[] = [
  { do: "step", result: { a: 1 } },
  { do: "state", state: [1] },
  { do: "checkpoint" },
  { do: "large" },
  { do: "signal" },
  { do: "child" },
  { do: "restore", back: 3 },
  { do: "state", state: { b: "ü\u2028" } },
  { do: "large" },
];

async function expectSame(there: State, here: State, runs: readonly string[]): Promise<void> {
  for (const run of runs) expect(await pictureOf(there, run)).toEqual(await pictureOf(here, run));
}

describe("a run", () => {
  test("is in the other database what it was in this one", async () => {
    const [here, there] = [await freshState(), await freshState()];
    const runs = await live(here.state, deeds, "one");
    await there.bus.publish({ type: "other.told" });
    const { run, imported, existed } = await there.state.import(await linesOf(here.state, "one"));
    expect({ run, imported: imported.toSorted(), existed }).toEqual({
      run: "one",
      imported: runs.toSorted(),
      existed: [],
    });
    await expectSame(there.state, here.state, runs);
    const types = (await there.bus.history({ types: "run.imported" })).events.map((event) => event.run);
    expect(types).toHaveLength(runs.length);
    expect(new Set(types)).toEqual(new Set(runs));
  });

  test("is the same whatever it has lived through, and so are its forks", async () => {
    const [here, there] = [await freshState(), await freshState()];
    let lives = 0;
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constant("x".repeat(2_000)),
    ) as fc.Arbitrary<never>;
    const deed = fc.oneof(
      fc.record({ do: fc.constant("step" as const), result: value }),
      fc.record({ do: fc.constant("state" as const), state: value }),
      fc.record({ do: fc.constant("restore" as const), back: fc.nat(4) }),
      fc.constantFrom(
        { do: "checkpoint" as const },
        { do: "large" as const },
        { do: "signal" as const },
        { do: "child" as const },
      ),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(deed, { minLength: 1, maxLength: 6 }), fc.nat(), async (some, at) => {
        const runs = await live(here.state, some, `life-${lives++}`);
        const { events } = await here.state.history(runs[0]!, { limit: 1_000 });
        const fork = (
          await here.state.fork(runs[0]!, { n: (at % events.length) + 1, steps: { "step#1": "edited" } })
        ).run.id;
        const lease = await claimed(here.state, fork);
        await here.state.commit(lease, {
          steps: [done("more")],
          state: { forked: at },
          end: { complete: null },
        });
        await there.state.import(await linesOf(here.state, fork));
        await expectSame(there.state, here.state, [runs[0]!, fork]);
        const { imported, existed } = await there.state.import(await linesOf(here.state, runs[0]!));
        expect(existed).toEqual([runs[0]]); // it came with its fork
        expect(imported.toSorted()).toEqual(runs.slice(1).toSorted());
        await expectSame(there.state, here.state, runs);
      }),
      { numRuns: 4 },
    );
  });

  test("comes alone if that is asked for", async () => {
    const { state } = await freshState();
    await live(state, [{ do: "child" }], "one");
    const runs = (lines: string[]) => lines.filter((line) => line.includes('"kind":"run"')).length;
    expect(runs(await linesOf(state, "one"))).toBe(2);
    expect(runs(await linesOf(state, "one.0"))).toBe(2);
    expect(runs(await linesOf(state, "one", { tree: false }))).toBe(1);
    expect(await codeOf(() => linesOf(state, "other"))).toBe("state.not_found");
    expect(await codeOf(() => linesOf(state, "one", { trees: 1 } as never))).toBe("state.bad_option");
  });

  test("that goes on is exported as of one point", async () => {
    const carry = async (answer: (text: string, answer: unknown) => unknown) => {
      const [here, there] = [await freshState(), await freshState()];
      const lease = await running(here.state);
      const { id } = lease.run;
      const begun = { key: "b#1", name: "b", status: "started" as const };
      const asks = [{ key: "ask#1", text: "now?" }];
      await here.state.commit(lease, { steps: [done("a"), begun], state: { a: 1 }, asks });
      await here.state.signal(id, "news", { i: 1 });
      const lines = createState(answering(here.db, answer), here.bus).export(id);
      const read = [(await lines.next()).value as string];
      const ended = { ...begun, status: "completed" as const, result: 1 };
      await here.state.commit(lease, { takes: [{ n: 6, key: "b#1" }], steps: [ended], state: { a: 2 } });
      await here.state.answer(id, "ask#1", true, { by: "ada" });
      await here.state.commit(lease, { steps: [done("c")], checkpoint: { name: "late" } });
      for await (const line of lines) read.push(line);
      await there.state.import(read);
      expect(await there.state.stateAt(id)).toEqual({ a: 1 });
      const statuses = [...(await there.state.journal(id))].map(([key, { status }]) => [key, status]);
      expect(statuses).toEqual([
        ["a", "completed"],
        ["b#1", "started"],
      ]);
      expect((await there.state.checkpoints.list(id)).checkpoints).toEqual([]);
      const signals = await there.db.query(surql`SELECT VALUE untaken FROM signal`);
      const questions = await there.db.query(surql`SELECT VALUE status FROM question`);
      expect([signals, questions]).toEqual([[`${id}/news`], ["open"]]);
    };
    await carry((_, answer) => answer);
    await sabotage("what may still change is read when it is written", () =>
      carry((text, answer) =>
        text.includes("unsettled") ? { ...(answer as object), unsettled: [] } : answer,
      ),
    );
  });

  test("that was not over is parked, and goes on when it is resumed", async () => {
    const [here, there] = [await freshState(), await freshState()];
    const { id } = (await running(here.state)).run;
    await there.state.import(await linesOf(here.state, id));
    expect(await there.state.load(id)).toMatchObject({
      status: "parked",
      parkedFor: "asked",
      problem: { code: "imported" },
    });
    expect(await there.state.claim({ worker: "w", serves: [{ name: "research", versions: ["1"] }] })).toEqual(
      [],
    );
    await there.state.resume(id);
    const lease = await held(there.state);
    await there.state.commit(lease, { steps: [done("a")], end: { complete: 1 } });
    expect(await there.state.load(id)).toMatchObject({ status: "completed", steps: 1 });
    const ns = (await there.state.history(id)).events.map(({ n }) => n);
    expect(ns).toEqual(ns.map((_, i) => i + 1));
  });

  test("whose first events were trimmed goes on with its next n", async () => {
    const [here, there] = [await freshState(), await freshState()];
    await live(here.state, deeds, "one");
    const { events } = await here.state.history("one");
    await here.bus.trim({ before: events[5]!.position, force: true });
    await there.state.import(await linesOf(here.state, "one"));
    const ns = (await there.state.history("one")).events.map(({ n }) => n);
    expect(ns).toEqual([...events.slice(5).map(({ n }) => n), events.length + 1]);
    expect(await there.state.stateAt("one")).toEqual(await here.state.stateAt("one"));
    await here.bus.trim({ keep: 0, force: true });
    const third = await freshState();
    await third.state.import(await linesOf(here.state, "one"));
    expect((await third.state.history("one")).events.map(({ n }) => n)).toEqual([events.length + 1]);
  });

  test("has its events named by where they were, and what they led to follows from them", async () => {
    const [here, there] = [await freshState(), await freshState()];
    await there.bus.publish({ type: "other.told" });
    const parent = await running(here.state, { id: "one" });
    const { position } = await here.state.commit(parent, { steps: [done("a")] });
    await started(here.state, { id: "two", parent: "one", causation: `event:${position}` });
    await there.state.import(await linesOf(here.state, "one"));
    const { causation } = await there.state.load("two");
    expect(causation).toMatch(new RegExp(`^imported:[0-9a-f]{16}:${position}$`));
    const trace = await there.bus.trace(causation!);
    expect(JSON.stringify(trace)).toContain('"run.queued"');
    expect(await there.state.why(causation!)).toBeDefined();
  });
});

describe("an import", () => {
  test("that comes twice changes nothing", async () => {
    const [here, there] = [await freshState(), await freshState()];
    const runs = await live(here.state, deeds, "one");
    const lines = await linesOf(here.state, "one");
    await there.state.import(lines);
    const { position } = (await there.bus.history({ order: "desc", limit: 1 })).events[0]!;
    expect(await there.state.import(lines)).toMatchObject({
      imported: [],
      existed: expect.arrayContaining(runs) as unknown,
    });
    expect((await there.bus.history({ order: "desc", limit: 1 })).events[0]!.position).toBe(position);
  });

  test("that dies anywhere is finished by the next", async () => {
    const here = await freshState();
    await live(here.state, [{ do: "step", result: 1 }, { do: "large" }, { do: "child" }], "one");
    const lines = await linesOf(here.state, "one");
    let deaths = 0;
    for (let k = 1; ; k++) {
      const there = await freshState();
      const dying = await dyingAt(there.db, k);
      const died = await dying.state.import(lines).then(
        () => false,
        () => true,
      );
      if (!died) break;
      deaths++;
      const first = await there.state.load("one").catch(() => undefined);
      if (first) {
        expect(await codeOf(() => there.state.resume("one"))).toBe("state.illegal_transition");
        expect(await codeOf(() => there.state.journal("one"))).toBe("state.details_removed");
        expect(await codeOf(() => there.state.fork("one"))).toBe("state.details_removed");
      }
      await there.state.import(lines);
      await expectSame(there.state, here.state, ["one", "one.2"]);
    }
    expect(deaths).toBeGreaterThan(5);
  });

  test("brings back what retention has removed", async () => {
    const here = await freshState();
    const runs = await live(here.state, deeds, "one");
    const lines = await linesOf(here.state, "one");
    const pictures = await Promise.all(runs.map((run) => pictureOf(here.state, run)));
    await here.state.retain({ details: 0, events: false });
    expect(await codeOf(() => here.state.journal("one"))).toBe("state.details_removed");
    await here.state.import(lines);
    expect(await Promise.all(runs.map((run) => pictureOf(here.state, run)))).toEqual(pictures);
    for (let more = true; more;) ({ more } = await here.state.retain({ runs: 0, events: false }));
    expect(await codeOf(() => here.state.load("one"))).toBe("state.not_found");
    await here.state.import(lines);
    expect(await Promise.all(runs.map((run) => pictureOf(here.state, run)))).toEqual(pictures);
  });
});

describe("a file", () => {
  test("is there whole, for its owner alone", async () => {
    const [here, there] = [await freshState(), await freshState()];
    const path = join(await freshFolder(), "one.ndjson");
    const runs = await live(here.state, deeds, "one");
    await here.state.exportToFile("one", path);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const lines = (await readFile(path, "utf8")).split("\n");
    expect(lines.at(-1)).toBe("");
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThan(300_000);
    await there.state.importFromFile(path);
    await expectSame(there.state, here.state, runs);
  });

  test("is not there if it could not be made whole", async () => {
    const { state } = await freshState();
    const folder = await freshFolder();
    expect(await codeOf(() => state.exportToFile("none", join(folder, "none")))).toBe("state.not_found");
    expect(await readdir(folder)).toEqual([]);
  });
});

test("a run that failed keeps its error", async () => {
  const [here, there] = [await freshState(), await freshState()];
  const lease = await running(here.state, { id: "one" });
  await here.state.commit(lease, { end: { fail: failure } });
  await there.state.import(await linesOf(here.state, "one"));
  await expectSame(there.state, here.state, ["one"]);
});
