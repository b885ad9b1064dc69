// The lock. Owns: that one process at a time migrates a store.
// L1. Who holds the lock is settled by the database, by its own clock. A holder that falls silent loses it.
// L2. Each taking raises the token of the fence, and each transaction of a holder writes the fence. So a taking over
//     and a transaction of the old holder that is still in flight conflict, and one of them did not happen.
// L3. Renewing writes the lease alone: it never conflicts with a transaction of the holder, however long that takes.

import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { backoff, DbError, Duration, sleep, surql, type Clock, type Statement } from "@sentient/db-pool";
import { SchemaError } from "./errors.ts";
import { HISTORY_TABLE, MOVED_ON, NO_TIMEOUT, unlessMissing, type Queries } from "./migrate-history.ts";

/** Looks at the lock come so often at most, in milliseconds, and more often for a short lease. */
const MAX_POLL = 1_000;
const DENIED = "schema.denied";

export interface LockOptions {
  clock: Clock;
  /** How long a silent holder keeps it, in milliseconds. */
  lease: number;
  /** How long to wait for it, in milliseconds. */
  lockTimeout: number;
  /** Whether others have done all there was to do. */
  isDone: () => Promise<boolean>;
  signal: AbortSignal | undefined;
}

export interface Lock extends AsyncDisposable {
  /** L2: to stand first in each transaction. */
  readonly fence: Statement;
  /** Of this taking of the lock, and of no other. */
  readonly token: number;
  /** @throws `schema.lock_lost` once it is known to be lost; the fence finds out in any case */
  requireHeld(): void;
}

interface Holder {
  id: string;
  host: string;
  pid: number;
}

interface Lease {
  holder?: Holder;
  until?: Date;
  held: boolean;
}

const TABLES: readonly Statement[] = [
  ...HISTORY_TABLE,
  surql`DEFINE TABLE IF NOT EXISTS schema_lock SCHEMAFULL COMMENT "who is applying migrations"`,
  surql`DEFINE FIELD IF NOT EXISTS token ON schema_lock TYPE int DEFAULT 0`,
  surql`DEFINE FIELD IF NOT EXISTS writes ON schema_lock TYPE option<int>`,
  surql`DEFINE FIELD IF NOT EXISTS holder ON schema_lock TYPE option<{ id: string, host: string, pid: int }>`,
  surql`DEFINE FIELD IF NOT EXISTS until ON schema_lock TYPE option<datetime>`,
  surql`INSERT IGNORE INTO schema_lock [
    { id: schema_lock:fence, writes: 0, token: rand::int(1, 1000000000000) }, { id: schema_lock:lease }] RETURN NONE`,
];

// Reading first keeps those who wait out of the queue of writers that mem and surrealkv have. There a taking that was
// queued behind a long transaction of the holder would come before the holder's own renewal, and take the lock from it.
const readLease = surql<Lease | undefined>`{
  LET $lease = (SELECT holder, until, until != NONE AND until > time::now() AS held FROM ONLY schema_lock:lease);
  IF (SELECT VALUE id FROM ONLY schema_lock:fence) = NONE { RETURN NONE };
  RETURN $lease;
}`;

const take = (me: Holder, lease: Duration) => surql<number | undefined>`{
  LET $lease = (SELECT * FROM ONLY schema_lock:lease);
  IF $lease.until != NONE AND $lease.until > time::now() AND $lease.holder.id != ${me.id} { RETURN NONE };
  LET $next = (UPDATE ONLY schema_lock:fence SET token += 1 RETURN VALUE token);
  IF $next = NONE { THROW ${DENIED} };
  UPDATE ONLY schema_lock:lease SET token = $next, holder = ${me}, until = time::now() + ${lease} RETURN NONE;
  RETURN $next;
}`;

const renew = (token: number, lease: Duration) => surql<number | undefined>`
  UPDATE ONLY schema_lock:lease SET until = time::now() + ${lease} WHERE token = ${token} RETURN VALUE token`;

// The token goes too, so that a renewal that is late renews nothing.
const release = (token: number) => surql`
  UPDATE ONLY schema_lock:lease SET token = 0, holder = NONE, until = NONE WHERE token = ${token} RETURN NONE`;

// It counts the writes because an UPDATE that changes nothing writes nothing, and would conflict with nobody.
const fence = (token: number) => surql`
  IF (UPDATE ONLY schema_lock:fence SET writes += 1 WHERE token = ${token}) = NONE { THROW ${MOVED_ON} }`;

/**
 * Waits for the lock and takes it. Disposing of it gives it back.
 *
 * @returns undefined once there is nothing left to take it for
 * @throws `schema.lock_timeout` naming the holder, `schema.cancelled`
 */
