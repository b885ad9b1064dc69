// Who may migrate, and what becomes of what they sent: the lock, its fence, and replies that are lost.

import { isDeepStrictEqual } from "node:util";
import {
  DbError,
  Duration,
  openDatabase,
  RecordId,
  serve,
  surql,
  type Database,
  type DbErrorCode,
} from "@sentient/db-pool";
import { checksumOfStatements } from "../src/migrate-text.ts";
import { sabotage, tcpProxy, type TcpProxy, until, VirtualClock } from "@sentient/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import { migrate, migrationStatus } from "../src/migrate.ts";
import type { Queries } from "../src/migrate-history.ts";
import { defineMigration } from "../src/migration.ts";
import { all, numbersOf, people, visits, visitsOf } from "./fixtures/migrate-people.ts";
import { failureOf, freshDatabase, intercepted } from "./support/migrate.ts";
import { isPart } from "./support/migrate-part.ts";

/** What a part does, without what makes sure that it is done once: the fence and the beginning of the record, and its end. */
function withoutGuards<T>(statements: readonly T[]): readonly T[] {
  return statements.slice(2, -1);
}

describe("the lock", () => {
  const LEASE_MS = 15_000;
  const holder = { id: "another", host: "elsewhere", pid: 7 };

  /** A store whose lock somebody has. */
  async function lockedStore(until: Date): Promise<Database> {
    const db = await freshDatabase();
    await migrate(db, { migrations: [people] });
    await db.query(surql`UPDATE ONLY schema_lock:lease SET token = 99, holder = ${holder}, until = ${until}`);
    await db.query(surql`UPDATE ONLY schema_lock:fence SET token = 99`);
    return db;
  }

  const anHourFromNow = () => new Date(Date.now() + 3_600_000);

  /** Moves time until `work` has settled. */
  async function throughTime<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
    let settled = false;
    void work.catch(() => {}).finally(() => (settled = true));
    while (!settled) await clock.advance(500);
    return work;
  }

  test("that somebody has is waited for, and then the one who has it is named", async () => {
    const until = anHourFromNow();
    const db = await lockedStore(until);
    const clock = new VirtualClock();
    const began = clock.now();
    const failure = await failureOf(() =>
      throughTime(clock, migrate(db, { migrations: all, clock, lockTimeout: 20_000 })),
    );
    expect(failure).toMatchObject({
      code: "schema.lock_timeout",
      retryable: true,
      message: `waited 20000 ms to migrate: process 7 on elsewhere is migrating, and its lease ends at ${until.toISOString()} unless it is renewed`,
      details: { holder },
    });
    expect(clock.now() - began).toBeGreaterThanOrEqual(20_000);
    expect((await migrationStatus(db, { migrations: all })).pending).toHaveLength(2);
  });

  test("is not waited for by a store that has everything", async () => {
    const db = await lockedStore(anHourFromNow());
    expect(await migrate(db, { migrations: [people] })).toMatchObject({ already: 1 });
  });

  test("is taken once its holder gives it back", async () => {
    const db = await lockedStore(anHourFromNow());
    const clock = new VirtualClock();
    const waiting = migrate(db, { migrations: all, clock, lockTimeout: 3_600_000 });
    await clock.advance(10_000);
    expect(await visitsOf(db)).toBeUndefined();
    await db.query(surql`UPDATE ONLY schema_lock:lease SET token = 0, holder = NONE, until = NONE`);
    expect(numbersOf((await throughTime(clock, waiting)).applied)).toEqual([2, 3]);
  });

  test("is taken over once its lease has ended by the clock of the database", async () => {
    const db = await lockedStore(new Date(Date.now() - 1));
    const clock = new VirtualClock(0); // ours is wrong, and is not asked
    expect(numbersOf((await migrate(db, { migrations: all, clock })).applied)).toEqual([2, 3]);
  });

  test("waiting for it ends when it is cancelled", async () => {
    const db = await lockedStore(anHourFromNow());
    const stop = new AbortController();
    const waiting = failureOf(() => migrate(db, { migrations: all, signal: stop.signal }));
    stop.abort();
    expect((await waiting).code).toBe("schema.cancelled");
  });

  test("is given back after a failure as after a success", async () => {
    const db = await freshDatabase();
    const lease = () => db.query(surql<object>`SELECT holder, until FROM ONLY schema_lock:lease`);
    await migrate(db, { migrations: [people] });
    expect(await lease()).toEqual({});
    const bad = defineMigration(2, "bad", "CREATE person:ada");
    await failureOf(() => migrate(db, { migrations: [people, bad] }));
    expect(await lease()).toEqual({});
  });

  test("is renewed while a long transaction runs, and that transaction does not notice (L3)", async () => {
    const db = await freshDatabase();
    const clock = new VirtualClock();
    const gate = Promise.withResolvers<void>();
    const retries: unknown[] = [];
    db.on("retry", (retry) => retries.push(retry));
    const leaseEnd = () => db.query(surql<Date>`SELECT VALUE until FROM ONLY schema_lock:lease`);
    let began = false;
    const long = intercepted(db, async (statements, send) => {
      if (!isPart(statements)) return send(statements);
      const sent = send([...statements, surql`SLEEP 300ms`]);
      began = true;
      await gate.promise;
      return sent;
    });
    const migrating = migrate(long, { migrations: [people], clock, lease: LEASE_MS });
    await until(() => began);
    const before = await leaseEnd();
    await clock.advance(LEASE_MS / 3);
    await until(async () => (await leaseEnd()) > before);
    gate.resolve();
    await migrating;
    expect(retries).toEqual([]);
  });

  test("is not lost to who waits by a transaction longer than the lease, where writers queue", async () => {
    const db = await freshDatabase({ url: "mem://" });
    const long = defineMigration(4, "long", "SLEEP 1500ms");
    const last = defineMigration(5, "last", "RETURN 5");
    const migrations = [...all, long, last];
    const reports = await Promise.all([1, 2, 3].map(() => migrate(db, { migrations, lease: 1_000 })));
    expect(reports.map(({ applied }) => applied.length).sort((a, b) => a - b)).toEqual([0, 0, 5]);
  });

  test("that was lost is noticed by the renewal, and nothing more is sent", async () => {
    const db = await freshDatabase();
    await migrate(db, { migrations: [people] });
    const clock = new VirtualClock();
    const gate = Promise.withResolvers<void>();
    let parts = 0;
    let renewals = 0;
    const watched = intercepted(db, async (statements, send) => {
      const answer = await send(statements);
      if (isPart(statements) && ++parts === 1) await gate.promise;
      return answer;
    });
    db.on(
      "query",
      ({ text }) => (renewals += Number(text.startsWith("UPDATE ONLY schema_lock:lease SET until"))),
    );
    const migrating = failureOf(() => migrate(watched, { migrations: all, clock }));
    await until(() => parts === 1);
    await db.query(surql`UPDATE ONLY schema_lock:lease SET token += 1`);
    await clock.advance(LEASE_MS / 3);
    await until(() => renewals === 1);
    gate.resolve();
    expect(await migrating).toMatchObject({ code: "schema.lock_lost", retryable: true });
    expect(parts).toBe(1);
  });
});

