// Who advances a run: one worker at a time, for as long as it is heard of.

import { surql } from "@sentient/db-pool";
import { sabotage, until, VirtualClock } from "@sentient/testkit";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import * as claimQueries from "../src/claim-queries.ts";
import type { Change } from "../src/change.ts";
import * as queries from "../src/queries.ts";
import { runId } from "../src/run.ts";
import type { State } from "../src/index.ts";
import type { Lease } from "../src/lease.ts";
import { freshState, stateOn } from "./support/fresh.ts";
import {
  claimed,
  codeOf,
  done,
  eventsOf,
  expectNothing,
  failureOf,
  held,
  range,
  running,
  started,
  storyOf,
} from "./support/runs.ts";

const LEASE_MS = 15_000;

/** States in a time that is moved by hand. */
async function timed(others = 0) {
  const clock = new VirtualClock(Date.now());
  const at = await freshState({ clock });
  const states = [at.state];
  for (let i = 0; i < others; i++) states.push((await stateOn(at.db, { clock })).state);
  return { ...at, clock, states };
}

describe("a claim", () => {
  test("gives the lease of a run that waits for a worker, once", async () => {
    const { state, bus } = await freshState();
    const id = await started(state);
    const lease = await held(state, "w-7", { lease: 600_000 });
    expect(lease.run).toMatchObject({
      id,
      status: "running",
      attempts: 1,
      token: 1,
      lease: { worker: "w-7", token: 1 },
    });
    const { at } = (await eventsOf(bus, id))[1]!;
    const ms = lease.run.lease.until.getTime() - at.getTime();
    expect(Math.abs(ms - 600_000)).toBeLessThan(1_000); // the log may round the time of its events
    expect(await state.load(id)).toEqual(lease.run);
    expect(await claimed(state, "w-8")).toEqual([]);
  });

  test("gives what the worker serves, and no more than it wants", async () => {
    const { state } = await freshState();
    for (const version of ["1", "2"])
      for (const queue of ["default", "slow"]) await started(state, { version, queue });
    await started(state, { name: "other" });
    expect(await claimed(state, "w1", { serves: [] })).toEqual([]);
    expect(await claimed(state, "w1", { serves: [{ name: "research", versions: ["3"] }] })).toEqual([]);
    expect(await claimed(state, "w1", { queues: ["fast"], max: 9 })).toEqual([]);
    const [lease, ...more] = await claimed(state, "w1", { queues: ["slow"], max: 9 });
    expect([lease!.run.queue, lease!.run.version, more]).toEqual(["slow", "1", []]);
    const both = [{ name: "research", versions: ["1", "2"] }];
    expect(await claimed(state, "w1", { serves: both, queues: ["default", "slow"], max: 2 })).toHaveLength(2);
    expect(await claimed(state, "w1", { serves: both, queues: ["default", "slow"], max: 2 })).toHaveLength(1);
  });

  test.each<object>([
    { worker: "" },
    { max: 0 },
    { max: 1_001 },
    { lease: 99 },
    { queues: [] },
    { serve: [] },
  ])("is refused with %j", async (options) => {
    const { state } = await freshState();
    expect(await codeOf(() => claimed(state, "w1", options))).toBe("state.bad_option");
  });

  async function expectOneEach(runs: number): Promise<void> {
    const { state, db, bus } = await freshState();
    const states = [state, (await stateOn(db)).state, (await stateOn(db)).state];
    const ids = await Promise.all(range(runs).map(() => started(state)));
    const got: Lease[] = [];
    await Promise.all(
      range(9).map(async (i) => {
        for (;;) {
          const leases = await claimed(states[i % 3]!, `w${i}`, { max: 3, lease: 600_000 });
          got.push(...leases);
          if (leases.length === 0) return;
        }
      }),
    );
    expect(got.map(({ run }) => run.id).toSorted()).toEqual(ids.toSorted());
    for (const id of ids) expect(await storyOf(bus, id)).toEqual(["run.queued", "run.started"]);
  }

  test("of many at once never gives one run to two", () => expectOneEach(60));

  test("costs few transactions though others have taken what it found", async () => {
    const { state, bus, db } = await freshState();
    const others = await Promise.all(range(2).map(async () => (await stateOn(db)).state));
    const ids = await Promise.all(range(60).map(() => started(state)));
    const transaction = vi.spyOn(db, "transaction");
    const claims = await Promise.all(
      [state, ...others].map((each, i) => claimed(each, `w${i}`, { max: 60, lease: 600_000 })),
    );
    expect(
      claims
        .flat()
        .map(({ run }) => run.id)
        .toSorted(),
    ).toEqual(ids.toSorted());
    expect(transaction.mock.calls.length).toBeLessThan(40);
    expect((await bus.history({ limit: 1_000 })).events).toHaveLength(120);
  });

  test("control: without the revision it does", async () => {
    const spy = vi
      .spyOn(claimQueries, "claimRun")
      .mockImplementation(
        (run, _revision, { id: _, ...row }) => surql`UPDATE ${runId(run)} CONTENT ${row} RETURN NONE`,
      );
    onTestFinished(() => spy.mockRestore());
    await sabotage("no revision", () => expectOneEach(20));
  });
});

