// What a fault leaves: a server that is killed, frozen, unreachable or slow, a reply that is lost, a token that ends.
// Each check has a control beside it that takes the protection away, and must fail.

import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { sabotage, seeded, servedEngine, spawnChild, tcpProxy, until, VirtualClock } from "@sentient/testkit";
import type { ServedEngine, TcpProxy } from "@sentient/testkit";
import { Surreal } from "surrealdb";
import { describe, expect, onTestFinished, test } from "vitest";
import { DbError, openDatabase, RecordId, serve, sleep, surql, systemClock } from "../src/index.ts";
import type { Clock, Database, DatabaseOptions, Served } from "../src/index.ts";
import { failureOf } from "./support/failure.ts";
import { freshDatabase, freshFolder } from "./support/fresh.ts";

const TOKEN = "a-token-of-this-test-file";
const CHILD = new URL("./fixtures/serve-child.ts", import.meta.url);

/** An engine in another process, to be killed and frozen. */
async function engineElsewhere(): Promise<ServedEngine> {
  const engine = await servedEngine({ entry: CHILD, folder: await freshFolder() });
  onTestFinished(() => engine.close());
  return engine;
}

interface Line {
  /** The database itself, asked without the line. */
  owner: Database;
  served: Served;
  proxy: TcpProxy;
  url: string;
  names: { namespace: string; database: string };
}

/** A served engine of this process at the end of a line that can be made to misbehave. */
async function lineToServer(): Promise<Line> {
  const owner = await freshDatabase({ url: "mem://" });
  const served = await serve(owner, { token: TOKEN });
  const proxy = await tcpProxy({ port: served.port });
  onTestFinished(async () => {
    await served.close();
    await proxy.close();
  });
  const names = { namespace: owner.namespace, database: owner.database };
  return { owner, served, proxy, url: `ws://${proxy.host}:${proxy.port}`, names };
}

async function clientOf({ url, names }: Line, options: DatabaseOptions = {}): Promise<Database> {
  return opened({ url, token: TOKEN, ...names, ...options });
}

async function opened(options: DatabaseOptions): Promise<Database> {
  const db = await openDatabase(options);
  onTestFinished(() => db.close({ deadline: 500 }));
  return db;
}

/** Breaks every connection; those made afterwards are well. */
function reconnect(proxy: TcpProxy): void {
  proxy.reset();
  proxy.pass();
}

type Ending = { value: unknown; took: number } | { error: DbError; took: number };

/** How a call ended and when; it must not end in anything but a value or a `DbError`. */
async function endingOf(call: Promise<unknown>, clock: Clock = systemClock): Promise<Ending> {
  const began = clock.now();
  const took = () => clock.now() - began;
  try {
    return { value: await call, took: took() };
  } catch (error) {
    if (error instanceof DbError) return { error, took: took() };
    throw error;
  }
}

/** Moves time until `work` has settled, but only while it may: not while an answer is on its way. */
async function throughTime<T>(
  clock: VirtualClock,
  work: Promise<T>,
  mayMove: () => boolean = () => true,
): Promise<T> {
  let settled = false;
  void work.catch(() => {}).finally(() => (settled = true));
  while (!settled) {
    await until(() => settled || mayMove(), { every: 1 });
    await clock.advance(10);
  }
  return work;
}

/** Whether it waits for no answer: what it does next, it does by the clock. */
const isStill = ({ stats }: Database) => stats.opening + stats.lent === 0;