describe("an old holder that comes back after it was taken over (L2)", () => {
  /** Its lease ends, by the database's clock. */
  const endLease = (db: Queries) =>
    db.query(surql`UPDATE ONLY schema_lock:lease SET until = time::now() - 1s`);

  type Weaken = (statements: readonly unknown[]) => readonly unknown[];
  const asItIs: Weaken = (statements) => statements;
  /** Neither the fence, nor the record that is asked where the migration is. */
  const unguarded: Weaken = (statements) => withoutGuards(statements);

  interface Takeover {
    /** What becomes of the old holder's transaction on its way. */
    weaken: Weaken;
    /** Whether it is at work in the database while it is taken over, or has not arrived yet. */
    inFlight: boolean;
  }

  /** Two migrate with a migration that counts how often it was applied. What is in flight is so for `ms` milliseconds. */
  async function takeOver({ weaken, inFlight }: Takeover, ms: number) {
    const db = await freshDatabase();
    await migrate(db, { migrations: [people, visits] });
    const sent = Promise.withResolvers<void>();
    const gate = Promise.withResolvers<void>();
    const slow = intercepted(db, async (statements, send) => {
      const weakened = weaken(statements) as typeof statements;
      sent.resolve();
      if (!inFlight) await gate.promise;
      const hold = surql`sleep(${Duration.milliseconds(ms)})`;
      return send(inFlight ? [weakened[0]!, hold, ...weakened.slice(1)] : weakened);
    });
    const old = migrate(slow, { migrations: all }).then(
      (report) => report,
      (error: unknown) => error,
    );
    let isOver = false;
    void old.then(() => (isOver = true));
    await sent.promise;
    // A statement that follows on the same engine: when it has been answered, the transaction before it has begun.
    await db.query(surql`sleep(${Duration.milliseconds(ms / 20)})`);
    await endLease(db);
    const { applied } = await migrate(db, { migrations: all });
    const wasInTime = !isOver;
    gate.resolve();
    return { wasInTime, applied: numbersOf(applied), ending: await old, visits: await visitsOf(db) };
  }

  /** It must be once. */
  async function expectOldHolderRefused(how: Takeover): Promise<void> {
    // Longer each time: on a slow machine it may be over before it is taken over.
    let told = await takeOver(how, 1_000);
    for (const ms of [4_000, 16_000]) if (!told.wasInTime) told = await takeOver(how, ms);
    expect(told.applied).toEqual([3]);
    expect(told.visits, "how often it was applied").toBe(1);
    expect(told.ending).toMatchObject({ code: "schema.lock_lost" });
  }

  test("cannot commit what it sends then", async () => {
    await expectOldHolderRefused({ weaken: asItIs, inFlight: false });
  });

  test("cannot commit what is in flight", async () => {
    await expectOldHolderRefused({ weaken: asItIs, inFlight: true });
  });

  test("the check fails without the fence and the record (control)", async () => {
    const failures = [
      await sabotage("no fence", () => expectOldHolderRefused({ weaken: unguarded, inFlight: false })),
      await sabotage("no fence, in flight", () =>
        expectOldHolderRefused({ weaken: unguarded, inFlight: true }),
      ),
    ];
    for (const failure of failures)
      expect(failure).toMatchObject({ message: expect.stringMatching(/how often it was applied/) });
  });

  test("a fence that only reads lets what is in flight commit (control)", async () => {
    const db = await freshDatabase();
    await db.query(surql`CREATE fence:it SET token = 1, writes = 0`);
    const raced = async (fence: ReturnType<typeof surql>, ms: number) => {
      await db.query(surql`UPDATE ONLY fence:it SET token = 1`);
      const hold = surql`sleep(${Duration.milliseconds(12 * ms)})`;
      const inFlight = db.transaction([fence, hold, surql`CREATE work`]);
      await db.query(surql`sleep(${Duration.milliseconds(ms)})`);
      await db.query(surql`UPDATE ONLY fence:it SET token = 2`);
      return inFlight.then(
        () => "committed",
        () => "refused",
      );
    };
    const reading = surql`IF (SELECT VALUE token FROM ONLY fence:it) != 1 { THROW "lost" }`;
    const same = surql`IF (UPDATE ONLY fence:it SET token = token WHERE token = 1) = NONE { THROW "lost" }`;
    const writing = surql`IF (UPDATE ONLY fence:it SET writes += 1 WHERE token = 1) = NONE { THROW "lost" }`;
    const endings = async (ms: number) => [
      await raced(reading, ms),
      await raced(same, ms),
      await raced(writing, ms),
    ];
    const expected = ["committed", "committed", "refused"]; // an UPDATE that changes nothing writes nothing
    // Longer each time: on a slow machine it may not have begun by then, or have committed already.
    let told = await endings(50);
    for (const ms of [200, 800]) if (!isDeepStrictEqual(told, expected)) told = await endings(ms);
    expect(told).toEqual(expected);
  });
});

