// The log: what is told at the same time shares a commit, has its place in order, and fails alone.

import {
  DbError,
  openDatabase,
  rawSurql,
  RecordId,
  sleep,
  surql,
  systemClock,
  type Database,
} from "@sentient/db-pool";
import { limits, type Event } from "@sentient/schema";
import { sabotage, seeded, servedEngine, until, VirtualClock } from "@sentient/testkit";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { EventBus } from "../src/index.ts";
import { Contention } from "../src/contention.ts";
import { hashOfEvent } from "../src/hash-chain.ts";
import type { Entry } from "../src/entry.ts";
import type { Log } from "../src/log.ts";
import { collect } from "./support/collect.ts";
import { failureOf } from "./support/failure.ts";
import { busOn, freshBus, freshDatabase, freshFolder } from "./support/fresh.ts";
import { answerLost, gateOf, isAppend, isSettling } from "./support/gate.ts";
import { dataOf, expectInOrder, storedIn } from "./support/stored.ts";

const told = (data: unknown, more: object = {}) => ({ type: "thing.told", data, ...more });
const range = (length: number) => Array.from({ length }, (_, i) => i);
const logOf = (bus: EventBus) => bus.log as Log;

/** Counts what is asked of the database while `work` runs. */
async function callsDuring(db: Database, work: () => Promise<unknown>): Promise<string[]> {
  const calls: string[] = [];
  const off = db.on("query", ({ text }) => calls.push(text));
  await work();
  off();
  return calls;
}

/** A bus whose time is moved by hand; what is to be done first in a database was done before. */
async function timed(db: Database) {
  await busOn(db).publish(told("first"));
  const gate = gateOf(db);
  const clock = new VirtualClock();
  const bus = busOn(gate.db, { clock });
  await bus.history();
  await bus.log.append({});
  return { gate, bus, clock };
}

/** Time passes until it is over. */
async function late<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
  let isOver = false;
  const note = () => void (isOver = true);
  work.then(note, note);
  await until(async () => {
    await clock.advance(1_000);
    return isOver;
  });
  return work;
}

const appendsAmong = (calls: string[]) => calls.filter((text) => text.includes("INSERT INTO event"));

/** Fills the queue while a commit is on its way, so that all of it is one batch. */
async function together<T>(bus: EventBus, tell: () => T): Promise<T> {
  await bus.publish(told("before"));
  return tell();
}

describe("group commit", () => {
  test("256 that are told at once share few transactions", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(told("first"));
    const calls = await callsDuring(db, async () => {
      const positions = await Promise.all(range(256).map((i) => bus.publish(told(i))));
      expect(positions).toEqual(range(256).map((i) => i + 2));
    });
    expect(appendsAmong(calls).length).toBeLessThanOrEqual(2);
    expect(calls.length).toBeLessThanOrEqual(2);
    const stored = await expectInOrder(db);
    expect(stored.slice(1).map(dataOf)).toEqual(range(256));
  });

  test("what comes while a commit is on its way goes in the next one, all of it", async () => {
    const { db: real } = await freshBus();
    const gate = gateOf(real);
    const bus = busOn(gate.db);
    await bus.publish(told("first"));
    gate.hold();
    const before = gate.calls.length;
    const first = bus.publish(told("alone"));
    await until(() => gate.calls.length > before);
    const rest = range(100).map((i) => bus.publish(told(i)));
    gate.release();
    await Promise.all([first, ...rest]);
    expect(gate.calls.length - before).toBe(2);
  });

  test("a transaction takes no more events than the limit, and nothing is left over", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(told("first"));
    const before = gateCount(db);
    await Promise.all(range(1_200).map((i) => bus.publish(told(i))));
    const batches = before();
    expect(batches).toBeGreaterThanOrEqual(3);
    expect(batches).toBeLessThanOrEqual(5);
    await expectInOrder(db);
  });

  function gateCount(db: Database): () => number {
    let count = 0;
    const off = db.on("query", ({ text }) => void (text.includes("INSERT INTO event") && count++));
    return () => {
      off();
      return count;
    };
  }

  test("one that is told alone is one round trip, and no more than that", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(told("first"));
    for (const run of [undefined, "r1", "r1"]) {
      const calls = await callsDuring(db, () => bus.publish(told(1, run ? { run } : {})));
      const known = run === undefined || calls.length === 1;
      expect(known ? calls : appendsAmong(calls)).toHaveLength(1);
    }
  });

  test("a run that was written to lately is not asked for again", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(told(0, { run: "r1" }));
    const calls = await callsDuring(db, async () => {
      for (const i of range(5)) await bus.publish(told(i, { run: "r1" }));
    });
    expect(calls).toHaveLength(5);
  });

  test("events that are large are spread over several transactions", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(told("first"));
    const data = "x".repeat(limits.eventBytes - 2);
    const calls = await callsDuring(db, () => Promise.all(range(64).map(() => bus.publish(told(data)))));
    expect(appendsAmong(calls).length).toBeGreaterThanOrEqual(4); // 16 MiB, 4 at a time
    await expectInOrder(db);
  });
});

