// Who comes next: in which order, past whom, and who does not come at all.

import type { Name } from "@sentient/schema";
import { sabotage, VirtualClock } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { findCandidates } from "../src/candidates.ts";
import { ALL } from "../src/fleet.ts";
import type { Lease } from "../src/index.ts";
import { Time } from "../src/time.ts";
import { control, idsOf, isClaim, serving, startMany, take } from "./support/claiming.ts";
import { freshState, stateOn } from "./support/fresh.ts";
import { tamperedState, without, type Entry } from "./support/tampered.ts";

const LEASE = 15_000;
const failure = { name: "E", message: "it hurts", retryable: true };

describe("the order", () => {
  test("a higher priority goes first, whoever came before", async () => {
    const { state } = await freshState();
    await startMany(state, 5, { priority: -1 });
    const high = await startMany(state, 3, { priority: 7 });
    const middle = await startMany(state, 3);
    expect(new Set(idsOf(await take(state, 3)))).toEqual(new Set(high));
    expect(new Set(idsOf(await take(state, 3)))).toEqual(new Set(middle));
    expect(await take(state, 9)).toHaveLength(5);
  });

  test("priority holds among those that are due, and against those that wait", async () => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    const soon = new Date(clock.now() + 1_000);
    await startMany(state, 2, { availableAt: soon });
    const [high] = await startMany(state, 1, { availableAt: soon, priority: 5 });
    await startMany(state, 2, { priority: 1 });
    await clock.advance(1_000);
    expect(idsOf(await take(state))).toEqual([high]);
    expect((await take(state, 2)).map(({ run }) => run.priority)).toEqual([1, 1]);
  });

  test("no lane keeps another waiting: what is there longest comes first, in whichever it stands", async () => {
    const clock = new VirtualClock();
    const { state, db, bus } = await freshState({ clock });
    const old = await startMany(state, 5, { name: "b", queue: "other" });
    await clock.advance(1);
    await startMany(state, 200);
    const wanted = { queues: ["default", "other"] as Name[], serves: serving("a", "b") as never, max: 1 };
    const { ids } = await findCandidates(wanted, ALL, { db, bus, time: new Time(clock) });
    expect(ids).toHaveLength(64);
    expect(ids).toEqual(expect.arrayContaining(old));
  });

  test("by chance among the oldest, so that several workers do not want the same", async () => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    const old = (await startMany(state, 64)).toSorted((a, b) => (a < b ? -1 : 1));
    await clock.advance(1_000);
    const young = new Set(await startMany(state, 100));
    const taken: string[] = [];
    for (let i = 0; i < 10; i++) taken.push(...idsOf(await take(state)));
    expect(taken).not.toEqual(old.slice(0, 10));
    expect(young.has(taken[0]!)).toBe(false);
    expect(taken.filter((id) => young.has(id)).length).toBeLessThan(10);
  });

  test("eight workers at once get a run each, and none is granted twice", async () => {
    const { state, db } = await freshState();
    const others = await Promise.all(Array.from({ length: 3 }, () => stateOn(db)));
    await startMany(state, 60);
    const states = [state, ...others.map((other) => other.state)];
    const claims = Array.from({ length: 8 }, (_, i) => take(states[i % 4]!, 5, `w-${i}`));
    const ids = (await Promise.all(claims)).flatMap(idsOf);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids.length).toBeGreaterThan(8);
  });

  test.each(["claimed", "swept"])("what was begun goes on before what was not: %s", async (how) => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    const [begun] = await startMany(state, 1);
    await take(state);
    await startMany(state, 100);
    await clock.advance(LEASE);
    if (how === "swept") expect((await state.sweep()).released).toEqual([begun]);
    expect(idsOf(await take(state, 1, "w-2"))).toEqual([begun]);
  });
});

