// Following: every event once and in order, from any position, for as many as like, for as long as they like.

import {
  DbError,
  openDatabase,
  RecordId,
  serve,
  surql,
  systemClock,
  type Clock,
  type Database,
} from "@sentient/db-pool";
import { limits, migrateRuntime, type Event } from "@sentient/schema";
import { sabotage, seeded, until, VirtualClock } from "@sentient/testkit";
import { setImmediate } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import type { EventBus, FollowOptions } from "../src/index.ts";
import type { EventFilter } from "../src/filter.ts";
import { Reader } from "../src/reader.ts";
import { Store } from "../src/store.ts";
import { Tail } from "../src/tail.ts";
import { collect } from "./support/collect.ts";
import { failureOf } from "./support/failure.ts";
import { busOn, freshBus, freshDatabase } from "./support/fresh.ts";
import { gateOf, type Gate } from "./support/gate.ts";

const told = (data: unknown, more: object = {}) => ({ type: "thing.told", data, ...more });
const range = (length: number, from = 0) => Array.from({ length }, (_, i) => from + i);
const positionsOf = (events: readonly Event[]) => events.map(({ position }) => position);

/** Follows in the background until the test has ended. */
function following(bus: EventBus, options: FollowOptions = {}, onItem?: (event: Event) => unknown) {
  const end = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, end.signal]) : end.signal;
  const collected = collect(bus.follow({ ...options, signal }), onItem);
  onTestFinished(() => end.abort());
  return Object.assign(collected, { end: () => end.abort() });
}

describe("the bell", () => {
  const rung = (db: Database) => db.query(surql`SELECT VALUE position FROM ONLY bell:log`);

  test("is not rung in the database as long as nobody else can hear it", async () => {
    const { db, bus } = await freshBus();
    await bus.publish([told(1), told(2)]);
    expect(db.isShared).toBe(false);
    expect(await rung(db)).toBeUndefined();
    const served = await serve(db, { token: "a-token-of-this-test-file" });
    await bus.publish(told(3));
    expect(await rung(db)).toBe(3);
    await served.close();
    await bus.publish(told(4));
    expect(await rung(db)).toBe(3);
    const { url, namespace, database } = db;
    const second = await openDatabase({ url, namespace, database });
    await bus.publish(told(5));
    expect(await rung(db)).toBe(5);
    await second.close();
  });

  test("is heard without it by who follows by the same database, at once and by another bus", async () => {
    const clock = new VirtualClock();
    const began = clock.now();
    const db = await freshDatabase({ clock });
    const bus = busOn(db);
    await bus.publish(told(1));
    const followers = [bus, busOn(db)].map((each) => following(each, { after: 1 }));
    for (const i of range(20, 2)) {
      await bus.publish(told(i));
      for (const follower of followers) await follower.atLeast(i - 1);
    }
    for (const { items } of followers) expect(positionsOf(items)).toEqual(range(20, 2));
    expect(clock.now(), "no tick was needed").toBe(began);
    expect(await rung(db)).toBeUndefined();
  });

  test("that is not rung for who opens the store in the moment of a commit is made up for by a tick", async () => {
    const clock = new VirtualClock();
    const { db } = await freshBus();
    const gate = gateOf(db);
    const bus = busOn(gate.db);
    await bus.publish(told(1));
    const { url, namespace, database } = db;
    gate.hold();
    const before = gate.calls.length;
    const telling = bus.publish(told(2)); // it leaves while nobody else is there
    await until(() => gate.calls.length > before);
    const second = await openDatabase({ url, namespace, database, clock });
    onTestFinished(() => second.close());
    const follower = following(busOn(second), { after: 1 });
    await until(() => clock.pending > 0, { what: "it to wait" });
    gate.release();
    await telling;
    expect(await rung(db)).toBeUndefined();
    await clock.advance(1_000);
    expect(positionsOf(await follower.atLeast(1))).toEqual([2]);
  });
});

