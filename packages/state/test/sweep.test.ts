// The sweep: what is done by the clock, whatever fails, and when the next is due.

import { surql } from "@sentient/db-pool";
import { VirtualClock } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import type { Change } from "../src/change.ts";
import { idsOf, serving, startMany, take } from "./support/claiming.ts";
import { freshState, stateOn } from "./support/fresh.ts";

const LEASE = 15_000;
const wait = (until: Date): Change => ({ end: { wait: [{ for: "timer", at: "nap#1", until }] } });

describe("leases that ran out", () => {
  test("are given back by the first sweep after, and not before; nothing of that worker commits", async () => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    const ids = await startMany(state, 3);
    const leases = await take(state, 3);
    await clock.advance(LEASE - 1);
    expect(await state.sweep()).toMatchObject({ released: [], nextAt: new Date(clock.now() + 1) });
    await state.renew([leases[0]!]);
    await clock.advance(1);
    const { released } = await state.sweep();
    const lost = ids.filter((id) => id !== leases[0]!.run.id);
    expect(new Set(released)).toEqual(new Set(lost));
    const zombie = leases.find(({ run }) => run.id === lost[0])!;
    await expect(state.commit(zombie, { state: 1 })).rejects.toMatchObject({ code: "state.lease_lost" });
    expect(new Set(idsOf(await take(state, 3, "w-2")))).toEqual(new Set(lost));
  });

  test("that were the last ones leave the run parked, with who was not heard of again", async () => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    const [id] = await startMany(state, 1, { maxAttempts: 1 });
    await take(state, 1, "w-9");
    await clock.advance(LEASE);
    expect(await state.sweep()).toMatchObject({ released: [id] });
    expect(await take(state, 1)).toEqual([]);
    expect(await state.load(id!)).toMatchObject({
      status: "parked",
      problem: { message: expect.stringContaining("the last worker, w-9, was not heard of again") as string },
    });
  });

  test("need not run out where it is known which process is gone; those of others stay", async () => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    const beat = (id: string, pid: number) =>
      state.workers.beat({
        id,
        pid,
        host: "here",
        release: "1",
        queues: ["default"],
        serves: ["a@1"],
        slots: 9,
        running: 0,
      });
    await beat("w-1", 101);
    await beat("w-2", 102);
    const [gone, stays] = await startMany(state, 2);
    const [zombie] = await take(state, 1, "w-1");
    const [other] = await take(state, 1, "w-2");
    expect([zombie!.run.id, other!.run.id].toSorted()).toEqual([gone!, stays!].toSorted());
    for (const who of [
      { pid: 101, host: "elsewhere" },
      { pid: 103, host: "here" },
    ])
      expect(await state.releaseOf(who)).toEqual([]);
    expect(await state.releaseOf({ pid: 101, host: "here" })).toEqual([zombie!.run.id]);
    expect(await state.releaseOf({ pid: 101, host: "here" })).toEqual([]);
    expect((await state.workers.list()).map(({ id }) => id)).toEqual(["w-2"]);
    await expect(state.commit(zombie!, { state: 1 })).rejects.toMatchObject({ code: "state.lease_lost" });
    await state.commit(other!, { state: 1 });
    expect(idsOf(await take(state, 2, "w-2"))).toEqual([zombie!.run.id]);
    expect(await state.load(zombie!.run.id)).toMatchObject({ attempts: 2 });
  });

  test("four who sweep, and those who claim meanwhile, make of each one run that goes on", async () => {
    const clock = new VirtualClock();
    const { state, db, bus } = await freshState({ clock });
    const { state: other } = await stateOn(db, { clock });
    await startMany(state, 16);
    await take(state, 16);
    await clock.advance(LEASE);
    const sweeps = [state, other, state, other].map((each) => each.sweep());
    const claims = [state, other].map((each) => take(each, 8, "w-2"));
    const [swept, claimed] = [await Promise.all(sweeps), (await Promise.all(claims)).flat()];
    const released = swept.flatMap((each) => each.released);
    expect(swept.flatMap(({ problems }) => problems)).toEqual([]);
    expect(new Set(released).size).toBe(released.length);
    claimed.push(...(await take(state, 16, "w-3")));
    expect(new Set(idsOf(claimed)).size).toBe(16);
    const { events } = await bus.history({ limit: 1_000 });
    expect(events.filter(({ type }) => type === "run.released")).toHaveLength(released.length);
  });

  test("are looked at as many at once as is said, and there is more to do at once", async () => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    await startMany(state, 5);
    await take(state, 5);
    await clock.advance(LEASE);
    expect(await state.sweep({ limit: 3 })).toMatchObject({
      released: { length: 3 },
      nextAt: new Date(clock.now()),
    });
    const rest = await state.sweep({ limit: 3 });
    expect(rest.released).toHaveLength(2);
    expect(rest.nextAt).toBeUndefined();
    await expect(state.sweep({ limit: 0 })).rejects.toMatchObject({ code: "state.bad_option" });
  });
});