describe("order", () => {
  test("is the order of telling, in the log and in each run", async () => {
    const { db, bus } = await freshBus();
    const random = seeded();
    console.log(`SEED=${random.seed}`);
    const runs = ["a", "b", "c", undefined];
    const tellings = range(700).map((i) => {
      const run = random.pick(runs);
      return bus.publish(told(i, run ? { run } : {}));
    });
    const positions = await Promise.all(tellings);
    expect(positions).toEqual(range(700).map((i) => i + 1));
    expect((await expectInOrder(db)).map(dataOf)).toEqual(range(700));
  });

  test("of one append is that of its events, and each is told which of its run it is", async () => {
    const { bus } = await freshBus();
    await bus.publish(told(0, { run: "b" }));
    const placed = await bus.log.append({
      events: [told(1, { run: "a" }), told(2, { run: "b" }), told(3), told(4, { run: "a" })],
    });
    expect(placed).toEqual([
      { position: 2, n: 1 },
      { position: 3, n: 2 },
      { position: 4 },
      { position: 5, n: 2 },
    ]);
  });

  test("holds when an entry in the middle is refused and the rest goes again", async () => {
    const { db, bus } = await freshBus();
    const settled = await together(bus, () =>
      Promise.allSettled(
        range(60).map((i) =>
          bus.log.append({
            events: [told(i, { run: `r${i % 3}` })],
            guards: i % 7 === 3 ? [surql`RETURN false`] : [],
          }),
        ),
      ),
    );
    expect(settled.map(({ status }) => status === "rejected")).toEqual(range(60).map((i) => i % 7 === 3));
    const stored = await expectInOrder(db);
    expect(stored.slice(1).map(dataOf)).toEqual(range(60).filter((i) => i % 7 !== 3));
  });

  test("has no gaps and no doubles when several buses tell of the same runs at once", async () => {
    const { db, bus } = await freshBus();
    const buses = [bus, busOn(db), busOn(db)];
    const random = seeded();
    console.log(`SEED=${random.seed}`);
    const changesAmong = (tellers: number[]) =>
      tellers.filter((teller, i) => i > 0 && teller !== tellers[i - 1]).length;
    const tellerAt: number[] = []; // by position
    const positions = await Promise.all(
      buses.map(async (bus, teller) => {
        const mine: number[] = [];
        for (let i = 0; i < 40 || changesAmong(Object.values(tellerAt)) <= 5; i++) {
          const burst = range(random.int(8) + 1).map(() =>
            bus.publish(told({ teller, i }, { run: `r${random.int(3)}` })),
          );
          const places = await Promise.all(burst);
          for (const position of places) tellerAt[position] = teller;
          mine.push(...places);
        }
        return mine;
      }),
    );
    for (const mine of positions) expect(mine).toEqual(mine.toSorted((a, b) => a - b));
    expect(positions.flat().sort((a, b) => a - b)).toEqual(range(positions.flat().length).map((i) => i + 1));
    const stored = await expectInOrder(db);
    const tellers = stored.map((event) => (dataOf(event) as { teller: number }).teller);
    expect(changesAmong(tellers), "turns from one teller to another").toBeGreaterThan(5);
  });

  test("goes on where it was in a process that starts anew", async () => {
    const { db, bus } = await freshBus();
    for (const i of range(5)) await bus.publish(told(i, { run: i % 2 ? "a" : "b" }));
    const next = busOn(db);
    void next.subscribe({}, () => {}); // it has seen the end of the log before it tells of anything
    await next.publish(told("no run"));
    await next.publish(told(5, { run: "a" }));
    await next.publish(told(6, { run: "b" }));
    await expectInOrder(db);
  });

  test("goes on where it was after others told of more than is looked through", async () => {
    const { db, bus } = await freshBus();
    const other = busOn(db);
    await bus.publish([told(0, { run: "a" }), told(1, { run: "b" })]);
    await Promise.all(
      range(2_500).map((i) => other.publish(told(i, { run: i < 10 || i > 2_490 ? "a" : "c" }))),
    );
    await bus.publish(told("b again", { run: "b" }));
    await bus.publish(told("a again", { run: "a" }));
    await bus.publish(told("c again", { run: "c" }));
    await expectInOrder(db);
  });

  test("goes on after the events of a run were trimmed", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(range(6).map((i) => told(i, { run: i % 2 ? "a" : "b" })));
    await db.transaction([
      surql`DELETE event:1..=5`,
      surql`UPDATE log:floor SET position = 5`,
      surql`CREATE run_tail:b SET n = 3`,
      surql`CREATE run_tail:a SET n = 2`,
    ]);
    const next = busOn(db);
    const placed = await next.log.append({
      events: [told(6, { run: "a" }), told(7, { run: "b" }), told(8, { run: "c" })],
    });
    expect(placed.map(({ n }) => n)).toEqual([4, 4, 1]);
  });
});

