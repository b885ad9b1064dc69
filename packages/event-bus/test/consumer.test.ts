// The consumer: in order, at least once, and exactly once where it commits; what fails is kept; what ends lets go.

import { DbError, surql, type Database } from "@sentient/db-pool";
import { limits, SchemaError } from "@sentient/schema";
import { sabotage, seeded, until, VirtualClock } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { shareOf } from "../src/consumer.ts";
import type { ConsumerHandler, ConsumerOptions, Handling } from "../src/index.ts";
import { WINDOW } from "../src/window.ts";
import {
  counted,
  expireLeases,
  gone,
  mortalBus,
  noting,
  problemsOf,
  range,
  rowOf,
  tell,
  untilAt,
} from "./support/consuming.ts";
import { COUNT } from "./support/consuming-orders.ts";
import { failureOf } from "./support/failure.ts";
import { busOn, freshBus } from "./support/fresh.ts";
import { answerLost, gateOf, isSettling, type Gate } from "./support/gate.ts";

/** Tries follow each other at once. */
const AT_ONCE = { first: 1, max: 1 };
/** For virtual time, where renewals would not keep up with it. */
const LONG_LEASE = { lease: 24 * 3_600_000 };

const isSave = (text: string) => text.includes("handled +=");
const isClaim = (text: string) => text.includes("token += 1, lease = {");

function callsOf(db: Database): string[] {
  const calls: string[] = [];
  db.on("query", ({ text }) => calls.push(text));
  return calls;
}

/** A clock whose wall time can be set, as by who keeps the machine's time. Timers are not moved by that. */
class SettableClock extends VirtualClock {
  setBy = 0;

  override now(): number {
    return super.now() + this.setBy;
  }
}

/** Something to wait for, opened by hand. */
function latch() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

describe("where it begins", () => {
  test("at the beginning of the log, at its end, or after a position", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 5);
    const all = await noting(bus, "all");
    const later = await noting(bus, "later", { from: 3 });
    const news = await noting(bus, "news", { from: "now" });
    await bus.publish({ type: "thing.told" });
    for (const name of ["all", "later", "news"]) await untilAt(db, name, 6);
    expect(all.seen).toEqual([1, 2, 3, 4, 5, 6]);
    expect(later.seen).toEqual([4, 5, 6]);
    expect(news.seen).toEqual([6]);
  });

  test("the beginning of a log that was trimmed is its first event that is left", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 10);
    await bus.trim({ keep: 4 });
    const { floor } = await bus.trim({ keep: 4 });
    const { seen } = await noting(bus, "late");
    await untilAt(db, "late", 10);
    expect(seen).toEqual(range(10 - floor, floor + 1));
  });

  test("a consumer that is there already goes on where it was, in another bus too", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 3);
    const first = await noting(bus, "one");
    await untilAt(db, "one", 3);
    await bus.close();
    const other = busOn(db);
    await tell(other, 2);
    const second = await noting(other, "one", { from: "beginning" });
    await untilAt(db, "one", 5);
    expect([first.seen, second.seen]).toEqual([
      [1, 2, 3],
      [4, 5],
    ]);
  });

  test("a place that the log does not have is refused, and leaves nothing", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 10);
    const ahead = await failureOf(() => bus.consumer("a", { from: 11 }, () => {}));
    expect(ahead).toMatchObject({ code: "event_bus.position_ahead", details: { last: 10 } });
    await bus.trim({ keep: 1, force: true });
    const trimmed = await failureOf(() => bus.consumer("a", { from: 2 }, () => {}));
    expect(trimmed).toMatchObject({ code: "event_bus.position_trimmed" });
    expect(await db.query(surql`SELECT * FROM consumer`)).toEqual([]);
  });

  test("one that is known begins where it was, though its first place was trimmed meanwhile", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 10);
    const { consumer } = await noting(bus, "one", { from: 2 });
    await untilAt(db, "one", 10);
    await consumer.stop();
    await bus.trim({ keep: 1 });
    await tell(bus, 2);
    const { seen } = await noting(bus, "one", { from: 2 });
    await untilAt(db, "one", 12);
    expect(seen).toEqual([11, 12]);
  });

  test("the beginning is the one there is when it is registered, whatever is trimmed until then", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 10);
    const gate = gateOf(db);
    const worker = busOn(gate.db);
    gate.keep(async (go, _, texts) => {
      if (texts.some((text) => text.includes("INSERT INTO consumer"))) await bus.trim({ keep: 4 });
      return go();
    });
    const { seen } = await noting(worker, "one");
    await untilAt(db, "one", 10);
    expect(seen).toEqual([7, 8, 9, 10]);
  });

  test("who trims while one is registered does not overlook it", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 10);
    const gate = gateOf(db);
    const trimmer = busOn(gate.db);
    let batches = 0;
    gate.keep((go, call, texts) => {
      const floor = texts.findIndex(
        (text) => text.includes("THROW") && text.includes("RETURN VALUE position"),
      );
      if (call !== "transaction" || floor === -1 || batches++ > 0) return go();
      const statements = range(8).map(() => bus.consumer("one", {}, () => {}));
      return Promise.allSettled([go(), ...statements]).then(([trimmed]) => {
        if (trimmed.status === "rejected") throw trimmed.reason;
        return trimmed.value;
      });
    });
    const { floor } = await trimmer.trim({ keep: 0 });
    expect(batches).toBeGreaterThan(0);
    await untilAt(db, "one", 10);
    expect(floor).toBeLessThanOrEqual((await rowOf(db, "one")).position);
  });

  test("at its end is where that was when it was asked for", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 2);
    const gate = gateOf(db);
    const worker = busOn(gate.db);
    gate.keep(async (go, _, texts) => {
      if (texts.some((text) => text.includes("INSERT INTO consumer"))) await tell(bus, 2);
      return go();
    });
    const { seen } = await noting(worker, "one", { from: "now" });
    await untilAt(db, "one", 4);
    expect(seen).toEqual([3, 4]);
  });

  test("another number of partitions is refused, and changes nothing", async () => {
    const { db, bus } = await freshBus();
    await bus.consumer("one", { partitions: 2 }, () => {});
    const refused = await failureOf(() => bus.consumer("one", { partitions: 4 }, () => {}));
    expect(refused).toMatchObject({ code: "event_bus.consumer_mismatch", details: { partitions: 2 } });
    const rows = await db.query(surql<{ partitions: number }[]>`SELECT partitions FROM consumer`);
    expect(rows).toEqual([{ partitions: 2 }, { partitions: 2 }]);
  });

  test("of many that begin it at once with other partitions, one has its way", async () => {
    const { db, bus } = await freshBus();
    const begun = await Promise.allSettled(
      [1, 2, 3, 4, 1, 2, 3, 4].map((partitions) => bus.consumer("one", { partitions }, () => {})),
    );
    const rows = await db.query(surql<{ partitions: number }[]>`SELECT partitions FROM consumer`);
    const { partitions } = rows[0]!;
    expect(rows).toEqual(range(partitions).map(() => ({ partitions })));
    expect(begun.filter(({ status }) => status === "fulfilled")).toHaveLength(2);
  });
});

describe("another filter", () => {
  const orders = { filter: { types: ["order.placed", "order.sent"] } };

  test("is refused while somebody works with the one before, and the same in other words is not", async () => {
    const { db, bus } = await freshBus();
    await bus.consumer("one", orders, () => {});
    await until(async () => (await rowOf(db, "one")).lease);
    const refused = await failureOf(() =>
      busOn(db).consumer("one", { filter: { types: "order.*" } }, () => {}),
    );
    expect(refused).toMatchObject({ code: "event_bus.consumer_mismatch", details: orders });
    expect(refused.message).toContain('["order.placed","order.sent"]');
    await busOn(db).consumer(
      "one",
      { filter: { types: ["order.sent", "order.placed", "order.sent"] } },
      () => {},
    );
    expect(await bus.consumers.status("one")).toMatchObject(orders);
  });

  test("takes the place of one that nobody works with, and is shown", async () => {
    const { db, bus } = await freshBus();
    const { consumer } = await noting(bus, "one", orders);
    await until(() => consumer.partitions.length === 1);
    await consumer.stop();
    const { seen } = await noting(bus, "one", { filter: { types: "thing.told", source: "sentient" } });
    await tell(bus, 1);
    await untilAt(db, "one", 1);
    expect(seen).toEqual([1]);
    expect((await bus.consumers.status("one")).filter).toEqual({ types: ["thing.told"], source: "sentient" });
  });

  test("that took its place meanwhile keeps the one before from work, and it is told so", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus({ clock });
    const gate = gateOf(db);
    const worker = busOn(gate.db, { clock });
    const problems = problemsOf(worker);
    gate.keep((go, _, texts) => (texts.some(isClaim) ? Promise.reject(answerLost()) : go()));
    const first = await noting(worker, "one", orders);
    await until(() => problems.length === 1);
    const second = await noting(bus, "one");
    await until(() => second.consumer.partitions.length === 1);
    await second.consumer.stop();
    gate.keep(undefined);
    await clock.advance(1_000);
    await until(() => problems.length === 2);
    expect(problems[1]).toMatchObject({ code: "event_bus.consumer_mismatch" });
    expect(first.consumer.partitions).toEqual([]);
    expect((await rowOf(db, "one")).lease).toBe(undefined);
  });
});