describe("where it begins", () => {
  test("is the beginning, now, or after a position", async () => {
    const { bus } = await freshBus();
    await bus.publish(range(10).map((i) => told(i)));
    const all = [
      following(bus, { after: "beginning" }),
      following(bus, { after: 0 }),
      following(bus, { after: 7 }),
      following(bus, { after: 10 }),
      following(bus, { after: "now" }),
      following(bus),
    ];
    await bus.publish([told(10), told(11)]);
    const expected = [1, 1, 8, 11, 11, 11].map((first) => range(13 - first, first));
    for (const [i, follower] of all.entries()) {
      await follower.atLeast(expected[i]!.length);
      expect(positionsOf(follower.items)).toEqual(expected[i]);
    }
  });

  test("is an empty log too", async () => {
    const { bus } = await freshBus();
    const all = [following(bus, { after: 0 }), following(bus, { after: "beginning" }), following(bus)];
    await bus.publish(told(1));
    for (const follower of all) expect(positionsOf(await follower.atLeast(1))).toEqual([1]);
  });

  test("now is before all that is told after it was asked for, also while others ask", async () => {
    const { bus } = await freshBus();
    await bus.publish(told("first"));
    const followers: { follower: ReturnType<typeof following>; told: number }[] = [];
    const telling: Promise<unknown>[] = [];
    for (let i = 0; i < 30; i++) {
      followers.push({ follower: following(bus), told: i });
      telling.push(bus.publish(told(i)));
      for (let turn = 0; turn < i % 5; turn++) await setImmediate(); // somewhere within what the last one began
    }
    await Promise.all(telling);
    for (const { follower, told } of followers) {
      await follower.atLeast(30 - told);
      expect(follower.items.map(({ data }) => data)).toEqual(expect.arrayContaining(range(30 - told, told)));
    }
  });

  test.each<[string, unknown]>([
    ["a negative position", -1],
    ["a fraction", 1.5],
    ["no number", NaN],
    ["a position as text", "5"],
    ["beyond what can be counted", 2 ** 53],
    ["null", null],
  ])("cannot be %s", async (_, after) => {
    const { bus } = await freshBus();
    expect((await failureOf(() => bus.follow({ after: after as never }))).code).toBe("event_bus.bad_option");
  });

  test("that was trimmed is told with the earliest position that is left", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(range(20).map((i) => told(i, { run: `r${i % 2}`, correlation: "c" })));
    await trim(db, 12);
    for (const filter of [{}, { types: "thing.*" }, { run: "r1" }, { correlation: "c" }, { source: "x" }]) {
      for (const after of [0, 1, 11]) {
        const follower = following(bus, { ...filter, after });
        await until(() => follower.ended);
        expect(follower.error, JSON.stringify({ ...filter, after })).toMatchObject({
          code: "event_bus.position_trimmed",
          details: { position: after, earliest: 13 },
        });
        expect(follower.items).toEqual([]);
      }
      const follower = following(bus, { ...filter, after: "beginning" });
      if (filter.source) continue;
      expect((await follower.atLeast(1))[0]!.position).toBe(filter.run ? 14 : 13);
    }
    const end = following(bus, { after: 20 });
    await bus.publish(told("last"));
    expect(positionsOf(await end.atLeast(1))).toEqual([21]);
  });

  test("that was trimmed away under a slow reader is told, and nothing is skipped", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(range(500).map((i) => told(i)));
    const seen: number[] = [];
    const failure = await failureOf(async () => {
      for await (const { position } of bus.follow({ after: 0 })) {
        seen.push(position);
        if (position === 50) await trim(db, 400);
      }
    });
    expect(failure).toMatchObject({ code: "event_bus.position_trimmed", details: { earliest: 401 } });
    expect(seen).toEqual(range(seen.length, 1));
  });

  test("of a run that is whole is not trimmed by what went before it", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(range(10).map((i) => told(i, { run: "old" })));
    await bus.publish(range(5).map((i) => told(i, { run: "new" })));
    await trim(db, 10);
    const follower = following(bus, { after: 0, run: "new" });
    expect(positionsOf(await follower.atLeast(5))).toEqual(range(5, 11));
    const none = following(bus, { after: 0, run: "none" });
    await bus.publish(told(1, { run: "none" }));
    expect(positionsOf(await none.atLeast(1))).toEqual([16]);
  });

  test("ahead of the log is told, and not waited for", async () => {
    const { bus } = await freshBus();
    await bus.publish([told(1, { run: "r", correlation: "c" }), told(2)]);
    const busy = following(bus); // the tail stands
    await setImmediate();
    for (const filter of [{}, { types: "thing.*" }, { run: "r" }, { correlation: "c" }]) {
      const follower = following(bus, { after: 3, ...filter });
      await until(() => follower.ended, { what: "the refusal" });
      expect(follower.error).toMatchObject({
        code: "event_bus.position_ahead",
        details: { position: 3, last: 2 },
      });
    }
    expect(busy.ended).toBe(false);
  });
});