describe("what keeps others back", () => {
  test("a key that is full keeps nobody back who stands behind it", async () => {
    const { state } = await freshState();
    const limits = [{ key: "customer-7", max: 1 }];
    await startMany(state, 150, { limits });
    expect(await take(state, 10)).toHaveLength(1);
    const free = await startMany(state, 3);
    expect(new Set(idsOf(await take(state, 10)))).toEqual(new Set(free));
    expect(await take(state, 10)).toEqual([]);
  });

  test.each([1, 30])(
    "what a worker of %i agents cannot do is left to others, and keeps it from nothing",
    async (agents) => {
      const { state } = await freshState();
      await startMany(state, 150, { capabilities: ["gpu"] });
      const [plain] = await startMany(state, 1);
      const serves = serving("a", ...Array.from({ length: agents - 1 }, (_, i) => `other-${i}`));
      const without = { worker: "w-1", serves, capabilities: ["web"], max: 5 };
      expect(idsOf(await state.claim(without))).toEqual([plain]);
      expect(await state.claim({ ...without, capabilities: ["web", "gpu"] })).toHaveLength(5);
      expect(await take(state, 5)).toHaveLength(5);
    },
  );

  test("only what it serves is claimed: queue, name and version", async () => {
    const { state } = await freshState();
    await startMany(state, 1, { queue: "other" });
    await startMany(state, 1, { name: "b" });
    await startMany(state, 1, { version: "2" });
    expect(await take(state, 5)).toEqual([]);
    expect(await state.claim({ worker: "w-1", serves: [], max: 5 })).toEqual([]);
    const all = { worker: "w-1", queues: ["default", "other"], max: 5 };
    const serves = [
      { name: "a", versions: ["1", "2"] },
      { name: "b", versions: ["1"] },
    ];
    expect(await state.claim({ ...all, serves })).toHaveLength(3);
  });
});

describe("the time", () => {
  test("what was put off is claimed at its time, and not before", async () => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    await startMany(state, 1, { availableAt: new Date(clock.now() + 1_000) });
    await clock.advance(999);
    expect(await take(state)).toEqual([]);
    await clock.advance(1);
    expect(await take(state)).toHaveLength(1);
  });

  test("a lease is taken over when it has run out, and not before", async () => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    await startMany(state, 1);
    const [first] = await take(state);
    await clock.advance(LEASE - 1);
    expect(await take(state, 1, "w-2")).toEqual([]);
    await clock.advance(1);
    const [second] = await take(state, 1, "w-2");
    expect(second!.token).toBeGreaterThan(first!.token);
    await expect(state.commit(first!, { state: { late: true } })).rejects.toMatchObject({
      code: "state.lease_lost",
    });
  });

  test("what is past its deadline is cancelled instead of claimed", async () => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    const [id] = await startMany(state, 1, { deadline: new Date(clock.now() + 1_000) });
    const [later] = await startMany(state, 1, { deadline: new Date(clock.now() + 1_001) });
    await clock.advance(1_000);
    expect(idsOf(await take(state, 2))).toEqual([later]);
    expect(await state.load(id!)).toMatchObject({ status: "cancelled", reason: "its deadline has passed" });
  });
});