describe("what is asked for", () => {
  const bad: [string, object][] = [
    ["partitions", { partitions: 0 }],
    ["partitions", { partitions: 257 }],
    ["concurrency", { concurrency: 1.5 }],
    ["attempts", { retry: { attempts: 0 } }],
    ["retry", { retry: { often: 3 } }],
    ["timeout", { timeout: 2 ** 31 }],
    ["lease", { lease: 99 }],
    ["from", { from: -1 }],
    ["from", { from: "yesterday" }],
    ["speed", { speed: 3 }],
  ];
  test.for(bad)("a wrong %s is refused: %o", async ([said, options]) => {
    const { bus } = await freshBus();
    const refused = await failureOf(() => bus.consumer("a", options, () => {}));
    expect(refused.code).toBe("event_bus.bad_option");
    expect(refused.message).toContain(said);
  });

  test("a filter that fits nothing, or a handler that cannot be called, is refused", async () => {
    const { bus } = await freshBus();
    const filter = { filter: { types: "No Type" } };
    expect(await failureOf(() => bus.consumer("a", filter, () => {}))).toMatchObject({
      code: "event_bus.bad_filter",
    });
    const none = undefined as unknown as ConsumerHandler;
    expect(await failureOf(() => bus.consumer("a", {}, none))).toMatchObject({
      code: "event_bus.bad_option",
    });
  });

  const injections = [
    "a'; DELETE event; --",
    "a` RETURN 1",
    "event:1",
    "[a, 0]",
    "$name",
    "a b",
    "",
    ".",
    "é",
    "a\u0000",
    "x".repeat(129),
    "__proto__",
    "constructor",
  ];
  test.for(injections)("a name is a name, or it is refused: %j", async (name) => {
    const { db, bus } = await freshBus();
    await tell(bus, 2);
    const before = await db.query(surql`SELECT * FROM event`);
    const begun = await bus.consumer(name, {}, () => {}).catch((error: unknown) => error);
    if (begun instanceof Error) expect(begun).toMatchObject({ code: "event_bus.bad_option" });
    else expect(await bus.consumers.list()).toEqual([name]);
    const strange = `${name}?`;
    for (const ask of [
      () => bus.consumers.status(strange),
      () => bus.consumers.deadLetters(strange),
      () => bus.consumers.redrive(strange),
      () => bus.replay(strange, { from: 1 }),
    ])
      expect(await failureOf(ask)).toMatchObject({ code: "event_bus.not_found" });
    await bus.consumers.remove(strange);
    expect(await db.query(surql`SELECT * FROM event`)).toEqual(before);
  });

  test("numbers that are none are refused before the database sees them", async () => {
    const { bus } = await freshBus();
    await bus.publish({ type: "a.b" });
    await bus.consumer("a", {}, () => {});
    for (const ask of [
      () => bus.consumers.deadLetters("a", { limit: 0 }),
      () => bus.consumers.deadLetters("a", { after: Number.NaN }),
      () => bus.consumers.redrive("a", [0.5]),
      () => bus.consumers.move("a", 0),
      () => bus.consumers.move("a", "1" as unknown as number),
      () => bus.replay("a", { from: 1.5 }),
      () => bus.replay("a", { from: 1, to: 2 } as { from: number }),
    ])
      expect(await failureOf(ask)).toMatchObject({ code: "event_bus.bad_option" });
    const tooMany = bus.consumers.deadLetters("a", { limit: limits.page + 1 });
    await expect(tooMany).rejects.toBeInstanceOf(SchemaError);
  });
});

describe("which events", () => {
  test("those of its filter only, in order, once", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 40, (i) => ({ type: i % 2 ? "odd.told" : "even.told", run: `r${i % 3}` }));
    const odd = await noting(bus, "odd", { filter: { types: "odd.*" } });
    const run = await noting(bus, "run", { filter: { run: "r1", types: "even.told" } });
    for (const name of ["odd", "run"]) await untilAt(db, name, 40);
    expect(odd.seen).toEqual(range(40).filter((i) => i % 2));
    expect(run.seen).toEqual(range(40).filter((i) => i % 3 === 1 && i % 2 === 0));
  });

  test("a filter that matches nothing still moves it along, and hardly ever writes", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus({ clock });
    await bus.consumer("none", { ...LONG_LEASE, filter: { types: "never.told" } }, () => {});
    const calls = callsOf(db);
    await tell(bus, 3_200);
    await until(async () => (await rowOf(db, "none")).position >= 2_000);
    await until(async () => {
      await clock.advance(1_000);
      return (await rowOf(db, "none")).position === 3_200;
    });
    expect(calls.filter(isSave).length).toBeLessThanOrEqual(10);
  });

  test("an idle consumer asks the database of little", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus({ clock });
    await tell(bus, 3);
    const calls = callsOf(db);
    const looks = () => calls.filter((text) => text.includes("dead_letter")).length;
    await bus.consumer("idle", {}, () => {});
    await untilAt(db, "idle", 3);
    await until(() => looks() === 1);
    await bus.log.append({ statements: [surql`RETURN 1`] }); // comes after the save, which is told of by then
    calls.length = 0;
    const renewals = () => calls.filter((text) => text.includes("SET lease.until =")).length;
    for (const round of range(12)) {
      await clock.advance(5_000);
      await until(() => renewals() === round);
    }
    await until(() => looks() === 12);
    expect(calls.filter((text) => isSave(text) || isClaim(text))).toEqual([]);
  });
});

describe("order", () => {
  test("one after the other, and the saved position never passes what is under way", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 60);
    const saved: number[] = [];
    let under = 0;
    const { seen } = await noting(bus, "one", {}, async ({ position }) => {
      expect(++under).toBe(1);
      saved.push((await rowOf(db, "one")).position);
      expect(saved.at(-1)).toBeLessThan(position);
      under--;
    });
    await untilAt(db, "one", 60);
    expect(seen).toEqual(range(60));
    expect(saved).toEqual(saved.toSorted((a, b) => a - b));
  });

  test("with concurrency, events of a run never overlap, and other runs do not wait for it", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 90, (i) => ({ run: `r${i % 3}` }));
    const { opened, open } = latch();
    const under = new Set<string>();
    const done: Record<string, number[]> = { r0: [], r1: [], r2: [] };
    let most = 0;
    await bus.consumer("one", { concurrency: 4 }, async ({ run, position }) => {
      expect(under.has(run!)).toBe(false);
      under.add(run!);
      most = Math.max(most, under.size);
      if (position === 1) await opened;
      else await db.query(surql`RETURN 1`);
      under.delete(run!);
      done[run!]!.push(position);
    });
    await until(() => done.r0!.length === 30 && done.r2!.length === 30);
    expect(done.r1).toEqual([]);
    expect((await rowOf(db, "one")).position).toBe(0);
    open();
    await untilAt(db, "one", 90);
    for (const positions of Object.values(done))
      expect(positions).toEqual(positions.toSorted((a, b) => a - b));
    expect(most).toBe(3);
  });

  test("never more at once than it was told", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 60, (i) => ({ run: `r${i}` }));
    let under = 0;
    let most = 0;
    await bus.consumer("one", { concurrency: 5 }, async () => {
      most = Math.max(most, ++under);
      await db.query(surql`RETURN 1`);
      under--;
    });
    await untilAt(db, "one", 60);
    expect(most).toBe(5);
  });
});

describe("a process that ends without a word", () => {
  test("what it did not save comes again, never more than a window, and nothing is left out", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 1_000);
    const first = mortalBus(db);
    const busy = new DbError({ code: "db.conflict", message: "busy", retryable: true });
    first.gate.keep((go, _, texts) => (texts.some(isSave) ? Promise.reject(busy) : go()));
    const before = await noting(first.bus, "one");
    await until(() => before.seen.length === WINDOW);
    first.die();
    await expireLeases(db);
    const after = await noting(bus, "one");
    await untilAt(db, "one", 1_000);
    expect(before.seen).toEqual(range(WINDOW)); // it handed out no more, though it could not save
    expect(after.seen).toEqual(range(1_000));
  });

  test("with concurrency, everything behind the first that was not settled comes again", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 20, (i) => ({ run: `r${i}` }));
    const first = mortalBus(db);
    const before = await noting(first.bus, "one", { concurrency: 4 }, ({ position }) =>
      position === 6 ? new Promise(() => {}) : undefined,
    );
    await until(() => before.seen.length === 20);
    await untilAt(db, "one", 5);
    first.die();
    await expireLeases(db);
    const after = await noting(bus, "one", { concurrency: 4 });
    await untilAt(db, "one", 20);
    expect(after.seen.toSorted((a, b) => a - b)).toEqual(range(15, 6));
  });

  test("its lease is waited for, as the database sees it", async () => {
    const { db, bus } = await freshBus();
    const first = mortalBus(db);
    await first.bus.consumer("one", LONG_LEASE, () => {});
    await until(async () => (await rowOf(db, "one")).lease);
    first.die();
    const calls = callsOf(db);
    const { seen } = await noting(bus, "one");
    await tell(bus, 1);
    await until(() => calls.filter(isClaim).length >= 2);
    expect(seen).toEqual([]);
    await expireLeases(db);
    await until(() => seen.length === 1);
  });

  test("an event that is handled whenever a process ends becomes a dead letter, and no other", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 8, (i) => ({ run: `r${i}` }));
    let deaths = 0;
    const dieAt4 = async (): Promise<void> => {
      const { bus: mortal, die } = mortalBus(db);
      const { opened, open } = latch();
      await mortal.consumer("one", { retry: { attempts: 3 }, concurrency: 4 }, ({ position }) => {
        if (position !== 4) return undefined;
        deaths++;
        die();
        open();
        return new Promise(() => {});
      });
      await opened;
      await expireLeases(db);
    };
    for (const _ of range(3)) await dieAt4();
    const { seen } = await noting(bus, "one", { retry: { attempts: 3 }, concurrency: 4 });
    await untilAt(db, "one", 8);
    expect(deaths).toBe(3);
    expect(seen).not.toContain(4);
    expect(await bus.consumers.deadLetters("one")).toMatchObject([
      { position: 4, attempts: 3, reason: { code: "event_bus.process_ended" } },
    ]);
  });

  test("is still counted when a dead letter is tried again meanwhile", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 2, (i) => ({ run: `r${i}` }));
    const options = { retry: { attempts: 2 }, concurrency: 2 };
    const deadly: number[] = [];
    for (const life of range(3)) {
      const { bus: mortal, die } = mortalBus(db);
      const { opened, open } = latch();
      const letter = async () => (await bus.consumers.deadLetters("one"))[0];
      await mortal.consumer("one", options, async ({ position }) => {
        if (position === 1) throw Object.assign(new Error("no"), { retryable: false });
        deadly.push(life);
        const redrives = (await until(letter)).redrives;
        await mortal.consumers.redrive("one", [1]);
        await until(async () => (await letter())!.redrives > redrives);
        die();
        open();
        await new Promise(() => {});
      });
      await Promise.race([opened, untilAt(db, "one", 2).catch(() => {})]);
      await expireLeases(db);
    }
    expect(deadly).toEqual([1, 2]);
    expect(await bus.consumers.deadLetters("one")).toMatchObject([
      { position: 1, redrives: 2 },
      { position: 2, attempts: 2, reason: { code: "event_bus.process_ended" } },
    ]);
  });

  test("with one attempt, nobody is blamed for an end that could have been anybody's", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 8);
    const first = mortalBus(db);
    const before = await noting(first.bus, "one", { retry: { attempts: 1 } }, ({ position }) =>
      position === 3 ? new Promise(() => {}) : undefined,
    );
    await until(() => before.seen.length === 3);
    await untilAt(db, "one", 2);
    first.die();
    await expireLeases(db);
    const { seen } = await noting(bus, "one", { retry: { attempts: 1 } });
    await untilAt(db, "one", 8);
    expect(seen).toEqual(range(6, 3));
    expect(await bus.consumers.deadLetters("one")).toEqual([]);
  });
});