/** As retention does it. */
async function trim(db: Database, to: number): Promise<void> {
  const rows = await db.query(
    surql<{ run?: string; n?: number }[]>`SELECT run, n FROM event WHERE id.id() <= ${to}`,
  );
  const tails = new Map(rows.flatMap(({ run, n }) => (run === undefined ? [] : [[run, n] as const])));
  await db.transaction([
    surql`INSERT INTO run_tail ${[...tails].map(([run, n]) => ({ id: run, n }))} RETURN NONE`,
    surql`DELETE event WHERE id.id() <= ${to} RETURN NONE`,
    surql`UPDATE log:floor SET position = ${to}`,
  ]);
}

describe("a filter", () => {
  const types = ["step.started", "step.completed", "step", "steps.done", "order.placed", "order.line.added"];

  async function mixed(): Promise<{ bus: EventBus; all: Event[] }> {
    const { bus } = await freshBus();
    const random = seeded();
    console.log(`SEED=${random.seed}`);
    const maybe = (values: readonly string[]) => (random.int(3) ? { value: random.pick(values) } : {}).value;
    const events = range(600).map((i) => {
      const fields = {
        run: maybe(["r1", "r2", "r3"]),
        target: maybe(["t1", "t2"]),
        workflow: maybe(["w1", "w2"]),
        correlation: maybe(["c1", "c2"]),
        source: maybe(["s1", "s2"]),
      };
      const given = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
      return { type: random.pick(types), data: i, ...given };
    });
    await Promise.all(events.slice(0, 300).map((event) => bus.publish(event)));
    await Promise.all(events.slice(300).map((event) => bus.publish(event)));
    const { events: all } = await bus.history({ limit: 1_000 });
    return { bus, all };
  }

  const filters: EventFilter[] = [
    {},
    { types: "*" },
    { types: "step.*" },
    { types: "step" },
    { types: ["order.placed", "step.*"] },
    { types: ["order.line.*"] },
    { types: ["nothing.here"] },
    { source: "s1" },
    { source: "sentient" },
    { target: "t2" },
    { workflow: "w1" },
    { correlation: "c1" },
    { run: "r1" },
    { run: "r2", types: "step.*" },
    { run: "r2", correlation: "c2", types: ["order.placed"] },
    { correlation: "c1", target: "t1", source: "s2" },
    { workflow: "w2", target: "t1", types: ["step.*", "order.*"] },
  ];

  const chooses = ({ types, ...fields }: EventFilter) => {
    const patterns = types === undefined ? undefined : [types].flat();
    return (event: Event) =>
      Object.entries(fields).every(([key, value]) => event[key as keyof Event] === value) &&
      (patterns === undefined ||
        patterns.some(
          (pattern) =>
            pattern === "*" ||
            pattern === event.type ||
            (pattern.endsWith(".*") && event.type.startsWith(pattern.slice(0, -1))),
        ));
  };

  test("leaves the same of what was and of what comes as filtering by hand", async () => {
    const { bus, all } = await mixed();
    const followers = filters.flatMap((filter) =>
      [0, 250].map((after) => ({ filter, after, follower: following(bus, { ...filter, after }) })),
    );
    await Promise.all(
      range(200).map((i) => bus.publish({ ...pick(all[i]!), data: `live ${i}`, type: types[i % 6]! })),
    );
    const { events: rest } = await bus.history({ after: 600, limit: 1_000 });
    const whole = [...all, ...rest];
    expect(whole).toHaveLength(800);
    for (const { filter, after, follower } of followers) {
      const expected = whole.filter((event) => event.position > after && chooses(filter)(event));
      await follower.atLeast(expected.length);
      expect(follower.items, JSON.stringify({ ...filter, after })).toEqual(expected);
    }
  });

  const pick = ({ run, source, target, workflow, correlation }: Event) =>
    JSON.parse(JSON.stringify({ run, source, target, workflow, correlation })) as Omit<Event, "position">;

  test.each<[string, object]>([
    ["a type with a star inside", { types: "a.*.b" }],
    ["no types at all", { types: [] }],
    ["a type with quotes", { types: "a' OR true --" }],
    ["a run that is none", { run: "a b" }],
    ["an empty source", { source: "" }],
    ["a field that is none", { positon: 1 }],
    ["a number for a target", { target: 1 }],
  ])("cannot be %s", async (_, filter) => {
    const { bus } = await freshBus();
    expect((await failureOf(() => bus.follow(filter as never))).code).toBe("event_bus.bad_filter");
    expect((await failureOf(() => bus.subscribe(filter as never, () => {}))).code).toBe(
      "event_bus.bad_filter",
    );
    expect((await failureOf(() => bus.history(filter as never))).code).toMatch(/bad_filter$/);
  });
});

