// Limits: never exceeded, whoever claims, and given back by every way a run leaves its worker.

import { surql, type Database } from "@sentient/db-pool";
import { VirtualClock } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import type { Change } from "../src/change.ts";
import type { LimitOptions, State } from "../src/index.ts";
import type { Lease } from "../src/lease.ts";
import {
  control,
  idsOf,
  isClaim,
  mostAtOnce,
  reworded,
  serving,
  startMany,
  take,
} from "./support/claiming.ts";
import { freshState, stateOn, type Fresh } from "./support/fresh.ts";
import { tamperedState, type Entry } from "./support/tampered.ts";

const LEASE = 15_000;
const failure = { name: "E", message: "it hurts", retryable: true };
const slots = (db: Database) => db.query(surql<string[]>`SELECT VALUE record::id(id)[0] FROM slot`);

describe("what is said of them", () => {
  test("a limit is set, found, changed and removed, and each change is told once", async () => {
    const { state, bus } = await freshState();
    await state.limits.set("queue:default", { concurrency: 3 });
    await state.limits.set("queue:default", { concurrency: 3 });
    await state.limits.set("agent:a", { rate: { count: 2, per: 1_000 } });
    await state.limits.set("queue:default", { concurrency: 2 });
    expect(await state.limits.list()).toMatchObject([
      { key: "agent:a", rate: { count: 2, per: 1_000 }, startsLeft: 2, holders: [] },
      { key: "queue:default", concurrency: 2, holders: [] },
    ]);
    await startMany(state, 1);
    const [lease] = await take(state);
    expect(await state.limits.get("queue:default")).toMatchObject({ holders: [lease!.run.id] });
    expect(await state.limits.get("agent:a")).toMatchObject({ startsLeft: 1 });
    expect(await state.limits.remove("agent:a")).toBe(true);
    expect(await state.limits.remove("agent:a")).toBe(false);
    await expect(state.limits.get("agent:a")).rejects.toMatchObject({ code: "state.not_found" });
    const { events } = await bus.history();
    expect(events.filter(({ type }) => type === "limit.changed").map(({ data }) => data)).toEqual([
      { key: "queue:default", concurrency: 3 },
      { key: "agent:a", rate: { count: 2, per: 1_000 } },
      { key: "queue:default", concurrency: 2 },
      { key: "agent:a" },
    ]);
  });

  test.each([
    ["customer-7", { concurrency: 1 }],
    ["queue:", { concurrency: 1 }],
    ["queue:default", {}],
    ["queue:default", { concurrency: 0 }],
    ["queue:default", { rate: { count: 1, per: 0 } }],
    ["queue:default", { concurency: 1 }],
  ])("what is no limit is refused: %s %j", async (key, options) => {
    const { state } = await freshState();
    await expect(state.limits.set(key, options as LimitOptions)).rejects.toMatchObject({
      code: "state.bad_option",
    });
    expect(await state.limits.list()).toEqual([]);
  });
});