describe("commit", () => {
  const countInCommit: ConsumerHandler = (_, { commit }) => commit([COUNT]);

  test("what changes, what is told and the position are one transaction", async () => {
    const { db, bus } = await freshBus({ clock: new VirtualClock() }); // else it is past what it told in a second
    await bus.publish({ type: "order.placed", run: "r1", eventId: "o1" });
    const placed: unknown[] = [];
    const options = { ...LONG_LEASE, filter: { types: "order.placed" } };
    await bus.consumer("one", options, async (event, { commit }) => {
      const { run, eventId } = event;
      placed.push(
        await commit({
          statements: [COUNT],
          events: [{ type: "order.sent", run: run!, causation: eventId }],
        }),
      );
    });
    await until(async () => (await counted(db)) === 1);
    await until(() => placed.length === 1);
    expect(placed).toEqual([[{ position: 2, n: 2 }]]);
    expect(await rowOf(db, "one")).toMatchObject({ position: 1, handled: 1 });
  });

  /** Processes that end at random moments, with answers lost on the way; the last one finishes. @returns how often it was counted */
  async function countWhileDying(handler: (db: Database) => ConsumerHandler): Promise<number> {
    const random = seeded();
    console.log(`SEED=${random.seed}`);
    const { db, bus } = await freshBus();
    await tell(bus, 60, (i) => ({ run: `r${i % 7}` }));
    for (const _ of range(6)) {
      const mortal = mortalBus(db);
      const most = 1 + random.int(9); // all lives together do not save 60 times
      let saves = 0;
      mortal.gate.keep(async (go, __, texts) => {
        if (!texts.some((text) => isSave(text))) return go();
        if (++saves < most) return go();
        const isApplied = random.next() < 0.5;
        if (isApplied) await go();
        mortal.die();
        throw gone();
      });
      await mortal.bus.consumer("one", { concurrency: 1 + random.int(4) }, handler(mortal.gate.db));
      await until(() => saves >= most);
      await expireLeases(db);
    }
    await bus.consumer("one", {}, handler(db));
    await untilAt(db, "one", 60);
    return counted(db);
  }

  test("happens once for each event, however often processes end", async () => {
    expect(await countWhileDying(() => countInCommit)).toBe(60);
  });

  test("control: an effect apart from its position happens again", async () => {
    const apart = (db: Database) => () => db.query(COUNT);
    await sabotage("no commit", async () => expect(await countWhileDying(apart)).toBe(60));
  });

  test("waits until all before it are settled", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 3, (i) => ({ run: `r${i}` }));
    const { opened, open } = latch();
    const order: number[] = [];
    const { seen } = await noting(bus, "one", { concurrency: 3 }, async ({ position }, { commit }) => {
      if (position === 1) await opened;
      await commit([COUNT]);
      order.push(position);
    });
    await until(() => seen.length === 3);
    expect(await counted(db)).toBe(0);
    open();
    await until(() => order.length === 3);
    expect(order).toEqual([1, 2, 3]);
    await untilAt(db, "one", 3);
  });

  test("is refused a second time, and the first stands", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 1);
    let second: unknown;
    await bus.consumer("one", {}, async (_, { commit }) => {
      const first = commit([COUNT]);
      second = await commit([COUNT]).catch((error: unknown) => error);
      await first;
    });
    await untilAt(db, "one", 1);
    expect(second).toMatchObject({ code: "event_bus.bad_option" });
    expect(await counted(db)).toBe(1);
  });

  test("is refused once the time is up, and once the call is over", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus({ clock });
    await tell(bus, 2);
    const calls: Handling[] = [];
    const options = { ...LONG_LEASE, timeout: 100, retry: { attempts: 1 } };
    await bus.consumer("one", options, ({ position }, handling) => {
      calls.push(handling);
      return position === 1 ? new Promise(() => {}) : undefined;
    });
    await until(() => calls.length === 1);
    await clock.advance(100);
    await untilAt(db, "one", 2);
    const [late, over] = calls as [Handling, Handling];
    expect(late.signal.reason).toMatchObject({ code: "event_bus.handler_timeout" });
    expect(await failureOf(() => late.commit([COUNT]))).toMatchObject({ code: "event_bus.handler_timeout" });
    const refused = await failureOf(() => over.commit([COUNT]));
    expect(refused).toMatchObject({ code: "event_bus.closed" });
    expect(refused.message).toContain("this call of the handler is over");
    expect(await counted(db)).toBe(0);
  });

  test("or not, a handler that has ended is not told to give up", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 3);
    const signals: AbortSignal[] = [];
    const { consumer } = await noting(bus, "one", { retry: { attempts: 1 } }, (event, { commit, signal }) => {
      signals.push(signal);
      if (event.position === 2) throw new Error("no");
      return event.position === 1 ? commit([COUNT]) : undefined;
    });
    await untilAt(db, "one", 3);
    await consumer.stop();
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, false, false]);
  });

  test("that was begun in time counts, though the handler is given up while it waits", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus({ clock });
    const problems = problemsOf(bus);
    await tell(bus, 2, (i) => ({ run: `r${i}` }));
    const { opened, open } = latch();
    const { seen } = await noting(
      bus,
      "one",
      { ...LONG_LEASE, timeout: 1_000, concurrency: 2 },
      async ({ position }, { commit, attempt }) => {
        if (position === 2) return commit([COUNT]);
        if (attempt === 1) await new Promise(() => {});
        return opened;
      },
    );
    await until(() => seen.length === 2);
    await clock.advance(1_000);
    open();
    await until(async () => {
      await clock.advance(100);
      return (await rowOf(db, "one")).position === 2;
    });
    expect(seen).toEqual([1, 2, 1]);
    expect(await counted(db)).toBe(1);
    expect(problems).toMatchObject([{ code: "event_bus.handler_timeout", position: 2 }]);
  });

  test("with an event that was told before answers its place, and does all the rest", async () => {
    const { db, bus } = await freshBus({ clock: new VirtualClock() }); // else it is past what it told in a second
    const known = { type: "thing.known", eventId: "known" };
    await bus.publish(known);
    await tell(bus, 1);
    const placed: unknown[] = [];
    const options = { ...LONG_LEASE, filter: { types: "thing.told" } };
    await bus.consumer("one", options, async (_, { commit }) => {
      const events = [known, { type: "thing.new", eventId: "new" }];
      placed.push(await commit({ statements: [COUNT], events }), (await rowOf(db, "one")).position);
    });
    await until(() => placed.length === 2);
    expect(placed).toEqual([[{ position: 1 }, { position: 3 }], 2]);
    expect(await counted(db)).toBe(1);
  });

  test("with nothing but an event that was told before is fenced, and moves it along", async () => {
    const { db, bus } = await freshBus();
    await bus.publish({ type: "thing.known", eventId: "known" });
    await tell(bus, 1);
    const filter = { types: "thing.told" };
    const { opened, open } = latch();
    const outcomes: unknown[] = [];
    const first = busOn(db);
    problemsOf(first);
    const handler: ConsumerHandler = async (_, { commit }) => {
      const events = [{ type: "thing.known", eventId: "known" }];
      outcomes.push(await commit({ statements: [COUNT], events }).catch((error: unknown) => error));
    };
    const held = await noting(first, "one", { ...LONG_LEASE, filter }, async (...call) => {
      await opened;
      await handler(...call);
    });
    await until(() => held.seen.length === 1);
    await expireLeases(db);
    await bus.consumer("one", { filter }, handler);
    await until(() => outcomes.length === 1);
    open();
    await until(() => outcomes.length === 2);
    expect(outcomes).toMatchObject([[{ position: 1 }], { code: "event_bus.lease_lost" }]);
    expect(await rowOf(db, "one")).toMatchObject({ position: 2 });
    expect(await counted(db)).toBe(1);
  });

  test("with an event that was told before and says something else leaves nothing", async () => {
    const { db, bus } = await freshBus();
    await bus.publish({ type: "thing.known", eventId: "known" });
    await tell(bus, 1);
    const options = { filter: { types: "thing.told" }, retry: { attempts: 1 } };
    await bus.consumer("one", options, (_, { commit }) =>
      commit({ statements: [COUNT], events: [{ type: "thing.other", eventId: "known" }] }),
    );
    await untilAt(db, "one", 2);
    expect(await counted(db)).toBe(0);
    expect(await bus.consumers.deadLetters("one")).toMatchObject([
      { reason: { code: "event_bus.event_conflict" } },
    ]);
  });

  test("with a statement that fails leaves nothing, and the event is tried again", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 2);
    const options = { retry: AT_ONCE, filter: { types: "thing.told" } };
    const { seen } = await noting(bus, "one", options, (_, { commit, attempt }) =>
      commit({
        statements: attempt < 3 ? [COUNT, surql`THROW "no"`] : [COUNT],
        events: [{ type: "thing.done" }],
      }).catch(() => {}),
    );
    await untilAt(db, "one", 4);
    expect(seen).toEqual([1, 1, 1, 2, 2, 2]);
    expect(await counted(db)).toBe(2);
    expect((await bus.history({ types: "thing.done" })).events).toHaveLength(2);
  });

  test("with events that cannot be told leaves nothing, and takes nobody else's place", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 3);
    await bus.consumer("one", { retry: { attempts: 1 } }, ({ position }, { commit }) =>
      commit({ statements: [COUNT], events: position === 2 ? [{ type: "No Type" }] : [] }),
    );
    await untilAt(db, "one", 3);
    expect(await counted(db)).toBe(2);
    expect(await bus.consumers.deadLetters("one")).toMatchObject([
      { position: 2, reason: { code: "event_bus.invalid_event" } },
    ]);
  });

  test("then a throw is told of, and not tried again", async () => {
    const { db, bus } = await freshBus();
    const problems = problemsOf(bus);
    await tell(bus, 2);
    const { seen } = await noting(bus, "one", { retry: AT_ONCE }, async (_, { commit }) => {
      await commit([COUNT]);
      throw new Error("too late");
    });
    await untilAt(db, "one", 2);
    await until(() => problems.length === 2);
    expect(seen).toEqual([1, 2]);
    expect(problems).toMatchObject([
      { message: "too late", position: 1 },
      { message: "too late", position: 2 },
    ]);
    expect(await bus.consumers.deadLetters("one")).toEqual([]);
  });

  test("of nothing but the position, and one that nobody waits for, are fine", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 2);
    await bus.consumer("one", {}, ({ position }, { commit }) => {
      void commit(position === 1 ? [] : {});
    });
    await untilAt(db, "one", 2);
    expect(await rowOf(db, "one")).toMatchObject({ handled: 2 });
  });

  /** Two have handled an event when the first one's lease has gone to the second. @returns how often it was counted */
  async function zombie(effect: (db: Database) => ConsumerHandler): Promise<number> {
    const { db, bus } = await freshBus();
    await tell(bus, 3);
    const { opened, open } = latch();
    const refused: unknown[] = [];
    const first = busOn(db);
    problemsOf(first);
    const held = await noting(first, "one", LONG_LEASE, async (event, handling) => {
      await opened;
      await Promise.resolve(effect(db)(event, handling)).catch((error: unknown) => refused.push(error));
    });
    await until(() => held.seen.length === 1);
    await expireLeases(db);
    await bus.consumer("one", {}, effect(db));
    await untilAt(db, "one", 3);
    open();
    await first.close();
    expect(held.seen).toEqual([1]);
    for (const error of refused)
      expect(error).toMatchObject({
        code: "event_bus.lease_lost",
        outcome: "not_applied",
        message: expect.stringContaining("nothing was committed") as string,
      });
    return counted(db);
  }

  test("of one whose lease has gone to somebody else is refused", async () => {
    expect(await zombie(() => countInCommit)).toBe(3);
  });

  test("control: without the fence it is doubled", async () => {
    const unfenced = (db: Database) => (event: { position: number }) =>
      db.transaction([
        COUNT,
        surql`UPDATE consumer SET position = ${event.position} WHERE position < ${event.position}`,
      ]);
    await sabotage("no token", async () => expect(await zombie(unfenced)).toBe(3));
  });

  test("whose outcome nobody can tell ends the lease, and the next one knows", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus();
    await tell(bus, 5);
    const gate = gateOf(db);
    const worker = busOn(gate.db, { clock });
    let lost = 0;
    let isSilent = false;
    gate.keep(async (go, _, texts) => {
      if (isSilent && isSettling(texts)) throw answerLost();
      if (!texts.some((text) => text.includes("counter:effects")) || ++lost !== 3) return go();
      isSilent = true;
      await go();
      throw answerLost();
    });
    const refused: unknown[] = [];
    const options = { ...LONG_LEASE, timeout: 3_600_000 };
    const { seen } = await noting(worker, "one", options, async (_, { commit }) => {
      await commit([COUNT]).catch((error: unknown) => {
        refused.push(error);
        throw error;
      });
    });
    await until(() => isSilent);
    await until(async () => {
      await clock.advance(500); // nobody can be asked until the commit has to be over
      return (await rowOf(db, "one")).token >= 2;
    });
    isSilent = false;
    await clock.advance(1_000); // it is asked again
    await untilAt(db, "one", 5);
    expect(refused[0]).toMatchObject({ code: "event_bus.lease_lost", outcome: "unknown" });
    expect((refused[0] as Error).message).not.toContain("nothing was committed");
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.filter((position) => position === 3)).toEqual([3]);
    expect(await counted(db)).toBe(5);
  });

  test("is not hurt by a save before it that failed", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus({ clock });
    await tell(bus, 4);
    const gate = gateOf(db);
    const worker = busOn(gate.db, { clock, timeout: 30_000 });
    const problems = problemsOf(worker);
    const busy = new DbError({ code: "db.conflict", message: "busy", retryable: true });
    let refused = 0;
    let isBusy = true;
    gate.keep((go, _, texts) => {
      if (!isBusy || !texts.some(isSave)) return go();
      refused++;
      return Promise.reject(busy);
    });
    const { opened, open } = latch();
    const { seen } = await noting(
      worker,
      "one",
      { ...LONG_LEASE, timeout: 3_600_000 },
      async ({ position }, { commit }) => {
        if (position !== 2) return;
        await opened;
        await commit([COUNT]);
      },
    );
    await until(() => seen.length === 2 && refused > 0);
    await clock.advance(20_000);
    open();
    await until(async () => {
      await clock.advance(500); // the save is given up, and the commit is next
      isBusy = !problems.some(({ code }) => code === "event_bus.timeout");
      return (await rowOf(db, "one")).position === 4;
    });
    expect(seen).toEqual([1, 2, 3, 4]);
    expect(await counted(db)).toBe(1);
    expect((await rowOf(db, "one")).token).toBe(1);
    expect(problems.map(({ code }) => code)).toEqual(["event_bus.timeout"]);
  });
});