describe("an entry that fails", () => {
  const good = (i: number): Entry => ({
    events: [told(i)],
    statements: [surql`CREATE ${new RecordId("good", i)} SET i = ${i}`],
  });

  /** Between two good entries of the same commit; only it may fail. */
  async function failsAlone(bad: Entry): Promise<Error & { code?: string; details?: object }> {
    const { db, bus } = await freshBus();
    await db.query(surql`DEFINE TABLE strict SCHEMAFULL`);
    await db.query(surql`DEFINE FIELD n ON strict TYPE int`);
    const [before, refused, after] = await together(bus, () =>
      Promise.allSettled([
        bus.log.append(good(1)),
        bus.log.append({ ...bad, events: [told("bad")] }),
        bus.log.append(good(2)),
        bus.log.append(good(3)),
      ]),
    );
    expect(before).toMatchObject({ status: "fulfilled", value: [{ position: 2 }] });
    expect(after).toMatchObject({ status: "fulfilled", value: [{ position: 3 }] });
    expect((await expectInOrder(db)).map(dataOf)).toEqual(["before", 1, 2, 3]);
    expect(await db.query(surql`SELECT VALUE i FROM good`)).toEqual([1, 2, 3]);
    expect(await db.query(surql`RETURN (SELECT VALUE id FROM half)`).catch(() => [])).toEqual([]);
    expect(refused).toMatchObject({ status: "rejected" });
    return (refused as PromiseRejectedResult).reason;
  }

  test.each([
    ["nothing", surql`RETURN NONE`],
    ["null", surql`RETURN NULL`],
    ["false", surql`RETURN false`],
    ["an empty list", surql`RETURN []`],
    ["no row", surql`SELECT * FROM ONLY log:nowhere`],
    ["an update of nothing", surql`UPDATE log:nowhere SET position = 1`],
    ["a block that returns false", surql`{ IF true { RETURN false }; RETURN true }`],
    ["a block that has no value", surql`{ LET $x = 1 }`],
  ])("because its guard answers %s is told so, and takes nobody along", async (_, guard) => {
    const error = await failsAlone({ guards: [surql`RETURN true`, guard], statements: [surql`CREATE half`] });
    expect(error).toMatchObject({ code: "event_bus.guard_failed", details: { guard: 1 } });
  });

  test("because its guard throws is told what it threw", async () => {
    const error = await failsAlone({ guards: [surql`{ THROW 'lease_lost' }`] });
    expect(error).toMatchObject({
      code: "event_bus.guard_failed",
      details: { guard: 0, thrown: "lease_lost" },
    });
  });

  test.each(["event_bus.stale", "event_bus.other_batch", "event_bus.guard"])(
    "because its guard throws %s is not mistaken for the log's own trouble",
    async (text) => {
      expect(await failsAlone({ guards: [surql`THROW ${text}`] })).toMatchObject({
        code: "event_bus.guard_failed",
      });
      expect(await failsAlone({ statements: [surql`THROW ${text}`] })).toMatchObject({
        code: "db.thrown",
        details: { thrown: text },
      });
    },
  );

  test.each<[string, Entry["statements"], string]>([
    ["throws", [surql`CREATE half`, surql`THROW 'no'`], "db.thrown"],
    ["creates what there is", [surql`CREATE half`, surql`CREATE good:1`], "db.already_exists"],
    ["writes a wrong type", [surql`CREATE half`, surql`CREATE strict SET n = 'x'`], "db.invalid_field"],
    ["is no SurrealQL", [surql`CREATE half`, surql`SELEC 1`], "db.syntax"],
    ["is refused before it is sent", [surql`CREATE half`, surql`USE NS other`], "db.bad_statement"],
    ["binds what cannot be sent", [surql`CREATE half SET n = ${10n ** 30n}`], "db.unencodable"],
  ])("because a statement of it %s takes nobody along", async (_, statements, code) => {
    expect(await failsAlone({ statements })).toMatchObject({ code });
  });

  test("because what makes its statements throws takes nobody along", async () => {
    const error = await failsAlone({
      statements: () => {
        throw new RangeError("no statements today");
      },
    });
    expect(error).toMatchObject({ name: "RangeError" });
  });

  test("because what makes its statements answers with none takes nobody along", async () => {
    expect(await failsAlone({ statements: () => ["DELETE event"] as never })).toMatchObject({
      code: "db.bad_statement",
    });
  });

  test("among hundreds is found, however it fails", async () => {
    const { db, bus } = await freshBus();
    const bad = new Map<number, Entry>([
      [3, { guards: [surql`RETURN false`] }],
      [40, { statements: [surql`SELEC 1`] }],
      [41, { statements: [surql`THROW 'x'`] }],
      [150, { statements: [surql`CREATE half SET n = ${10n ** 30n}`] }],
    ]);
    const settled = await together(bus, () =>
      Promise.allSettled(
        range(200).map((i) => bus.log.append({ events: [told(i, { run: "r" })], ...bad.get(i) })),
      ),
    );
    const refused = range(200).filter((i) => settled[i]!.status === "rejected");
    expect(refused).toEqual([...bad.keys()]);
    const stored = await expectInOrder(db);
    expect(stored.slice(1).map(dataOf)).toEqual(range(200).filter((i) => !bad.has(i)));
  });

  test("because its event cannot be one is refused before anything is sent", async () => {
    const wrong: [string, object, string][] = [
      ["no type", { type: undefined }, "event_bus.invalid_event"],
      ["a type with capitals", { type: "Thing.Told" }, "event_bus.invalid_event"],
      ["an id of the log's own", { eventId: "event:7" }, "event_bus.invalid_event"],
      ["a field nobody knows", { position: 7 }, "event_bus.invalid_event"],
      ["a function as data", { data: () => {} }, "event_bus.invalid_event"],
      ["half a character", { data: "\ud800" }, "event_bus.invalid_event"],
      ["a prototype for a key", { data: JSON.parse('{"__proto__": 1}') }, "event_bus.invalid_event"],
      ["too much data", { data: "x".repeat(limits.eventBytes) }, "schema.limit"],
      ["data that is too deep", { data: deep(limits.depth + 1) }, "schema.limit"],
    ];
    const { db, bus } = await freshBus();
    await bus.publish(told("first"));
    const calls = await callsDuring(db, async () => {
      for (const [what, fields, code] of wrong) {
        const error = await failureOf(() => bus.publish({ ...told(1), ...fields } as never));
        expect(error.code, what).toBe(code);
      }
    });
    expect(calls).toEqual([]);
  });

  test("because two of its events have one id is refused", async () => {
    const { bus } = await freshBus();
    const error = await failureOf(() =>
      bus.publish([told(1, { eventId: "a" }), told(2, { eventId: "b" }), told(1, { eventId: "a" })]),
    );
    expect(error).toMatchObject({ code: "event_bus.invalid_event", details: { eventId: "a" } });
    expect(await bus.publish(told(1, { eventId: "a" }))).toBe(1);
  });

  test("because it has more events than one append takes is refused", async () => {
    const { bus } = await freshBus();
    const events = range(limits.batch + 1).map((i) => told(i));
    expect((await failureOf(() => bus.publish(events))).code).toBe("schema.limit");
    expect(await bus.publish(events.slice(1))).toHaveLength(limits.batch);
  });
});

function deep(levels: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = [value];
  return value;
}

