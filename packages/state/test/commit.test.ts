// The one way in which a worker changes a run it holds: all of it with its events, or nothing.

import { surql, type Database } from "@sentient/db-pool";
import type { EventBus } from "@sentient/event-bus";
import { sabotage } from "@sentient/testkit";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { Change } from "../src/change.ts";
import * as queries from "../src/queries.ts";
import * as wakingQueries from "../src/waking-queries.ts";
import type { State } from "../src/index.ts";
import { freshState, stateOn } from "./support/fresh.ts";
import {
  claimed,
  codeOf,
  done,
  eventsOf,
  failure,
  failureOf,
  held,
  range,
  running,
  started,
  storyOf,
} from "./support/runs.ts";

const TABLES = ["event", "run", "step", "patch", "checkpoint", "signal", "question", "blob", "blob_use"];

/** All there is of runs, to see that nothing came of something. */
async function everything(db: Database): Promise<unknown> {
  const rows = await Promise.all(
    TABLES.map((table) => db.query(surql`SELECT * FROM type::table(${table}) ORDER BY id`)),
  );
  return JSON.parse(JSON.stringify(rows));
}

describe("a commit", () => {
  test("is whole: steps, state, checkpoint, question and progress, with their events", async () => {
    const { state, bus } = await freshState();
    const lease = await running(state);
    const { id } = lease.run;
    const committed = await state.commit(lease, {
      steps: [done("a", { x: 1 }), { key: "b", name: "b", status: "failed", error: failure }],
      state: { seen: ["a"] },
      checkpoint: { name: "here", metadata: { why: "because" } },
      asks: [{ key: "q", text: "may I?" }],
      progress: { done: 1, total: 2 },
      events: [{ type: "owl.seen", data: { where: "tree" } }],
    });
    expect(await storyOf(bus, id)).toEqual([
      "run.queued",
      "run.started",
      "step.completed",
      "step.failed",
      "checkpoint.created",
      "question.asked",
      "progress.reported",
      "owl.seen",
    ]);
    expect(committed).toEqual({ position: 8, n: 8, at: expect.any(Date) as Date });
    const journal = await state.journal(id);
    expect(journal.get("a")).toMatchObject({ status: "completed", result: { x: 1 }, attempts: 1, token: 1 });
    expect(journal.get("b")).toMatchObject({ status: "failed", error: failure });
    expect(lease.run.status).toBe("running");
  });

  test.each<[string, Change, string]>([
    ["nothing in it", {}, "state.bad_change"],
    ["a step twice", { steps: [done("b"), done("b")] }, "state.bad_change"],
    ["a step that is no JSON", { steps: [done("b", new Map() as never)] }, "state.bad_change"],
    [
      "a state that is no JSON",
      { steps: [done("b")], state: { when: new Date() } as never },
      "state.bad_change",
    ],
    ["a key that is none", { steps: [done("a b")] }, "state.bad_change"],
    [
      "a step that has its result",
      { steps: [done("b"), done("a", 2)], state: { seen: 2 } },
      "state.step_exists",
    ],
    [
      "a checkpoint that is there",
      { steps: [done("b")], checkpoint: { name: "here" } },
      "state.checkpoint_exists",
    ],
    [
      "a question that is there",
      { steps: [done("b")], asks: [{ key: "q", text: "?" }] },
      "state.question_exists",
    ],
    ["a signal that is not", { steps: [done("b")], takes: [{ n: 99, key: "b" }] }, "state.not_open"],
    ["a result that is too large", { steps: [done("b"), done("c", "x".repeat(1_100_000))] }, "schema.limit"],
    [
      "a state that is too large",
      { steps: [done("b")], state: { x: "x".repeat(1_100_000) } },
      "schema.limit",
    ],
    ["a field that there is not", { step: done("b") } as never, "state.bad_change"],
    [
      "an event that is none",
      { steps: [done("b")], events: [{ type: "Owl Seen" }] },
      "event_bus.invalid_event",
    ],
  ])("with %s changes nothing, and the lease is still good", async (_, change, code) => {
    const { state, db } = await freshState();
    const lease = await running(state);
    await state.commit(lease, {
      steps: [done("a")],
      state: { seen: 1 },
      checkpoint: { name: "here" },
      asks: [{ key: "q", text: "may I?" }],
    });
    const before = await everything(db);
    expect(await codeOf(() => state.commit(lease, change))).toBe(code);
    expect(await everything(db)).toEqual(before);
    await state.commit(lease, { steps: [done("b")], state: { seen: 3 }, end: { complete: 1 } });
    expect(await state.load(lease.run.id)).toMatchObject({ status: "completed", steps: 2 });
  });

  test.each<[string, Change, Record<string, string>]>([
    ["step", { steps: [done("main/b.c#1"), done("main/a:x#1")] }, { key: "main/a:x#1" }],
    ["checkpoint", { steps: [done("b")], checkpoint: { name: "here" } }, { checkpoint: "here" }],
    [
      "question",
      {
        asks: [
          { key: "new", text: "?" },
          { key: "q/1#1", text: "?" },
        ],
      },
      { key: "q/1#1" },
    ],
  ])("says which %s of it is there already", async (_, change, details) => {
    const { state } = await freshState();
    const lease = await running(state, { id: "order:17" });
    const asks = [{ key: "q/1#1", text: "?" }];
    await state.commit(lease, { steps: [done("main/a:x#1")], asks, checkpoint: { name: "here" } });
    const refused = await failureOf(() => state.commit(lease, change));
    expect(refused.details).toEqual({ run: "order:17", ...details });
    expect(refused.message).toContain(Object.values(details)[0]);
  });

  test("and the others of its moment fail or succeed each for itself", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    await state.commit(lease, { steps: [done("a")] });
    const results = await Promise.allSettled(
      range(12).map((i) => state.commit(lease, { steps: [done(i % 4 === 2 ? "a" : `s${i}`)] })),
    );
    expect(results.map(({ status }) => status === "fulfilled")).toEqual(range(12).map((i) => i % 4 !== 2));
    expect((await state.journal(lease.run.id)).size).toBe(10);
    await state.commit(lease, { end: { complete: null } });
    expect(await state.load(lease.run.id)).toMatchObject({ steps: 10 });
  });
});