describe("what was and what comes", () => {
  test("meet without a gap and without a double, wherever one begins while others tell", async () => {
    const { db, bus } = await freshBus();
    const other = busOn(db);
    const random = seeded();
    console.log(`SEED=${random.seed}`);
    let telling = true;
    let count = 0;
    const tell = async (bus: EventBus) => {
      while (telling) {
        await Promise.all(range(random.int(40) + 1).map(() => bus.publish(told(count++, { run: "r" }))));
        if (count > 1_500 && followers.length > 5) telling = false;
      }
    };
    const followers: { after: number; follower: ReturnType<typeof following> }[] = [];
    const tellers = [tell(bus), tell(other)];
    while (telling) {
      const { events } = await bus.history({ order: "desc", limit: 1 });
      const after = random.int((events[0]?.position ?? 0) + 1);
      const options = random.int(2) ? { after } : { after, run: "r" };
      followers.push({ after, follower: following(random.pick([bus, other]), options) });
      for (let i = random.int(3); i > 0; i--) random.pick(followers).follower.end();
    }
    await Promise.all(tellers);
    const { events } = await bus.history({ order: "desc", limit: 1 });
    const last = events[0]!.position;
    expect(followers.length).toBeGreaterThan(5);
    const toTheEnd = following(bus, { after: 0 });
    await toTheEnd.atLeast(last);
    for (const { after, follower } of [{ after: 0, follower: toTheEnd }, ...followers]) {
      if (!follower.ended) await follower.atLeast(last - after);
      expect(positionsOf(follower.items)).toEqual(range(follower.items.length, after + 1));
    }
  });

  test("come from other processes without a word from them, by the tick", async () => {
    const { bus, other, clock, calls } = await unheard();
    const follower = following(bus, { after: 0 });
    await until(() => calls() > 0);
    await other.publish([told(1), told(2)]);
    await until(async () => {
      await clock.advance(100);
      return follower.items.length === 2;
    });
    expect(positionsOf(follower.items)).toEqual([1, 2]);
  });
});

/** A bus by a clock moved by hand, and another that tells it nothing: bells of the first never ring. */
async function unheard() {
  const clock = new VirtualClock(Date.now());
  const db = await freshDatabase({ clock });
  let count = 0;
  const gate = gateOf(db);
  const deaf = new Proxy(gate.db, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (key !== "watch") return value;
      return (record: unknown, options: object) => {
        const bell = (value as (...args: unknown[]) => { ring(): void }).call(target, record, options);
        const next = (bell as unknown as { next: (wait: object) => Promise<string> }).next.bind(bell);
        return {
          ring: () => {},
          // A ring is swallowed, and the wait for the tick goes on from the beginning.
          next: (wait: { signal?: AbortSignal; within?: number }) => ticksOnly(next, wait, clock),
          [Symbol.asyncDispose]: () => (bell as unknown as AsyncDisposable)[Symbol.asyncDispose](),
        };
      };
    },
  });
  gate.keep((go, _, texts) => {
    if (texts.some((text) => text.includes("FROM event:") || text.includes("rows: "))) count++;
    return go();
  });
  const other = busOn(db);
  await other.history();
  const bus = busOn(deaf, { clock });
  return { db, bus, other, clock, calls: () => count };
}

async function ticksOnly(
  next: (wait: { signal?: AbortSignal; within?: number }) => Promise<string>,
  { signal, within = 1_000 }: { signal?: AbortSignal; within?: number },
  clock: Clock,
): Promise<string> {
  for (const until = clock.now() + within; ;) {
    const ring = await next({ ...(signal ? { signal } : {}), within: Math.max(0, until - clock.now()) });
    if (ring === "tick") return ring;
  }
}