test("data comes back as it was told, whatever it holds", async () => {
  const { bus } = await freshBus();
  const told = [
    null,
    0,
    "",
    "$head; REMOVE TABLE event; -- 日本語 🦄 \u0000 \u2028",
    { b: 1, a: { constructor: "x", toString: null, "": [] } },
    deep(limits.depth),
    [[], {}, [null]],
    1e300,
    "x".repeat(limits.eventBytes - 2),
  ];
  await bus.publish(told.map((data) => ({ type: "thing.told", data })));
  const { events } = await bus.history();
  expect(events.map(({ data }) => data)).toEqual(told);
});

test("which batch an event began is told to nobody, and is no part of its hash", async () => {
  const { db, bus } = await freshBus({ hashes: true });
  const end = new AbortController();
  onTestFinished(() => end.abort());
  const followers = [bus, busOn(db)].map((each) => collect(each.follow({ after: 0, signal: end.signal })));
  const replayed: Event[] = [];
  await bus.publish([told(1, { run: "r", eventId: "one" }), told(2, { run: "r" })]);
  await bus.publish(told(3, { run: "r", causation: "one", correlation: "c" }));
  for (const follower of followers) await follower.atLeast(3);
  await bus.replay((event) => void replayed.push(event), { from: 1 });
  const heard = [
    ...followers.flatMap(({ items }) => items),
    ...replayed,
    ...(await bus.history()).events,
    ...(await bus.history({ run: "r", order: "desc" })).events,
    ...(await bus.trace("one")).root.children.map(({ event }) => event),
    ...(await bus.trace(3)).correlation,
  ];
  expect((await storedIn(db)).map(({ batch }) => typeof batch)).toEqual(["string", "undefined", "string"]);
  expect(heard.filter((event) => "batch" in event)).toEqual([]);
  await db.query(surql`UPDATE event SET batch = NONE`);
  expect(await bus.verify("r")).toMatchObject({ ok: true, events: 3 });
});

test("what is undefined in an event is as if it were left out", async () => {
  const { db, bus } = await freshBus();
  const nothing = { run: undefined, target: undefined, correlation: undefined, eventId: undefined };
  expect(await bus.publish({ ...told({ a: undefined }), ...nothing, source: undefined } as never)).toBe(1);
  expect(await storedIn(db)).toEqual([
    {
      position: 1,
      type: "thing.told",
      source: "sentient",
      data: "{}",
      at: expect.any(Date),
      batch: expect.any(String),
    },
  ]);
});

describe("statements", () => {
  test("of an entry and its events are there together, or neither", async () => {
    const { db, bus } = await freshBus();
    await bus.log.append({ events: [told(1)], statements: [surql`CREATE state:a SET v = 1`] });
    await failureOf(() =>
      bus.log.append({
        events: [told(2)],
        statements: [surql`UPDATE state:a SET v = 2`, surql`THROW 'no'`],
      }),
    );
    expect(await db.query(surql`SELECT VALUE v FROM state`)).toEqual([1]);
    expect((await storedIn(db)).map(dataOf)).toEqual([1]);
  });

  test("can be made once the places are known, also when they are given anew", async () => {
    const { db, bus } = await freshBus();
    const other = busOn(db);
    await bus.publish(told("first"));
    await other.publish(told("in between")); // the first bus does not know of it yet
    const seen: number[] = [];
    const placed = await bus.log.append({
      events: [told(1, { run: "r" })],
      statements: (places, at) => {
        seen.push(places[0]!.position);
        expect(at).toBeInstanceOf(Date);
        return [surql`CREATE state:a SET position = ${places[0]!.position}, n = ${places[0]!.n}, at = ${at}`];
      },
    });
    expect(placed).toEqual([{ position: 3, n: 1 }]);
    expect(seen.at(-1)).toBe(3);
    const [state] = await db.query(surql<{ position: number; n: number; at: Date }[]>`SELECT * FROM state`);
    expect(state).toMatchObject({ position: 3, n: 1 });
    const stored = (await storedIn(db)).at(-1)!;
    expect(state!.at.getTime()).toBe(stored.at.getTime());
  });

  test("and guards see what the entries before them in the same commit did", async () => {
    const { db, bus } = await freshBus();
    await db.query(surql`CREATE lease:one SET holder = NONE`);
    const claim = (who: number) =>
      bus.log.append({
        guards: [surql`UPDATE lease:one SET holder = ${who} WHERE holder = NONE`],
        events: [told(who)],
      });
    const settled = await together(bus, () => Promise.allSettled(range(8).map(claim)));
    expect(settled.map(({ status }) => status === "fulfilled")).toEqual(range(8).map((i) => i === 0));
    expect(await db.query(surql`SELECT VALUE holder FROM lease`)).toEqual([0]);
    expect((await expectInOrder(db)).map(dataOf)).toEqual(["before", 0]);
  });

  test("that RETURN do not end the commit before the others", async () => {
    const { db, bus } = await freshBus();
    await together(bus, () =>
      Promise.all([
        bus.log.append({
          events: [told(1)],
          guards: [surql`RETURN true`],
          statements: [surql`RETURN 1`, surql`{ RETURN 2 }`, surql`CREATE state:a -- and no more`],
        }),
        bus.log.append({ events: [told(2)], statements: [surql`CREATE state:b`] }),
      ]),
    );
    expect(await db.query(surql`SELECT VALUE id.id() FROM state`)).toEqual(["a", "b"]);
    await expectInOrder(db);
  });

  test("a guard that several share is asked once for those that come one after the other", async () => {
    const { db, bus } = await freshBus();
    const shared = surql`(UPSERT ONLY asked:times SET count += 1).count <= 2`;
    const append = (guards: NonNullable<Entry["guards"]>) => bus.log.append({ events: [told(0)], guards });
    await append([shared]);
    await Promise.all([append([shared]), append([shared]), append([surql`true`, shared])]);
    expect(await db.query(surql`SELECT VALUE count FROM ONLY asked:times`)).toBe(2);
    const refused = await Promise.allSettled([append([shared]), append([]), append([shared])]);
    expect(refused.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "rejected"]);
  });

  test("can be told without events, and are guarded alike", async () => {
    const { db, bus } = await freshBus();
    expect(await bus.log.append({ statements: rawSurql("CREATE state:a; CREATE state:b") })).toEqual([]);
    expect(await bus.log.append({})).toEqual([]);
    const error = await failureOf(() =>
      bus.log.append({ guards: [surql`RETURN false`], statements: [surql`CREATE state:c`] }),
    );
    expect(error.code).toBe("event_bus.guard_failed");
    expect(await db.query(surql`SELECT VALUE id.id() FROM state`)).toEqual(["a", "b"]);
    expect(await bus.publish(told(1))).toBe(1);
  });
});

