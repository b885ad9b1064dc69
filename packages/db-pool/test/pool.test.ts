// L1 to L3 of the pool, with connections made by hand and time moved by hand.

import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { DatabaseEvents } from "../src/index.ts";
import { Deadline } from "../src/deadline.ts";
import { failureOf } from "./support/failure.ts";
import { AbruptClock, handMadePool } from "./support/hand-made-pool.ts";

describe("starting", () => {
  test("opens the least there shall be, all at once", async () => {
    const { pool, server } = handMadePool({ poolSize: 5, poolMin: 3 });
    await pool.start();
    expect(pool.stats).toEqual({ idle: 3, lent: 0, opening: 0, waiting: 0 });
    expect(server.attempts).toBe(3);
  });

  test("opens one even if none need be kept, to know that it can", async () => {
    const { pool } = handMadePool({ poolMin: 0 });
    await pool.start();
    expect(pool.stats.idle).toBe(1);
  });

  test("leaves nothing open if one of them fails", async () => {
    const { pool, server } = handMadePool({ poolSize: 5, poolMin: 3 });
    server.mode = "keeps waiting";
    const starting = failureOf(() => pool.start());
    server.door[0]!.letIn();
    server.door[1]!.turnAway();
    server.door[2]!.letIn();
    expect((await starting).code).toBe("db.unreachable");
    expect(server.wires).toHaveLength(2);
    expect(server.living).toEqual([]);
    expect(pool.stats).toEqual({ idle: 0, lent: 0, opening: 0, waiting: 0 });
  });
});

describe("lending", () => {
  test("serves those who wait in the order they came", async () => {
    const { pool, acquire } = handMadePool({ poolSize: 1 });
    await pool.start();
    const order: number[] = [];
    const served = [1, 2, 3, 4].map(async (who) => {
      const lease = await acquire();
      order.push(who);
      lease.release();
    });
    await Promise.all(served);
    expect(order).toEqual([1, 2, 3, 4]);
    expect(pool.stats).toEqual({ idle: 1, lent: 0, opening: 0, waiting: 0 });
  });

  test("never opens more than poolSize, however many ask", async () => {
    const { pool, server, acquire } = handMadePool({ poolSize: 3 });
    await pool.start();
    let held = 0;
    let most = 0;
    const calls = Array.from({ length: 50 }, async () => {
      const lease = await acquire();
      most = Math.max(most, ++held);
      await turn();
      held--;
      lease.release();
    });
    await Promise.all(calls);
    expect(most).toBe(3);
    expect(server.attempts).toBe(3);
    expect(pool.stats).toEqual({ idle: 3, lent: 0, opening: 0, waiting: 0 });
  });

  test("never opens more than poolSize, not even in the moment a connection has come", async () => {
    const { pool, server, acquire } = handMadePool({ poolSize: 1, poolMin: 0 });
    await pool.start();
    server.living[0]!.lose();
    await turn();
    server.mode = "keeps waiting";
    const leases = [acquire()];
    await turn();
    server.door[0]!.letIn();
    for (let hop = 0; hop < 20; hop++) {
      leases.push(acquire());
      expect(pool.stats.idle + pool.stats.lent + pool.stats.opening).toBeLessThanOrEqual(1);
      await Promise.resolve(); // one step further, not a turn of the event loop
    }
    expect(server.door).toHaveLength(1);
    for (const lease of leases) (await lease).release();
  });

  test("gives the same connection to one at a time, and again and again", async () => {
    const { pool, acquire } = handMadePool({ poolSize: 1 });
    await pool.start();
    const first = await acquire();
    expect(pool.stats).toEqual({ idle: 0, lent: 1, opening: 0, waiting: 0 });
    first.release();
    const second = await acquire();
    expect(second.wire).toBe(first.wire);
  });

  test.each([
    ["released", "released"],
    ["released", "discarded"],
    ["discarded", "released"],
    ["discarded", "discarded"],
  ] as const)("refuses that what was %s is %s", async (before, after) => {
    const { pool, clock, acquire } = handMadePool({ poolSize: 1 });
    await pool.start();
    const lease = await acquire();
    const end = { released: () => lease.release(), discarded: () => lease.discard() };
    end[before]();
    expect((await failureOf(end[after])).code).toBe("db.double_release");
    await clock.advance(500);
    expect(pool.stats).toEqual({ idle: 1, lent: 0, opening: 0, waiting: 0 });
  });

  test("what is discarded is destroyed, and another made for who waits", async () => {
    const { pool, server, acquire } = handMadePool({ poolSize: 1 });
    await pool.start();
    const first = await acquire();
    const next = acquire();
    first.discard();
    const second = await next;
    expect(second.wire).not.toBe(first.wire);
    expect(server.living).toEqual([second.wire]);
  });
});