describe("a server that is killed while eight writers write", () => {
  /** Writes two rows that belong together. Named after their place, they are the same write when it is repeated. */
  type WritePair = (
    db: Database,
    place: [writer: number, turn: number],
    acknowledge: () => void,
  ) => Promise<void>;

  const rowsAt = (place: [number, number]) =>
    [new RecordId("left", place), new RecordId("right", place)] as const;

  async function untilKnown(write: () => Promise<unknown>, isThere: () => Promise<unknown>): Promise<void> {
    for (;;) {
      const ending = await endingOf(write());
      if ("value" in ending) return;
      const { outcome, retryable } = ending.error;
      if (outcome === "unknown" ? await isThere() : false) return;
      if (outcome !== "unknown" && !retryable) throw ending.error;
    }
  }

  const inOneTransaction: WritePair = async (db, place, acknowledge) => {
    const [left, right] = rowsAt(place);
    await untilKnown(
      () => db.transaction([surql`CREATE ${left}`, surql`CREATE ${right}`]),
      () => db.query(surql`SELECT * FROM ONLY ${left}`),
    );
    acknowledge();
  };

  async function writeThroughKills(
    kills: number,
    write: WritePair,
    end: (engine: ServedEngine) => Promise<void> = (engine) => engine.kill(),
  ) {
    const random = seeded();
    const engine = await engineElsewhere();
    const db = await opened({ url: engine.url, token: engine.token, poolSize: 8 });
    const acknowledged = new Set<string>();
    const resumedAfter: number[] = [];
    let unknown = 0;
    let hits = 0;
    let over = false;
    db.on("query", ({ error }) => void (error === "db.connection_lost" && unknown++));
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let turn = 0; !over; turn++) {
        await write(db, [writer, turn], () => acknowledged.add(`${writer},${turn}`));
      }
    });
    const more = (count: number) => {
      const target = acknowledged.size + count;
      return until(() => acknowledged.size >= target, { every: 1, deadline: 60_000, what: "more writes" });
    };
    for (let kill = 0; kill < kills; kill++) {
      await more(random.int(150) + 10);
      const before = unknown;
      await end(engine);
      await engine.restart();
      const restarted = performance.now();
      await more(1);
      resumedAfter.push(Math.round(performance.now() - restarted));
      if (unknown > before) hits++;
    }
    over = true;
    await Promise.all(writers);
    const figures = `${acknowledged.size} acknowledged, ${unknown} in doubt, ${hits} of ${kills} kills hit work in flight`;
    console.log(`SEED=${random.seed}: ${figures}; resumed after at most ${Math.max(...resumedAfter)} ms`);
    return { db, acknowledged, hits, resumedAfter };
  }

  async function requirePairs(db: Database, acknowledged: Set<string>): Promise<void> {
    const places = async (table: "left" | "right") => {
      const ids = await db.query(
        table === "left"
          ? surql<unknown[]>`SELECT VALUE id.id() FROM left`
          : surql<unknown[]>`SELECT VALUE id.id() FROM right`,
      );
      return new Set(ids.map(String));
    };
    const [left, right] = [await places("left"), await places("right")];
    expect(
      [...acknowledged].filter((place) => !left.has(place)),
      "acknowledged and lost",
    ).toEqual([]);
    expect(left, "half a transaction").toEqual(right);
  }

  test(
    "loses nothing it acknowledged and halves no transaction, and the writers go on",
    { timeout: 300_000 },
    async () => {
      const kills = 10;
      const { db, acknowledged, hits, resumedAfter } = await writeThroughKills(kills, inOneTransaction);
      await requirePairs(db, acknowledged);
      expect(hits / kills, "kills that hit work in flight").toBeGreaterThanOrEqual(0.6);
      expect(Math.max(...resumedAfter)).toBeLessThan(30_000); // the longest pause between two attempts is 5 s; the rest is the machine
    },
  );

  test("that is only told to stop ends well, however busy, and loses and halves nothing either", async () => {
    const { db, acknowledged } = await writeThroughKills(3, inOneTransaction, (engine) => engine.close());
    await requirePairs(db, acknowledged);
  });

  test("control: the check fails of a writer who acknowledges before the database has", async () => {
    const { db, acknowledged } = await writeThroughKills(3, async (db, place, acknowledge) => {
      const [left, right] = rowsAt(place);
      acknowledge();
      await db.transaction([surql`CREATE ${left}`, surql`CREATE ${right}`]).catch(() => {});
    });
    const failure = await sabotage("acknowledged too early", () => requirePairs(db, acknowledged));
    expect(String(failure)).toContain("acknowledged and lost");
  });

  test("control: the check fails of a writer who needs two calls for a pair", async () => {
    const { db, acknowledged } = await writeThroughKills(3, async (db, place, acknowledge) => {
      const [left, right] = rowsAt(place);
      const isThere = () => db.query(surql`SELECT * FROM ONLY ${left}`);
      await untilKnown(async () => {
        await db.query(surql`CREATE ${left}`);
        await db.query(surql`CREATE ${right}`);
      }, isThere);
      acknowledge();
    });
    const failure = await sabotage("two calls", () => requirePairs(db, acknowledged));
    expect(String(failure)).toContain("half a transaction");
  });
});