describe("when an answer is lost", () => {
  /** A bus whose next append loses its answer, having been applied or not. */
  async function losing(
    applied: boolean,
    beforeSettling: (db: Database) => Promise<unknown> = async () => {},
  ) {
    const db = await freshDatabase();
    const gate = gateOf(db);
    const bus = busOn(gate.db);
    await bus.publish(told("first"));
    let lost = 0;
    gate.keep(async (go, _, texts) => {
      if (!isAppend(texts) || lost++ > 0) return go();
      if (applied) await go();
      await beforeSettling(db);
      throw answerLost();
    });
    return { db, bus, gate };
  }

  test("a batch that was applied is answered with its places, and not told twice", async () => {
    const { db, bus } = await losing(true);
    const placed = await Promise.all(range(5).map((i) => bus.publish(told(i, { run: "r" }))));
    expect(placed).toEqual([2, 3, 4, 5, 6]);
    await bus.publish(told(5, { run: "r" }));
    expect((await expectInOrder(db)).map(dataOf)).toEqual(["first", ...range(6)]);
  });

  test("a batch that was not applied is told again, once", async () => {
    const { db, bus } = await losing(false);
    const placed = await Promise.all(range(5).map((i) => bus.publish(told(i, { run: "r" }))));
    expect(placed).toEqual([2, 3, 4, 5, 6]);
    expect((await expectInOrder(db)).map(dataOf)).toEqual(["first", ...range(5)]);
  });

  test("an entry without events is known to be applied too", async () => {
    const { db, bus, gate } = await losing(true);
    gate.keep(async (go, call) => {
      const answer = await go();
      if (call === "query") return answer;
      gate.keep(undefined);
      throw answerLost();
    });
    await bus.log.append({ statements: [surql`UPSERT state:a SET v += 1`] });
    expect(await db.query(surql`SELECT VALUE v FROM state`)).toEqual([1]);
  });

  test("a batch that was applied is answered with its places when others have appended since", async () => {
    const { db, bus } = await losing(true, (db) => busOn(db).publish([told("other", { run: "r" }), told(0)]));
    expect(await bus.log.append({ events: [told(1), told(2, { run: "r" })] })).toEqual([
      { position: 2 },
      { position: 3, n: 1 },
    ]);
    expect(await bus.publish(told(3, { run: "r" }))).toBe(6);
    expect((await expectInOrder(db)).map(dataOf)).toEqual(["first", 1, 2, "other", 0, 3]);
  });

  test("a batch that was not applied is told again behind what others have appended since", async () => {
    const { db, bus } = await losing(false, (db) => busOn(db).publish(told("other", { run: "r" })));
    expect(await bus.log.append({ events: [told(1, { run: "r" })] })).toEqual([{ position: 3, n: 2 }]);
    expect((await expectInOrder(db)).map(dataOf)).toEqual(["first", "other", 1]);
    expect(await db.query(surql`SELECT VALUE epoch FROM ONLY log:head`), "nothing to keep out").toBe(0);
  });

  test("a batch whose place was trimmed since may have been applied, and nobody can tell", async () => {
    for (const applied of [true, false]) {
      const { db, bus } = await losing(applied, async (db) => {
        const other = busOn(db);
        await other.publish(told("other"));
        await other.trim({ before: 3 });
      });
      const error = await failureOf(() => bus.publish(told(1, { eventId: "one" })));
      expect(error).toMatchObject({ code: "event_bus.timeout", outcome: "unknown", retryable: false });
      const next = applied ? 4 : 3;
      expect(await bus.publish(told(2))).toBe(next);
      expect((await storedIn(db)).map(dataOf)).toEqual(applied ? ["other", 2] : [2]);
    }
  });

  test("a batch without events whose producer is gone may have been applied, and nobody can tell", async () => {
    const { db, bus, gate } = await losing(true);
    await bus.log.append({});
    gate.keep(async (go, call) => {
      const answer = await go();
      if (call === "query") return answer;
      gate.keep(undefined);
      await db.query(surql`DELETE producer`);
      throw answerLost();
    });
    const entry = { statements: [surql`UPSERT state:a SET v += 1`] };
    const error = await failureOf(() => bus.log.append(entry));
    expect(error).toMatchObject({ code: "event_bus.timeout", outcome: "unknown", retryable: false });
    await bus.log.append(entry);
    expect(await db.query(surql`SELECT VALUE v FROM state`)).toEqual([2]);
  });

  test("a producer whose row is gone begins anew", async () => {
    const { db, bus } = await freshBus();
    const entry = { statements: [surql`UPSERT state:a SET v += 1`] };
    await bus.log.append(entry);
    await db.query(surql`DELETE producer`);
    await bus.log.append(entry);
    expect(await db.query(surql`SELECT VALUE v FROM state`)).toEqual([2]);
  });

  describe("and the request outlives its being given up", () => {
    type Settle = (ask: () => Promise<unknown>, db: Database) => Promise<unknown>;

    /**
     * Commits something once. The first request arrives early, so that it is under way while it is given up, or late; the
     * second waits for its end.
     */
    async function expectCommittedOnce(
      events: Entry["events"],
      arrival: "early" | "late",
      settle: Settle = (ask) => ask(),
    ): Promise<void> {
      const db = await freshDatabase();
      const gate = gateOf(db);
      const bus = busOn(gate.db);
      await bus.publish(told("first"));
      await bus.log.append({});
      let isLost = false;
      let ended: Promise<string> | undefined;
      let arrive = () => {};
      gate.keep(async (go, call, texts) => {
        if (isSettling(texts)) {
          const answer = await settle(go, db);
          arrive();
          return answer;
        }
        if (call === "query") return go();
        if (isLost) return ended!.then(go);
        isLost = true;
        arrive = () => {
          ended ??= go().then(
            () => "applied",
            (error: DbError) => error.message,
          );
        };
        if (arrival === "early") arrive();
        throw answerLost();
      });
      const statements = [surql`UPSERT state:a SET v += 1`, surql`SLEEP 200ms`];
      await bus.log.append({ ...(events ? { events } : {}), statements });
      expect(await ended).toMatch(/event_bus\.stale|event_bus\.other_batch|can be retried/);
      expect(await db.query(surql`SELECT VALUE v FROM state`)).toEqual([1]);
      expect((await expectInOrder(db)).map(dataOf)).toEqual(["first", ...(events ? [1] : [])]);
    }

    const entries: [string, Entry["events"]][] = [
      ["with events", [told(1)]],
      ["without events", undefined],
    ];

    describe.each(entries)("%s", (_, events) => {
      test.each(["early", "late"] as const)("it cannot commit, having arrived %s", async (arrival) => {
        await expectCommittedOnce(events, arrival);
      });

      test.each(["early", "late"] as const)(
        "control: it commits, having arrived %s, where it is given up without a word to the database",
        async (arrival) => {
          await sabotage("nobody is asked", () =>
            expectCommittedOnce(events, arrival, () => Promise.resolve("given up")),
          );
        },
      );
    });

    test("control: it commits where the epoch keeps nobody out", async () => {
      await sabotage("the epoch as it was", () =>
        expectCommittedOnce([told(1)], "late", async (ask, db) => {
          const answer = await ask();
          await db.query(surql`UPDATE log:head SET epoch -= 1`);
          return answer;
        }),
      );
    });
  });

  test("and nobody can be asked, the outcome is unknown by the deadline", async () => {
    const db = await freshDatabase();
    const { gate, bus, clock } = await timed(db);
    gate.keep(async (go, _, texts) => {
      if (isAppend(texts)) await go();
      throw answerLost();
    });
    const first = failureOf(() => bus.publish(told(1, { eventId: "one" })));
    await until(() => isSettling([gate.calls.at(-1)!]));
    const second = failureOf(() => bus.publish(told(2))); // while it asks
    expect(await late(clock, first)).toMatchObject({ code: "event_bus.timeout", outcome: "unknown" });
    gate.keep(undefined);
    expect(await late(clock, second)).toMatchObject({ code: "event_bus.timeout", outcome: "not_applied" });
    expect(await bus.publish(told(1, { eventId: "one" }))).toBe(2);
    expect((await expectInOrder(db)).map(dataOf)).toEqual(["first", 1]);
  });

  test("closing does not wait for a database that nobody can reach", async () => {
    const db = await freshDatabase();
    const { gate, bus, clock } = await timed(db);
    gate.keep(async (go, _, texts) => {
      if (isAppend(texts)) await go();
      throw answerLost();
    });
    const telling = failureOf(() => bus.publish(told(1)));
    const closing = bus.close();
    await until(() => isSettling([gate.calls.at(-1)!]));
    expect(await late(clock, telling)).toMatchObject({ code: "event_bus.timeout", outcome: "unknown" });
    await late(clock, closing);
  });
});