describe("what fails", () => {
  test("is tried again after pauses that double, up to a most", async () => {
    const clock = new VirtualClock();
    const { bus } = await freshBus({ clock });
    await tell(bus, 1);
    const tries: { attempt: number; at: number }[] = [];
    const retry = { attempts: 6, first: 1_000, max: 4_000 };
    await bus.consumer("one", { ...LONG_LEASE, retry }, (_, { attempt }) => {
      tries.push({ attempt, at: clock.now() });
      throw new Error("no");
    });
    await until(async () => {
      await clock.advance(50);
      return (await bus.consumers.status("one")).dead === 1;
    });
    expect(tries.map(({ attempt }) => attempt)).toEqual(range(6));
    const pauses = tries.slice(1).map(({ at }, i) => at - tries[i]!.at);
    pauses.forEach((pause, i) => expect(pause).toBeLessThanOrEqual(Math.min(4_000, 1_000 * 2 ** i)));
    expect(pauses.some((pause) => pause > 50)).toBe(true);
  });

  test("does not wait for time that does not pass", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus({ clock });
    await tell(bus, 2, (i) => ({ run: `r${i}` }));
    const options = { ...LONG_LEASE, concurrency: 2, retry: { first: 3_600_000, max: 3_600_000 } };
    const { seen } = await noting(bus, "one", options, ({ position }) => {
      if (position === 1) throw new Error("no");
    });
    await until(() => seen.length === 2);
    await db.query(surql`RETURN 1`);
    expect(seen).toEqual([1, 2]);
    await until(async () => {
      await clock.advance(3_600_000);
      return seen.length > 2;
    });
    expect(seen.slice(0, 3)).toEqual([1, 2, 1]);
  });

  test("that says it is of no use is not tried again", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 2);
    const { seen } = await noting(bus, "one", {}, ({ position }) => {
      if (position === 1)
        throw Object.assign(new Error("bad address", { cause: new TypeError("no @") }), {
          retryable: false,
          code: "E_ADDRESS",
        });
    });
    await untilAt(db, "one", 2);
    expect(seen).toEqual([1, 2]);
    expect(await bus.consumers.deadLetters("one")).toMatchObject([
      {
        position: 1,
        attempts: 1,
        redrives: 0,
        status: "dead",
        reason: {
          message: "bad address",
          code: "E_ADDRESS",
          causes: [{ name: "TypeError", message: "no @" }],
        },
      },
    ]);
  });

  const strange: [string, () => unknown][] = [
    ["undefined", () => undefined],
    ["a text", () => "no"],
    ["a symbol", () => Symbol("no")],
    ["an object that has no text", () => Object.create(null)],
    ["an error with a number for a name", () => Object.assign(new Error("no"), { name: 5 })],
    [
      "an error that throws when it is looked at",
      () =>
        Object.defineProperty(new Error("no"), "message", {
          get: () => {
            throw new Error("worse");
          },
        }),
    ],
    ["NUL and half a character", () => new Error("a\u0000b\ud800")],
    ["a very long text", () => new Error("x".repeat(1_000_000))],
  ];
  test.for(strange)("is kept, whatever it throws: %s", async ([, thrown]) => {
    const { db, bus } = await freshBus();
    await tell(bus, 3);
    const { seen } = await noting(bus, "one", { retry: { attempts: 2, ...AT_ONCE } }, ({ position }) => {
      if (position === 2) throw thrown();
    });
    await untilAt(db, "one", 3);
    expect(seen).toEqual([1, 2, 2, 3]);
    const [letter] = await bus.consumers.deadLetters("one");
    expect(letter).toMatchObject({ position: 2, attempts: 2, event: { type: "thing.told", data: 2 } });
    expect(Buffer.byteLength(letter!.reason.message)).toBeLessThanOrEqual(limits.errorBytes);
  });

  test("or hangs, is told so by its signal, and becomes a dead letter while others proceed", async () => {
    const clock = new VirtualClock();
    const { bus, db } = await freshBus({ clock });
    await tell(bus, 4);
    const signals: AbortSignal[] = [];
    const options = { ...LONG_LEASE, timeout: 1_000, retry: { attempts: 2, ...AT_ONCE } };
    const { seen } = await noting(bus, "one", options, ({ position }, { signal }) => {
      if (position !== 2) return undefined;
      signals.push(signal);
      return new Promise(() => {});
    });
    await until(async () => {
      await clock.advance(100);
      return (await rowOf(db, "one")).position === 4;
    });
    expect(seen).toEqual([1, 2, 2, 3, 4]);
    expect(signals.map(({ reason }) => (reason as { code: string }).code)).toEqual([
      "event_bus.handler_timeout",
      "event_bus.handler_timeout",
    ]);
    expect(await bus.consumers.deadLetters("one")).toMatchObject([
      { position: 2, reason: { code: "event_bus.handler_timeout" } },
    ]);
  });

  test("because the database is busy is no dead letter, and nothing stands still", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 3);
    const gate = gateOf(db);
    const worker = busOn(gate.db, { timeout: 1_000 });
    const problems = problemsOf(worker);
    const busy = new DbError({ code: "db.conflict", message: "busy", retryable: true });
    let refused = 0;
    gate.keep((go, _, texts) =>
      texts.some((text) => text.includes("INSERT INTO dead_letter")) &&
      (refused++ < 30 || problems.length === 0)
        ? Promise.reject(busy)
        : go(),
    );
    await noting(worker, "one", { retry: { attempts: 1 } }, ({ position }) => {
      if (position === 2) throw new Error("no");
    });
    await untilAt(db, "one", 3);
    expect(refused).toBeGreaterThan(20);
    expect(problems).toContainEqual(expect.objectContaining({ code: "event_bus.timeout" }));
    expect(await bus.consumers.deadLetters("one")).toMatchObject([{ position: 2, attempts: 1 }]);
  });

  test("in the bus itself ends the term, not the consumer, and does not come round hot", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus({ clock });
    await tell(bus, 3);
    const gate = gateOf(db);
    const worker = busOn(gate.db, { clock });
    const problems = problemsOf(worker);
    let isBroken = true;
    gate.keep((go, _, texts) =>
      isBroken && texts.some((text) => text.includes("INSERT INTO dead_letter"))
        ? Promise.reject(new DbError({ code: "db.invalid_field", message: "cannot be kept" }))
        : go(),
    );
    await noting(worker, "one", { ...LONG_LEASE, retry: { attempts: 1 } }, ({ position }) => {
      if (position === 2) throw new Error("no");
    });
    const began = clock.now();
    await until(async () => {
      await clock.advance(100);
      return problems.length >= 4;
    });
    expect(problems.length).toBeLessThanOrEqual(1 + (clock.now() - began) / 1_000);
    expect(problems).toMatchObject(problems.map(() => ({ code: "db.invalid_field" })));
    isBroken = false;
    await until(async () => {
      await clock.advance(1_000);
      return (await rowOf(db, "one")).position === 3;
    });
    expect(await bus.consumers.deadLetters("one")).toMatchObject([{ position: 2 }]);
  });
});