describe("many who follow", () => {
  test("share one reader, and what this process tells is not read at all", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(told("first"));
    const warnings: Error[] = [];
    const warned = (warning: Error) => void warnings.push(warning);
    process.on("warning", warned);
    onTestFinished(() => void process.off("warning", warned));
    const followers = range(20).map((i) => following(bus, i % 2 ? { types: "thing.*" } : {}));
    await bus.publish(told("second"));
    for (const follower of followers) await follower.atLeast(1);
    const calls: string[] = [];
    db.on("query", ({ text }) => calls.push(text));
    for (const i of range(50)) await bus.publish(told(i));
    for (const follower of followers) await follower.atLeast(51);
    const reads = calls.filter((text) => !text.includes("INSERT INTO event"));
    // one reader looks after each ring, and never more than once for what it was told of
    expect(reads.length).toBeLessThanOrEqual(60);
    for (const { items } of followers) expect(positionsOf(items)).toEqual(range(51, 2));
    expect(warnings).toEqual([]);
  });

  test("cost no more than one question a second while nothing happens", async () => {
    const clock = new VirtualClock(Date.now());
    const db = await freshDatabase({ clock });
    const bus = busOn(db, { clock });
    await bus.publish([told(1), told(2)]);
    const followers = range(10).map(() => following(bus, { after: 0 }));
    for (const follower of followers) await follower.atLeast(2);
    for (let i = 0; i < 20; i++) await clock.advance(100); // the bell listens by now, and has rung for that
    let reads = 0;
    db.on("query", ({ text }) => void (text.includes("rows: ") && reads++));
    for (let second = 0; second < 30; second++) {
      const before = reads;
      await clock.advance(1_000);
      await until(() => reads > before || clock.pending > 0);
      await settled(db);
    }
    expect(reads).toBeGreaterThan(0);
    expect(reads).toBeLessThanOrEqual(31);
  });

  async function settled(db: Database): Promise<void> {
    await db.query(surql`RETURN 1`).then(() => setImmediate());
  }

  test("are handed the same events, which nobody can change", async () => {
    const { bus } = await freshBus();
    const [one, two] = [following(bus), following(bus)];
    await bus.publish(told({ list: [{ a: 1 }], text: "x" }));
    const [event] = await one.atLeast(1);
    expect((await two.atLeast(1))[0]).toEqual(event);
    const { data } = event as { data: { list: { a: number }[] } } & Event;
    for (const change of [
      () => ((event as { type: string }).type = "other"),
      () => (data.list[0]!.a = 2),
      () => data.list.push({ a: 3 }),
      () => Object.assign(data, { more: 1 }),
    ])
      expect(change).toThrow(TypeError);
    const { events } = await bus.history();
    expect(() => Object.assign(events[0]!.data as object, { more: 1 })).toThrow(TypeError);
    expect(events[0]).toEqual(event);
  });
});

describe("an end", () => {
  test("comes by abort, whatever it waits for, and by closing", async () => {
    const { bus } = await freshBus();
    await bus.publish(told(1));
    const end = new AbortController();
    const live = collect(bus.follow({ signal: end.signal }));
    const behind = collect(bus.follow({ after: 0, signal: end.signal }), () => end.abort());
    const early = collect(bus.follow({ signal: AbortSignal.abort() }));
    await Promise.all([early.done, behind.done, live.done]);
    expect([live, behind, early].map(({ items, error }) => [items.length, error])).toEqual([
      [0, undefined],
      [1, undefined],
      [0, undefined],
    ]);
    const untilClosed = [collect(bus.follow()), collect(bus.follow({ after: 0 }))];
    const never = bus.follow(); // nobody iterates
    await untilClosed[1]!.atLeast(1);
    await bus.close();
    await Promise.all(untilClosed.map(({ done }) => done));
    expect(await never.next()).toEqual({ done: true, value: undefined });
  });

  test("comes by break, and nobody reads on", async () => {
    const clock = new VirtualClock(Date.now());
    const db = await freshDatabase({ clock });
    const bus = busOn(db, { clock });
    await bus.publish(range(300).map((i) => told(i)));
    for (let turn = 0; turn < 5; turn++) {
      for await (const { position } of bus.follow({ after: 0 })) if (position === 150) break;
    }
    await until(() => clock.pending === 0 || clock.advance(100).then(() => false), {
      what: "the last timer",
    });
    const calls: string[] = [];
    db.on("query", ({ text }) => calls.push(text));
    await clock.advance(10_000);
    expect(calls).toEqual([]);
    const again = following(bus, { after: 299 });
    expect(positionsOf(await again.atLeast(1))).toEqual([300]);
  });

  test("and a new beginning in the same moment go on with the same log", async () => {
    const { db, bus } = await freshBus();
    const other = busOn(db);
    for (let turn = 0; turn < 20; turn++) {
      const end = new AbortController();
      const first = collect(bus.follow({ after: turn * 2, signal: end.signal }));
      await (turn % 2 ? bus : other).publish(told(turn));
      await first.atLeast(1);
      end.abort();
      const second = following(bus, { after: turn * 2 + 1 });
      await (turn % 3 ? bus : other).publish(told(turn));
      expect(positionsOf(await second.atLeast(1))).toEqual([turn * 2 + 2]);
      second.end();
      await Promise.all([first.done, second.done]);
    }
  });

  test.each([
    ["does not answer", (gate: Gate) => gate.hold()],
    ["is not there", (gate: Gate) => gate.keep(() => Promise.reject(unreachable()))],
  ])("comes by abort and by closing at once while the database %s", async (_, goAway) => {
    const gate = gateOf(await freshDatabase());
    const bus = busOn(gate.db);
    await bus.publish(told(1));
    goAway(gate);
    const end = new AbortController();
    const begin = (signal?: AbortSignal) =>
      (["now", "beginning", 0] as const).map((after) =>
        collect(bus.follow({ after, ...(signal ? { signal } : {}) })),
      );
    const aborted = begin(end.signal);
    const closed = begin();
    for (let i = 0; i < 20; i++) await setImmediate(); // all have asked by now
    end.abort();
    await Promise.all(aborted.map(({ done }) => done));
    expect(closed.map(({ ended }) => ended)).toEqual([false, false, false]);
    const closing = bus.close();
    await Promise.all(closed.map(({ done }) => done));
    for (const { items, error } of [...aborted, ...closed]) expect([items, error]).toEqual([[], undefined]);
    gate.release();
    await closing;
  });

  test("of the database ends who follows with its error, and nobody reads on", async () => {
    const clock = new VirtualClock(Date.now());
    const db = await freshDatabase();
    const bus = busOn(db, { clock });
    const problems: unknown[] = [];
    bus.on("problem", ({ error }) => problems.push(error));
    await bus.publish(told(1));
    const idle = [following(bus, { after: 0 }), following(bus, { after: 0, types: "thing.*" })];
    for (const follower of idle) await follower.atLeast(1);
    await db.close();
    await Promise.all(idle.map(({ done }) => done));
    for (const { items, error } of idle) {
      expect(positionsOf(items)).toEqual([1]);
      expect(error).toMatchObject({ code: "db.closed" });
    }
    await until(() => clock.pending === 0);
    expect(problems).toEqual([]);
    for (let turn = 0; turn < 2; turn++)
      expect((await failureOf(() => bus.follow({ after: 0 }).next())).code).toBe("db.closed");
  });
});