describe("a server that falls silent without closing anything", () => {
  /** Times from the first silence to the end of a write in flight; fails if that is more than `limit`. */
  async function requireNoticed(
    limit: number,
    options: DatabaseOptions,
  ): Promise<Line & { db: Database; clock: VirtualClock }> {
    const line = await lineToServer();
    const clock = new VirtualClock();
    const db = await clientOf(line, { ...options, clock });
    await line.owner.query(surql`CREATE counter:x SET n = 0`);
    line.proxy.blackHole();
    const write = endingOf(db.query(surql`UPDATE ONLY counter:x SET n += 1`), clock);
    const ending = await throughTime(clock, write);
    expect(ending).toMatchObject({
      error: { code: "db.connection_lost", outcome: "unknown", retryable: false },
    });
    expect(ending.took, "to notice the silence").toBeLessThanOrEqual(limit);
    return { ...line, db, clock };
  }

  const QUICK = { heartbeat: 1_000, acquireTimeout: 1_500, connectTimeout: 1_000 };

  test("is noticed within three heartbeats; calls end typed and in time; once it answers all goes on", async () => {
    const { db, proxy, owner, clock } = await requireNoticed(3 * QUICK.heartbeat, QUICK);
    const calls = [
      db.query(surql`UPDATE ONLY counter:x SET n += 1`),
      db.query(surql`SELECT * FROM counter`),
      db.query(surql`SELECT * FROM counter`, { timeout: 700 }),
      db.acquire(),
    ];
    const meanwhile = await throughTime(clock, Promise.all(calls.map((call) => endingOf(call, clock))));
    for (const ending of meanwhile) {
      expect(ending).toMatchObject({ error: { retryable: true, outcome: "not_applied" } });
    }
    const codes = meanwhile.map((ending) => ("error" in ending ? ending.error.code : undefined));
    expect(codes).toEqual(["db.pool_timeout", "db.pool_timeout", "db.timeout", "db.pool_timeout"]);
    expect(meanwhile.map(({ took }) => took)).toEqual([1_500, 1_500, 700, 1_500]);
    expect(db.stats).toMatchObject({ lent: 0, waiting: 0 });
    reconnect(proxy);
    const again = db.query(surql`UPDATE ONLY counter:x SET n += 1 RETURN VALUE n`, { timeout: 10_000 });
    expect(await throughTime(clock, again, () => isStill(db))).toBe(1);
    expect(await owner.query(surql`SELECT VALUE n FROM ONLY counter:x`)).toBe(1); // not one of those that failed came late
  });

  test("is noticed within ten seconds with the defaults", async () => {
    await requireNoticed(10_000, {});
  });

  test("control: the check fails when nobody listens for the heartbeat", async () => {
    await sabotage("no heartbeat", () =>
      requireNoticed(3 * QUICK.heartbeat, { ...QUICK, heartbeat: 600_000, timeout: 4_000 }),
    );
  });

  test("does not hold up close() beyond its deadline", async () => {
    const line = await lineToServer();
    const clock = new VirtualClock();
    const db = await clientOf(line, { heartbeat: 600_000, clock }); // nothing else ends the wait
    await line.owner.query(surql`DEFINE TABLE bell`);
    const bell = db.watch(new RecordId("bell", "door"));
    let isHeard = false;
    void bell.next().then((ring) => (isHeard = ring === "gap"));
    await until(
      async () => {
        await clock.advance(10);
        return isHeard;
      },
      { what: "the bell to be heard" },
    );
    line.proxy.blackHole();
    const inFlight = endingOf(db.query(surql`CREATE note`));
    await until(() => db.stats.lent === 1);
    const closing = db.close({ deadline: 500 });
    await clock.advance(500);
    await closing;
    expect(await inFlight).toMatchObject({ error: { outcome: "unknown" } });
  });
});

test("a session whose connection is lost says so, and its release leaves the pool whole", async () => {
  const line = await lineToServer();
  const db = await clientOf(line, { poolSize: 1 });
  let attempts = 0;
  db.on("query", (query) => void (attempts = query.attempts));
  for (let round = 0; round < 5; round++) {
    const session = await db.acquire();
    await session.set("mine", round);
    const query = endingOf(session.query(surql`RETURN [$mine, sleep(100ms)]`));
    await until(() => db.stats.lent === 1);
    line.proxy.reset();
    expect(await query).toMatchObject({ error: { code: "db.connection_lost" } });
    const next = await endingOf(session.query(surql`RETURN 1`));
    expect(next).toMatchObject({ error: { code: "db.connection_lost" } });
    expect(attempts).toBe(1); // what is lost does not come back: nothing to try again for
    await session.release();
    expect(await failureOf(() => session.release())).toMatchObject({ code: "db.double_release" });
    expect(await db.query(surql`RETURN $mine`)).toBeUndefined(); // on the one connection that the pool may have
  }
  expect(db.stats).toEqual({ idle: 1, lent: 0, opening: 0, waiting: 0 });
});