describe("a deadline", () => {
  const unreachable = () =>
    new DbError({ code: "db.unreachable", message: "nobody answers", retryable: true });

  test("ends an append that the database does not take, and nothing of it is there", async () => {
    const db = await freshDatabase();
    const { gate, bus, clock } = await timed(db);
    gate.keep(() => Promise.reject(unreachable()));
    const publishing = range(20).map((i) => failureOf(() => bus.publish(told(i))));
    const failures = await late(clock, Promise.all(publishing));
    for (const error of failures)
      expect(error).toMatchObject({ code: "event_bus.timeout", outcome: "not_applied", retryable: true });
    gate.keep(undefined);
    expect(await bus.publish(told("last"))).toBe(2);
    expect((await expectInOrder(db)).map(dataOf)).toEqual(["first", "last"]);
  });

  test("outlasts a database that is away for a while", async () => {
    const db = await freshDatabase();
    const gate = gateOf(db);
    const bus = busOn(gate.db);
    let refused = 0;
    gate.keep((go) => (refused++ < 5 ? Promise.reject(unreachable()) : go()));
    expect(await bus.publish(told(1))).toBe(1);
    expect(refused).toBeGreaterThan(5);
  });

  test("is kept when the database is silent", async () => {
    const entry = new URL("./fixtures/serve-child.ts", import.meta.url);
    const engine = await servedEngine({ entry, folder: await freshFolder() });
    const db = await openDatabase({ url: engine.url, token: engine.token, heartbeat: 600_000 });
    const bus = busOn(db, { timeout: 3_000 });
    await until(() => bus.publish(told("first")));
    const fresh = busOn(db, { timeout: 300 });
    await fresh.history(); // it knows the tables, and nothing of the end of the log
    onTestFinished(async () => {
      engine.resume();
      await bus.close();
      await fresh.close();
      await db.close({ deadline: 500 });
      await engine.close();
    });
    engine.pause();
    const ended: string[] = [];
    const publishing = [bus, fresh].map((bus, i) =>
      failureOf(() => bus.publish(told(i))).then(({ code, outcome }) => ended.push(`${code} ${outcome}`)),
    );
    // the database's own deadline for a call is 30 s
    await until(() => ended.length === 2, { deadline: 25_000, what: "the deadline" });
    await Promise.all(publishing);
    expect(ended.every((end) => end.startsWith("event_bus.timeout "))).toBe(true);
  });
});

