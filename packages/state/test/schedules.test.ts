// Schedules: each slot once, in whichever process, never early, and what is missed by policy.

import { surql } from "@sentient/db-pool";
import type { RunId } from "@sentient/schema";
import { VirtualClock } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { runIdOf } from "../src/firing.ts";
import type { ScheduleOptions, State, Swept } from "../src/index.ts";
import { rowOf, type RunOf } from "../src/run.ts";
import { nextSlots } from "../src/slots.ts";
import { control, reworded, serving, startMany, take } from "./support/claiming.ts";
import { freshState, stateOn } from "./support/fresh.ts";
import { tamperedState } from "./support/tampered.ts";

const MINUTE = 60_000;
const minutely = { name: "report", cron: "* * * * *" } satisfies ScheduleOptions;
const slotsOf = ({ fired }: Swept) => fired.map(({ slot }) => slot.toISOString().slice(11, 19));
const clockAt = (time: string) => new VirtualClock(Date.parse(time));

describe("what is said of them", () => {
  test("a schedule is made, found, changed and removed, and each change is told once", async () => {
    const { state, bus } = await freshState({ clock: clockAt("2026-01-01T12:00:30Z") });
    const first = await state.schedules.put("nightly", { ...minutely, input: { b: 1, a: 2 }, tags: ["x"] });
    expect(first).toMatchObject({
      id: "nightly",
      revision: 1,
      missed: "once",
      timeZone: "UTC",
      nextAt: new Date("2026-01-01T12:01:00Z"),
    });
    expect(await state.schedules.put("nightly", { ...minutely, input: { a: 2, b: 1 }, tags: ["x"] })).toEqual(
      first,
    );
    expect(await state.schedules.put("nightly", { ...minutely, revision: 1 })).toMatchObject({
      revision: 2,
      nextAt: first.nextAt,
    });
    await expect(state.schedules.put("nightly", { ...minutely, revision: 1 })).rejects.toMatchObject({
      code: "state.revision_mismatch",
      details: { expected: 1, revision: 2 },
    });
    const daily = await state.schedules.put("nightly", { ...minutely, cron: "0 3 * * *" });
    expect(daily.nextAt).toEqual(new Date("2026-01-02T03:00:00Z"));
    expect((await state.schedules.get("nightly")).tags).toBeUndefined();
    expect(await state.schedules.remove("nightly")).toBe(true);
    expect(await state.schedules.remove("nightly")).toBe(false);
    await expect(state.schedules.get("nightly")).rejects.toMatchObject({ code: "state.not_found" });
    await expect(state.schedules.pause("nightly")).rejects.toMatchObject({ code: "state.not_found" });
    const { events } = await bus.history();
    expect(events.map(({ type, data }) => [type, data])).toEqual(
      ["created", "changed", "changed", "removed"].map((what) => [
        "schedule.changed",
        { name: "nightly", what },
      ]),
    );
  });

  test("what it says of secrets and of the time that a run may take counts for its runs", async () => {
    const clock = clockAt("2026-01-01T12:00:30Z");
    const { state } = await freshState({ clock });
    await state.schedules.put("nightly", { ...minutely, secrets: ["password"], timeout: 5_000 });
    await clock.advance(30_000);
    const { fired } = await state.sweep();
    expect(await state.load(fired[0]!.run)).toMatchObject({
      secrets: ["password"],
      deadline: new Date("2026-01-01T12:01:05Z"),
    });
  });

  test("by many at once it is made once", async () => {
    const { state, bus, db } = await freshState();
    const { state: other } = await stateOn(db);
    await Promise.all(
      [state, other, state, other].map(({ schedules }) => schedules.put("nightly", minutely)),
    );
    expect((await bus.history()).events).toHaveLength(1);
  });

  test("they are listed page by page", async () => {
    const { state } = await freshState();
    for (const id of ["c", "a", "b"]) await state.schedules.put(id, minutely);
    const page = await state.schedules.list({ limit: 2 });
    expect(page).toMatchObject({ schedules: [{ id: "a" }, { id: "b" }], next: "b" });
    const last = await state.schedules.list({ limit: 2, after: page.next! });
    expect(last.schedules.map(({ id }) => id)).toEqual(["c"]);
    expect(last.next).toBeUndefined();
  });

  test.each([
    ["no cron expression", { cron: "bogus" }],
    ["a minute there is not", { cron: "99 * * * *" }],
    ["a day that never comes", { cron: "0 0 31 2 *" }],
    ["a date that has passed", { cron: "2020-01-01T00:00:00" }],
    ["no time zone", { timeZone: "Nowhere/Land" }],
    ["an option there is not", { missed: "some" }],
    ["a limit that no run may carry", { limits: [{ key: "queue:default", max: 1 }] }],
  ])("what cannot be understood is refused when it is said: %s", async (_, wrong) => {
    const { state } = await freshState();
    const put = state.schedules.put("nightly", { ...minutely, ...wrong } as never);
    await expect(put).rejects.toMatchObject({ code: "state.bad_option" });
    expect((await state.schedules.list()).schedules).toEqual([]);
  });

  test("the next times are those of its zone, over both changes of the clocks", async () => {
    const { state } = await freshState({ clock: clockAt("2026-03-28T00:00:00Z") });
    await state.schedules.put("nightly", { ...minutely, cron: "30 2 * * *", timeZone: "Europe/Berlin" });
    const texts = (times: readonly Date[]) => times.map((at) => at.toISOString().slice(0, 16));
    // in the night of the 29th there is no 2:30: it comes when the clocks have jumped
    expect(texts(await state.schedules.next("nightly", 3))).toEqual([
      "2026-03-28T01:30",
      "2026-03-29T01:00",
      "2026-03-30T00:30",
    ]);
    // in the night of the 25th there are two: it comes once; what comes every half hour does so five times
    const timeZone = "Europe/Berlin";
    const october = new Date("2026-10-24T12:00:00Z");
    expect(texts(nextSlots({ cron: "30 2 * * *", timeZone }, 2, october))).toEqual([
      "2026-10-25T00:30",
      "2026-10-26T01:30",
    ]);
    const halfHours = nextSlots({ cron: "*/30 2 * * *", timeZone }, 4, october);
    expect(texts(halfHours)).toEqual([
      "2026-10-25T00:00",
      "2026-10-25T00:30",
      "2026-10-25T01:00",
      "2026-10-25T01:30",
    ]);
    await expect(state.schedules.next("nightly", 0)).rejects.toMatchObject({ code: "state.bad_option" });
  });
});