describe("what code says of an agent", () => {
  const of = async ({ limits }: State) =>
    (await limits.list()).map(({ key, concurrency, rate }) =>
      rate ? [key, concurrency, rate] : [key, concurrency],
    );

  test("is its limit, changes with it, and goes with it; said again it changes nothing", async () => {
    const { state, bus } = await freshState();
    for (const concurrency of [undefined, 2, 2, 3, undefined, undefined]) {
      await state.limits.declare("a", concurrency);
      expect(await of(state)).toEqual(concurrency === undefined ? [] : [["agent:a", concurrency]]);
    }
    const { events } = await bus.history();
    expect(events.map(({ type, data }) => [type, data])).toEqual([
      ["limit.changed", { key: "agent:a", concurrency: 2 }],
      ["limit.changed", { key: "agent:a", concurrency: 3 }],
      ["limit.changed", { key: "agent:a" }],
    ]);
  });

  test.each<[string, (number | undefined)[]]>([
    ["before code said anything", []],
    ["instead", [1]],
  ])("leaves alone what somebody has set %s, until it is removed", async (_, before) => {
    const { state } = await freshState();
    for (const concurrency of before) await state.limits.declare("a", concurrency);
    await state.limits.set("agent:a", { concurrency: 50 });
    for (const concurrency of [1, 2, 50, 3, undefined, 4]) {
      await state.limits.declare("a", concurrency);
      expect(await of(state)).toEqual([["agent:a", 50]]);
    }
    await state.limits.remove("agent:a");
    await state.limits.declare("a", 4);
    expect(await of(state)).toEqual([["agent:a", 4]]);
    await state.limits.declare("a", undefined);
    expect(await of(state)).toEqual([]);
  });

  test("stands beside a rate that somebody has set, and leaves it there", async () => {
    const { state } = await freshState();
    const rate = { count: 2, per: 1_000 };
    await state.limits.set("agent:a", { rate });
    await state.limits.declare("a", 2);
    expect(await of(state)).toEqual([["agent:a", 2, rate]]);
    await state.limits.declare("a", undefined);
    expect(await of(state)).toEqual([["agent:a", undefined, rate]]);
  });

  test("is found as the limit alone, and is no more than that may be", async () => {
    const { state } = await freshState();
    await state.limits.declare("a", 2);
    await expect(state.limits.get("code:a")).rejects.toMatchObject({ code: "state.not_found" });
    expect(await state.limits.remove("code:a")).toBe(false);
    await expect(state.limits.declare("a", 0)).rejects.toMatchObject({ code: "state.bad_option" });
    expect(await of(state)).toEqual([["agent:a", 2]]);
  });

  async function expectOperatorWins(change: (entry: Entry) => Entry): Promise<void> {
    const { state, db, bus } = await freshState();
    await state.limits.declare("a", 1);
    for (const concurrency of [2, undefined]) {
      const slow = tamperedState(db, bus, async (entry) => {
        await state.limits.set("agent:a", { concurrency: 50 }); // since it was looked
        return change(entry);
      });
      await slow.limits.declare("a", concurrency);
      expect(await of(state)).toEqual([["agent:a", 50]]);
      await state.limits.remove("agent:a");
      await state.limits.declare("a", 1);
    }
  }

  test("does not pass by what is set at that moment", () => expectOperatorWins((entry) => entry));

  test("which is because it is written over what was seen", () =>
    control("a limit is written whatever it says", () =>
      expectOperatorWins((entry) => reworded(entry, "IF $said != ", "IF false AND $said != ")),
    ));
});

test("a run cannot carry the key of a queue or an agent", async () => {
  const { state } = await freshState();
  for (const key of ["queue:default", "agent:b"])
    await expect(startMany(state, 1, { limits: [{ key, max: 1 }] })).rejects.toMatchObject({
      code: "state.bad_option",
    });
  expect(await startMany(state, 1, { limits: [{ key: "queues", max: 1 }] })).toHaveLength(1);
});