test.for(["ws:", "http:"])(
  "a connection that breaks while it is made (%s) is made again, and who waits for it need not know",
  async (scheme) => {
    const { owner, proxy, url, names } = await lineToServer();
    await owner.query(surql`CREATE counter:x SET n = 0`);
    const db = await opened({ url: url.replace("ws:", scheme), token: TOKEN, ...names });
    let failed = 0;
    db.on("connection", ({ state }) => void (state === "failed" && failed++));
    for (let round = 1; round <= 8; round++) {
      proxy.blackHole();
      await failureOf(() => db.query(surql`RETURN 1`, { timeout: 30 })); // its connection goes with it
      reconnect(proxy);
      proxy.cutAfter(round * 60, "down");
      const ending = await endingOf(db.query(surql`UPDATE ONLY counter:x SET n += 1`));
      proxy.pass();
      // Only the reply to the statement itself, if that is where the line was cut, leaves its effect in doubt.
      if ("error" in ending) expect(ending.error).toMatchObject({ outcome: "unknown" });
      expect(await owner.query(surql`SELECT VALUE n FROM ONLY counter:x`)).toBe(round);
    }
    expect(failed, "cuts that hit a connection being made").toBeGreaterThan(2);
  },
);

test("over HTTP, too, a silent server ends calls in time, and the same database goes on afterwards", async () => {
  const line = await lineToServer();
  const db = await opened({ url: line.url.replace("ws:", "http:"), token: TOKEN, ...line.names });
  await line.owner.query(surql`CREATE counter:x SET n = 0`);
  line.proxy.blackHole();
  const [write, read] = await Promise.all([
    endingOf(db.query(surql`UPDATE ONLY counter:x SET n += 1`, { timeout: 500 })),
    endingOf(db.query(surql`SELECT * FROM counter`, { timeout: 500 })),
  ]);
  expect(write).toMatchObject({ error: { code: "db.timeout", outcome: "unknown", retryable: false } });
  expect(read).toMatchObject({ error: { code: "db.timeout", outcome: "not_applied", retryable: true } });
  reconnect(line.proxy);
  expect(await db.query(surql`UPDATE ONLY counter:x SET n += 1 RETURN VALUE n`)).toBe(1);
});

test("a server that is frozen is noticed, and the same database goes on once it thaws", async () => {
  const engine = await engineElsewhere();
  const db = await opened({ url: engine.url, token: engine.token, heartbeat: 500 });
  await db.query(surql`CREATE counter:x SET n = 0`);
  engine.pause();
  onTestFinished(() => engine.resume());
  const ending = await endingOf(db.query(surql`UPDATE ONLY counter:x SET n += 1`));
  expect(ending).toMatchObject({ error: { code: "db.connection_lost", outcome: "unknown" } });
  expect(await endingOf(db.query(surql`SELECT * FROM counter`, { timeout: 1_000 }))).toMatchObject({
    error: { retryable: true },
  });
  engine.resume();
  const n = await db.query(surql<number>`UPDATE ONLY counter:x SET n += 1 RETURN VALUE n`);
  expect([1, 2]).toContain(n); // what was in doubt came first, or never
});