describe("who is slow", () => {
  test("gets all of it in order, and nothing piles up in memory", { timeout: 120_000 }, async () => {
    const { bus } = await freshBus();
    const go = Promise.withResolvers<void>();
    const slow = following(bus, { after: 0 }, ({ position }) => (position === 1 ? go.promise : undefined));
    const filtered = following(bus, { after: 0, types: "thing.*" }, ({ position }) =>
      position === 1 ? go.promise : undefined,
    );
    const live = following(bus, { after: 0 });
    const many = 20_000;
    const text = "x".repeat(500);
    globalThis.gc?.();
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < many; i += 500)
      await bus.publish(range(500, i).map((n) => told({ n, text }, { run: `r${n % 50}` })));
    await live.atLeast(many);
    expect(slow.items).toHaveLength(1);
    go.resolve();
    await slow.atLeast(many);
    await filtered.atLeast(many);
    for (const { items } of [slow, filtered, live]) expect(positionsOf(items)).toEqual(range(many, 1));
    const grown = (process.memoryUsage().heapUsed - before) / many;
    expect(grown, "bytes an event, all of them held by this test three times").toBeLessThan(20_000);
  });

  test("is kept from nothing by the bounds of what is held", async () => {
    const db = await freshDatabase();
    const store = new Store(db, { migrate: true });
    await store.ready();
    const tail = new Tail({
      reader: new Reader(store),
      hang: () => store.watch(),
      clock: systemClock,
      onProblem: () => {},
    });
    const leave = tail.join();
    await until(() => tail.since(-1) === undefined); // it has begun
    const rowsAt = (after: number, count: number, bytes: number) =>
      range(count, after + 1).map((position) => ({
        id: new RecordId("event", position),
        type: "thing.told",
        source: "s",
        data: JSON.stringify("x".repeat(bytes)),
        at: new Date(),
      }));
    let after = 0;
    for (let i = 0; i < 40; i++) {
      tail.push(rowsAt(after, 500, 10), after);
      after += 500;
    }
    const heldFrom = () => range(after).find((position) => tail.since(position) !== undefined)!;
    expect(after - heldFrom()).toBeLessThanOrEqual(4_096);
    expect(after - heldFrom()).toBeGreaterThan(3_000);
    for (let i = 0; i < 40; i++) {
      tail.push(rowsAt(after, 4, 1024 * 1024), after);
      after += 4;
    }
    expect(after - heldFrom()).toBeLessThanOrEqual(16);
    expect(tail.since(after - 1)!.events.map(({ position }) => position)).toEqual([after]);
    leave();
    await tail.close();
  });

  test("gets large events a few at a time", { timeout: 240_000 }, async () => {
    const { db, bus } = await freshBus();
    const data = "x".repeat(limits.eventBytes - 2);
    for (let i = 0; i < 300; i += 50) await bus.publish(range(50).map(() => told(data)));
    const pages: number[] = [];
    const reading = gateOf(db);
    reading.keep(async (go) => {
      const answer = (await go()) as { rows?: { data: string }[] } | undefined;
      if (answer?.rows) pages.push(answer.rows.reduce((sum, row) => sum + row.data.length, 0));
      return answer;
    });
    const other = busOn(reading.db);
    for (const filter of [{}, { types: "thing.*" }]) {
      const follower = following(other, { after: 0, ...filter });
      let count = 0;
      follower.items.push = (...items: Event[]) => (count += items.length); // not to hold them here
      await until(() => count >= 300, { deadline: 100_000 });
      follower.end();
    }
    const [first, ...rest] = pages.filter((bytes) => bytes > 0).map((bytes) => bytes / 1024 / 1024);
    expect(first).toBeLessThanOrEqual(50); // of the largest events there are, without having seen one
    expect(Math.min(...rest.slice(0, 5))).toBeLessThanOrEqual(13);
  });

  test("is not the only one: who reads for all, who replays and who verifies ask for a few large events too", async () => {
    const { db, bus } = await freshBus({ hashes: true });
    const gate = gateOf(db);
    const other = busOn(gate.db);
    let pages: number[] = [];
    gate.keep(async (go) => {
      const answer = (await go()) as { rows?: { data: string }[] } | undefined;
      const bytes = answer?.rows?.reduce((sum, row) => sum + row.data.length, 0) ?? 0;
      if (bytes > 1_000) pages.push(bytes / 1024 / 1024);
      return answer;
    });
    const follower = following(other, { after: 0 });
    await bus.publish(told("first", { run: "r" }));
    await follower.atLeast(1);
    gate.hold();
    const data = "x".repeat(limits.eventBytes - 2);
    for (let i = 0; i < 300; i += 50) await bus.publish(range(50).map(() => told(data, { run: "r" })));
    gate.release();
    const readers = {
      tail: () => follower.atLeast(301),
      replay: () => other.replay(() => {}),
      verify: () => other.verify("r"),
    };
    for (const [who, read] of Object.entries(readers)) {
      pages = [];
      await read();
      if (who === "tail") follower.end();
      const [first, ...rest] = pages;
      expect(first, who).toBeLessThanOrEqual(25); // of the largest events there are, without having seen one
      expect(rest.length, who).toBeGreaterThan(10);
      expect(Math.max(...rest), who).toBeLessThanOrEqual(7);
    }
  });

  test("asks for less when the answer does not come", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(range(500).map((i) => told(i)));
    await bus.publish(range(500).map((i) => told(i)));
    const gate = gateOf(db);
    const other = busOn(gate.db);
    gate.keep(async (go) => {
      const answer = (await go()) as { rows?: unknown[] } | undefined;
      if ((answer?.rows?.length ?? 0) <= 30) return answer;
      throw new DbError({ code: "db.timeout", message: "it is too much to carry" });
    });
    for (const filter of [{}, { types: "thing.*" }]) {
      const follower = following(other, { after: 0, ...filter });
      await until(() => follower.items.length > 100);
      expect(positionsOf(follower.items.slice(0, 100))).toEqual(range(100, 1));
      follower.end();
    }
  });
});