export async function takeLock(db: Queries, options: LockOptions): Promise<Lock | undefined> {
  const { clock, lease, lockTimeout, signal, isDone } = options;
  requirePositive({ lease, lockTimeout });
  const me: Holder = { id: randomUUID(), host: hostname(), pid: process.pid };
  const giveUpAt = clock.now() + lockTimeout;
  for (let attempt = 0; ; attempt++) {
    requireNotCancelled(signal);
    const { token, seen, cause } = await tryToTake(db, me, lease);
    if (token !== undefined) return keep(db, token, options);
    if (!cause && (await isDone())) return undefined;
    const left = giveUpAt - clock.now();
    if (left <= 0) throw lockTimedOut(lockTimeout, seen, cause);
    const pause = backoff(attempt, { first: lease / 100, max: Math.min(MAX_POLL, lease / 5) });
    await sleep(clock, Math.min(pause, left), signal);
  }
}

/** @throws `schema.cancelled` */
export function requireNotCancelled(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new SchemaError({
    code: "schema.cancelled",
    message:
      "migrating was cancelled; what was applied until then stands, and the next run goes on from there",
    cause: signal.reason,
  });
}

/** Whether a transaction failed because somebody else has the lock by now. */
export function isLockLost(error: unknown): boolean {
  return error instanceof DbError && error.code === "db.thrown" && error.details?.thrown === MOVED_ON;
}

export function lockLost(cause?: unknown): SchemaError {
  return new SchemaError({
    code: "schema.lock_lost",
    message: "another process took over migrating, since this one had been silent for too long; start again",
    retryable: true,
    cause,
  });
}

interface Attempt {
  token?: number | undefined;
  seen?: Lease | undefined;
  cause?: unknown;
}

/** A database that is away for the moment is as good as a lock that is held. */
async function tryToTake(db: Queries, me: Holder, lease: number): Promise<Attempt> {
  try {
    const seen = await unlessMissing(db.query(readLease), undefined);
    if (!seen) await db.transaction(TABLES);
    if (seen?.held) return { seen };
    return { seen, token: await db.query(take(me, milliseconds(lease))) };
  } catch (error) {
    if (!(error instanceof DbError)) throw error;
    if (error.retryable || error.outcome === "unknown") return { cause: error };
    throw error.code === "db.denied" || error.details?.thrown === DENIED ? mayNotMigrate(error) : error;
  }
}

function keep(db: Queries, token: number, { clock, lease }: LockOptions): Lock {
  const released = new AbortController();
  let lost = false;
  async function keepRenewing(): Promise<void> {
    while (!lost) {
      await sleep(clock, lease / 3, released.signal);
      if (released.signal.aborted) return;
      lost = !(await isRenewed(db, token, lease, released.signal));
    }
  }
  const renewing = keepRenewing();
  return {
    fence: fence(token),
    token,
    requireHeld() {
      if (lost) throw lockLost();
    },
    async [Symbol.asyncDispose]() {
      released.abort();
      await renewing;
      // If this fails the lease ends by itself.
      await db.query(release(token), { timeout: lease }).catch(() => {});
    },
  };
}

/** False only if somebody else has the lock; of a renewal that failed, the next one or the fence will tell. */
async function isRenewed(db: Queries, token: number, lease: number, signal: AbortSignal): Promise<boolean> {
  try {
    // It waits as long as it takes, to keep its place before any taking over in the queue of writers (see readLease).
    return (await db.query(renew(token, milliseconds(lease)), { ...NO_TIMEOUT, signal })) === token;
  } catch {
    return true;
  }
}

function mayNotMigrate(cause: DbError): SchemaError {
  return new SchemaError({
    code: "schema.denied",
    message:
      "this user may not migrate: it takes one who may define tables, an editor or an owner of the database",
    cause,
  });
}

function requirePositive(options: Record<string, number>): void {
  for (const [name, value] of Object.entries(options)) {
    if (Number.isFinite(value) && value > 0) continue;
    throw new SchemaError({
      code: "schema.bad_migration",
      message: `${name} is a number of milliseconds above 0, and not ${value}`,
    });
  }
}

function lockTimedOut(waited: number, seen: Lease | undefined, cause: unknown): SchemaError {
  const { holder, until } = seen ?? {};
  const who = holder
    ? `process ${holder.pid} on ${holder.host} is migrating`
    : `the lock could not be taken${cause instanceof Error ? `: ${cause.message}` : ""}`;
  const ends = until ? `, and its lease ends at ${until.toISOString()} unless it is renewed` : "";
  return new SchemaError({
    code: "schema.lock_timeout",
    message: `waited ${waited} ms to migrate: ${who}${ends}`,
    retryable: true,
    cause,
    details: { holder, until },
  });
}

function milliseconds(ms: number): Duration {
  return new Duration(`${Math.ceil(ms)}ms`);
}