describe("a server that is away for ten seconds", () => {
  /** So many that what comes by chance within 250 ms stays well below a quarter. */
  const DATABASES = 200;
  const AWAY_MS = 10_000;

  interface Absence {
    /** When each connection reached the proxy, after the server had gone. */
    attempts: number[];
    /** When each database was connected again. */
    reconnected: number[];
    /** How long after the server was back the last of them had an answer, in milliseconds. */
    recovered: number;
    meanwhile: Ending[];
  }

  /** Time is moved by hand: who comes when is a matter of their pauses, not of how fast they can be served. */
  async function sitOut(away: number): Promise<Absence> {
    const engine = await engineElsewhere();
    const proxy = await tcpProxy({ port: Number(new URL(engine.url).port) });
    onTestFinished(() => proxy.close());
    const url = `ws://${proxy.host}:${proxy.port}`;
    const clock = new VirtualClock();
    const idle = await Promise.all(
      Array.from({ length: DATABASES }, () =>
        opened({ url, token: engine.token, clock, heartbeat: 600_000 }),
      ),
    );
    const attempts: number[] = [];
    const count = (message: unknown) => {
      if ((message as { socket: Socket }).socket.localPort === proxy.port) attempts.push(clock.now());
    };
    subscribe("net.server.socket", count);
    onTestFinished(() => void unsubscribe("net.server.socket", count));

    const reconnected: number[] = [];
    for (const db of idle)
      db.on("connection", ({ state }) => void (state === "open" && reconnected.push(clock.now())));
    const allStill = () => idle.every(isStill);
    const half = () => throughTime(clock, sleep(clock, away / 2), allStill);

    await engine.kill();
    await until(() => idle.every(({ stats }) => stats.idle === 0), { what: "the loss to be noticed" });
    await half();
    const calls = idle.map((db) => endingOf(db.query(surql`RETURN 1`, { timeout: 1_000 }), clock));
    await half();
    const meanwhile = await Promise.all(calls);

    await engine.restart();
    const back = clock.now();
    const answers = Promise.all(idle.map((db) => db.query(surql`RETURN 1`)));
    await throughTime(clock, answers, allStill);
    return { attempts, reconnected, recovered: clock.now() - back, meanwhile };
  }

  /** Fails if more than a quarter of them fall into any 250 ms. */
  function requireSpread(times: number[], what: string): void {
    const most = Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + 250).length));
    console.log(`${times.length} ${what}, at most ${most} in 250 ms`);
    expect(most / times.length, `share of the ${what} that come within 250 ms`).toBeLessThanOrEqual(0.25);
  }

  test("is met by no crowd, calls are told to try again, and all is well soon after", async () => {
    const { attempts, reconnected, recovered, meanwhile } = await sitOut(AWAY_MS);
    for (const ending of meanwhile) {
      expect(ending).toMatchObject({
        error: { code: "db.timeout", retryable: true, outcome: "not_applied" },
        took: 1_000,
      });
    }
    console.log(`all well again ${Math.round(recovered)} ms after it was back`);
    expect(recovered).toBeLessThan(10_000);
    expect(reconnected).toHaveLength(DATABASES);
    requireSpread(attempts, "attempts");
    requireSpread(reconnected, "reconnections");
  });

  test("control: the check of the crowd fails without jitter", async () => {
    const random = Math.random;
    onTestFinished(() => void (Math.random = random));
    Math.random = () => 0.999;
    const { reconnected } = await sitOut(2_000);
    await sabotage("no jitter", () => requireSpread(reconnected, "reconnections without jitter"));
  });
});