describe("a lease that is not renewed", () => {
  test("is another's once it has run out, and not before", async () => {
    const { state, bus, clock } = await timed();
    const lease = await running(state);
    await clock.advance(LEASE_MS - 1);
    expect(await claimed(state, "w2")).toEqual([]);
    await clock.advance(1);
    const next = await held(state, "w2");
    expect(next.run).toMatchObject({ id: lease.run.id, token: 2, attempts: 2, lease: { worker: "w2" } });
    expect(await storyOf(bus, lease.run.id)).toEqual(["run.queued", "run.started", "run.started"]);
  });

  test("is good as long as nobody else has it", async () => {
    const { state, clock } = await timed();
    const lease = await running(state);
    await clock.advance(LEASE_MS * 10);
    await state.commit(lease, { steps: [done("a")] });
    expect((await state.renew([lease])).held).toHaveLength(1);
    expect(await claimed(state, "w2")).toEqual([]);
    await clock.advance(LEASE_MS * 10);
    await state.commit(lease, { end: { complete: 1 } });
  });

  test("is found by a sweep, and its run is queued again with what it remembers", async () => {
    const { state, bus, clock } = await timed();
    const lease = await running(state);
    await state.commit(lease, { steps: [done("a"), done("b")] });
    expect((await state.sweep()).released).toEqual([]);
    await clock.advance(LEASE_MS);
    expect((await state.sweep()).released).toEqual([lease.run.id]);
    expect((await state.sweep()).released).toEqual([]);
    expect(await state.load(lease.run.id)).toMatchObject({
      status: "queued",
      steps: 2,
      attempts: 0,
      token: 2,
    });
    expect((await eventsOf(bus, lease.run.id)).at(-1)).toMatchObject({
      type: "run.released",
      data: { worker: "w1", reason: "lease_expired" },
    });
    expect(await codeOf(() => state.commit(lease, { steps: [done("c")] }))).toBe("state.lease_lost");
    expect((await held(state, "w2")).run).toMatchObject({ attempts: 1, steps: 2 });
  });

  test("is released once by many sweeps, and not at all if it was renewed in between", async () => {
    const { state, states, bus, clock } = await timed(2);
    await Promise.all(range(6).map(() => started(state)));
    const leases = await claimed(state, "w1", { max: 6 });
    await clock.advance(LEASE_MS);
    const appends = vi.spyOn(bus.log, "append");
    const { readExpired } = queries;
    let asked = 0;
    const spy = vi.spyOn(queries, "readExpired").mockImplementation((...args) => {
      asked++;
      return readExpired(...args);
    });
    onTestFinished(() => spy.mockRestore());
    const sweeping = states.map((each) => each.sweep());
    await until(() => asked === 3);
    await state.renew(leases.slice(0, 3));
    const released = (await Promise.all(sweeping)).flatMap((found) => found.released);
    expect(appends.mock.calls.length).toBeLessThan(20); // nobody tries again and again what cannot be
    expect(new Set(released).size).toBe(released.length);
    for (const { run } of leases) {
      const { status } = await state.load(run.id);
      expect(status).toBe(released.includes(run.id) ? "queued" : "running");
      expect((await storyOf(bus, run.id)).filter((type) => type === "run.released")).toHaveLength(
        released.includes(run.id) ? 1 : 0,
      );
    }
    expect(leases.slice(3).every(({ run }) => released.includes(run.id))).toBe(true);
  });
});

