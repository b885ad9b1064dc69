// What a line that loses answers may not do: have anything done twice, told twice, or not at all.

import { openDatabase, surql, type Database } from "@sentient/db-pool";
import { freshNames, sabotage, until } from "@sentient/testkit";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { defineWorkflow } from "../src/index.ts";
import { allEvents, expectOneStory, range } from "./support/checks.ts";
import { sentientOn } from "./support/fresh.ts";
import { hastyOn } from "./support/hasty.ts";
import { farEngine, mischief } from "./support/mischief.ts";

const RUNS = 8;
const WORDS = 5;
const STEPS = 6;
const TEST_MS = 180_000;

const line = mischief();
afterAll(async () => (await line).close());

const flow = defineWorkflow({
  name: "flow",
  state: z.object({ sum: z.number().default(0) }),
  run: async (ctx) => {
    for (const i of range(STEPS)) {
      ctx.state.sum += await ctx.step("add", (step) => {
        step.chunk(i);
        return i;
      });
      await ctx.emit("sum.told", ctx.state.sum);
      ctx.progress(i, STEPS);
    }
    return ctx.state.sum;
  },
});

test("all is done and told once, over a line that loses answers", { timeout: TEST_MS }, async () => {
  const db = await (await line).open(freshNames());
  onTestFinished(() => db.close({ deadline: 500 }));
  const sentient = await sentientOn(db, {
    workflows: [flow],
    worker: { lease: 2_000 },
  });
  const handles = [];
  for (const _ of range(RUNS)) handles.push(await sentient.start(flow));
  const sum = (STEPS * (STEPS - 1)) / 2;
  const results = await Promise.all(handles.map((handle) => handle.result({ timeout: 60_000 })));
  expect(results).toEqual(handles.map(() => sum));
  const events = await allEvents(sentient.events);
  expect(events.map(({ position }) => position)).toEqual(range(events.length, 1));
  for (const { id } of handles) {
    const mine = events.filter(({ run }) => run === id);
    expectOneStory(mine);
    expect(mine.filter(({ type }) => type === "sum.told")).toHaveLength(STEPS);
    const chunks = await sentient.state.chunks.read(id, { limit: 1_000 });
    expect(chunks.map(({ n }) => n)).toEqual(range(chunks.length, 1));
    expect(await sentient.stateAt(id)).toEqual({ sum });
  }
  expect(events.filter(({ type }) => type === "run.queued" || type === "run.completed")).toHaveLength(
    2 * RUNS,
  );
});

/** Says things to a run, each of which reaches it and is not answered. */
async function expectSaidOnce(seen: (db: Database) => Database = (db) => db): Promise<void> {
  const { proxy, direct, far, close } = await farEngine();
  onTestFinished(close);
  const names = freshNames();
  const [near, away] = await Promise.all([
    openDatabase({ ...direct, ...names }),
    openDatabase({ ...far, ...names }),
  ]);
  for (const db of [near, away]) onTestFinished(() => db.close({ deadline: 500 }));
  let losing = false;
  const transaction = away.transaction.bind(away);
  away.transaction = (...args) => {
    if (losing) proxy.dropReplies(); // of what is read before that there is an answer
    return transaction(...args);
  };
  const sentient = await sentientOn(seen(away), { workflows: [flow], worker: false });
  const { id } = await sentient.start(flow);
  const said = surql<string[]>`SELECT VALUE data FROM signal`;
  for (const word of range(WORDS)) {
    losing = true;
    const saying = sentient.signal(id, "word", word);
    await until(async () => (await near.query(said)).length > word, { every: 5, what: "what was said" });
    losing = false;
    proxy.reset();
    proxy.pass();
    await saying;
  }
  expect((await near.query(said)).map(Number)).toEqual(range(WORDS));
}

test("what is said to a run is said once, where the answer is lost", { timeout: TEST_MS }, () =>
  expectSaidOnce(),
);

test("control: twice by who takes what was not answered for not done", { timeout: TEST_MS }, async () => {
  const failure = await sabotage("nobody asks", () => expectSaidOnce(hastyOn));
  expect(failure).toMatchObject({ name: "AssertionError" });
});
