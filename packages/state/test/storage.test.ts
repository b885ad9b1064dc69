// How many bytes a run takes up.

import { surql } from "@sentient/db-pool";
import { expect, test } from "vitest";
import { freshState } from "./support/fresh.ts";
import { claimed, LARGE, live } from "./support/lives.ts";
import { codeOf, done, failure, running } from "./support/runs.ts";

const size = (value: unknown) => Buffer.byteLength(JSON.stringify(value));

test("a run's bytes are told by what they are of", async () => {
  const { state, db, bus } = await freshState();
  const lease = await running(state, { id: "one", input: "ü".repeat(10) });
  await state.commit(lease, {
    steps: [done("a", "ö"), { key: "b", name: "b", status: "failed", error: failure }],
  });
  await state.commit(lease, { state: { s: "x".repeat(100) }, checkpoint: { name: "c", metadata: [1] } });
  await state.commit(lease, {
    steps: [done("large", LARGE)],
    asks: [{ key: "q#1", text: "now?", schema: { type: "boolean" } }],
  });
  await state.answer("one", "q#1", true, { by: "ada" });
  await state.signal("one", "news", { i: 1 });
  await state.commit(lease, { end: { complete: { done: true } } });
  const events = await db.query(surql<string[]>`SELECT VALUE data FROM event WHERE run = "one"`);
  const told = await state.storage("one");
  expect(told).toMatchObject({
    runs: 1,
    input: 22,
    output: size({ done: true }),
    steps: size("ö") + Buffer.byteLength(failure.message),
    state: size({ s: "x".repeat(100) }),
    checkpoints: 3,
    signals: size({ i: 1 }),
    questions: 4 + size({ type: "boolean" }) + 4,
    chunks: 0,
    events: events.reduce((sum, data) => sum + Buffer.byteLength(data), 0),
    blobs: { own: LARGE.length + 2, shared: 0 },
  });
  const { total, blobs, runs: _, ...kinds } = told;
  expect(total).toBe(Object.values(kinds).reduce((sum, bytes) => sum + bytes, blobs.own + blobs.shared));
  expect((await bus.history({ run: "one" })).events.length).toBeGreaterThan(5);
});

test("a blob that others use too is shared, and within a tree it is the tree's", async () => {
  const { state } = await freshState();
  await live(state, [{ do: "large" }, { do: "child" }], "one");
  const alone = await state.storage("one");
  expect(alone.blobs.own).toBeGreaterThan(140_000); // a result, and a state
  await state.start({ name: "research", id: "two" });
  await state.commit(await claimed(state, "two"), { steps: [done("b", LARGE)] });
  expect(await state.storage("one")).toMatchObject({
    total: alone.total,
    blobs: { shared: LARGE.length + 2 },
  });
  const tree = await state.storage("one.1", { tree: true });
  expect(tree.runs).toBe(2);
  expect(tree.total).toBe(alone.total + (await state.storage("one.1")).total);
});

test("what is removed takes up nothing", async () => {
  const { state } = await freshState();
  await live(state, [{ do: "large" }, { do: "checkpoint" }, { do: "signal" }], "one");
  await state.retain({ details: 0, events: 0 });
  const { input, output, total } = await state.storage("one");
  expect(total).toBe(input + output);
  expect(await codeOf(() => state.storage("none"))).toBe("state.not_found");
  expect(await codeOf(() => state.storage("one", { deep: true } as never))).toBe("state.bad_option");
});