describe("a renewal", () => {
  test("keeps leases for as long again, all at once", async () => {
    const { state, clock } = await timed();
    await Promise.all(range(3).map(() => started(state)));
    const leases = await claimed(state, "w1", { max: 3 });
    for (const _ of range(4)) {
      await clock.advance(LEASE_MS - 1);
      expect(await state.renew(leases)).toMatchObject({ held: [{}, {}, {}], lost: [] });
      expect(await claimed(state, "w2", { max: 3 })).toEqual([]);
    }
    await state.renew(leases.slice(0, 1), { lease: 60_000 });
    await clock.advance(LEASE_MS);
    expect((await claimed(state, "w2", { max: 3 })).map(({ run }) => run.id).toSorted()).toEqual(
      leases
        .slice(1)
        .map(({ run }) => run.id)
        .toSorted(),
    );
  });

  test("tells which are lost, whoever has them now, and ends those", async () => {
    const { state, clock } = await timed();
    await Promise.all(range(4).map(() => started(state)));
    const leases = await claimed(state, "w1", { max: 4 });
    const [kept, cancelled, released] = leases;
    await state.cancel(cancelled!.run.id, { force: true });
    await state.release(released!);
    await clock.advance(LEASE_MS);
    await state.renew([kept!]);
    const [again] = (await claimed(state, "w1", { max: 4 })).filter(
      ({ run }) => run.id === leases[3]!.run.id,
    );
    const found = await state.renew(leases); // the same worker has one of them again, under another token
    expect(found.held.map(({ lease }) => lease)).toEqual([kept]);
    expect(found.lost).toEqual([cancelled, leases[3]]); // what it gave back itself it has not lost
    expect(leases.map(({ over }) => over.aborted)).toEqual([false, true, true, true]);
    expect(again!.over.aborted).toBe(false);
    expect(await state.renew([leases[1]!])).toEqual({ held: [], lost: [] });
    expect(await state.renew([])).toEqual({ held: [], lost: [] });
  });

  test("changes nothing that a commit goes by", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    await Promise.all([
      ...range(10).map(() => state.renew([lease])),
      ...range(10).map((i) => state.commit(lease, { steps: [done(`s${i}`)] })),
    ]);
    await Promise.all([state.renew([lease]), state.commit(lease, { end: { complete: 1 } })]);
    expect(await state.load(lease.run.id)).toMatchObject({ status: "completed", steps: 10 });
  });
});

describe("attempts", () => {
  const die = async (state: State, clock: VirtualClock, change?: Change) => {
    const lease = await held(state);
    if (change) await state.commit(lease, change);
    await clock.advance(LEASE_MS);
    return lease.run.attempts;
  };

  test.each([false, true])(
    "are counted at each claim; after the last it is parked with the cause (swept: %j)",
    async (isSwept) => {
      const { state, bus, clock } = await timed();
      const id = await started(state, { maxAttempts: 3 });
      for (const attempt of range(3, 1)) {
        expect(await die(state, clock)).toBe(attempt);
        if (isSwept) await state.sweep();
      }
      expect(await claimed(state, "w2")).toEqual([]);
      expect(await state.load(id)).toMatchObject({
        status: "parked",
        parkedFor: "attempts_exhausted",
        problem: {
          name: "AttemptsExhausted",
          code: "attempts_exhausted",
          message: expect.stringContaining("3 times"),
        },
        attempts: 3,
      });
      const types = await storyOf(bus, id);
      expect(types.filter((type) => type === "run.started")).toHaveLength(3);
      expect(types.at(-1)).toBe("run.parked");
      expect(await claimed(state, "w2")).toEqual([]);
      await state.resume(id, { by: "ada" }); // once somebody has found out why
      expect((await held(state)).run).toMatchObject({ attempts: 1, steps: 0 });
    },
  );

  test.each([false, true])("begin anew after a step was remembered (swept: %j)", async (isSwept) => {
    const { state, clock } = await timed();
    await started(state, { maxAttempts: 2 });
    for (const i of range(5)) {
      expect(await die(state, clock, { steps: [done(`s${i}`)] })).toBe(1);
      if (isSwept) await state.sweep();
    }
    expect(await die(state, clock)).toBe(1);
    expect(await die(state, clock)).toBe(2);
    expect(await claimed(state)).toEqual([]);
  });

  test("are not spent by a release, and are forgotten with it after a step was remembered", async () => {
    const { state, clock } = await timed();
    await started(state, { maxAttempts: 2 });
    expect(await die(state, clock)).toBe(1);
    for (const _ of range(5)) {
      const lease = await held(state);
      expect(lease.run.attempts).toBe(2);
      await state.release(lease);
    }
    const lease = await held(state);
    await state.commit(lease, { steps: [done("a")] });
    await state.release(lease);
    expect(await die(state, clock)).toBe(1);
  });

  test("begin anew after a wait", async () => {
    const { state, clock } = await timed();
    await started(state, { maxAttempts: 2 });
    for (const i of range(4)) {
      await die(state, clock);
      const lease = await held(state);
      const until = new Date(clock.now() + 1_000);
      await state.commit(lease, { end: { wait: [{ for: "timer", at: `t${i}`, until }] } });
      await clock.advance(1_000);
    }
    expect((await held(state)).run.attempts).toBe(1);
  });
});