describe("a reply that is lost (M4)", () => {
  const TOKEN = "a-token-of-this-test-file";

  interface Line {
    /** The database itself, asked without the line. */
    owner: Database;
    client: Database;
    proxy: TcpProxy;
  }

  async function line(): Promise<Line> {
    const owner = await freshDatabase();
    const served = await serve(owner, { token: TOKEN });
    const proxy = await tcpProxy({ port: served.port });
    onTestFinished(async () => {
      await served.close();
      await proxy.close();
    });
    const { namespace, database } = owner;
    const url = `ws://${proxy.host}:${proxy.port}`;
    const client = await freshDatabase({ url, token: TOKEN, namespace, database });
    return { owner, client, proxy };
  }

  type Repeat = (send: (guarded: boolean) => Promise<unknown[]>, lost: unknown) => Promise<unknown[]>;
  const notAtAll: Repeat = (_send, lost) => Promise.reject(lost);
  const onAGuess: Repeat = (send) => send(false);

  /** Migrates over a line that swallows the first reply to migration 3, or already the request. */
  async function expectAppliedOnceLosing(what: "reply" | "request", repeat: Repeat): Promise<void> {
    const { owner, client, proxy } = await line();
    await migrate(owner, { migrations: [people, visits] });
    let lost: unknown;
    const lossy = intercepted(client, async (statements, send) => {
      if (!isPart(statements) || lost) return send(statements);
      proxy.oneWay(what === "reply" ? "up" : "down");
      const sending = send(statements).catch((error: unknown) => error);
      await until(async () => (what === "reply" ? (await visitsOf(owner)) === 1 : client.stats.lent === 1));
      proxy.reset();
      proxy.pass();
      lost = await sending;
      expect(await visitsOf(owner)).toBe(what === "reply" ? 1 : 0);
      return repeat((guarded) => send(guarded ? statements : withoutGuards(statements)), lost);
    });
    const report = await migrate(lossy, { migrations: all });
    expect(lost).toMatchObject({ code: "db.connection_lost", outcome: "unknown" });
    expect(await visitsOf(owner), "how often it was applied").toBe(1);
    expect(numbersOf(report.applied)).toEqual([3]);
  }

  test("leaves a migration that took effect applied once, and told of as applied", async () => {
    await expectAppliedOnceLosing("reply", notAtAll);
  });

  test("leaves a migration that did not take effect to be applied again", async () => {
    await expectAppliedOnceLosing("request", notAtAll);
  });

  /** How migration 3 ends when each of its transactions is swallowed by a failure like this one. */
  async function endingOf(init: { code: DbErrorCode; retryable?: boolean }) {
    const db = await freshDatabase();
    await migrate(db, { migrations: [people, visits] });
    let sent = 0;
    const broken = intercepted(db, async (statements, send) => {
      if (!isPart(statements)) return send(statements);
      sent++;
      throw new DbError({ ...init, message: "gone", outcome: "unknown" });
    });
    const failure = await failureOf(() => migrate(broken, { migrations: all }));
    expect(failure).toMatchObject({
      code: "schema.migration_failed",
      outcome: "not_applied",
      message: "migration 0003_once failed, and nothing of it was applied: gone",
    });
    return { sent };
  }

  test("that is lost every time is given up, and known not to have taken effect", async () => {
    expect(await endingOf({ code: "db.connection_lost" })).toEqual({ sent: 6 });
  });

  test("is not asked for again where the storage failed, and not the line", async () => {
    expect(await endingOf({ code: "db.storage" })).toEqual({ sent: 1 });
  });

  test("the check fails when the transaction is simply repeated (control)", async () => {
    const failure = await sabotage("repeat what was lost", () => expectAppliedOnceLosing("reply", onAGuess));
    expect(failure).toMatchObject({ message: expect.stringMatching(/how often it was applied/) });
  });
});

