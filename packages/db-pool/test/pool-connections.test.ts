// L4 of the pool, and its end: connections that are lost, a server that comes back, and closing.

import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { DatabaseEvents } from "../src/index.ts";
import { failureOf } from "./support/failure.ts";
import { type HandMadeWire, handMadePool } from "./support/hand-made-pool.ts";

const none = { idle: 0, lent: 0, opening: 0, waiting: 0 };

describe("a connection that is lost", () => {
  test("while idle is replaced, and the loss is told", async () => {
    const { pool, server, clock, telemetry } = handMadePool({ poolSize: 3, poolMin: 2 });
    const told: DatabaseEvents["connection"][] = [];
    telemetry.on("connection", (event) => told.push(event));
    await pool.start();
    server.living[0]!.lose("pulled");
    await clock.advance(500);
    expect(pool.stats).toEqual({ ...none, idle: 2 });
    expect(server.living).toHaveLength(2);
    expect(told.slice(2)).toEqual([{ state: "lost", reason: "pulled" }, { state: "open" }]);
  });

  test("while idle is not replaced if none need be kept", async () => {
    const { pool, server } = handMadePool({ poolMin: 0 });
    await pool.start();
    server.living[0]!.lose();
    await turn();
    expect(pool.stats).toEqual(none);
    expect(server.attempts).toBe(1);
  });

  test.each(["release", "discard"] as const)(
    "while lent may be given back by %s, and is lent to nobody",
    async (end) => {
      const { pool, server, clock, acquire } = handMadePool({ poolSize: 1 });
      await pool.start();
      const lease = await acquire();
      (lease.wire as HandMadeWire).lose();
      await turn();
      lease[end]();
      await clock.advance(500);
      expect(pool.stats).toEqual({ ...none, idle: 1 });
      expect((await acquire()).wire).toBe(server.living[0]);
      expect((await failureOf(() => lease.release())).code).toBe("db.double_release");
    },
  );

  test("while lent makes room for who waits", async () => {
    const { pool, acquire } = handMadePool({ poolSize: 1 });
    await pool.start();
    const lost = await acquire();
    const waiting = acquire();
    (lost.wire as HandMadeWire).lose();
    expect((await waiting).wire).not.toBe(lost.wire);
    expect(pool.stats).toEqual({ ...none, lent: 1 });
  });
});

describe("a server that went away", () => {
  test("is tried again and again, ever more slowly, until it is back", async () => {
    const { pool, server, clock, acquire } = handMadePool({ poolSize: 1, acquireTimeout: 10_000_000 });
    await pool.start();
    server.mode = "refuses";
    server.living[0]!.lose();
    await turn();
    const waiting = acquire();
    const began = clock.now();
    const pauses: number[] = [];
    for (let tries = 0; tries < 60; tries++) {
      const before = clock.now();
      const attempts = server.attempts;
      while (server.attempts === attempts) await clock.advanceToNext();
      pauses.push(clock.now() - before);
    }
    expect(clock.now() - began).toBeGreaterThan(10_000);
    pauses.forEach((pause, retry) => expect(pause).toBeLessThanOrEqual(Math.min(5_000, 500 * 2 ** retry)));
    server.mode = "open";
    await clock.advance(5_000);
    expect((await waiting).wire).toBe(server.living[0]);
    expect(pool.stats).toEqual({ ...none, lent: 1 });
  });

  test("is tried again even if nobody waits, as long as some shall be kept", async () => {
    const { pool, server, clock } = handMadePool({ poolSize: 4, poolMin: 2 });
    await pool.start();
    server.mode = "refuses";
    for (const wire of server.living) wire.lose();
    await clock.advance(60_000);
    expect(pool.stats).toEqual(none);
    server.mode = "open";
    await clock.advance(5_000);
    expect(pool.stats).toEqual({ ...none, idle: 2 });
  });

  test("is met by one crowd of at most poolSize, not by one for each who waits", async () => {
    const { pool, server, clock, acquire } = handMadePool({ poolSize: 3, acquireTimeout: 10_000_000 });
    await pool.start();
    server.mode = "refuses";
    server.living[0]!.lose();
    await turn();
    const waiting = Array.from({ length: 20 }, () => acquire());
    for (let tries = 0; tries < 10; tries++) {
      const before = server.attempts;
      await clock.advanceToNext();
      expect(server.attempts - before).toBeLessThanOrEqual(3);
    }
    server.mode = "open";
    await clock.advance(5_000);
    for (const lease of waiting) (await lease).release();
    expect(server.living).toHaveLength(3);
  });

  test("is approached gently again after it was back", async () => {
    const { pool, server, clock } = handMadePool({ poolSize: 1 });
    await pool.start();
    for (let outage = 0; outage < 5; outage++) {
      server.mode = "refuses";
      server.living[0]!.lose();
      await clock.advance(30_000);
      server.mode = "open";
      await clock.advance(5_000);
      expect(pool.stats).toEqual({ ...none, idle: 1 });
      server.mode = "refuses";
      server.living[0]!.lose();
      await turn();
      server.mode = "open";
      await clock.advance(500); // the first pause of a new outage, not the last of the old
      expect(pool.stats).toEqual({ ...none, idle: 1 });
    }
  });
});

