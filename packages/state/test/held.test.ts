// Runs that are held from their start: by a worker that has nothing else to do.

import { sabotage } from "@sentient/testkit";
import { expect, test } from "vitest";
import { idsOf, take } from "./support/claiming.ts";
import { freshState } from "./support/fresh.ts";
import { claimed, codeOf, done, storyOf } from "./support/runs.ts";
import { tamperedState } from "./support/tampered.ts";

const hold = { worker: "w-1", lease: 600_000 };

test("it is running when it is answered, is nobody else's, and ends as any other", async () => {
  const { state, bus } = await freshState();
  const { run, lease, existed } = await state.start({ name: "a", state: { at: 0 }, hold });
  expect(run).toMatchObject({ status: "running", token: 1, attempts: 1, lease: { worker: "w-1", token: 1 } });
  expect(existed).toBe(false);
  expect(await take(state, 5, "w-2")).toEqual([]);
  await state.commit(lease!, { steps: [done("a")], state: { at: 1 } });
  await state.commit(lease!, { end: { complete: "done" } });
  expect(await state.load(run.id)).toMatchObject({ status: "completed", output: "done", steps: 1 });
  expect(await storyOf(bus, run.id)).toEqual([
    "run.queued",
    "run.started",
    "step.completed",
    "run.completed",
  ]);
});

test("its lease runs out, and is renewed, as any other", async () => {
  const { state } = await freshState();
  const { lease } = await state.start({ name: "a", hold: { worker: "w-1", lease: 100 } });
  const { held } = await state.renew([lease!], { lease: 60_000 });
  expect(held).toHaveLength(1);
  expect(await take(state, 1, "w-2")).toEqual([]);
});

test("under a key that is taken nobody holds it", async () => {
  const { state } = await freshState();
  const first = await state.start({ name: "a", key: "k", hold });
  const second = await state.start({ name: "a", key: "k", hold: { worker: "w-2" } });
  expect([first.lease !== undefined, second.lease, second.existed]).toEqual([true, undefined, true]);
  expect(second.run.id).toBe(first.run.id);
  expect(await codeOf(() => state.start({ name: "a", key: "k", input: 2, hold }))).toBe("state.run_conflict");
});

test.each([
  ["it is to begin later", { availableAt: new Date(Date.now() + 60_000) }],
  ["it has a limit of its own", { limits: [{ key: "customer-7", max: 1 }] }],
])("it waits in its queue where %s", async (_, options) => {
  const { state } = await freshState();
  const { run, lease } = await state.start({ name: "a", ...options, hold });
  expect([run.status, lease]).toEqual(["queued", undefined]);
});

test.each(["queue:default", "agent:a"])("it waits in its queue where there is a limit of %s", async (key) => {
  const { state } = await freshState();
  await state.limits.set(key, { concurrency: 1 });
  const started = await Promise.all([1, 2, 3].map(() => state.start({ name: "a", hold })));
  for (const { run, lease } of started) expect([run.status, lease]).toEqual(["queued", undefined]);
  expect(idsOf(await take(state, 3))).toHaveLength(1);
});

test("it waits in its queue while its agent is paused, also if that came in between", async () => {
  const { state, db, bus } = await freshState();
  const late = (protect: boolean) =>
    tamperedState(db, bus, async (entry) => {
      if (entry.events?.[1]?.type !== "run.started") return entry;
      await state.agents.pause("a");
      return protect ? entry : { ...entry, guards: [] };
    });
  const heldBy = async (protect: boolean) => {
    await state.agents.register({ name: "a", version: "1" });
    await state.agents.resume("a");
    return (await late(protect).start({ name: "a", hold })).lease;
  };
  expect(await heldBy(true)).toBeUndefined();
  await sabotage("no guard", async () => expect(await heldBy(false)).toBeUndefined());
  expect(await claimed(state, "w-2", { serves: [{ name: "a", versions: ["1"] }] })).toEqual([]);
});
