// Why a run is where it is.

import { VirtualClock } from "@sentient/testkit";
import { expect, test } from "vitest";
import { startMany, take } from "./support/claiming.ts";
import { freshState } from "./support/fresh.ts";

const LEASE = 15_000;
const failure = { name: "E", message: "it hurts", retryable: true };
const beat = {
  id: "w-1",
  host: "h",
  pid: 7,
  release: "1.0.0",
  queues: ["default"],
  serves: ["a@1"],
  slots: 4,
  running: 0,
};

async function stage() {
  const clock = new VirtualClock();
  const { state } = await freshState({ clock });
  await state.workers.beat(beat);
  const codes = async (id: string) => (await state.explain(id)).map(({ code }) => code);
  const at = (ms: number) => new Date(clock.now() + ms);
  return { clock, state, codes, at };
}

test("a run that nothing keeps is ready; one that is put off is not due", async () => {
  const { state, codes, at, clock } = await stage();
  const [ready] = await startMany(state, 1);
  expect(await codes(ready!)).toEqual(["ready"]);
  const [later] = await startMany(state, 1, { availableAt: at(1_000) });
  expect(await state.explain(later!)).toMatchObject([{ code: "not_due", until: at(1_000) }]);
  await clock.advance(1_000);
  expect(await codes(later!)).toEqual(["ready"]);
  await expect(state.explain("none")).rejects.toMatchObject({ code: "state.not_found" });
});

test("workers that are gone, drain, are busy or cannot do it are no workers for it", async () => {
  const { state, codes, clock } = await stage();
  const [id] = await startMany(state, 1, { capabilities: ["gpu"] });
  expect(await codes(id!)).toEqual(["ready"]);
  for (const wrong of [
    { queues: ["other"] },
    { serves: ["a@2", "b@1"] },
    { capabilities: ["web"] },
    { drainingAt: new Date(clock.now()) },
  ]) {
    await state.workers.beat({ ...beat, ...wrong });
    expect(await codes(id!)).toEqual(["no_worker"]);
  }
  await state.workers.beat({ ...beat, capabilities: ["gpu"], running: 4 });
  expect(await state.explain(id!)).toMatchObject([{ code: "workers_busy", workers: ["w-1"] }]);
  await clock.advance(30_000);
  expect(await codes(id!)).toEqual(["no_worker"]);
});

test("limits that are full say of which runs, and rates until when", async () => {
  const { state, at, clock } = await stage();
  await state.limits.set("queue:default", { concurrency: 2 });
  await state.limits.set("agent:a", { concurrency: 1, rate: { count: 1, per: 60_000 } });
  const limits = [{ key: "customer-7", max: 1 }];
  await startMany(state, 1, { limits });
  const [held] = await take(state);
  const [id] = await startMany(state, 1, { limits });
  await clock.advance(1_000);
  const holders = [held!.run.id];
  expect(await state.explain(id!)).toMatchObject([
    { code: "limit_full", key: "agent:a", max: 1, holders },
    { code: "limit_full", key: "customer-7", max: 1, holders },
    { code: "rate_empty", key: "agent:a", until: at(59_000) },
  ]);
  await state.commit(held!, { end: { complete: 1 } });
  expect(await state.explain(id!)).toMatchObject([{ code: "rate_empty" }]);
  await clock.advance(59_000);
  await state.workers.beat(beat);
  expect(await state.explain(id!)).toMatchObject([{ code: "ready" }]);
  expect(await take(state)).toHaveLength(1);
});

test("an agent that is paused, and by whom", async () => {
  const { state } = await stage();
  await state.agents.register({ name: "a" });
  await state.agents.pause("a", { by: "ada" });
  const [id] = await startMany(state, 1);
  expect(await state.explain(id!)).toMatchObject([{ code: "agent_paused", by: "ada" }]);
});

test("who holds it, until when, and what was asked of it", async () => {
  const { state, at, clock, codes } = await stage();
  const [id] = await startMany(state, 1, { deadline: at(LEASE) });
  await take(state);
  await state.pause(id!, { by: "ada", reason: "lunch" });
  expect(await state.explain(id!)).toMatchObject([
    { code: "leased", workers: ["w-1"], until: at(LEASE) },
    { code: "asked_to_pause", by: "ada" },
  ]);
  await clock.advance(LEASE);
  expect(await codes(id!)).toEqual(["lease_expired", "asked_to_pause", "deadline_passed", "ready"]);
});

test("what it waits for", async () => {
  const { state, at, clock } = await stage();
  const [id] = await startMany(state, 1);
  const [child] = await startMany(state, 1, { name: "b" });
  const [lease] = await take(state);
  const wait = [
    { for: "signal", at: "s#1", name: "go", until: at(9_000) },
    { for: "timer", at: "t#1", until: at(5_000) },
    { for: "retry", at: "r#1", until: at(6_000) },
    { for: "question", at: "q#1" },
    { for: "run", at: "c#1", run: child },
  ];
  const asks = [{ key: "q#1", text: "may I?" }];
  await state.commit(lease!, { asks, end: { wait: wait as never } });
  expect(await state.explain(id!)).toMatchObject([
    { code: "waits_for_signal", awaited: "go", step: "s#1", until: at(9_000) },
    { code: "waits_for_timer", step: "t#1", until: at(5_000) },
    { code: "waits_for_retry", step: "r#1" },
    { code: "waits_for_question", awaited: "q#1" },
    { code: "waits_for_run", awaited: child },
  ]);
  await clock.advance(5_000);
  expect((await state.explain(id!)).at(-1)).toMatchObject({ code: "ready" });
});

test("paused, parked and over", async () => {
  const { state, codes } = await stage();
  const [paused, parked, over] = await startMany(state, 3);
  for (const lease of await take(state, 3))
    if (lease.run.id === parked)
      await state.commit(lease, { end: { park: { reason: "too_long", problem: failure } } });
    else if (lease.run.id === over) await state.commit(lease, { end: { complete: 1 } });
    else await state.release(lease);
  await state.pause(paused!, { by: "ada", reason: "lunch" });
  expect(await state.explain(paused!)).toMatchObject([
    { code: "paused", by: "ada", message: expect.stringContaining("lunch") },
  ]);
  expect(await state.explain(parked!)).toMatchObject([
    { code: "parked", message: expect.stringContaining("it hurts") },
  ]);
  expect(await codes(over!)).toEqual(["over"]);
  await state.cancel(paused!, { by: "bob", reason: "too dear" });
  expect(await state.explain(paused!)).toMatchObject([
    { code: "over", by: "bob", message: expect.stringMatching(/^bob has cancelled it \(too dear\), at 2/) },
  ]);
});