describe("who tells too much", () => {
  test.each<[string, number, () => Entry]>([
    ["too many entries, though they have no events", 100_000, () => ({})],
    [
      "too many bytes, though they are those of statements",
      257,
      () => ({ statements: [surql`UPDATE nothing SET text = ${"x".repeat(1024 * 1024)}`] }),
    ],
  ])("is refused: %s; and what waits is committed", async (_what, most, entry) => {
    const db = await freshDatabase();
    await db.query(surql`DEFINE TABLE nothing`);
    const gate = gateOf(db);
    const bus = busOn(gate.db, { timeout: 600_000 });
    await bus.publish(told("first"));
    gate.hold();
    const before = gate.calls.length;
    const under = bus.publish(told("under way"));
    await until(() => gate.calls.length > before);
    const waiting = Promise.allSettled(range(most).map(() => bus.log.append(entry())));
    await until(() => logOf(bus).queued > 0);
    expect(await failureOf(() => bus.publish(told("too much")))).toMatchObject({
      code: "event_bus.overloaded",
      retryable: true,
      outcome: "not_applied",
    });
    gate.release();
    await under;
    const refused = (await waiting).filter(({ status }) => status === "rejected");
    expect(refused.length).toBeLessThanOrEqual(1); // the last one may have been too much itself
    expect(await bus.publish(told("again"))).toBe(3);
  });

  test("is let in first come, first served", async () => {
    const db = await freshDatabase();
    const gate = gateOf(db);
    const bus = busOn(gate.db);
    await bus.publish(told("first"));
    gate.hold();
    const large = "x".repeat(limits.eventBytes - 2);
    const positions = range(300).map((i) => bus.publish(told(i % 2 ? large : i))); // 37 MiB
    gate.release();
    expect(await Promise.all(positions)).toEqual(range(300).map((i) => i + 2));
  });
});

/** On the database as from afar: each call has a way to get there and a way to come back. */
function afar(db: Database, way: () => Promise<unknown>): Database {
  const slowly = async <T>(call: () => Promise<T>): Promise<T> => {
    await way();
    try {
      return await call();
    } finally {
      await way();
    }
  };
  return new Proxy(db, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      const call = value.bind(target) as (...args: unknown[]) => Promise<unknown>;
      return name === "query" || name === "transaction"
        ? (...args: unknown[]) => slowly(() => call(...args))
        : call;
    },
  });
}

describe("a process that is far from the database", () => {
  /** @param way how long a call of the far one is under way; `appended` resolves when the near one was faster */
  async function requireItsTurn(
    timeout: number,
    way: (appended: () => Promise<unknown>) => Promise<unknown>,
  ): Promise<void> {
    const db = await freshDatabase();
    const near = busOn(db);
    let count = 0;
    let isOver = false;
    const appended = () => {
      const enough = count + 2; // the first of them may have been under way
      return until(() => count >= enough || isOver, { every: 1 });
    };
    const far = busOn(
      afar(db, () => way(appended)),
      { timeout },
    );
    await near.publish(told("near"));
    const busy = (async () => {
      for (; !isOver; count++) await near.publish(told("near"));
    })();
    try {
      await far.history(); // what is to be done first in a database has no deadline
      for (const i of range(3)) await far.publish(told(`far ${i}`));
    } finally {
      isOver = true;
      await busy;
    }
    const stored = await expectInOrder(db);
    expect(stored.map(dataOf).filter((data) => data !== "near")).toEqual(["far 0", "far 1", "far 2"]);
  }

  test("appends, however fast another one is", () => requireItsTurn(30_000, () => sleep(systemClock, 30)));

  test("control: without turns it never does", async () => {
    const starving = vi.spyOn(Contention.prototype, "needsTurn", "get").mockReturnValue(false);
    onTestFinished(() => starving.mockRestore());
    await sabotage("no turns", () => requireItsTurn(3_000, (appended) => appended()));
  });
});

test("a turn that was taken and not used ends when nothing comes of it, and by itself where its process has died", async () => {
  const { db, bus } = await freshBus();
  await bus.publish(told(0));
  await db.query(surql`UPDATE log:head SET turn = { by: "somebody", until: time::now() + 300ms }`);
  expect(await bus.publish(told(1))).toBe(2);
  expect(await db.query(surql`SELECT VALUE turn FROM ONLY log:head`)).toBeUndefined();
});

test("a clock that is ahead does not make events of the future", async () => {
  let ahead = 0;
  const { db, bus } = await freshBus({ clock: { ...systemClock, now: () => Date.now() + ahead } });
  await bus.publish(told(0));
  ahead = 3_600_000;
  await bus.publish(told(1));
  const [first, second] = await expectInOrder(db);
  expect(Math.abs(second!.at.getTime() - first!.at.getTime())).toBeLessThan(600_000);
});

