// How many runs may wait in the queues.

import { configureLimits, limits } from "@sentient/schema";
import { afterEach, expect, test } from "vitest";
import { freshState, stateOn } from "./support/fresh.ts";

const { queued } = limits;
afterEach(() => configureLimits({ queued }));

test("no more runs wait than the limit says; those that are there, and children, are let in", async () => {
  configureLimits({ queued: 20 });
  const { state, db } = await freshState();
  for (let i = 0; i < 20; i++) await state.start({ name: "work", key: `k${i}` });
  await expect(state.start({ name: "work", key: "one more" })).rejects.toMatchObject({
    code: "state.queue_full",
    retryable: true,
  });
  const other = await stateOn(db);
  await expect(other.state.start({ name: "work" })).rejects.toMatchObject({ code: "state.queue_full" });
  const { run, existed } = await state.start({ name: "work", key: "k3" });
  expect(existed).toBe(true);
  expect((await state.start({ name: "part", parent: run.id })).existed).toBe(false);
});

test("a run that is claimed makes room for another", async () => {
  configureLimits({ queued: 3 });
  const { state } = await freshState();
  for (let i = 0; i < 3; i++) await state.start({ name: "work" });
  await expect(state.start({ name: "work" })).rejects.toMatchObject({ code: "state.queue_full" });
  expect(await state.queued()).toBe(3);
  await state.claim({ worker: "w", serves: [{ name: "work", versions: ["1"] }] });
  expect(await state.queued()).toBe(2);
  expect((await state.start({ name: "work" })).run.status).toBe("queued");
});