describe("a reply that is lost", () => {
  const total = (owner: Database) => owner.query(surql<number>`SELECT VALUE n FROM ONLY counter:x`);

  /** Lets `call` reach the server and take effect there, then loses the reply with the connection. */
  async function loseReply(
    proxy: TcpProxy,
    call: () => Promise<unknown>,
    tookEffect: () => Promise<boolean>,
  ): Promise<Ending> {
    proxy.dropReplies();
    const ending = endingOf(call());
    await until(tookEffect, { every: 1, what: "the effect at the server" });
    reconnect(proxy);
    return ending;
  }

  test("costs nothing who re-reads before repeating: 200 operations take effect once each", async () => {
    const random = seeded();
    const line = await lineToServer();
    const { owner, proxy } = line;
    await owner.query(surql`DEFINE TABLE operation`);
    const db = await clientOf(line);
    let inDoubt = 0;
    let repeated = 0;
    for (let i = 0; i < 200; i++) {
      const operation = new RecordId("operation", i);
      const isThere = (where: Database) => async () =>
        Boolean(await where.query(surql`SELECT * FROM ONLY ${operation}`));
      const apply = () =>
        db.transaction([surql`CREATE ${operation}`, surql`UPSERT ONLY counter:x SET n += 1`]);
      let ending: Ending;
      switch (random.pick(["reply lost", "reply lost", "request lost", "nothing lost"])) {
        case "reply lost":
          ending = await loseReply(proxy, apply, isThere(owner));
          break;
        case "request lost": {
          proxy.blackHole();
          const lost = endingOf(apply());
          await until(() => db.stats.lent === 1, { every: 1 });
          reconnect(proxy);
          ending = await lost;
          break;
        }
        default:
          ending = await endingOf(apply());
      }
      if ("value" in ending) continue;
      expect(ending.error).toMatchObject({ code: "db.connection_lost", outcome: "unknown" });
      inDoubt++;
      if (await isThere(db)()) continue;
      repeated++;
      await apply();
    }
    console.log(`SEED=${random.seed}: ${inDoubt} of 200 in doubt, ${repeated} of them repeated`);
    expect(await total(owner)).toBe(200);
    expect(await owner.query(surql`SELECT VALUE id FROM operation`)).toHaveLength(200);
    expect(inDoubt / 200).toBeGreaterThanOrEqual(0.6);
    expect(repeated).toBeGreaterThan(0);
  });

  test("control: the SDK sends again what it has no reply to, and the same check fails", async () => {
    const { owner, proxy, url, names } = await lineToServer();
    const sdk = new Surreal();
    onTestFinished(async () => void (await sdk.close()));
    const reconnect = { enabled: true, attempts: -1, retryDelay: 10, retryDelayMax: 50 };
    await sdk.connect(`${url}/rpc`, { authentication: TOKEN, ...names, reconnect });
    await owner.query(surql`CREATE counter:x SET n = 0`);
    const OPERATIONS = 20;
    for (let i = 0; i < OPERATIONS; i++) {
      const before = await total(owner);
      const increment = () => sdk.query("UPDATE ONLY counter:x SET n += 1").collect();
      const ending = await loseReply(proxy, increment, async () => (await total(owner)) > before);
      expect(ending).toHaveProperty("value"); // as if nothing had been amiss
    }
    const counted = await total(owner);
    console.log(`control: the SDK reported ${OPERATIONS} increments, the database counted ${counted}`);
    const failure = await sabotage("sent again", () => expect(counted).toBe(OPERATIONS));
    expect(failure).toMatchObject({ actual: 2 * OPERATIONS });
  });

  test("of a read is asked for again without a word", async () => {
    const line = await lineToServer();
    const db = await clientOf(line);
    await line.owner.query(surql`CREATE note:1 SET text = 'read me'`);
    const attempts: number[] = [];
    db.on("query", (query) => void attempts.push(query.attempts));
    const sent = line.proxy.bytes.up;
    const ending = await loseReply(
      line.proxy,
      () => db.query(surql`SELECT VALUE text FROM ONLY note:1`),
      async () => line.proxy.bytes.up > sent,
    );
    expect(ending).toMatchObject({ value: "read me" });
    expect(attempts).toEqual([2]);
  });

  test("of a write is told, and the write is not sent again", async () => {
    const line = await lineToServer();
    const db = await clientOf(line);
    const attempts: number[] = [];
    db.on("query", (query) => void attempts.push(query.attempts));
    const ending = await loseReply(
      line.proxy,
      () => db.query(surql`UPSERT ONLY counter:x SET n += 1`),
      async () => (await total(line.owner)) === 1,
    );
    expect(ending).toMatchObject({
      error: { code: "db.connection_lost", outcome: "unknown", retryable: false },
    });
    expect(await db.query(surql`SELECT VALUE n FROM ONLY counter:x`)).toBe(1); // over the connection made since
    expect(attempts).toEqual([1, 1]);
  });

  test("of a write that may be repeated is asked for again over another connection", async () => {
    const line = await lineToServer();
    const db = await clientOf(line);
    const attempts: number[] = [];
    db.on("query", (query) => void attempts.push(query.attempts));
    const ending = await loseReply(
      line.proxy,
      () => db.query(surql`UPSERT ONLY counter:x SET n = 1`, { repeatable: true }),
      async () => (await total(line.owner)) === 1,
    );
    expect(ending).toMatchObject({ value: { n: 1 } });
    expect(attempts).toEqual([2]);
  });

  test("of a write over HTTP is told as well", async () => {
    const line = await lineToServer();
    const db = await opened({ url: line.url.replace("ws:", "http:"), token: TOKEN, ...line.names });
    const ending = await loseReply(
      line.proxy,
      () => db.query(surql`UPSERT ONLY counter:x SET n += 1`),
      async () => (await total(line.owner)) === 1,
    );
    expect(ending).toMatchObject({
      error: { code: "db.connection_lost", outcome: "unknown", retryable: false },
    });
    expect(await db.query(surql`SELECT VALUE n FROM ONLY counter:x`)).toBe(1);
  });
});