describe("a step's result", () => {
  test("is inline up to 64 KiB and else a blob, which is kept once", async () => {
    const { state, db } = await freshState();
    const lease = await running(state);
    const [small, large] = ["x".repeat(64 * 1024 - 2), "y".repeat(64 * 1024 - 1)];
    await state.commit(lease, { steps: [done("a", small), done("b", large)] });
    await state.commit(lease, { steps: [done("c", large)] });
    await started(state);
    const other = await held(state);
    await state.commit(other, { steps: [done("a", large)] });
    const journal = await state.journal(lease.run.id);
    expect(["a", "b", "c"].map((key) => journal.get(key))).toMatchObject([
      { status: "completed", result: small },
      { status: "completed", result: large },
      { status: "completed", result: large },
    ]);
    expect((await state.journal(other.run.id)).get("a")).toMatchObject({ result: large });
    expect(await db.query(surql`SELECT VALUE size FROM blob`)).toEqual([64 * 1024 + 1]);
    expect(await db.query(surql`count(SELECT VALUE id FROM blob_use)`)).toBe(2);
  });

  test("may come after it was said to be begun, and after tries that failed", async () => {
    const { state, bus } = await freshState();
    const lease = await running(state);
    const retryAt = new Date(Date.now() + 1_000);
    const step = { key: "a", name: "charge" };
    await state.commit(lease, { steps: [{ ...step, status: "started" }] });
    await state.commit(lease, { steps: [{ ...step, status: "retrying", error: failure, retryAt }] });
    await state.commit(lease, {
      steps: [{ ...step, status: "retrying", attempts: 2, error: failure, retryAt }],
    });
    await state.commit(lease, { steps: [{ ...step, status: "completed", attempts: 3, result: 7 }] });
    expect(await state.journal(lease.run.id)).toMatchObject(
      new Map([["a", { status: "completed", attempts: 3, result: 7 }]]),
    );
    expect((await storyOf(bus, lease.run.id)).slice(2)).toEqual([
      "step.started",
      "step.failed",
      "step.failed",
      "step.completed",
    ]);
    for (const status of ["started", "completed"] as const)
      expect(await codeOf(() => state.commit(lease, { steps: [{ ...step, status, attempts: 4 }] }))).toBe(
        "state.step_exists",
      );
    await state.commit(lease, { end: { complete: null } });
    expect(await state.load(lease.run.id)).toMatchObject({ steps: 1 });
  });

  test("is not known before it came, and that the step was begun is known since it was said", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    const step = { key: "a", name: "charge" };
    const steps = [{ ...step, status: "started" as const }];
    const { n } = await state.commit(lease, { steps });
    const begun = (await state.journal(lease.run.id)).get("a");
    const retryAt = new Date(Date.now() + 1_000);
    await state.commit(lease, { steps: [{ ...step, status: "retrying", error: failure, retryAt }] });
    const end = { end: { pause: { by: "ada" } } };
    const done = { ...step, status: "completed" as const, attempts: 2, result: 7 };
    const last = await state.commit(lease, { steps: [done], ...end });
    const { id } = lease.run;
    const at = async (point: number) => (await state.journal(id, { at: { n: point } })).get("a");
    expect(await at(n - 1)).toBeUndefined();
    for (const point of range(last.n - n - 1, n)) expect(await at(point)).toEqual(begun);
    expect(await at(last.n)).toMatchObject({ status: "completed", attempts: 2, result: 7 });
    const { run: fork } = await state.fork(id, { n });
    expect((await state.journal(fork.id)).get("a")).toEqual(begun);
    await state.restore(id, { n });
    expect((await state.journal(id)).get("a")).toEqual(begun);
    const next = await held(state, "w2", { max: 1, queues: ["default"] });
    expect((await state.journal(next)).get("a")).toEqual(begun);
    await state.commit(next, { steps: [{ ...done, result: 8 }] });
    expect((await state.journal(next.run.id)).get("a")).toMatchObject({ status: "completed", result: 8 });
    expect((await state.journal(next.run.id)).size).toBe(1);
  });

  test("may come from the next worker, which has read the journal", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    const step = { key: "a", name: "charge" };
    await state.commit(lease, { steps: [{ ...step, status: "started" }] });
    await state.release(lease);
    const next = await held(state, "w2");
    expect((await state.journal(next)).get("a")).toMatchObject({ status: "started" });
    await state.commit(next, {
      steps: [{ ...step, status: "completed", result: 1 }],
      end: { complete: null },
    });
    expect(await state.load(next.run.id)).toMatchObject({ status: "completed", steps: 1 });
  });

  test("may be the first thing that is said of it though it took several tries", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    await state.commit(lease, { steps: [{ ...done("a"), attempts: 3 }] });
    expect((await state.journal(lease.run.id)).get("a")).toMatchObject({ attempts: 3, result: "a" });
  });
});