describe("an abort", () => {
  test("is not tried again after another of its commit has failed", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(told("first"));
    const abort = new AbortController();
    const failing = failureOf(() => bus.log.append({ events: [told("bad")], guards: [surql`NONE`] })).then(
      () => abort.abort(),
    );
    const others = Array.from({ length: 20 }, (_, i) =>
      bus.log.append({ events: [told(i)], guards: [surql`NONE`] }, { signal: abort.signal }),
    );
    const good = bus.log.append({ events: [told("good")] });
    await failing;
    const codes = await Promise.all(others.map((other) => failureOf(() => other).then(({ code }) => code)));
    expect(codes.filter((code) => code === "event_bus.cancelled").length).toBeGreaterThan(10);
    await good;
    expect((await storedIn(db)).map(dataOf)).toEqual(["first", "good"]);
  });

  test("takes back what was not sent yet, and only that", async () => {
    const db = await freshDatabase();
    const gate = gateOf(db);
    const bus = busOn(gate.db);
    await bus.publish(told("first"));
    gate.hold();
    const before = gate.calls.length;
    const abort = new AbortController();
    const sent = bus.publish(told("sent"), { signal: abort.signal });
    await until(() => gate.calls.length > before);
    const queued = failureOf(() => bus.publish(told("queued"), { signal: abort.signal }));
    const other = bus.publish(told("other"));
    abort.abort();
    expect(await queued).toMatchObject({ code: "event_bus.cancelled", outcome: "not_applied" });
    gate.release();
    expect(await Promise.all([sent, other])).toEqual([2, 3]);
    expect((await expectInOrder(db)).map(dataOf)).toEqual(["first", "sent", "other"]);
    const late = await failureOf(() => bus.publish(told("late"), { signal: abort.signal }));
    expect(late.code).toBe("event_bus.cancelled");
  });

  test("takes back what still waits, at once", async () => {
    const db = await freshDatabase();
    const gate = gateOf(db);
    const bus = busOn(gate.db);
    await bus.publish(told("first"));
    gate.hold();
    const filling = range(25).map(() => bus.publish(range(500).map((i) => told(i)))); // more than one batch
    const abort = new AbortController();
    let cancelled = false;
    const waiting = failureOf(() => bus.publish(told("waiting"), { signal: abort.signal })).then(
      ({ code }) => (cancelled = code === "event_bus.cancelled"),
    );
    abort.abort();
    await until(() => cancelled, { deadline: 5_000, what: "the cancellation" });
    gate.release();
    await Promise.all([waiting, ...filling]);
    expect(await bus.publish(told("last"))).toBe(12_502);
  });

  test("of one who tells does not end the telling of another", async () => {
    const db = await freshDatabase();
    const gate = gateOf(db);
    const bus = busOn(gate.db);
    await bus.publish(told("first"));
    gate.hold();
    const before = gate.calls.length;
    const sent = bus.publish(told("sent"));
    await until(() => gate.calls.length > before);
    const abort = new AbortController();
    const one = failureOf(() => bus.publish(told(1, { eventId: "same" }), { signal: abort.signal }));
    const other = bus.publish(told(1, { eventId: "same" }));
    abort.abort();
    expect((await one).code).toBe("event_bus.cancelled");
    gate.release();
    await sent;
    expect(await other).toBe(3);
  });
});

describe("closing", () => {
  test("commits what waits and refuses what comes", async () => {
    const { db, bus } = await freshBus();
    const telling = range(700).map((i) => bus.publish(told(i)));
    await bus.close();
    for (const work of [() => bus.publish(told("late")), () => bus.log.append({}), () => bus.follow()])
      expect((await failureOf(async () => work())).code).toBe("event_bus.closed");
    expect(await Promise.all(telling)).toHaveLength(700);
    expect((await expectInOrder(db)).map(dataOf)).toEqual(range(700));
    await bus.close();
    expect(db.closed).toBe(false);
  });

  test("leaves no producer behind", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(told(1));
    expect(await db.query(surql`SELECT * FROM producer`), "events tell of themselves").toEqual([]);
    await bus.log.append({});
    expect(await db.query(surql`SELECT VALUE batch FROM producer`)).toEqual([1]);
    await bus.close();
    expect(await db.query(surql`SELECT * FROM producer`)).toEqual([]);
  });

  test("a bus that was never used asks nothing of the database", async () => {
    const db = await freshDatabase();
    const calls = await callsDuring(db, () => busOn(db).close());
    expect(calls).toEqual([]);
  });

  test("the database under the bus answers every telling", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(told("first"));
    const telling = Promise.allSettled(range(50).map((i) => bus.publish(told(i))));
    await db.close();
    const late = await failureOf(() => bus.publish(told("late")));
    expect(late.code).toBe("db.closed");
    for (const settled of await telling)
      expect(settled.status === "fulfilled" || (settled.reason as DbError).code === "db.closed").toBe(true);
    await bus.close();
  });
});

describe("hashes", () => {
  test("chain the events of a run, over appends, buses and trimming", async () => {
    const { db, bus } = await freshBus({ hashes: true });
    const other = busOn(db, { hashes: true });
    for (const i of range(12)) await (i % 3 ? bus : other).publish(told(i, { run: `r${i % 2}` }));
    const events = await db.query(surql<Parameters<typeof hashOfEvent>[0][]>`SELECT * FROM event`);
    for (const run of ["r0", "r1"]) {
      let before: Parameters<typeof hashOfEvent>[1];
      for (const row of events.filter((event) => event.run === run)) {
        expect(row.hash).toBe(hashOfEvent(row, before));
        before = row.hash as typeof before;
      }
    }
    expect(new Set(events.map(({ hash }) => hash)).size).toBe(12);
  });

  test("are missing when nobody asked for them, and of what belongs to no run", async () => {
    const { db, bus } = await freshBus();
    const hashing = busOn(db, { hashes: true });
    await bus.publish(told(1, { run: "r" }));
    await hashing.publish(told(2));
    expect((await storedIn(db)).map(({ hash }) => hash)).toEqual([undefined, undefined]);
  });
});

test("a log that was set back is said to be damaged, and so is a place that is taken", async () => {
  const { db, bus } = await freshBus();
  await bus.publish([told(1), told(2), told(3)]);
  await db.query(surql`UPDATE log:head SET position = 1`);
  expect((await failureOf(() => bus.publish(told(4)))).code).toBe("event_bus.log_damaged");
  const other = busOn(db);
  expect(await failureOf(() => other.publish(told(5)))).toMatchObject({
    code: "event_bus.log_damaged",
    details: { position: 2 },
  });
});