describe("waiting", () => {
  test("ends after acquireTimeout, saying that all are busy", async () => {
    const { pool, clock, acquire } = handMadePool({ poolSize: 1, acquireTimeout: 500 });
    await pool.start();
    const held = await acquire();
    const waiting = failureOf(acquire);
    await clock.advance(499);
    expect(pool.stats.waiting).toBe(1);
    await clock.advance(1);
    const failure = await waiting;
    expect(failure).toMatchObject({ code: "db.pool_timeout", outcome: "not_applied", retryable: true });
    expect(failure.message).toMatch(/500 ms.*all 1 are busy.*poolSize/);
    expect(pool.stats).toEqual({ idle: 0, lent: 1, opening: 0, waiting: 0 });
    held.release();
    expect(pool.stats).toEqual({ idle: 1, lent: 0, opening: 0, waiting: 0 });
  });

  test("ends after acquireTimeout, saying that the server cannot be reached", async () => {
    const { pool, server, clock, acquire } = handMadePool({ poolSize: 1, acquireTimeout: 500 });
    await pool.start();
    server.mode = "refuses";
    server.living[0]!.lose();
    await turn();
    const waiting = failureOf(acquire);
    await clock.advance(500);
    const failure = await waiting;
    expect(failure).toMatchObject({ code: "db.pool_timeout", retryable: true });
    expect(failure.message).toMatch(/cannot be reached \(nobody listens\)/);
    expect(failure.cause).toMatchObject({ code: "db.unreachable" });
  });

  test("loses no connection that is given back in the moment the wait ends", async () => {
    const clock = new AbruptClock();
    const { pool, acquire } = handMadePool({ poolSize: 1, acquireTimeout: 500, clock });
    await pool.start();
    const held = await acquire();
    const waiting = failureOf(acquire);
    clock.after(500, () => held.release());
    clock.advance(500);
    expect((await waiting).code).toBe("db.pool_timeout");
    expect(pool.stats).toEqual({ idle: 1, lent: 0, opening: 0, waiting: 0 });
    (await acquire()).release();
  });

  test("is refused to more than maxWaiters, until some were served", async () => {
    const { pool, acquire } = handMadePool({ poolSize: 1, maxWaiters: 2 });
    await pool.start();
    const held = await acquire();
    const waiting = [acquire(), acquire()];
    const failure = await failureOf(acquire);
    expect(failure).toMatchObject({ code: "db.pool_full", outcome: "not_applied", retryable: true });
    expect(failure.message).toMatch(/2 calls wait/);
    held.release();
    (await waiting[0]!).release();
    (await waiting[1]!).release();
    expect((await acquire()).wire).toBe(held.wire);
  });

  test("ends when the call is cancelled, and the next in line moves up", async () => {
    const { pool, acquire } = handMadePool({ poolSize: 1 });
    await pool.start();
    const held = await acquire();
    const end = new AbortController();
    const cancelled = failureOf(() => acquire(end.signal));
    const next = acquire();
    expect(pool.stats.waiting).toBe(2);
    end.abort();
    expect(await cancelled).toMatchObject({ code: "db.cancelled", outcome: "not_applied" });
    expect(pool.stats.waiting).toBe(1);
    held.release();
    expect((await next).wire).toBe(held.wire);
  });

  test("leaves no connection behind that comes after the call was cancelled", async () => {
    const { pool, server, acquire } = handMadePool({ poolSize: 1, poolMin: 0 });
    await pool.start();
    server.living[0]!.lose();
    await turn();
    server.mode = "keeps waiting";
    const end = new AbortController();
    const cancelled = failureOf(() => acquire(end.signal));
    await turn();
    end.abort();
    server.door[0]!.letIn(); // in the same moment
    await cancelled;
    await turn();
    expect(pool.stats).toEqual({ idle: 1, lent: 0, opening: 0, waiting: 0 });
    expect((await acquire()).wire).toBe(server.living[0]);
  });

  test("ends at the call's own deadline if that is sooner", async () => {
    const { pool, clock, acquire } = handMadePool({ poolSize: 1, acquireTimeout: 500 });
    await pool.start();
    await acquire();
    using deadline = new Deadline(clock, 100);
    const waiting = failureOf(() => pool.acquire(deadline));
    await clock.advance(100);
    expect(await waiting).toMatchObject({ code: "db.timeout", outcome: "not_applied", retryable: true });
  });

  test("is told to who listens: how long, and how it ended", async () => {
    const { pool, clock, telemetry, acquire } = handMadePool({ poolSize: 1, acquireTimeout: 500 });
    const told: DatabaseEvents["acquire"][] = [];
    telemetry.on("acquire", (event) => told.push(event));
    await pool.start();
    const held = await acquire();
    const served = acquire();
    await clock.advance(200);
    held.release();
    await served;
    const late = failureOf(acquire);
    await clock.advance(500);
    await late;
    expect(told).toEqual([{ waited: 200 }, { waited: 500, error: "db.pool_timeout" }]);
  });
});

describe("asking for a second connection while holding one", () => {
  test("is refused when all are out, for it could wait for ever", async () => {
    const { pool, acquire } = handMadePool({ poolSize: 2 });
    await pool.start();
    const holder = async () => {
      await acquire();
      await turn();
      return pool.holding(() => failureOf(acquire));
    };
    const failures = await Promise.all([holder(), holder()]);
    expect(failures.map(({ code }) => code)).toEqual(["db.nested_acquire", "db.nested_acquire"]);
    expect(failures[0].message).toMatch(/2 are out.*use the session it holds/);
  });

  test("is served while some are left", async () => {
    const { pool, acquire } = handMadePool({ poolSize: 2 });
    await pool.start();
    const first = await acquire();
    const second = await pool.holding(() => acquire());
    expect(second.wire).not.toBe(first.wire);
  });

  test("is nobody else's trouble: they wait", async () => {
    const { pool, acquire } = handMadePool({ poolSize: 1 });
    await pool.start();
    const first = await acquire();
    const { promise: over, resolve: end } = Promise.withResolvers<void>();
    const holding = pool.holding(() => over);
    const other = acquire();
    first.release();
    expect((await other).wire).toBe(first.wire);
    end();
    await holding;
  });
});