describe("commits of one lease", () => {
  test("may be many at once, with what others tell of the run in between", async () => {
    const { state, bus, db } = await freshState();
    const other = await stateOn(db);
    const lease = await running(state);
    const { id } = lease.run;
    const outside = range(20).map((i) =>
      (i % 2 ? bus : other.bus).publish({ type: "owl.seen", run: id, data: i }),
    );
    const steps = range(40).map((i) =>
      state.commit(lease, { steps: [done(`s${i}`)], ...(i % 4 ? {} : { state: { i } }) }),
    );
    await Promise.all([...outside, ...steps]);
    for (const i of range(5)) {
      await other.bus.publish({ type: "owl.seen", run: id, data: i });
      await state.commit(lease, { steps: [done(`t${i}`)] });
    }
    await state.commit(lease, { end: { complete: null } });
    const events = await eventsOf(bus, id);
    expect(events.map(({ n }) => n)).toEqual(range(events.length, 1));
    expect(events.filter(({ type }) => type === "owl.seen")).toHaveLength(25);
    expect(events.filter(({ type }) => type === "step.completed")).toHaveLength(45);
    expect(await state.load(id)).toMatchObject({ status: "completed", steps: 45 });
    expect((await state.journal(id)).size).toBe(45);
  });

  test("that change the state come one after the other", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    const all = range(12).map((i) => ({ list: range(i + 1), last: i }));
    await Promise.all(all.map((each) => state.commit(lease, { state: each })));
    expect(await state.stateAt(lease.run.id)).toMatchObject({ last: 11 });
    await state.release(lease);
    const next = await held(state);
    await state.commit(next, { state: { list: [], last: "next" } });
    expect(await state.stateAt(lease.run.id)).toEqual({ list: [], last: "next" });
  });

  test("tell of an event once, under its id, and do the rest each time", async () => {
    const { state, bus } = await freshState();
    const lease = await running(state);
    const placed = { type: "order.placed", eventId: "order-17", data: 17 };
    await state.commit(lease, { steps: [done("a")], events: [placed] });
    await state.commit(lease, { state: { seen: 1 }, events: [placed] });
    await state.commit(lease, { steps: [done("b")], events: [placed], checkpoint: { name: "here" } });
    await state.commit(lease, { events: [placed] });
    const other = { ...placed, data: 18 };
    expect(await codeOf(() => state.commit(lease, { steps: [done("c")], events: [other] }))).toBe(
      "event_bus.event_conflict",
    );
    const { n } = await state.commit(lease, { events: [placed], end: { complete: null } });
    const story = await storyOf(bus, lease.run.id);
    expect(story.filter((type) => type === "order.placed")).toHaveLength(1);
    expect(n).toBe(story.length);
    expect([...(await state.journal(lease.run.id)).keys()]).toEqual(["a", "b"]);
    expect(await state.stateAt(lease.run.id)).toEqual({ seen: 1 });
  });

  test("after its end there are none", async () => {
    const { state, bus } = await freshState();
    const lease = await running(state);
    await state.commit(lease, { end: { fail: failure } });
    expect(lease.over.aborted).toBe(true);
    expect(await codeOf(() => state.commit(lease, { steps: [done("a")] }))).toBe("state.lease_lost");
    expect(await codeOf(() => state.release(lease))).toBe("state.lease_lost");
    expect(await storyOf(bus, lease.run.id)).toEqual(["run.queued", "run.started", "run.failed"]);
  });

  test("of two that end it one does", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    const ends = await Promise.allSettled([
      state.commit(lease, { end: { complete: 1 } }),
      state.commit(lease, { end: { complete: 2 } }),
    ]);
    expect(ends.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    expect(await state.load(lease.run.id)).toMatchObject({ output: 1 });
  });
});