describe("dead letters", () => {
  /** A consumer whose handler fails for some positions, as long as it is told to. */
  async function failing(
    db: Database,
    bad: Set<number>,
    options: ConsumerOptions = {},
    effect?: ConsumerHandler,
  ) {
    const bus = busOn(db);
    const noted = await noting(bus, "one", { retry: { attempts: 1 }, ...options }, (event, handling) => {
      if (bad.has(event.position)) throw new Error(`not ${event.position}`);
      return effect?.(event, handling);
    });
    return { bus, ...noted };
  }

  test("are all tried again when asked for, or those at some positions", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 6);
    const bad = new Set([2, 4, 6]);
    const { bus: worker, seen } = await failing(db, bad);
    await untilAt(db, "one", 6);
    expect(await worker.consumers.status("one")).toMatchObject({ dead: 3, queued: 0, handled: 6, lag: 0 });
    bad.clear();
    expect(await worker.consumers.redrive("one", [4, 4, 5, 77])).toBe(1);
    await until(() => seen.length === 7);
    await until(async () => (await bus.consumers.deadLetters("one")).length === 2);
    expect(await worker.consumers.redrive("one", [])).toBe(0);
    expect(await worker.consumers.redrive("one")).toBe(2);
    await until(async () => (await bus.consumers.deadLetters("one")).length === 0);
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 4, 2, 6]);
  });

  test("come in pages, by position", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 5);
    await failing(db, new Set(range(5)));
    await untilAt(db, "one", 5);
    const positions = async (page?: object) =>
      (await bus.consumers.deadLetters("one", page)).map(({ position }) => position);
    expect(await positions()).toEqual([1, 2, 3, 4, 5]);
    expect(await positions({ after: 2, limit: 2 })).toEqual([3, 4]);
    expect(await positions({ after: 5 })).toEqual([]);
  });

  test("that another bus asks for are taken up with the next renewal", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 2);
    const bad = new Set([1]);
    const { seen } = await failing(db, bad, { lease: 3_000 });
    await untilAt(db, "one", 2);
    bad.clear();
    expect(await bus.consumers.redrive("one")).toBe(1);
    await until(() => seen.length === 3);
    await until(async () => (await bus.consumers.status("one")).queued === 0);
    expect(seen).toEqual([1, 2, 1]);
  });

  test("that nobody works on wait, and are taken up first", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 2);
    const bad = new Set([1]);
    const { consumer } = await failing(db, bad);
    await untilAt(db, "one", 2);
    await consumer.stop();
    bad.clear();
    expect(await bus.consumers.redrive("one")).toBe(1);
    expect(await bus.consumers.status("one")).toMatchObject({ dead: 0, queued: 1 });
    const { seen } = await failing(db, bad);
    await until(async () => (await bus.consumers.status("one")).queued === 0);
    expect(seen).toEqual([1]);
  });

  test("that fail again are dead again, with how often and why", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 1);
    const { bus: worker } = await failing(db, new Set([1]));
    await untilAt(db, "one", 1);
    for (const redrives of [1, 2]) {
      await worker.consumers.redrive("one");
      await until(async () => (await bus.consumers.deadLetters("one"))[0]!.redrives === redrives);
    }
    expect(await bus.consumers.deadLetters("one")).toMatchObject([
      {
        position: 1,
        status: "dead",
        attempts: 1,
        redrives: 2,
        reason: { message: "not 1" },
        event: { data: 1 },
      },
    ]);
  });

  test("commit exactly once, whatever answer is lost", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 3);
    const bad = new Set([1, 2, 3]);
    const gate = gateOf(db);
    const { bus: worker } = await failing(gate.db, bad, {}, (_, { commit }) => commit([COUNT]));
    problemsOf(worker);
    await untilAt(db, "one", 3);
    bad.clear();
    let lost = 0;
    gate.keep(async (go, _, texts) => {
      const answer = await go();
      if (texts.some((text) => text.includes("counter:effects")) && lost++ < 2) throw answerLost();
      return answer;
    });
    await worker.consumers.redrive("one");
    await until(async () => (await bus.consumers.deadLetters("one")).length === 0);
    expect(lost).toBeGreaterThan(1);
    expect(await counted(db)).toBe(3);
  });

  test("are done with once they commit, though all they tell was told before", async () => {
    const { db, bus } = await freshBus();
    await bus.publish({ type: "thing.known", eventId: "known" });
    await tell(bus, 1);
    const bad = new Set([2]);
    const filter = { types: "thing.told" };
    const { bus: worker, seen } = await failing(db, bad, { filter }, (_, { commit }) =>
      commit({ statements: [COUNT], events: [{ type: "thing.known", eventId: "known" }] }),
    );
    await untilAt(db, "one", 2);
    bad.clear();
    await worker.consumers.redrive("one");
    await until(async () => (await bus.consumers.deadLetters("one")).length === 0);
    expect(seen).toEqual([2, 2]);
    expect(await counted(db)).toBe(1);
  });

  test("keep their event when the log is trimmed", async () => {
    const { db, bus } = await freshBus();
    await bus.publish({
      type: "order.placed",
      data: { deep: { list: [1, null, "é"] } },
      eventId: "o1",
      run: "r1",
    });
    const [event] = (await bus.history()).events;
    const bad = new Set([1]);
    const events: unknown[] = [];
    const { bus: worker } = await failing(db, bad, {}, (event) => events.push(event));
    await tell(bus, 3);
    await untilAt(db, "one", 4);
    await bus.trim({ keep: 0 });
    expect((await bus.history()).events).toEqual([]);
    bad.clear();
    events.length = 0;
    await worker.consumers.redrive("one");
    await until(() => events.length === 1);
    expect(events).toEqual([event]);
    expect(Object.isFrozen((events[0] as { data: { deep: object } }).data.deep)).toBe(true);
  });

  test("of other consumers, whose names begin the same, are left alone", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 2);
    const names = ["a", "a.b", "a:b", "a-", "A", "a0"];
    for (const name of names)
      await noting(bus, name, { retry: { attempts: 1 } }, () => {
        throw new Error(name);
      });
    for (const name of names) await untilAt(db, name, 2);
    expect(await bus.consumers.list()).toEqual(names.toSorted());
    for (const name of names)
      expect(await bus.consumers.deadLetters(name)).toMatchObject([
        { consumer: name, position: 1, reason: { message: name } },
        { consumer: name, position: 2, reason: { message: name } },
      ]);
    await bus.consumers.remove("a");
    expect(await bus.consumers.list()).toEqual(names.filter((name) => name !== "a").toSorted());
    expect(await bus.consumers.redrive("a.b")).toBe(2);
    await until(async () => (await bus.consumers.deadLetters("a.b")).every(({ redrives }) => redrives === 1));
    for (const name of ["a:b", "A"])
      expect(await bus.consumers.status(name)).toMatchObject({ dead: 2, queued: 0 });
  });

  test("do not overlap the events of their run, nor are there more at once than it was told", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 1, () => ({ run: "r" }));
    const bad = new Set([1]);
    const under: number[] = [];
    const { opened, open } = latch();
    const { bus: worker, seen } = await failing(db, bad, {}, async ({ position }) => {
      under.push(position);
      expect(under).toHaveLength(1);
      if (position === 2) await opened;
      else await db.query(surql`RETURN 1`);
      under.pop();
    });
    await untilAt(db, "one", 1);
    bad.clear();
    await tell(bus, 20, () => ({ run: "r" }));
    await until(() => under.length === 1);
    await worker.consumers.redrive("one");
    open();
    await untilAt(db, "one", 21);
    await until(async () => (await bus.consumers.status("one")).queued === 0);
    expect(seen.toSorted((a, b) => a - b)).toEqual([1, ...range(21)]);
    expect(await bus.consumers.deadLetters("one")).toEqual([]);
  });

  test("that end the process are dead again in the end, and hold up nobody for ever", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 3);
    const { consumer } = await failing(db, new Set([2]));
    await untilAt(db, "one", 3);
    await consumer.stop();
    await bus.consumers.redrive("one");
    await tell(bus, 3);
    let deaths = 0;
    const options = { retry: { attempts: 3 } };
    for (const _ of range(3)) {
      const mortal = mortalBus(db);
      const { opened, open } = latch();
      await mortal.bus.consumer("one", options, ({ position }) => {
        if (position !== 2) return undefined;
        deaths++;
        mortal.die();
        open();
        return new Promise(() => {});
      });
      await opened;
      await expireLeases(db);
    }
    const { seen } = await noting(bus, "one", options);
    await untilAt(db, "one", 6);
    await until(async () => (await bus.consumers.status("one")).queued === 0); // those that died may have come as far
    expect(deaths).toBe(3);
    expect(seen).not.toContain(2);
    expect(await bus.consumers.deadLetters("one")).toMatchObject([
      { position: 2, status: "dead", redrives: 1, reason: { code: "event_bus.process_ended" } },
    ]);
  });
});