describe("what they start", () => {
  test("a slot is one run, at its time and not before, and it gets what was said", async () => {
    const clock = clockAt("2026-01-01T12:00:30Z");
    const { state } = await freshState({ clock });
    const gets = {
      queue: "slow",
      priority: 3,
      capabilities: ["gpu"],
      limits: [{ key: "k", max: 1 }],
      maxAttempts: 2,
      version: "7",
    };
    await state.schedules.put("nightly", {
      ...minutely,
      ...gets,
      kind: "workflow",
      input: { a: 1 },
      tags: ["x"],
    });
    await clock.advance(29_999);
    expect(await state.sweep()).toMatchObject({ fired: [], problems: [] });
    await clock.advance(1);
    const { fired } = await state.sweep();
    const slot = new Date("2026-01-01T12:01:00Z");
    const id = runIdOf("nightly", slot);
    expect(fired).toEqual([{ schedule: "nightly", run: id, slot }]);
    expect(await state.sweep()).toMatchObject({ fired: [] });
    expect(await state.load(id)).toMatchObject({
      ...gets,
      kind: "workflow",
      name: "report",
      status: "queued",
      input: { a: 1 },
      tags: ["x", "slot:2026-01-01T12:01:00.000Z"],
      correlation: "schedule:nightly",
    });
    const after = await state.schedules.get("nightly");
    expect(after).toMatchObject({ lastAt: slot, lastRun: id, nextAt: new Date("2026-01-01T12:02:00Z") });
  });

  test("a date comes once", async () => {
    const clock = clockAt("2026-01-01T12:00:30Z");
    const { state } = await freshState({ clock });
    await state.schedules.put("once", { ...minutely, cron: "2026-01-01T13:00:00" });
    await clock.advance(3_600_000);
    expect(slotsOf(await state.sweep())).toEqual(["13:00:00"]);
    const after = await state.schedules.get("once");
    expect(after.nextAt).toBeUndefined();
    expect(await state.schedules.next("once")).toEqual([]);
    expect(await state.sweep()).toMatchObject({ fired: [] });
  });

  test.each([
    ["skip", []],
    ["once", ["12:03:00"]],
    ["all", ["12:01:00", "12:02:00", "12:03:00"]],
  ] as const)("what went by while nobody was there: %s", async (missed, expected) => {
    const clock = clockAt("2026-01-01T12:00:30Z");
    const { state } = await freshState({ clock });
    await state.schedules.put("minutely", { ...minutely, missed });
    await clock.advance(3 * MINUTE);
    expect(slotsOf(await state.sweep())).toEqual(expected);
    await clock.advance(MINUTE / 2 + 9_999); // and what is a little late was not missed
    expect(slotsOf(await state.sweep())).toEqual(["12:04:00"]);
    await clock.advance(MINUTE + 1);
    expect(slotsOf(await state.sweep())).toEqual(missed === "skip" ? [] : ["12:05:00"]);
  });

  test("of all that were missed a hundred are started at once, and the next sweep goes on", async () => {
    const clock = clockAt("2026-01-01T00:00:30Z");
    const { state } = await freshState({ clock });
    await state.schedules.put("minutely", { ...minutely, missed: "all" });
    await clock.advance(150 * MINUTE);
    const first = await state.sweep();
    expect(first.fired).toHaveLength(100);
    expect(first.nextAt).toEqual(new Date(clock.now()));
    const second = await state.sweep();
    expect(second.fired).toHaveLength(50);
    expect(second.nextAt).toEqual(new Date("2026-01-01T02:31:00Z"));
  });

  test("a schedule that is paused starts nothing, and does not make up for it", async () => {
    const clock = clockAt("2026-01-01T12:00:30Z");
    const { state } = await freshState({ clock });
    await state.schedules.put("minutely", { ...minutely, missed: "all" });
    expect(await state.schedules.pause("minutely")).toMatchObject({ pausedAt: new Date(clock.now()) });
    await clock.advance(10 * MINUTE);
    expect(await state.sweep()).toMatchObject({ fired: [] });
    expect(await state.schedules.put("minutely", { ...minutely, missed: "all", input: 1 })).toHaveProperty(
      "pausedAt",
    );
    expect(await state.schedules.next("minutely")).toEqual([]);
    const resumed = await state.schedules.resume("minutely");
    expect(resumed.pausedAt).toBeUndefined();
    expect(resumed.nextAt).toEqual(new Date("2026-01-01T12:11:00Z"));
    expect(await state.sweep()).toMatchObject({ fired: [] });
    await clock.advance(MINUTE);
    expect(slotsOf(await state.sweep())).toEqual(["12:11:00"]);
  });

  test("a run that is there under the id of a slot keeps no other from being started", async () => {
    const clock = clockAt("2026-01-01T12:00:30Z");
    const { state } = await freshState({ clock });
    await state.schedules.put("minutely", { ...minutely, missed: "all" });
    await state.start({ name: "report", id: runIdOf("minutely", new Date("2026-01-01T12:02:00Z")) });
    await clock.advance(3 * MINUTE);
    expect(slotsOf(await state.sweep())).toEqual(["12:01:00", "12:03:00"]);
  });
});