describe("attempts", () => {
  test.each(["taken over", "swept"])(
    "what kills its worker every time is parked, with the cause: %s",
    async (how) => {
      const clock = new VirtualClock();
      const { state } = await freshState({ clock });
      const [id] = await startMany(state, 1, { maxAttempts: 3 });
      for (let attempt = 1; attempt <= 3; attempt++) {
        const [lease] = await take(state, 1, `w-${attempt}`);
        expect(lease!.run.attempts).toBe(attempt);
        await clock.advance(LEASE);
        if (how === "swept") await state.sweep();
      }
      expect(await take(state)).toEqual([]);
      const run = await state.load(id!);
      expect(run).toMatchObject({ status: "parked", parkedFor: "attempts_exhausted" });
      expect(run).toMatchObject({ problem: { message: expect.stringContaining("3 times") } });
      await state.resume(id!);
      expect((await take(state))[0]!.run.attempts).toBe(1);
    },
  );

  test.each(["taken over", "swept"])("what remembers a step begins anew: %s", async (how) => {
    const clock = new VirtualClock();
    const { state } = await freshState({ clock });
    await startMany(state, 1, { maxAttempts: 2 });
    for (let step = 1; step <= 5; step++) {
      const [lease] = await take(state, 1, `w-${step}`);
      await state.commit(lease!, { steps: [{ key: `s#${step}`, name: "s", status: "completed" }] });
      await clock.advance(LEASE);
      if (how === "swept") await state.sweep();
    }
    expect(await take(state)).toHaveLength(1);
  });

  /** A step that is remembered after it was counted for a take-over, and before that. @returns who has the run then */
  async function remembered(how: string, change = (entry: Entry) => entry): Promise<Lease> {
    const clock = new VirtualClock();
    const { db, bus, state } = await freshState({ clock });
    await startMany(state, 1, how === "parked" ? { maxAttempts: 1 } : {});
    const [lease] = await take(state);
    await clock.advance(LEASE);
    let isLate = true;
    const slow = async (entry: Entry) => {
      const isTakeOver = /^run\.(started|released|parked)$/.test(entry.events?.[0]?.type ?? "");
      if (isTakeOver && isLate)
        await state.commit(lease!, { steps: [{ key: "s#1", name: "s", status: "completed" }] });
      if (isTakeOver) isLate = false;
      return change(entry);
    };
    const other = tamperedState(db, bus, slow, { clock });
    if (how === "swept") await other.sweep();
    return [...(await take(other)), ...(await take(other))][0]!;
  }

  test.each(["taken over", "swept", "parked"])(
    "a step that is remembered just before its run is %s counts",
    async (how) => expect((await remembered(how)).run).toMatchObject({ steps: 1, attempts: 1 }),
  );

  test.each(["taken over", "swept"])("control: else it is lost sight of where a run is %s", async (how) => {
    const { run } = await remembered(how, (entry) => without(entry, "array::len"));
    await sabotage("a count of before", () => expect(run).toMatchObject({ steps: 1 }));
  });

  describe("of several, one of which ends its worker", () => {
    /** Claims all that is to be had, and dies of it, but for what gets on. @returns what is left of the runs */
    async function die(inDoubt: number | undefined, times: number) {
      const clock = new VirtualClock();
      const { state } = await freshState({ clock });
      const [deadly] = await startMany(state, 1);
      const good = await startMany(state, 6);
      const rounds: number[] = [];
      for (let i = 0; i < times; i++) {
        const leases = await take(state, 20, `w-${i}`, inDoubt === undefined ? {} : { inDoubt });
        rounds.push(leases.filter(({ isInDoubt }) => isInDoubt).length);
        const isDeadly = leases.some(({ run }) => run.id === deadly);
        for (const lease of isDeadly ? [] : leases) {
          await state.commit(lease, { steps: [{ key: "s#1", name: "s", status: "completed" }] });
          expect(lease.isInDoubt).toBe(false);
          await state.commit(lease, { end: { complete: 1 } });
        }
        await clock.advance(LEASE);
      }
      const statuses = await Promise.all([deadly!, ...good].map(async (id) => (await state.load(id)).status));
      return { rounds, statuses };
    }

    test("the others do not use up their attempts with it, if they are claimed one at a time", async () => {
      const { rounds, statuses } = await die(1, 12);
      expect(statuses).toEqual(["parked", ...good(6)]);
      expect(rounds.slice(0, 3)).toEqual([0, 0, 0]);
      expect(Math.max(...rounds)).toBe(1);
    });

    test("control: claimed all at once they do", async () => {
      const { statuses } = await die(undefined, 12);
      await sabotage("all at once", () => expect(statuses).toEqual(["parked", ...good(6)]));
    });

    const good = (count: number) => Array.from({ length: count }, () => "completed");
  });

  test("what is given back costs no attempt", async () => {
    const { state } = await freshState();
    await startMany(state, 1, { maxAttempts: 1 });
    for (let i = 0; i < 3; i++) await state.release((await take(state))[0]!);
    expect((await take(state))[0]!.run.attempts).toBe(1);
  });
});

describe("agents that are paused", () => {
  test("nobody claims their runs, of whichever version, until they are resumed", async () => {
    const { state } = await freshState();
    await state.agents.register({ name: "a", version: "1" });
    await startMany(state, 1);
    await startMany(state, 1, { version: "2" }); // nobody has registered it
    await startMany(state, 1, { name: "b" });
    await state.agents.pause("a", { by: "ada" });
    const all = [{ name: "a", versions: ["1", "2"] }, ...serving("b")];
    const leases = await state.claim({ worker: "w-1", serves: all, max: 5 });
    expect(leases.map(({ run }) => run.name)).toEqual(["b"]);
    await state.agents.resume("a");
    expect(await state.claim({ worker: "w-1", serves: all, max: 5 })).toHaveLength(2);
  });

  test.each(["1", "2"])(
    "a claim that was on its way when the pause was answered is refused: version %s",
    async (version) => {
      const { state, db, bus } = await freshState();
      await state.agents.register({ name: "a", version: "1" });
      const claimed = async (protect: boolean) => {
        await startMany(state, 1, { version });
        await state.agents.resume("a");
        const held = tamperedState(db, bus, async (entry) => {
          if (!isClaim(entry)) return entry;
          await state.agents.pause("a");
          return protect ? entry : { ...entry, guards: [] };
        });
        return held.claim({ worker: "w-1", serves: [{ name: "a", versions: [version] }] });
      };
      expect(await claimed(true)).toEqual([]);
      await control("a claim that does not ask its agent", async () =>
        expect(await claimed(false)).toEqual([]),
      );
    },
  );
});

test("a run that fails its step is not the claim's business", async () => {
  const { state } = await freshState();
  await startMany(state, 1);
  const [lease] = await take(state);
  await state.commit(lease!, { end: { fail: failure } });
  expect(await take(state)).toEqual([]);
});