describe("a log with a hole", () => {
  async function holed() {
    const { db, bus } = await freshBus();
    await bus.publish(range(10).map((i) => told(i)));
    await db.query(surql`DELETE event:5`);
    return { db, bus: busOn(db) };
  }

  test("is said to be damaged there, and nothing behind is told as if all were well", async () => {
    const { bus } = await holed();
    const follower = following(bus, { after: 0 });
    await until(() => follower.ended);
    expect(follower.error).toMatchObject({ code: "event_bus.log_damaged", details: { position: 5 } });
    expect(follower.items.every(({ position }) => position < 5)).toBe(true);
    const later = following(bus, { after: 5 });
    expect(positionsOf(await later.atLeast(5))).toEqual(range(5, 6));
  });

  test("is said to be damaged when its pages are read, in both directions", async () => {
    const { bus } = await holed();
    for (const order of ["asc", "desc"] as const)
      expect(await failureOf(() => bus.history({ order }))).toMatchObject({
        code: "event_bus.log_damaged",
        details: { position: 5 },
      });
    expect(positionsOf((await bus.history({ order: "desc", limit: 5 })).events)).toEqual([10, 9, 8, 7, 6]);
  });

  test("that comes live is said to be damaged", async () => {
    const { db, bus } = await freshBus();
    const problems: unknown[] = [];
    bus.on("problem", ({ error }) => problems.push(error));
    await bus.publish(told(1));
    const follower = following(bus, { after: 0 });
    await follower.atLeast(1);
    const other = busOn(db);
    await db.transaction([
      surql`INSERT INTO event ${[{ ...raw, id: 3 }]}`,
      surql`UPDATE log:head SET position = 3`,
      surql`UPSERT bell:log SET position = 3`,
    ]);
    await until(() => follower.ended);
    expect(follower.error).toMatchObject({ code: "event_bus.log_damaged", details: { position: 2 } });
    expect(positionsOf(follower.items)).toEqual([1]);
    expect(await other.publish(told(4))).toBe(4);
  });

  const raw = { type: "thing.told", source: "s", data: "1", at: new Date() };

  test("control: the check fails of a reader who asks for what is there", async () => {
    const { db } = await holed();
    await sabotage("reading without counting", async () => {
      const rows = await db.query(surql<object[]>`SELECT * FROM event:1..=10`);
      expect(rows).toHaveLength(10);
    });
  });
});