describe("over downtime", () => {
  /** Four who sweep at once, at each of these times; how many runs each slot got. */
  const sweepAll = async (states: readonly State[], clock: VirtualClock, steps: readonly number[]) => {
    const counts = new Map<string, number>();
    for (const step of steps) {
      await clock.advance(step);
      for (const { fired, problems } of await Promise.all(states.map((state) => state.sweep()))) {
        expect(problems).toEqual([]);
        for (const { schedule, slot } of fired) {
          expect(slot.getTime()).toBeLessThanOrEqual(clock.now());
          counts.set(
            `${schedule} ${slot.toISOString()}`,
            (counts.get(`${schedule} ${slot.toISOString()}`) ?? 0) + 1,
          );
        }
      }
    }
    return counts;
  };
  const steps = [1_000, 29_000, 2 * MINUTE, 500, 29_500];
  const total = steps.reduce((sum, step) => sum + step, 0) / 1_000;

  test("four who sweep start each slot once, and none is left out", async () => {
    const clock = clockAt("2026-01-01T00:00:00Z");
    const { state, db } = await freshState({ clock });
    const others = await Promise.all([1, 2, 3].map(() => stateOn(db, { clock })));
    const all = Array.from({ length: 3 }, (_, i) =>
      state.schedules.put(`s-${i}`, { name: "report", cron: `*/${5 * (i + 1)} * * * * *`, missed: "all" }),
    );
    await Promise.all(all);
    const counts = await sweepAll([state, ...others.map((other) => other.state)], clock, steps);
    expect([...counts.values()].filter((count) => count !== 1)).toEqual([]);
    const inAll = [5, 10, 15].map((every) => Math.floor(total / every));
    expect(counts.size).toBe(inAll.reduce((sum, count) => sum + count, 0));
  });

  test("control: without the revision and the id of a slot they are started again", async () => {
    const clock = clockAt("2026-01-01T00:00:00Z");
    const { state, db, bus } = await freshState({ clock });
    await state.schedules.put("s", { name: "report", cron: "*/10 * * * * *", missed: "all" });
    const loose = Array.from({ length: 4 }, () =>
      tamperedState(db, bus, (entry) => reworded({ ...entry, rows: [] }, "WHERE revision =", "WHERE 0 !="), {
        clock,
      }),
    );
    const counts = await sweepAll(loose, clock, [MINUTE]);
    await control("no revision", () =>
      expect([...counts.values()].filter((count) => count !== 1)).toEqual([]),
    );
  });

  test("a thousand timers over a minute of downtime go off once each, none early", async () => {
    const clock = clockAt("2026-01-01T00:00:00Z");
    const { state, db } = await freshState({ clock });
    const { state: other } = await stateOn(db, { clock });
    await startMany(state, 1);
    const [lease] = await take(state);
    const nap = (until: Date) => [{ for: "timer", at: "nap#1" as never, until }];
    await state.commit(lease!, { end: { wait: nap(new Date(0)) as never } });
    const run = (await state.load(lease!.run.id)) as RunOf<"waiting">;
    const wakeAt = new Map<string, number>();
    const rows = Array.from({ length: 1_000 }, (_, i) => {
      const until = new Date(clock.now() + 1_000 + ((i * 7_919) % 120_000));
      wakeAt.set(`nap-${i}`, until.getTime());
      const id = `nap-${i}` as RunId;
      return rowOf({ ...run, id, root: id, wakeAt: until, waitingFor: nap(until) as never }, 10 + i);
    });
    await state.cancel(run.id);
    await db.query(surql`INSERT INTO run ${rows} RETURN NONE`);
    let woken = 0;
    for (const step of [500, 500, 20_000, 60_000, 40_000]) {
      await clock.advance(step);
      const due = [...wakeAt.values()].filter((at) => at <= clock.now()).length;
      for (const each of [state, other, state]) {
        const some = await each.claim({ worker: "w-2", serves: serving("a"), max: 500, lease: 600_000 });
        woken += some.length;
        for (const { run } of some) expect(wakeAt.get(run.id)!).toBeLessThanOrEqual(clock.now());
        await Promise.all(some.map((lease) => each.commit(lease, { end: { complete: 1 } })));
      }
      expect(woken).toBe(due);
    }
    expect(woken).toBe(1_000);
  });
});