describe("how many at once", () => {
  const bound = async ({ state }: Fresh) => {
    await state.limits.set("queue:default", { concurrency: 4 });
    await state.limits.set("agent:a", { concurrency: 2 });
    const limits = [{ key: "customer-7", max: 1 }];
    const a = await startMany(state, 6);
    const keyed = await startMany(state, 3, { name: "b", limits });
    const b = await startMany(state, 5, { name: "b" });
    return { all: [...a, ...keyed, ...b], a: new Set(a), keyed: new Set(keyed) };
  };

  /** Until all are done, by so many who claim, in several states; some runs are given back first. */
  const work = async (states: readonly State[], claimers: number, count: number) => {
    let done = 0;
    let left = Promise.withResolvers<void>(); // a run has left its worker
    const leave = async (lease: Lease, state: State, i: number) => {
      const isGivenBack = lease.run.token === 1 && i % 4 === 0;
      await state.commit(lease, { end: isGivenBack ? { release: true } : { complete: i } });
      if (!isGivenBack) done++;
      left.resolve();
      left = Promise.withResolvers<void>();
    };
    const one = async (i: number) => {
      const state = states[i % states.length]!;
      while (done < count) {
        const { promise } = left;
        const leases = await state.claim({ worker: `w-${i}`, serves: serving("a", "b"), max: 1 + (i % 3) });
        if (leases.length === 0 && done < count) await promise;
        for (const lease of leases) await leave(lease, state, i);
      }
    };
    await Promise.all(Array.from({ length: claimers }, (_, i) => one(i)));
  };

  test("twenty who claim in three processes never exceed a queue's, an agent's or a key's", async () => {
    const fresh = await freshState();
    const { all, a, keyed } = await bound(fresh);
    const others = await Promise.all(Array.from({ length: 2 }, () => stateOn(fresh.db)));
    await work(
      [fresh, ...others].map(({ state }) => state),
      20,
      all.length,
    );
    expect(await mostAtOnce(fresh.bus, () => true)).toBeLessThanOrEqual(4);
    expect(await mostAtOnce(fresh.bus, (run) => a.has(run))).toBeLessThanOrEqual(2);
    expect(await mostAtOnce(fresh.bus, (run) => keyed.has(run))).toBeLessThanOrEqual(1);
    expect(await slots(fresh.db)).toEqual([]);
  });

  test("without the question in the claim's transaction they are exceeded", async () => {
    const fresh = await freshState();
    await bound(fresh);
    const unguarded = tamperedState(fresh.db, fresh.bus, (entry) =>
      isClaim(entry) ? { ...entry, guards: [] } : entry,
    );
    const claims = Array.from({ length: 20 }, (_, i) =>
      unguarded.claim({ worker: `w-${i}`, serves: serving("a", "b"), max: 2 }),
    );
    await Promise.all(claims);
    await control("no guards", async () =>
      expect(await mostAtOnce(fresh.bus, () => true)).toBeLessThanOrEqual(4),
    );
  });

  test("a claim that was on its way when a limit was set keeps to it", async () => {
    const { state, db, bus } = await freshState();
    const claimed = async (protect: boolean) => {
      await startMany(state, 2);
      await state.limits.remove("queue:default");
      const held = tamperedState(db, bus, async (entry) => {
        if (!isClaim(entry)) return entry;
        await state.limits.set("queue:default", { concurrency: 1 });
        await take(state); // and somebody has taken what it lets
        return protect ? entry : { ...entry, guards: [] };
      });
      return take(held);
    };
    expect(await claimed(true)).toEqual([]);
    await control("a claim by limits of before", async () => expect(await claimed(false)).toEqual([]));
  });

  test("a take-over keeps exactly one slot, and gives back those of limits that are gone", async () => {
    const clock = new VirtualClock();
    const { state, db } = await freshState({ clock });
    await state.limits.set("queue:default", { concurrency: 1 });
    await state.limits.set("agent:a", { concurrency: 1 });
    await startMany(state, 2);
    const [first] = await take(state);
    expect(await slots(db)).toEqual(["agent:a", "queue:default"]);
    await state.limits.remove("agent:a");
    await clock.advance(LEASE);
    const taken = await take(state, 2, "w-2");
    expect(idsOf(taken)).toEqual([first!.run.id]);
    expect(await slots(db)).toEqual(["queue:default"]);
  });

  const leaving: Record<string, (state: State, lease: Lease, clock: VirtualClock) => Promise<unknown>> = {
    ...Object.fromEntries(
      Object.entries({
        completes: { complete: 1 },
        fails: { fail: failure },
        "is cancelled": { cancel: {} },
        waits: { wait: [{ for: "signal", at: "s#1", name: "go" }] },
        "is paused": { pause: { by: "ada" } },
        "is parked": { park: { reason: "asked", problem: failure } },
        "is handed over": { release: true },
      } satisfies Record<string, Change["end"]>).map(([name, end]) => [
        name,
        (state: State, lease: Lease) => state.commit(lease, { end }),
      ]),
    ),
    "is cancelled by force": (state, { run }) => state.cancel(run.id, { force: true }),
    "loses its worker": async (state, _, clock) => {
      await clock.advance(LEASE);
      return state.sweep();
    },
    "is past its deadline": async (state, _, clock) => {
      await clock.advance(LEASE * 10);
      return state.claim({ worker: "w-2", serves: serving("a") });
    },
  };
  test.each(Object.keys(leaving))("a slot is given back when a run %s", async (how) => {
    const clock = new VirtualClock();
    const { state, db } = await freshState({ clock });
    await state.limits.set("queue:default", { concurrency: 1 });
    await state.limits.set("agent:a", { concurrency: 1 });
    const deadline = new Date(clock.now() + LEASE * 10);
    const [id] = await startMany(state, 1, { limits: [{ key: "k", max: 1 }], deadline });
    const [lease] = await take(state);
    expect(await slots(db)).toHaveLength(3);
    await leaving[how]!(state, lease!, clock);
    expect((await state.load(id!)).status).not.toBe("running");
    expect(await slots(db)).toEqual([]);
    await startMany(state, 1, { limits: [{ key: "k", max: 1 }], priority: 9 });
    expect(await take(state)).toHaveLength(1);
  });
});