describe("a worker whose run was given to another", () => {
  type Zombie = (lease: Lease, state: State) => Promise<unknown>[];
  const endings: [string, Change][] = [
    ["complete", { end: { complete: "zombie" } }],
    ["wait", { end: { wait: [{ for: "signal", at: "z", name: "go" }] } }],
    ["release", { end: { release: true } }],
    ["park", { end: { park: { reason: "asked", problem: { name: "E", message: "m", retryable: false } } } }],
  ];
  const zombies: [string, Zombie][] = [
    ["one step", (lease, state) => [state.commit(lease, { steps: [done("z")] })]],
    [
      "many steps at once",
      (lease, state) => range(6).map((i) => state.commit(lease, { steps: [done(`z${i}`)] })),
    ],
    ["its state", (lease, state) => range(3).map((i) => state.commit(lease, { state: { zombie: i } }))],
    [
      "something it was refused, and then a step",
      (lease, state) => [
        state.commit(lease, { steps: [done("known")] }).finally(() => {}),
        state.commit(lease, { steps: [done("known")] }),
        state.commit(lease, { steps: [done("z")] }),
      ],
    ],
    ["a child", (lease, state) => [state.start({ name: "child", lease, parent: lease.run.id })]],
    ...endings.map(([name, change]): [string, Zombie] => [
      name,
      (lease, state) => [state.commit(lease, change)],
    ]),
  ];

  /** Another has the run, and has told `told` more events than one of it. */
  async function expectFenced(zombie: Zombie, told: number): Promise<void> {
    const { state, states, bus, clock, db } = await timed(1);
    const lease = await running(state);
    const { id } = lease.run;
    await state.commit(lease, { steps: [done("known")], state: { good: true } });
    await clock.advance(LEASE_MS);
    const next = await held(states[1]!, "w2");
    for (const i of range(told)) await states[1]!.commit(next, { steps: [done(`s${i}`)] });
    const story = await storyOf(bus, id);
    const results = await Promise.allSettled(zombie(lease, state));
    for (const result of results) expect(result).toMatchObject({ reason: { code: "state.lease_lost" } });
    expect(await storyOf(bus, id)).toEqual(story);
    expect([...(await state.journal(id)).keys()]).toEqual(["known", ...range(told).map((i) => `s${i}`)]);
    expect(await state.stateAt(id)).toEqual({ good: true });
    expect(await db.query(surql`count(SELECT VALUE id FROM run)`)).toBe(1);
    await states[1]!.commit(next, { steps: [done("end")], end: { complete: 1 } });
    expect(await state.load(id)).toMatchObject({ status: "completed", steps: told + 2, output: 1 });
  }

  test.each(zombies)("commits nothing any more: %s", (_, zombie) => expectFenced(zombie, 0));
  test.each(zombies.slice(0, 4))("nor after that one went on: %s", (_, zombie) => expectFenced(zombie, 2));

  test("control: without the number of its next event a step of it would be", async () => {
    expectNothing((await freshState()).bus);
    await sabotage("no number", () => expectFenced(zombies[0]![1], 0));
  });

  test("control: without a look at the token the second of two that are on their way would be", async () => {
    const spy = vi.spyOn(queries, "requireToken").mockReturnValue(surql`RETURN 1`);
    onTestFinished(() => spy.mockRestore());
    const failed = await sabotage("no token", () => expectFenced(zombies[1]![1], 0));
    expect(String(failed)).toContain("status");
  });

  test("control: without the revision an end of it would be", async () => {
    const spy = vi
      .spyOn(queries, "saveRun")
      .mockImplementation(
        (run, _, { id: __, ...row }) => surql`UPDATE ${runId(run)} CONTENT ${row} RETURN NONE`,
      );
    onTestFinished(() => spy.mockRestore());
    await sabotage("no revision", () =>
      expectFenced((lease, state) => [state.commit(lease, endings[0]![1])], 0),
    );
  });

  test("learns of it with its first commit, and then asks nobody any more", async () => {
    const { state, states, clock, db } = await timed(1);
    const lease = await running(state);
    await clock.advance(LEASE_MS);
    await held(states[1]!, "w2");
    expect(lease.over.aborted).toBe(false);
    expect(await failureOf(() => state.commit(lease, { steps: [done("a")] }))).toMatchObject({
      code: "state.lease_lost",
      details: { run: lease.run.id, token: 1 },
    });
    expect(lease.over.aborted).toBe(true);
    let asked = 0;
    db.on("query", () => asked++);
    expect(await codeOf(() => state.commit(lease, { steps: [done("b")] }))).toBe("state.lease_lost");
    expect(asked).toBe(0);
  });
});

test("a renewal of leases of several workers is refused, and ends none of them", async () => {
  const { state } = await freshState();
  await Promise.all([started(state), started(state)]);
  const leases = [...(await claimed(state, "w1")), ...(await claimed(state, "w2"))];
  expect(leases).toHaveLength(2);
  await expect(state.renew(leases)).rejects.toMatchObject({ code: "state.bad_option" });
  await expect(state.renew(leases, { lease: -5 })).rejects.toMatchObject({ code: "state.bad_option" });
  expect(leases.map(({ over }) => over.aborted)).toEqual([false, false]);
});