describe("somebody else", () => {
  test("who did all there was to do is not waited for", async () => {
    const db = await freshDatabase();
    await migrate(db, { migrations: [people, visits] });
    const far = new Date(Date.now() + 3_600_000);
    await db.query(surql`UPDATE ONLY schema_lock:lease SET token = 1, until = ${far}`);
    const clock = new VirtualClock();
    const waiting = migrate(db, { migrations: all, clock, lockTimeout: 3_600_000 });
    await clock.advance(1_000);
    await db.query(surql`UPDATE ONLY schema_lock:lease SET token = 0, until = NONE`);
    const other = await migrate(db, { migrations: all });
    await db.query(surql`UPDATE ONLY schema_lock:lease SET token = 1, until = ${far}`);
    let ended = false;
    void waiting.finally(() => (ended = true));
    while (!ended) await clock.advance(500);
    expect([...other.applied, ...(await waiting).applied]).toHaveLength(1);
  });

  test.each([
    ["deleted", surql`DELETE schema_lock`],
    ["deleted the fence of", surql`DELETE schema_lock:fence`],
  ])("who %s the lock keeps nobody from migrating", async (_what, deletion) => {
    const db = await freshDatabase();
    await migrate(db, { migrations: [people] });
    await db.query(deletion);
    expect(numbersOf((await migrate(db, { migrations: all })).applied)).toEqual([2, 3]);
  });

  test("who put the clock back keeps nobody from migrating", async () => {
    const db = await freshDatabase();
    await migrate(db, { migrations: [people] });
    const id = 'schema_migration:["default", 2]';
    await db.query(surql`CREATE ${new RecordId("schema_migration", ["default", 2])} SET history = "default", number = 2,
      name = ${visits.name}, checksum = ${checksumOfStatements([])}, state = "under_way", done = 0, started_at = time::now() + 1h`);
    expect(numbersOf((await migrate(db, { migrations: all })).applied), id).toEqual([2, 3]);
  });

  test("who may only look is told that this is not enough", async () => {
    const owner = await freshDatabase();
    await migrate(owner, { migrations: [people] });
    await owner.query(surql`DEFINE USER viewer ON DATABASE PASSWORD "hunter2" ROLES VIEWER`);
    await using served = await serve(owner, { token: "a-token-of-this-test" });
    const { namespace, database } = owner;
    const user = { user: "viewer", password: "hunter2", signInAs: "database" } as const;
    await using db = await openDatabase({ url: served.url, ...user, namespace, database });
    expect((await failureOf(() => migrate(db, { migrations: all }))).code).toBe("schema.denied");
  });
});