describe("how many in a time", () => {
  test("a bucket holds as many starts as the rate says, and fills up by it", async () => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    await state.limits.set("queue:default", { rate: { count: 4, per: 1_000 } });
    await startMany(state, 30);
    const claimed = async (after: number) => {
      await clock.advance(after);
      return (await take(state, 10)).length;
    };
    expect(await claimed(0)).toBe(4);
    expect(await claimed(0)).toBe(0);
    expect(await claimed(249)).toBe(0);
    expect(await claimed(1)).toBe(1);
    expect(await claimed(625)).toBe(2); // and half a start is kept
    expect(await claimed(125)).toBe(1);
    expect(await claimed(3_600_000)).toBe(4);
  });

  test("fractions of a start are not lost, however often it is asked", async () => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    await state.limits.set("agent:a", { rate: { count: 5, per: 16 } });
    await startMany(state, 60);
    let count = 0;
    for (let ms = 0; ms < 64; ms++) {
      count += (await take(state, 10)).length;
      await clock.advance(1);
    }
    expect(count).toBe(5 + Math.floor((63 * 5) / 16));
  });

  test("a clock that is set back takes no start away, and gives none", async () => {
    class SettableClock extends VirtualClock {
      by = 0;
      override now(): number {
        return super.now() + this.by;
      }
    }
    const clock = new SettableClock();
    const { state } = await freshState({ clock });
    await state.limits.set("queue:default", { rate: { count: 2, per: 1_000 } });
    await clock.advance(5_000);
    await startMany(state, 9, { priority: 0 });
    expect(await take(state)).toHaveLength(1);
    clock.by = -2_000;
    expect(await take(state, 5)).toHaveLength(1);
    expect(await take(state, 5)).toEqual([]);
    clock.by = 0;
    await clock.advance(500);
    expect(await take(state, 5)).toHaveLength(1);
  });

  test("another rate begins with what was left by the one before", async () => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    await state.limits.set("queue:default", { rate: { count: 10, per: 1_000 } });
    await startMany(state, 30);
    expect(await take(state, 10)).toHaveLength(10);
    await clock.advance(200);
    await state.limits.set("queue:default", { rate: { count: 100, per: 1_000 }, concurrency: 500 });
    expect(await state.limits.get("queue:default")).toMatchObject({ startsLeft: 2 });
    expect(await take(state, 10)).toHaveLength(2);
  });

  test("a rate is kept by twenty who claim at once, and by every claim since", async () => {
    const clock = new VirtualClock();
    const { state, db, bus } = await freshState({ clock });
    const others = await Promise.all(Array.from({ length: 2 }, () => stateOn(db, { clock })));
    await state.limits.set("queue:default", { rate: { count: 3, per: 100 } });
    await startMany(state, 60);
    const states = [state, ...others.map((other) => other.state)];
    const starts: number[] = [];
    for (let round = 0; round < 3; round++) {
      const claims = Array.from({ length: 20 }, (_, i) => take(states[i % 3]!, 2, `w-${i}`));
      for (const _ of (await Promise.all(claims)).flat()) starts.push(clock.now());
      await clock.advance(37);
    }
    expect(starts.length).toBe(3 + Math.floor((2 * 37 * 3) / 100));
    const within = (from: number, to: number) => starts.filter((at) => at >= from && at <= to).length;
    for (const from of starts)
      for (const to of starts)
        if (to >= from) expect(within(from, to)).toBeLessThanOrEqual(3 + ((to - from) * 3) / 100);
    const unguarded = tamperedState(db, bus, (entry) => (isClaim(entry) ? { ...entry, guards: [] } : entry), {
      clock,
    });
    const more = await Promise.all(Array.from({ length: 20 }, (_, i) => take(unguarded, 2, `w-${i}`)));
    await control("no guards", () => expect(more.flat().length).toBeLessThanOrEqual(3));
  });
});