test.each<[string, NonNullable<Change["end"]>, object]>([
  ["completes", { complete: { total: 3 } }, { status: "completed", output: { total: 3 } }],
  ["fails", { fail: failure }, { status: "failed", error: failure }],
  ["cancels", { cancel: { reason: "asked for" } }, { status: "cancelled", reason: "asked for" }],
  ["pauses", { pause: { by: "ada" } }, { status: "paused", pausedBy: "ada" }],
  [
    "parks",
    { park: { reason: "asked", problem: failure } },
    { status: "parked", parkedFor: "asked", problem: failure },
  ],
  ["releases", { release: true }, { status: "queued", attempts: 0 }],
])("a change that also %s its run does it all at once", async (_, end, expected) => {
  const { state } = await freshState();
  const lease = await running(state);
  await state.commit(lease, { steps: [done("a")], compensates: true, state: { a: 1 }, end });
  const run = await state.load(lease.run.id);
  expect(run).toMatchObject({ ...expected, token: 2, steps: 1, compensates: true });
  expect(run).not.toHaveProperty("lease");
  expect(await state.stateAt(lease.run.id)).toEqual({ a: 1 });
});

describe("a run that is about to wait", () => {
  const wait = (...waits: object[]) => ({ end: { wait: waits } }) as Change;
  const soon = new Date(Date.now() + 60_000);

  test("waits, and says until when", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    const later = new Date(soon.getTime() + 1_000);
    await state.commit(lease, {
      asks: [{ key: "q", text: "may I?" }],
      ...wait(
        { for: "timer", at: "a", until: later },
        { for: "signal", at: "b", name: "go", until: soon },
        { for: "question", at: "q" },
      ),
    });
    expect(await state.load(lease.run.id)).toMatchObject({ status: "waiting", wakeAt: soon, attempts: 0 });
    expect(await claimed(state)).toEqual([]);
  });

  test("does not wait for a child that is over, nor for one that is gone", async () => {
    const { state, db } = await freshState();
    const lease = await running(state);
    const { id } = lease.run;
    const child = await started(state, { parent: id });
    const childLease = await held(state);
    await state.commit(childLease, { end: { complete: 1 } });
    const before = await everything(db);
    for (const run of [child, "nobody"])
      expect(
        await failureOf(() =>
          state.commit(lease, { steps: [done("a")], ...wait({ for: "run", at: "a", run }) }),
        ),
      ).toMatchObject({ code: "state.nothing_to_wait_for", retryable: true, details: { run: id } });
    expect(await everything(db)).toEqual(before);
    await state.commit(lease, { end: { complete: null } });
  });

  test("does not wait for a question that is not open", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    await state.commit(lease, { asks: [{ key: "q", text: "may I?" }] });
    await state.commit(lease, { withdraws: ["q"] });
    const waiting = () => state.commit(lease, wait({ for: "question", at: "q" }));
    expect(await codeOf(waiting)).toBe("state.nothing_to_wait_for");
  });

  test("does not wait for a signal that is there, but may for the next one when it takes that", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    const { n } = await state.signal(lease.run.id, "go", 1);
    const again = { for: "signal", at: "b", name: "go" };
    expect(await codeOf(() => state.commit(lease, wait(again)))).toBe("state.nothing_to_wait_for");
    await state.commit(lease, { steps: [done("a")], takes: [{ n, key: "a" }], ...wait(again) });
    expect(await state.load(lease.run.id)).toMatchObject({ status: "waiting" });
  });

  test.each(["pause", "cancel"] as const)("does not wait once it was asked to %s", async (what) => {
    const { state } = await freshState();
    const lease = await running(state);
    await state[what](lease.run.id);
    const waiting = () => state.commit(lease, wait({ for: "timer", at: "a", until: soon }));
    expect(await codeOf(waiting)).toBe("state.nothing_to_wait_for");
    expect(lease.run.asked?.what).toBe(what);
  });

  test("waits after all where what was asked of it was taken back", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    const waiting = () => state.commit(lease, wait({ for: "timer", at: "a", until: soon }));
    await state.pause(lease.run.id);
    expect(await codeOf(waiting)).toBe("state.nothing_to_wait_for");
    await state.resume(lease.run.id);
    await waiting();
    expect(await state.load(lease.run.id)).toMatchObject({ status: "waiting" });
  });

  test("learns that it is another's by now, though it was asked something before", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    const waiting = () => state.commit(lease, wait({ for: "timer", at: "a", until: soon }));
    await state.cancel(lease.run.id);
    expect(await codeOf(waiting)).toBe("state.nothing_to_wait_for");
    await state.cancel(lease.run.id, { force: true });
    expect(await codeOf(waiting)).toBe("state.lease_lost");
  });

  test("is not paused once it was asked to be cancelled instead", async () => {
    const { state } = await freshState();
    const lease = await running(state);
    await state.pause(lease.run.id);
    await state.cancel(lease.run.id);
    await state.commit(lease, { end: { pause: { by: "ada" } } });
    expect(await state.load(lease.run.id)).toMatchObject({ status: "queued", asked: { what: "cancel" } });
    expect(await claimed(state)).toEqual([]);
    expect(await state.load(lease.run.id)).toMatchObject({ status: "cancelled" });
  });
});