describe("LIVE queries of processes that are gone", () => {
  const leave = (db: Database) => db.query(surql`CREATE bell:old`); // what goes with the table, as they do
  const removes = (texts: string[]) => texts.some((text) => text.includes("REMOVE TABLE IF EXISTS bell"));
  const isLeft = async (db: Database) =>
    (await db.query(surql<unknown[]>`SELECT * FROM bell:old`)).length > 0;

  test("are removed by the next call if that failed at first", async () => {
    const db = await freshDatabase();
    await leave(db);
    const gate = gateOf(db);
    const store = new Store(gate.db, { migrate: true });
    gate.keep((go, _, texts) => (removes(texts) ? Promise.reject(unreachable()) : go()));
    expect((await failureOf(() => store.ready())).code).toBe("db.unreachable");
    expect(await isLeft(db)).toBe(true);
    gate.keep(undefined);
    await store.ready();
    expect(await isLeft(db)).toBe(false);
  });

  test("are removed once, though two buses begin at once and the first of them fails", async () => {
    const db = await freshDatabase();
    await leave(db);
    const gates = [gateOf(db), gateOf(db), gateOf(db)];
    const stores = gates.map((gate) => new Store(gate.db, { migrate: true }));
    await migrateRuntime(db);
    let attempts = 0;
    for (const gate of gates)
      gate.keep((go, _, texts) => {
        if (!removes(texts)) return go();
        return ++attempts === 1 ? Promise.reject(unreachable()) : go();
      });
    const ready = await Promise.allSettled(stores.map((store) => store.ready()));
    expect(ready.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "fulfilled", "rejected"]);
    expect(attempts).toBe(2);
    expect(await isLeft(db)).toBe(false);
    await leave(db);
    await Promise.all(stores.map((store) => store.ready()));
    await new Store(db, { migrate: true }).ready();
    expect(await isLeft(db)).toBe(true); // the table is in use by now
  });
});

test("a database that goes away for a while delays who follows, and is told of", async () => {
  const db = await freshDatabase();
  const gate = gateOf(db);
  const bus = busOn(gate.db);
  const other = busOn(db);
  const problems: unknown[] = [];
  bus.on("problem", ({ error }) => problems.push(error));
  await other.publish(told(1));
  const live = following(bus, { after: 0 });
  await live.atLeast(1);
  gate.keep(() => Promise.reject(unreachable()));
  const behind = following(bus, { after: 0 });
  const now = following(bus);
  const beginning = following(bus, { after: "beginning" });
  const heard: number[] = [];
  bus.subscribe({}, ({ position }) => heard.push(position));
  await other.publish(told(2));
  await until(() => problems.length > 3);
  gate.keep(undefined);
  await live.atLeast(2);
  await behind.atLeast(2);
  await beginning.atLeast(2);
  let last: number = 2;
  await until(async () => {
    last = await other.publish(told(last + 1)); // "now" is when the log answers again, which may be after any of these
    return now.items.length > 0 && heard.length > 0;
  });
  for (const all of [live, behind, beginning])
    expect(positionsOf(await all.atLeast(last))).toEqual(Array.from({ length: last }, (_, i) => i + 1));
  await until(() => now.items.at(-1)?.position === last && heard.at(-1) === last);
  for (const part of [positionsOf(now.items), heard])
    expect(part).toEqual(Array.from({ length: part.length }, (_, i) => last - part.length + 1 + i));
});

const unreachable = () => new DbError({ code: "db.unreachable", message: "nobody answers", retryable: true });