describe("stopping", () => {
  test("waits for what is under way, calls nobody afterwards, saves and gives back", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 10);
    const { opened, open } = latch();
    let ended = 0;
    const { consumer, seen } = await noting(bus, "one", {}, async ({ position }) => {
      if (position === 4) await opened;
      ended++;
    });
    await until(() => seen.length === 4);
    let isStopped = false;
    const stopped = consumer.stop().then(() => (isStopped = true));
    await db.query(surql`RETURN 1`);
    expect(isStopped).toBe(false);
    open();
    await stopped;
    expect([seen, ended]).toEqual([[1, 2, 3, 4], 4]);
    const { position, lease } = await rowOf(db, "one");
    expect({ position, lease }).toEqual({ position: 4, lease: undefined });
    expect(consumer.partitions).toEqual([]);
    await tell(bus, 3);
    await db.query(surql`RETURN 1`);
    expect(seen).toHaveLength(4);
  });

  test("hands over to somebody else within a look", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus();
    await tell(bus, 2);
    const first = await noting(bus, "one");
    await untilAt(db, "one", 2);
    const calls = callsOf(db);
    const second = await noting(busOn(db, { clock }), "one", LONG_LEASE);
    await until(() => calls.some(isClaim)); // in vain, and the next look is by the clock
    await first.consumer.stop();
    await tell(bus, 2);
    await clock.advance(1_000);
    await untilAt(db, "one", 4);
    expect([first.seen, second.seen]).toEqual([
      [1, 2],
      [3, 4],
    ]);
  });

  test("ends handlers at the deadline, saves what is settled, and gives back at once", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus({ clock });
    await tell(bus, 6, (i) => ({ run: `r${i}` }));
    const signals: AbortSignal[] = [];
    const { consumer, seen } = await noting(
      bus,
      "one",
      { ...LONG_LEASE, concurrency: 2, timeout: 3_600_000 },
      ({ position }, { signal }) => {
        if (position !== 4) return undefined;
        signals.push(signal);
        return new Promise(() => {});
      },
    );
    await until(() => seen.length === 6);
    const stopped = consumer.stop({ deadline: 500 });
    await clock.advance(499);
    expect(signals[0]!.aborted).toBe(false);
    await clock.advance(1);
    await stopped;
    expect(signals[0]!.aborted).toBe(true);
    expect(await rowOf(db, "one")).toMatchObject({ position: 3, handled: 5 });
    expect((await rowOf(db, "one")).lease).toBe(undefined);
    const next = await noting(busOn(db), "one");
    await untilAt(db, "one", 6);
    expect(next.seen).toEqual([4, 5, 6]);
    expect(await bus.consumers.deadLetters("one")).toEqual([]);
  });

  test("waits neither for a pause between tries, nor for what waits for that event", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus({ clock });
    await tell(bus, 400, (i) => ({ run: `r${i}` }));
    const retry = { first: 3_600_000, max: 3_600_000 };
    let commits = 0;
    const { consumer, seen } = await noting(
      bus,
      "one",
      { ...LONG_LEASE, concurrency: 8, retry, timeout: 3_600_000 },
      ({ position }, { commit }) => {
        if (position === 1) throw new Error("no");
        if (position > 200 || ++commits > 2) return undefined;
        return commit([COUNT]);
      },
    );
    await until(() => seen.length === WINDOW);
    await consumer.stop(); // and time stands still
    expect(await counted(db)).toBe(0);
    expect(await rowOf(db, "one")).toMatchObject({ position: 0 });
    expect((await rowOf(db, "one")).lease).toBe(undefined);
    expect(seen).toHaveLength(WINDOW);
  });

  test("does not wait for the window to have room", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus({ clock });
    await tell(bus, 400, (i) => ({ run: `r${i}` }));
    const options = { ...LONG_LEASE, concurrency: 2, retry: { first: 3_600_000, max: 3_600_000 } };
    const { consumer, seen } = await noting(bus, "one", options, ({ position }) => {
      if (position === 1) throw new Error("no");
    });
    await until(() => seen.length === WINDOW);
    await consumer.stop();
    expect((await rowOf(db, "one")).lease).toBe(undefined);
  });

  test("can be asked for twice, and by the handler itself", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 5);
    const { consumer, seen } = await noting(bus, "one", {}, async ({ position }) => {
      if (position === 2) await consumer.stop();
    });
    await until(async () => (await rowOf(db, "one")).lease === undefined && seen.length === 2);
    await Promise.all([consumer.stop(), consumer.stop()]);
    await using _ = consumer;
    expect(seen).toEqual([1, 2]);
    expect(await rowOf(db, "one")).toMatchObject({ position: 2 });
  });

  test("while a lease is being claimed gives it back, and calls nobody", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 5);
    const gate = gateOf(db);
    const worker = busOn(gate.db);
    await worker.follow().return(undefined);
    await worker.history();
    const { opened, open } = latch();
    let claims = 0;
    gate.keep(async (go, _, texts) => {
      if (!texts.some(isClaim)) return go();
      claims++;
      await opened;
      return go();
    });
    const { consumer, seen } = await noting(worker, "one");
    await until(() => claims === 1);
    const stopped = consumer.stop();
    const closed = worker.close();
    open();
    await Promise.all([stopped, closed]);
    expect(seen).toEqual([]);
    const { lease, token } = await rowOf(db, "one");
    expect({ lease, token }).toEqual({ lease: undefined, token: 1 });
  });

  test("ends though the database does not answer, and calls nobody when it does again", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus();
    await tell(bus, 5);
    const gate = gateOf(db);
    const worker = busOn(gate.db, { clock });
    const { opened, open } = latch();
    let held = 0;
    gate.keep(async (go, _, texts) => {
      if (texts.some((text) => isSave(text))) {
        held++;
        await opened;
      }
      return go();
    });
    const { consumer, seen } = await noting(worker, "one", LONG_LEASE);
    await until(() => held > 0 && seen.length === 5);
    let isStopped = false;
    const stopped = consumer.stop({ deadline: 1_000 }).then(() => (isStopped = true));
    await clock.advance(1_000);
    expect(isStopped).toBe(false);
    await clock.advance(1_000);
    await stopped;
    open();
    await tell(bus, 3);
    await worker.close();
    expect(seen).toHaveLength(5);
  });

  test("comes by itself when the database is closed", async () => {
    const { db, bus } = await freshBus();
    problemsOf(bus);
    await tell(bus, 2);
    const one = await noting(bus, "one", { lease: 3_000 });
    const many = await noting(bus, "many", { partitions: 2, lease: 3_000 });
    await untilAt(db, "one", 2);
    await until(() => many.seen.length === 2);
    await db.close();
    await Promise.all([one.consumer.ended, many.consumer.ended]);
    expect([one.consumer.partitions, many.consumer.partitions]).toEqual([[], []]);
  });

  test("is the last the bus knows of a consumer", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 1);
    const { consumer } = await noting(bus, "one");
    await untilAt(db, "one", 1);
    let looks = 0;
    consumer.look = () => void looks++;
    await bus.replay("one", { from: 1 });
    expect(looks).toBe(1);
    await consumer.stop();
    await bus.replay("one", { from: 1 });
    expect(looks).toBe(1);
  });

  test("closing the bus stops all of its consumers", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 3);
    const one = await noting(bus, "one");
    const two = await noting(bus, "two", { partitions: 4 });
    await untilAt(db, "one", 3);
    await until(() => two.seen.length === 3);
    await bus.close();
    expect(await db.query(surql`SELECT VALUE lease FROM consumer WHERE lease != NONE`)).toEqual([]);
    expect(await db.query(surql`SELECT * FROM consumer_member`)).toEqual([]);
    expect(await failureOf(() => bus.consumer("three", {}, () => {}))).toMatchObject({
      code: "event_bus.closed",
    });
    expect(one.seen).toEqual([1, 2, 3]);
  });
});