describe("a bad line", () => {
  const POOL_SIZE = 3;

  interface Told {
    note: number;
    ending: Ending;
  }

  /** Fails if a row is there that was told not to be, or the other way round. */
  async function requireHonest(owner: Database, told: Told[]): Promise<void> {
    const there = new Set(await owner.query(surql<number[]>`SELECT VALUE id.id() FROM note`));
    for (const { note, ending } of told) {
      if ("value" in ending) expect(there.has(note), `note ${note}, which was acknowledged`).toBe(true);
      else if (ending.error.outcome === "not_applied") {
        expect(
          there.has(note),
          `note ${note}, of which ${ending.error.code} said that nothing was changed`,
        ).toBe(false);
      }
    }
  }

  test("ends every call in a value or an honest error, in time, and the pool keeps its size", async () => {
    const random = seeded();
    console.log(`SEED=${random.seed}`);
    const line = await lineToServer();
    const { owner, proxy } = line;
    await owner.query(surql`DEFINE TABLE note`);
    const db = await clientOf(line, {
      poolSize: POOL_SIZE,
      connectTimeout: 300,
      acquireTimeout: 900,
      heartbeat: 200,
    });
    let largest = 0;
    const measure = () => (largest = Math.max(largest, db.stats.idle + db.stats.lent + db.stats.opening));
    for (const event of ["query", "acquire", "connection"] as const) db.on(event, measure);

    const faults: Record<string, () => void> = {
      none: () => {},
      latency: () => proxy.latency(random.int(300)),
      "little bandwidth": () => proxy.bandwidth(500 + random.int(20_000)),
      "cut in a request": () => proxy.cutAfter(random.int(800), "up"),
      "cut in a reply": () => proxy.cutAfter(random.int(400), "down"),
      reset: () => proxy.reset(),
      "refused connections": () => {
        proxy.refuse();
        proxy.reset();
      },
      "lost replies": () => proxy.dropReplies(),
      "black hole": () => proxy.blackHole(),
    };
    const names = Object.keys(faults);
    const goesOn = () =>
      until(() => db.query(surql`RETURN true`), { deadline: 60_000, what: "the same database to go on" });
    const told: Told[] = [];
    const codes = new Map<string, number>();
    const writeNote = async (note: number) => {
      const write = surql`CREATE ${new RecordId("note", note)} SET text = ${"x".repeat(random.int(2_000))}`;
      // Timers ring in their order, however late: who has ended by then ended by its own timeout at the latest.
      const overdue = new Promise<never>((_, reject) => {
        setTimeout(() => reject(new Error(`note ${note} outlasted its timeout`)), 2_000);
      });
      const ending = await Promise.race([endingOf(db.query(write, { timeout: 1_000 })), overdue]);
      const said = "error" in ending ? `${ending.error.code}, ${ending.error.outcome}` : "a value";
      codes.set(said, (codes.get(said) ?? 0) + 1);
      told.push({ note, ending });
    };
    for (let round = 0; round < 18; round++) {
      const inFlight = [0, 1, 2].map((i) => writeNote(round * 6 + i));
      if (random.int(2)) await new Promise((resolve) => setImmediate(resolve)); // sent, or being sent
      faults[names[round % names.length]!]!(); // each of them twice, so that the control has something to find
      const later = [3, 4, 5].map((i) => writeNote(round * 6 + i));
      await Promise.all([...inFlight, ...later]);
      reconnect(proxy);
      await goesOn(); // so that the next fault meets work, not a pause
    }
    console.log(JSON.stringify(Object.fromEntries(codes)));
    expect(db.stats).toMatchObject({ lent: 0, waiting: 0 });
    expect(largest).toBe(POOL_SIZE);
    await requireHonest(owner, told);
    expect(codes.size).toBeGreaterThan(2);
    expect(codes.get("a value")).toBeGreaterThan(10);

    const believing = told.map(({ note, ending }) => ({
      note,
      ending:
        "error" in ending ? { ...ending, error: ending.error.with({ outcome: "not_applied" }) } : ending,
    }));
    const failure = await sabotage("no outcome is ever in doubt", () => requireHonest(owner, believing));
    expect(String(failure)).toContain("said that nothing was changed");

    await db.close();
    await until(() => proxy.connections === 0 && line.served.clients === 0, {
      what: "the connections to end",
    });
  });
});