describe("a child that ends while its parent begins to wait for it", () => {
  /** Stops who appends something that `holds` the first time, until somebody else has got through. */
  function holding(
    bus: EventBus,
    holds: (types: string[]) => boolean,
  ): { reached: Promise<void>; open: () => void } {
    const [reached, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const append = bus.log.append.bind(bus.log);
    let isHeld = false;
    vi.spyOn(bus.log, "append").mockImplementation(async (entry, options) => {
      if (!isHeld && holds((entry.events ?? []).map(({ type }) => type))) {
        isHeld = true;
        reached.resolve();
        await gate.promise;
      }
      return append(entry, options);
    });
    return { reached: reached.promise, open: gate.resolve };
  }

  type Ending = (state: State, child: string) => Promise<unknown>;
  const byWorker: Ending = async (state) => state.commit(await held(state, "w2"), { end: { complete: 1 } });
  const byForce: Ending = (state, child) => state.cancel(child, { force: true });

  async function requireOneWake(first: "wait" | "end", ending: Ending): Promise<void> {
    const { state, bus, db } = await freshState();
    const other = await stateOn(db);
    const lease = await running(state);
    const { id } = lease.run;
    const child = await started(state, { parent: id });
    const waits = () => state.commit(lease, { end: { wait: [{ for: "run", at: "a", run: child }] } });
    const ends = () => ending(other.state, child);
    const late =
      first === "wait"
        ? holding(other.bus, (types) => types.some((type) => /^run\.(?:completed|cancelled)$/.test(type)))
        : holding(bus, (types) => types.includes("run.waiting"));
    const slow = first === "wait" ? ends() : waits();
    const slowEnd = slow.then(
      () => "done",
      (error: { code: string }) => error.code,
    );
    await late.reached; // it has read what there was, and sends what it makes of that
    await (first === "wait" ? waits() : ends());
    late.open();
    expect(await slowEnd).toBe(first === "wait" ? "done" : "state.nothing_to_wait_for");
    if (first === "end") await state.release(lease);
    const parent = await state.load(id);
    expect(parent).toMatchObject({ status: "queued" });
    expect(await storyOf(bus, id)).toEqual([
      "run.queued",
      "run.started",
      ...(first === "wait" ? ["run.waiting", "run.resumed"] : ["run.released"]),
    ]);
    const [again] = await claimed(state, "w3");
    expect(again?.run.id).toBe(id);
  }

  test.each([byWorker, byForce])("wakes it once, if the parent was first", (ending) =>
    requireOneWake("wait", ending),
  );
  test.each([byWorker, byForce])("keeps it from waiting, if the child was first", (ending) =>
    requireOneWake("end", ending),
  );

  test("control: without a look at who waits it would wait for ever", async () => {
    const spy = vi.spyOn(wakingQueries, "requireWaiters").mockReturnValue(surql`RETURN 1`);
    onTestFinished(() => spy.mockRestore());
    await sabotage("no look at the parent", () => requireOneWake("wait", byWorker));
  });

  test("control: without a look at the child it would wait for ever", async () => {
    const spy = vi.spyOn(queries, "requireNothingToTake").mockReturnValue(surql`RETURN 1`);
    onTestFinished(() => spy.mockRestore());
    await sabotage("no look at the child", () => requireOneWake("end", byWorker));
  });

  test("wakes it once, however many of its children end at once", async () => {
    const { state, bus, db } = await freshState();
    const states = [state, (await stateOn(db)).state];
    const lease = await running(state);
    const { id } = lease.run;
    const children = await Promise.all(range(8).map(() => started(state, { parent: id })));
    const leases = await claimed(state, "w2", { max: 8 });
    const wait = children.map((run, i) => ({ for: "run" as const, at: `c${i}`, run }));
    await Promise.all([
      state
        .commit(lease, { end: { wait } })
        .catch((error: { code: string }) => expect(error.code).toBe("state.nothing_to_wait_for")),
      ...leases.map((child, i) => states[i % 2]!.commit(child, { end: { complete: i } })),
    ]);
    const story = await storyOf(bus, id);
    const count = (type: string) => story.filter((each) => each === type).length;
    expect(count("run.resumed")).toBe(count("run.waiting"));
    expect((await state.load(id)).status).toBe(count("run.waiting") ? "queued" : "running");
  });
});

test("what a run takes, gives and remembers is in no event, nor in an error", async () => {
  const { state, bus } = await freshState();
  const secret = "MUMBLE-4711";
  const parent = await started(state);
  const id = await started(state, { parent, key: "k", input: { secret } });
  await state.commit(await held(state, "w1", { max: 1 }), { end: { complete: null } }).catch(() => {});
  const lease = (await claimed(state, "w2"))[0]!;
  const errors: unknown[] = [];
  const refuse = async (change: Change) => errors.push(await failureOf(() => state.commit(lease, change)));
  await state.commit(lease, { steps: [done("a", { secret })], state: { secret } });
  await refuse({ steps: [done("a", { secret })] });
  await refuse({ steps: [done("b", { secret, x: Number.NaN })] });
  await refuse({ steps: [done("b", secret.repeat(100_000))] });
  await refuse({ state: { secret: secret.repeat(100_000) } });
  errors.push(await failureOf(() => started(state, { parent, key: "k", input: { secret, x: 1 } })));
  await state.commit(lease, { asks: [{ key: "q", text: "may I?", onTimeout: { secret } }] });
  await state.commit(lease, { checkpoint: { name: "here", metadata: { secret } } });
  await state.commit(lease, { steps: [done("c", secret.repeat(10_000))], end: { complete: { secret } } });
  const told = JSON.stringify((await bus.history({ limit: 1_000 })).events);
  expect(told).not.toContain(secret);
  for (const error of errors)
    for (let each = error as Error | undefined; each; each = each.cause as Error | undefined)
      expect(`${each.message} ${JSON.stringify(each)}`).not.toContain(secret);
  expect(JSON.stringify([await state.load(id), ...(await state.journal(lease.run.id))])).toContain(secret);
});

test("a run is marked as one that asks and one that compensates by one commit, and by several side by side", async () => {
  const { state } = await freshState();
  const both = await running(state);
  await state.commit(both, { asks: [{ key: "q", text: "?" }], compensates: true });
  expect(await state.load(both.run.id)).toMatchObject({ hasQuestions: true, compensates: true });
  await state.commit(both, { compensates: false });
  expect(await state.load(both.run.id)).toMatchObject({ hasQuestions: true, compensates: false });

  const lease = await running(state);
  await Promise.all([
    state.commit(lease, { steps: [done("a")], compensates: true }),
    state.commit(lease, { asks: [{ key: "q", text: "?" }] }),
    state.commit(lease, { steps: [done("b")], compensates: true }),
    state.commit(lease, { asks: [{ key: "r", text: "?" }] }),
  ]);
  expect(await state.load(lease.run.id)).toMatchObject({ hasQuestions: true, compensates: true });
  await state.commit(lease, { end: { wait: [{ for: "question", at: "q" }] } });
  expect(await state.load(lease.run.id)).toMatchObject({ status: "waiting", steps: 2 });
});