describe("closing", () => {
  test("refuses new calls, and those that wait", async () => {
    const { pool, acquire } = handMadePool({ poolSize: 1 });
    await pool.start();
    const held = await acquire();
    const waiting = [failureOf(acquire), failureOf(acquire)];
    const closing = pool.close(1_000);
    for (const failure of waiting)
      expect(await failure).toMatchObject({ code: "db.closed", outcome: "not_applied" });
    expect((await failureOf(acquire)).code).toBe("db.closed");
    held.release();
    await closing;
  });

  test("waits for what is lent, then ends every connection, and leaves no timer", async () => {
    const { pool, server, clock, acquire } = handMadePool({ poolSize: 3, poolMin: 3 });
    await pool.start();
    const [first, second] = [await acquire(), await acquire()];
    let closed = false;
    const closing = pool.close(1_000).then(() => (closed = true));
    first.release();
    await clock.advance(999);
    expect(closed).toBe(false);
    expect((second.wire as HandMadeWire).alive).toBe(true);
    second.release();
    await closing;
    expect(server.living).toEqual([]);
    expect(pool.stats).toEqual(none);
    expect(clock.pending).toBe(0);
  });

  test("waits no longer than its deadline", async () => {
    const { pool, server, clock, acquire } = handMadePool({ poolSize: 1 });
    await pool.start();
    const held = await acquire();
    const closing = pool.close(1_000);
    await clock.advance(1_000);
    await closing;
    expect(server.living).toEqual([]);
    held.release(); // late, and harmless
    expect(pool.stats).toEqual(none);
    expect(clock.pending).toBe(0);
  });

  test("waits not for a connection that was discarded, or lost", async () => {
    const { pool, acquire } = handMadePool({ poolSize: 2 });
    await pool.start();
    const [discarded, lost] = [await acquire(), await acquire()];
    const closing = pool.close(1_000);
    discarded.discard();
    (lost.wire as HandMadeWire).lose();
    await closing;
    expect(pool.stats).toEqual(none);
  });

  test("twice is closing once", async () => {
    const { pool, server, clock, acquire } = handMadePool({ poolSize: 1 });
    await pool.start();
    const held = await acquire();
    const both = Promise.all([pool.close(1_000), pool.close(5_000)]);
    held.release();
    await both;
    await pool.close(1_000);
    expect(server.living).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  test("ends a connection that comes when all is over", async () => {
    const { pool, server, acquire } = handMadePool({ poolSize: 2, poolMin: 1 });
    await pool.start();
    const held = await acquire();
    server.mode = "keeps waiting";
    const waiting = failureOf(acquire);
    const closing = pool.close(1_000);
    held.release();
    await closing;
    expect((await waiting).code).toBe("db.closed");
    const late = server.door[0]!.letIn();
    await turn();
    expect(late.alive).toBe(false);
    expect(pool.stats).toEqual(none);
  });

  test("gives up trying to reach a server", async () => {
    const { pool, server, clock } = handMadePool({ poolSize: 1 });
    await pool.start();
    server.mode = "refuses";
    server.living[0]!.lose();
    await turn();
    expect(clock.pending).toBe(1);
    const { attempts } = server;
    await pool.close(1_000);
    expect(clock.pending).toBe(0);
    await clock.advance(60_000);
    expect(server.attempts).toBe(attempts);
  });
});