describe("a process that has closed its database ends by itself", () => {
  const entry = new URL("./fixtures/close-child.ts", import.meta.url);

  async function endsByItself(env: Record<string, string>, trouble: () => void = () => {}): Promise<void> {
    const child = spawnChild(entry, { env: { CLOSE_WITHIN: "500", ...env } });
    onTestFinished(async () => void (await child.kill()));
    await child.message((message) => message.ready === true);
    trouble();
    let exit: unknown;
    void child.kill("SIGTERM").then((how) => (exit = how));
    await child.message((message) => message.closed === true, 60_000);
    await until(() => exit, { deadline: 60_000, what: "the process to end by itself" });
    expect(exit).toEqual({ code: 0, signal: null });
    expect(child.stderr).toBe("");
  }

  test.for(["mem://", "rocksdb://", "surrealkv://"])("with %s", async (scheme) => {
    await endsByItself({ OPEN_URL: scheme === "mem://" ? scheme : `${scheme}${await freshFolder()}/data` });
  });

  test.for<{ line: string; trouble: (line: Line) => void }>([
    { line: "that is well", trouble: () => {} },
    { line: "that swallows everything", trouble: ({ proxy }) => proxy.blackHole() },
    { line: "that refuses every connection", trouble: ({ proxy }) => (proxy.refuse(), proxy.reset()) },
    { line: "that is slow", trouble: ({ proxy }) => proxy.latency(200) },
  ])("over a line $line", async ({ trouble }) => {
    const line = await lineToServer();
    await endsByItself({ OPEN_URL: line.url, OPEN_TOKEN: TOKEN }, () => trouble(line));
    line.proxy.reset(); // a line that swallows all keeps even the end from the server
    await until(() => line.served.clients === 0, { what: "the server to have let go of it" });
  });
});

describe("a sign-in that does not last", () => {
  /** Asks all the time for `ms` milliseconds, and a hundred times; fails with the first call that fails. */
  async function requireAnswersFor(ms: number, db: Database): Promise<void> {
    const end = performance.now() + ms;
    for (let answers = 0; answers < 100 || performance.now() < end; answers++) {
      await Promise.all([
        db.query(surql`UPSERT ONLY counter:x SET n += 1`),
        db.query(surql`SELECT * FROM counter`),
      ]);
    }
  }

  const user = { user: "worker", password: "password of worker" };

  async function server(): Promise<Line> {
    const line = await lineToServer();
    await line.owner.query(
      surql`DEFINE USER worker ON DATABASE PASSWORD "password of worker" ROLES EDITOR DURATION FOR TOKEN 2s, FOR SESSION 3s`,
    );
    return line;
  }

  async function tokenOf({ served, names }: Line): Promise<string> {
    await using sdk = new Surreal();
    await sdk.connect(served.url, { reconnect: false });
    return (await sdk.signin({ ...names, username: user.user, password: user.password })).access;
  }

  test("is renewed before it ends, and no call notices", async () => {
    const { url, names } = await server();
    const db = await opened({ url, ...names, ...user });
    await requireAnswersFor(5_000, db);
  });

  test("is renewed with a token that is fetched anew", async () => {
    const line = await server();
    let fetched = 0;
    const db = await opened({ url: line.url, ...line.names, token: () => (fetched++, tokenOf(line)) });
    while (fetched <= 2) await requireAnswersFor(500, db);
  });

  test("control: the check fails with a token that nobody renews", async () => {
    const line = await server();
    const db = await until(async () => opened({ url: line.url, ...line.names, token: await tokenOf(line) }));
    const failure = await sabotage("no renewal", () => requireAnswersFor(5_000, db));
    expect(failure).toMatchObject({ code: "db.auth_failed" });
  });

  test("is made again when the session ends before its token does", async () => {
    const line = await lineToServer();
    await line.owner.query(
      surql`DEFINE USER worker ON DATABASE PASSWORD "password of worker" ROLES EDITOR DURATION FOR TOKEN 1h, FOR SESSION 1s`,
    );
    const db = await opened({ url: line.url, ...line.names, ...user });
    await requireAnswersFor(4_000, db);
  });

  test("that was taken back is told as what it is", async () => {
    const { url, names, owner, proxy } = await server();
    const db = await opened({ url, ...names, ...user });
    await owner.query(surql`REMOVE USER worker ON DATABASE`);
    proxy.reset();
    const refusal = await failureOf(() => db.query(surql`RETURN 1`));
    expect(refusal).toMatchObject({ code: "db.auth_failed", retryable: false, outcome: "not_applied" });
  });
});