describe("leases", () => {
  test("are renewed as long as a handler takes", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus();
    await tell(bus, 2);
    const { opened, open } = latch();
    const options = { lease: 600_000, timeout: 3_600_000 };
    const { seen } = await noting(busOn(db, { clock }), "one", options, () => opened);
    await until(() => seen.length === 1);
    const other = await noting(bus, "one", options);
    const leasedUntil = async () => (await rowOf(db, "one")).lease!.until.getTime();
    const { token } = await rowOf(db, "one");
    const end = clock.now() + 2 * options.lease;
    while (clock.now() < end) {
      const before = await leasedUntil();
      await until(async () => {
        await clock.advance(options.lease / 30);
        return (await leasedUntil()) > before;
      });
    }
    open();
    await untilAt(db, "one", 2);
    expect([seen, other.seen]).toEqual([[1, 2], []]);
    expect((await rowOf(db, "one")).token).toBe(token);
  });

  test("of one that has slept are asked for before it calls again", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus();
    await tell(bus, 3);
    const gate = gateOf(db);
    const sleeper = busOn(gate.db, { clock });
    const problems = problemsOf(sleeper);
    const { opened, open } = latch();
    const first = await noting(sleeper, "one", { timeout: 3_600_000 }, () => opened);
    await until(() => first.seen.length === 1);
    gate.hold(); // it is frozen: nothing it asks for gets away
    await expireLeases(db);
    const second = await noting(bus, "one");
    await untilAt(db, "one", 3);
    await clock.advance(60_000);
    open();
    await db.query(surql`RETURN 1`);
    gate.release();
    await until(() => sleeper.consumers && first.consumer.partitions.length === 0);
    expect(first.seen).toEqual([1]);
    expect(second.seen).toEqual([1, 2, 3]);
    expect(problems.filter(({ code }) => code !== "event_bus.lease_lost")).toEqual([]);
  });

  const isRenewal = (text: string) => text.includes("SET lease.until =");
  /** One handles an event, on a clock, behind a gate. */
  async function atWork(clock: SettableClock) {
    const { db, bus } = await freshBus();
    await tell(bus, 2);
    const gate = gateOf(db);
    const worker = busOn(gate.db, { clock });
    const problems = problemsOf(worker);
    const { opened, open } = latch();
    const signals: AbortSignal[] = [];
    const options = { lease: 9_000, timeout: 3_600_000 };
    const { seen } = await noting(worker, "one", options, (_, { signal }) => {
      signals.push(signal);
      return opened;
    });
    await until(() => signals.length === 1);
    return { db, bus, gate, problems, open, seen, signal: signals[0]! };
  }

  const silences: [string, (gate: Gate) => void][] = [
    ["fail", (gate) => gate.keep(() => Promise.reject(answerLost()))],
    ["hang", (gate) => gate.hold()],
  ];
  test.for(silences)(
    "are given up before they end when renewals %s, wherever the clock is set",
    async ([, silence]) => {
      const clock = new SettableClock();
      const { gate, signal } = await atWork(clock);
      silence(gate);
      clock.setBy = -3_600_000;
      await clock.advance(8_000);
      expect(signal.aborted).toBe(false);
      await clock.advance(999);
      expect(signal.reason).toMatchObject({ code: "event_bus.lease_lost" });
      gate.release();
    },
  );

  test("are asked for again soon when that has failed", async () => {
    const clock = new SettableClock();
    const { db, gate, signal, problems, open } = await atWork(clock);
    const calls = callsOf(db);
    gate.keep((go, _, texts) => (texts.some(isRenewal) ? Promise.reject(answerLost()) : go()));
    await clock.advance(3_000);
    expect(problems).toMatchObject([{ code: "db.connection_lost" }]);
    gate.keep(undefined);
    await clock.advance(1_000);
    await until(() => calls.some(isRenewal));
    await clock.advance(5_000);
    expect(signal.aborted).toBe(false);
    open();
  });

  test("of one whose timers slept too are asked for before it calls again", async () => {
    const clock = new SettableClock();
    const { db, bus, open, seen } = await atWork(clock);
    await expireLeases(db);
    const other = await noting(bus, "one");
    await untilAt(db, "one", 2);
    clock.setBy = 60_000;
    open();
    await until(async () => {
      await clock.advance(1);
      return (await rowOf(db, "one")).position === 2;
    });
    await db.query(surql`RETURN 1`);
    expect([seen, other.seen]).toEqual([[1], [1, 2]]);
  });

  test("of one that is taken for gone are shared out to it again, wherever its clock is set", async () => {
    const clock = new SettableClock();
    const { db } = await freshBus();
    const bus = busOn(db, { clock });
    const { consumer } = await noting(bus, "one", { ...LONG_LEASE, partitions: 2 });
    await until(() => consumer.partitions.length === 2);
    clock.setBy = -3_600_000;
    await db.query(surql`UPDATE consumer_member SET until = time::now() - 1s`);
    await until(async () => {
      await clock.advance(1_000);
      return (await db.query(surql<unknown[]>`SELECT * FROM consumer_member WHERE until > time::now()`))
        .length;
    });
    expect(consumer.partitions).toEqual([0, 1]);
    expect((await rowOf(db, "one")).token).toBe(1);
  });

  test("of processes that are long gone are forgotten, and nobody else's", async () => {
    const { db, bus } = await freshBus();
    await bus.history();
    const member = (name: string, worker: string, ended: string) =>
      db.query(
        surql`CREATE consumer_member SET id = ${[name, worker]}, until = time::now() - <duration> ${ended}`,
      );
    await member("one", "w-long-gone", "61m");
    await member("one", "w-just-gone", "59m");
    await member("two", "w-long-gone", "61m");
    const { consumer } = await noting(bus, "one", { partitions: 2 });
    await until(() => consumer.partitions.length === 2);
    await consumer.stop();
    const members = await db.query(surql<string[]>`SELECT VALUE record::id(id)[1] FROM consumer_member`);
    expect(members).toEqual(["w-just-gone", "w-long-gone"]);
  });

  test("that were granted without an answer are taken up again, not waited for", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 2);
    const gate = gateOf(db);
    const worker = busOn(gate.db);
    const problems = problemsOf(worker);
    let lost = 0;
    gate.keep(async (go, _, texts) => {
      const answer = await go();
      if (texts.some(isClaim) && lost++ === 0) throw answerLost();
      return answer;
    });
    const { seen } = await noting(worker, "one", { lease: 3_600_000 });
    await untilAt(db, "one", 2);
    expect(seen).toEqual([1, 2]);
    expect(problems).toMatchObject([{ code: "db.connection_lost" }]);
  });

  test("partitions are shared out evenly, and those whose names come first have one more", () => {
    const members = ["w-c", "w-a", "w-b"];
    expect(members.map((worker) => shareOf(worker, members, 4))).toEqual([1, 2, 1]);
    expect(members.map((worker) => shareOf(worker, members, 2))).toEqual([0, 1, 1]);
    expect(shareOf("w-a", ["w-a"], 4)).toBe(4);
    expect(shareOf("w-gone", members, 4)).toBe(0);
    for (const partitions of range(12)) {
      const shares = members.map((worker) => shareOf(worker, members, partitions));
      expect(shares.reduce((sum, each) => sum + each)).toBe(partitions);
    }
  });

  test("partitions are regrouped when somebody joins, and when somebody leaves", async () => {
    const { db, bus } = await freshBus();
    const options = { partitions: 4 };
    const first = await noting(bus, "one", options);
    await until(() => first.consumer.partitions.length === 4);
    const second = await noting(busOn(db), "one", options);
    await until(() => first.consumer.partitions.length === 2 && second.consumer.partitions.length === 2);
    expect(new Set([...first.consumer.partitions, ...second.consumer.partitions])).toEqual(
      new Set([0, 1, 2, 3]),
    );
    await tell(bus, 40, (i) => ({ run: `r${i % 10}` }));
    await until(() => first.seen.length + second.seen.length === 40);
    expect([...first.seen, ...second.seen].toSorted((a, b) => a - b)).toEqual(range(40));
    expect(Math.min(first.seen.length, second.seen.length)).toBeGreaterThan(0);
    await first.consumer.stop();
    await until(() => second.consumer.partitions.length === 4);
  });

  test("dead letters are taken up by who has their partition", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus();
    const options = { ...LONG_LEASE, partitions: 2, retry: { attempts: 1 } };
    let isBad = true;
    const handler: ConsumerHandler = () => {
      if (isBad) throw new Error("no");
    };
    const first = await noting(bus, "one", options, handler);
    const second = await noting(busOn(db, { clock }), "one", options, handler);
    await until(async () => {
      await clock.advance(1_000); // it looks for a partition that is free
      return first.consumer.partitions.length === 1 && second.consumer.partitions.length === 1;
    });
    await tell(bus, 20, (i) => ({ run: `r${i}` }));
    await until(async () => (await bus.consumers.status("one")).dead === 20);
    isBad = false;
    const before = [new Set(first.seen), new Set(second.seen)];
    first.seen.length = 0;
    second.seen.length = 0;
    expect(await bus.consumers.redrive("one")).toBe(20);
    await clock.advance(options.lease / 3);
    await until(async () => (await bus.consumers.deadLetters("one")).length === 0);
    expect([new Set(first.seen), new Set(second.seen)]).toEqual(before);
  });
});