describe("the next time", () => {
  test("is that of the first timer, lease, start or schedule, in whichever lane it stands", async () => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    const nextIn = async () => ((await state.sweep()).nextAt?.getTime() ?? NaN) - clock.now();
    expect(await nextIn()).toBeNaN();
    await state.schedules.put("daily", { name: "r", cron: "0 12 * * *" });
    expect(await nextIn()).toBe(12 * 3_600_000);
    await startMany(state, 2, { name: "z", availableAt: new Date(clock.now() + 50_000) });
    expect(await nextIn()).toBe(50_000);
    await startMany(state, 1, { name: "a" });
    const [lease] = await take(state);
    expect(await nextIn()).toBe(LEASE);
    await state.commit(lease!, wait(new Date(clock.now() + 20_000)));
    expect(await nextIn()).toBe(20_000);
    await clock.advance(20_000); // it is due now, which nobody has to wait for
    expect(await nextIn()).toBe(30_000);
  });

  test("is found to the millisecond, where an index sorts whole seconds behind their fractions", async () => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    await clock.advance(500);
    const times = [0, 1, 250, 499, 501, 999, 1_000, 1_500, 2_000, 2_001, 3_000, 3_999, 4_000];
    for (const ms of times) await state.start({ name: "a", availableAt: new Date(clock.now() - 500 + ms) }); // some of them have passed
    const begin = clock.now() - 500;
    const coming = times.filter((ms) => ms > 500);
    const found: number[] = [];
    while (found.length < coming.length) {
      const { nextAt } = await state.sweep();
      found.push(nextAt!.getTime() - begin);
      await clock.advance(nextAt!.getTime() - clock.now());
      const some = await state.claim({ worker: "w", serves: serving("a"), max: 20, lease: 3_600_000 });
      expect(some.length).toBeGreaterThanOrEqual(1);
    }
    expect(found).toEqual(coming);
  });

  test("is found in more lanes than are asked for at once", async () => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    const starts = Array.from({ length: 120 }, (_, i) =>
      state.start({ name: `a-${i}`, availableAt: new Date(clock.now() + 10_000 - (i === 90 ? 1 : 0)) }),
    );
    await Promise.all(starts);
    expect((await state.sweep()).nextAt).toEqual(new Date(clock.now() + 9_999));
  });
});

test("a part that fails keeps none of the others from being done, and is told of", async () => {
  const clock = new VirtualClock();
  const { state, db } = await freshState({ clock });
  await state.schedules.put("broken", { name: "r", cron: "* * * * *" });
  await state.schedules.put("sound", { name: "r", cron: "* * * * *" });
  await db.query(surql`UPDATE schedule:broken SET timeZone = "Nowhere/Land"`);
  const [id] = await startMany(state, 1);
  await take(state);
  await clock.advance(60_000);
  const swept = await state.sweep();
  expect(swept.released).toEqual([id]);
  expect(swept.fired.map(({ schedule }) => schedule)).toEqual(["sound"]);
  expect(swept.problems).toMatchObject([{ part: "schedules", error: { code: "state.bad_option" } }]);
  expect(swept.nextAt).toEqual(new Date(clock.now() + 60_000));
});

test("if nothing of it can be done it fails", async () => {
  const { state, db } = await freshState();
  await db.close();
  await expect(state.sweep()).rejects.toMatchObject({ code: "db.closed" });
});

test("who sleeps until the next time, sweeps and claims, misses no timer", async () => {
  const clock = new VirtualClock();
  const { state } = await freshState({ clock });
  await startMany(state, 10);
  const leases = await take(state, 10);
  const times = leases.map((_, i) => clock.now() + 1 + ((i * 37) % 97));
  await Promise.all(leases.map((lease, i) => state.commit(lease, wait(new Date(times[i]!)))));
  const woken: number[] = [];
  for (
    let next = (await state.sweep()).nextAt;
    next && woken.length < 10;
    next = (await state.sweep()).nextAt
  ) {
    await clock.advance(next.getTime() - clock.now());
    for (const lease of await state.claim({ worker: "w", serves: serving("a"), max: 10 })) {
      woken.push(clock.now());
      await state.commit(lease, { end: { complete: 1 } });
    }
  }
  expect(woken).toEqual(times.toSorted((a, b) => a - b));
});
