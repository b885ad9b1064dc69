// Whoever waits for a run to end goes on when it does, however it came to wait for it.

import { surql } from "@sentient/db-pool";
import { VirtualClock } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { runId } from "../src/run.ts";
import { freshState, stateOn, type Fresh } from "./support/fresh.ts";
import { claimed, codeOf, done, failureOf, held, range, running, started, storyOf } from "./support/runs.ts";

const waitFor = (run: string) => ({ end: { wait: [{ for: "run" as const, at: "c#1", run }] } });

describe("a run that ends", () => {
  test("wakes who has started it, forks of them, and who found it by its key", async () => {
    const { state, bus, db } = await freshState();
    const parent = await running(state);
    const child = (await state.start({ name: "part", key: "shared", parent: parent.run.id })).run.id;
    await state.commit(parent, { steps: [done("c#1", child)], ...waitFor(child) });
    const fork = (await state.fork(parent.run.id, {})).run.id;
    await state.commit(await held(state), waitFor(child));
    const second = await running(state);
    const found = await state.start({ name: "part", key: "shared", parent: second.run.id });
    expect(found).toMatchObject({ existed: true, run: { id: child } });
    await state.commit(second, waitFor(child));
    const [lease] = await state.claim({ worker: "w9", serves: [{ name: "part", versions: ["1"] }] });
    await state.commit(lease!, { end: { complete: 1 } });
    for (const id of [parent.run.id, fork, second.run.id]) {
      expect((await state.load(id)).status).toBe("queued");
      expect((await storyOf(bus, id)).filter((type) => type === "run.resumed")).toHaveLength(1);
    }
    expect(await db.query(surql`SELECT * FROM waiter`)).toEqual([]);
  });

  test("that nobody has started is waited for by anybody", async () => {
    const { state } = await freshState();
    const other = (await state.start({ name: "part" })).run.id;
    const lease = await running(state);
    await state.commit(lease, waitFor(other));
    const [part] = await state.claim({ worker: "w9", serves: [{ name: "part", versions: ["1"] }] });
    await state.commit(part!, { steps: [done("a")], end: { complete: 1 } });
    expect((await state.load(lease.run.id)).status).toBe("queued");
  });

  test("wakes nobody who waits for something else by now", async () => {
    const { state } = await freshState();
    const other = (await state.start({ name: "part" })).run.id;
    const lease = await running(state);
    await state.commit(lease, waitFor(other));
    await state.pause(lease.run.id);
    await state.resume(lease.run.id);
    await state.commit(await held(state), { end: { wait: [{ for: "signal", at: "s", name: "go" }] } });
    await state.cancel(other, { force: true });
    expect((await state.load(lease.run.id)).status).toBe("waiting");
  });
});

describe("a worker that slept while its run was removed and started again", () => {
  async function again(): Promise<Fresh & { id: string; zombie: Awaited<ReturnType<typeof held>> }> {
    const fresh = await freshState();
    const { state, db } = fresh;
    const sleeper = await stateOn(db);
    const id = await started(state, { key: "reused" });
    const zombie = await held(sleeper.state, "w1");
    await db.query(surql`DELETE ${runId(id)}`); // as retention does with whole runs
    expect(await started(state, { key: "reused" })).toBe(id);
    return { ...fresh, id, zombie };
  }

  test("commits nothing to the new one, which has the same token", async () => {
    const { state, id, zombie } = await again();
    const lease = await held(state, "w2");
    expect(lease.token).toBe(zombie.token);
    expect(await codeOf(() => state.commit(zombie, { steps: [done("a")] }))).toBe("state.lease_lost");
    await state.commit(lease, { steps: [done("b")] });
    expect([...(await state.journal(id)).keys()]).toEqual(["b"]);
  });

  test("does not end it, and starts nothing for it", async () => {
    const { state, id, zombie } = await again();
    const lease = await held(state, "w2");
    expect(await codeOf(() => state.start({ name: "part", lease: zombie }))).toBe("state.lease_lost");
    expect(await codeOf(() => state.commit(zombie, { end: { complete: 1 } }))).toBe("state.lease_lost");
    await state.commit(lease, { end: { complete: 2 } });
    expect(await state.load(id)).toMatchObject({ status: "completed", output: 2 });
  });
});

test("a run that was tried in vain is still cancelled, with what it has to undo", async () => {
  const clock = new VirtualClock(Date.now());
  const { state } = await freshState({ clock });
  const lease = await running(state, { maxAttempts: 2 });
  const { id } = lease.run;
  await state.commit(lease, { compensates: true });
  for (const _ of range(2)) {
    await clock.advance(20_000);
    await claimed(state);
  }
  expect((await state.load(id)).status).toBe("parked");
  await state.cancel(id);
  const undoing = await held(state);
  expect(undoing.run.asked).toMatchObject({ what: "cancel" });
  await state.commit(undoing, { end: { cancel: {} } });
  expect((await state.load(id)).status).toBe("cancelled");
});

test("a worker cannot tell of its run what only the runtime tells", async () => {
  const { state, bus } = await freshState();
  const lease = await running(state);
  const forged = state.commit(lease, { events: [{ type: "run.completed", data: { steps: 9 } }] });
  expect(await failureOf(() => forged)).toMatchObject({ code: "state.bad_change" });
  expect(await storyOf(bus, lease.run.id)).toEqual(["run.queued", "run.started"]);
});

test("a question's deadline wakes the run that waits for its answer, though the wait has no time of its own", async () => {
  const clock = new VirtualClock(Date.now());
  const { state } = await freshState({ clock });
  const lease = await running(state);
  const deadline = new Date(clock.now() + 60_000);
  await state.commit(lease, {
    asks: [{ key: "ok#1", text: "May I?", deadline, onTimeout: false }],
    end: { wait: [{ for: "question", at: "ok#1" }] },
  });
  expect(await claimed(state)).toEqual([]);
  await clock.advance(60_000);
  const late = await held(state);
  await state.commit(late, { expires: ["ok#1"], end: { complete: false } });
  expect(await state.questions.get(late.run.id, "ok#1")).toMatchObject({
    status: "expired",
    onTimeout: false,
  });
});