describe("what can be asked", () => {
  test("how far it is, how fast, who works on it, and what it could not handle", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 10);
    const { opened, open } = latch();
    const { consumer, seen } = await noting(bus, "one", { retry: { attempts: 1 } }, ({ position }) => {
      if (position === 3) throw new Error("no");
      return position === 6 ? opened : undefined;
    });
    await until(() => seen.length === 6);
    await untilAt(db, "one", 5);
    const status = await bus.consumers.status("one");
    expect(status).toMatchObject({ name: "one", position: 5, lag: 5, handled: 5, dead: 1, queued: 0 });
    expect(status.rate).toBeGreaterThan(0);
    const [{ worker, leasedUntil, partition }] = status.partitions as [(typeof status.partitions)[0]];
    expect([partition, typeof worker]).toEqual([0, "string"]);
    expect(leasedUntil).toBeInstanceOf(Date);
    open();
    await untilAt(db, "one", 10);
    expect(await bus.consumers.status("one")).toMatchObject({ position: 10, lag: 0, handled: 10 });
    await db.query(surql`UPDATE consumer SET updatedAt = updatedAt - 1h`);
    expect((await bus.consumers.status("one")).rate).toBeLessThan(0.001); // nothing came for an hour
    await consumer.stop();
    const stopped = await bus.consumers.status("one");
    expect(stopped.partitions).toEqual([{ partition: 0, position: 10, lag: 0, handled: 10, rate: 0 }]);
    expect(await bus.consumers.list()).toEqual(["one"]);
  });

  test("removing forgets it with its dead letters, and whoever works on it stops", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 2);
    const { consumer, seen } = await noting(bus, "one", { retry: { attempts: 1 }, lease: 3_000 }, () => {
      throw new Error("no");
    });
    await untilAt(db, "one", 2);
    await bus.consumers.remove("one");
    expect(await failureOf(() => bus.consumers.status("one"))).toMatchObject({ code: "event_bus.not_found" });
    expect(await db.query(surql`SELECT * FROM dead_letter`)).toEqual([]);
    await until(() => consumer.partitions.length === 0);
    await tell(bus, 1);
    expect(seen).toEqual([1, 2]);
  });
});

describe("replay", () => {
  test("moves a consumer back, and it goes on from there", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 5);
    const { seen } = await noting(bus, "one");
    await untilAt(db, "one", 5);
    await bus.replay("one", { from: 4 });
    await until(() => seen.length === 7);
    await untilAt(db, "one", 5);
    expect(seen).toEqual([1, 2, 3, 4, 5, 4, 5]);
    await bus.replay("one", { from: 6 }); // to its end: nothing again
    await tell(bus, 1);
    await untilAt(db, "one", 6);
    expect(new Set(seen.slice(7))).toEqual(new Set([6])); // twice if it came before the move was noticed
  });

  test("goes on though what its handler tells was told the first time", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 3);
    const options = { filter: { types: "thing.told" } };
    await bus.consumer("one", options, ({ position }, { commit }) =>
      commit({ statements: [COUNT], events: [{ type: "thing.done", eventId: `done-${position}` }] }),
    );
    await until(async () => (await rowOf(db, "one")).position >= 3);
    await bus.replay("one", { from: 1 });
    await until(async () => (await rowOf(db, "one")).handled === 6);
    expect(await counted(db)).toBe(6);
    expect((await bus.history({ types: "thing.done" })).events).toHaveLength(3);
  });

  test("moves it while it works, and what was under way is not committed", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 6);
    const { opened, open } = latch();
    const { seen } = await noting(bus, "one", {}, async ({ position }, { commit }) => {
      if (position === 4 && seen.length === 4) await opened;
      await commit([COUNT]);
    });
    await until(() => seen.length === 4);
    await bus.replay("one", { from: 2 });
    open();
    await untilAt(db, "one", 6);
    expect(seen).toEqual([1, 2, 3, 4, 2, 3, 4, 5, 6]);
    expect(await counted(db)).toBe(3 + 5);
  });

  test("moves it forward while it works, and what is left out stays out", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 6);
    const { opened, open } = latch();
    const { seen } = await noting(bus, "one", {}, async ({ position }, { commit }) => {
      if (position === 2) await opened;
      await commit([COUNT]);
    });
    await until(() => seen.length === 2);
    await bus.replay("one", { from: 5 });
    open();
    await untilAt(db, "one", 6);
    expect(seen).toEqual([1, 2, 5, 6]);
    expect(await counted(db)).toBe(3);
  });

  test("moves all partitions, and one that nobody works on", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 12, (i) => ({ run: `r${i}` }));
    const { consumer, seen } = await noting(bus, "one", { partitions: 3 });
    await until(() => seen.length === 12);
    await consumer.stop();
    await bus.replay("one", { from: 7 });
    const { partitions } = await bus.consumers.status("one");
    expect(partitions.map(({ position }) => position)).toEqual([6, 6, 6]);
    const again = await noting(busOn(db), "one", { partitions: 3 });
    await until(() => again.seen.length === 6);
    expect(again.seen.toSorted((a, b) => a - b)).toEqual(range(6, 7));
  });

  test("to where there is nothing is refused, and moves nothing", async () => {
    const { db, bus } = await freshBus();
    await tell(bus, 5);
    await bus.consumer("one", {}, () => {});
    await untilAt(db, "one", 5);
    expect(await failureOf(() => bus.replay("one", { from: 7 }))).toMatchObject({
      code: "event_bus.position_ahead",
    });
    await bus.trim({ keep: 2 });
    expect(await failureOf(() => bus.replay("one", { from: 1 }))).toMatchObject({
      code: "event_bus.position_trimmed",
    });
    expect(await failureOf(() => bus.replay("two", { from: 5 }))).toMatchObject({
      code: "event_bus.not_found",
    });
    expect(await rowOf(db, "one")).toMatchObject({ position: 5, token: 1 });
  });

  test("calls a function for a range, and both ends belong to it", async () => {
    const { bus } = await freshBus();
    await tell(bus, 12, (i) => ({ type: i % 2 ? "odd.told" : "even.told", run: `r${i % 3}` }));
    const replayed = async (rangeOf: object) => {
      const positions: number[] = [];
      const count = await bus.replay(({ position }) => void positions.push(position), rangeOf);
      expect(count).toBe(positions.length);
      return positions;
    };
    expect(await replayed({})).toEqual(range(12));
    expect(await replayed({ from: 3, to: 6 })).toEqual([3, 4, 5, 6]);
    expect(await replayed({ from: 12 })).toEqual([12]);
    expect(await replayed({ from: 13 })).toEqual([]);
    expect(await replayed({ to: 0 })).toEqual([]);
    expect(await replayed({ to: 99 })).toEqual(range(12));
    expect(await replayed({ from: 5, to: 4 })).toEqual([]);
    expect(await replayed({ from: 2, to: 11, types: "odd.*", run: "r0" })).toEqual([3, 9]);
    expect(await replayed({ to: 7, types: "even.told" })).toEqual([2, 4, 6]);
    expect(await failureOf(() => replayed({ from: 14 }))).toMatchObject({ code: "event_bus.position_ahead" });
    for (const wrong of [{ from: 0 }, { to: -1 }, { from: 1.5 }])
      expect(await failureOf(() => replayed(wrong))).toMatchObject({ code: "event_bus.bad_option" });
    expect(await failureOf(() => replayed({ form: 3 }))).toMatchObject({ code: "event_bus.bad_filter" });
    await bus.trim({ keep: 4 });
    expect(await replayed({})).toEqual(range(4, 9));
    expect(await failureOf(() => replayed({ from: 1 }))).toMatchObject({
      code: "event_bus.position_trimmed",
      details: { earliest: 9 },
    });
  });

  test("goes through long ranges, waits for each call, and ends with what it throws or is told", async () => {
    const { bus } = await freshBus();
    await tell(bus, 2_500);
    let under = 0;
    let count = 0;
    await bus.replay(async () => {
      expect(++under).toBe(1);
      if (++count % 500 === 0) await bus.history({ limit: 1 });
      under--;
    });
    expect(count).toBe(2_500);
    const thrown = new Error("enough");
    const throwing = bus.replay(({ position }) => {
      if (position === 7) throw thrown;
    });
    await expect(throwing).rejects.toBe(thrown);
    const end = new AbortController();
    const ended = bus.replay(({ position }) => position === 5 && end.abort(), { signal: end.signal });
    expect(await ended).toBe(5);
  });
});

describe("a log that was trimmed beneath it", () => {
  test("is told of once a look, until somebody moves it", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus();
    await tell(bus, 5);
    const first = await noting(bus, "one");
    await untilAt(db, "one", 5);
    await first.consumer.stop();
    await tell(bus, 10);
    await bus.trim({ keep: 2, force: true });
    const worker = busOn(db, { clock });
    const problems = problemsOf(worker);
    const calls = callsOf(db);
    const { seen } = await noting(worker, "one", LONG_LEASE);
    const began = clock.now();
    await until(async () => {
      await clock.advance(100);
      return problems.length >= 5;
    });
    expect(calls.filter(isClaim).length).toBeLessThanOrEqual(1 + (clock.now() - began) / 1_000);
    expect(problems[0]).toMatchObject({ code: "event_bus.position_trimmed" });
    expect(seen).toEqual([]);
    await bus.replay("one", { from: 14 });
    await until(async () => {
      await clock.advance(1_000);
      return (await rowOf(db, "one")).position === 15;
    });
    expect(seen).toEqual([14, 15]);
  });
});
