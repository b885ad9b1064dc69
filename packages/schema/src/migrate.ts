// Migrating. Owns: bringing a store to the newest migration, from any number of processes, across any crash.
// M1. Each migration is applied once: a part of it commits together with the record that it did, or not at all.
// M2. Nothing is changed before what stands was compared with what is known; a store of a newer program is left alone.
// M3. One process works at a time, and the record is read again after the lock was taken.
// M4. After a lost reply nothing is repeated on a guess: the lock is taken anew, which no transaction of before outlives
//     (L2), and then the record says what happened.
// M5. A store that has everything costs one read, and no lock.

import { DbError, systemClock, type Clock, type FailedStatement } from "@sentient/db-pool";
import { SchemaError } from "./errors.ts";
import { applyAll, type MigrationProgress, type Run } from "./migrate-apply.ts";
import { tryAll } from "./migrate-dry-run.ts";
import { migrationFailed } from "./migrate-failure.ts";
import {
  pendingOf,
  readHistory,
  type MigrationRecord,
  type Pending,
  type Queries,
} from "./migrate-history.ts";
import { takeLock, type LockOptions } from "./migrate-lock.ts";
import { requireSequence, type Migration } from "./migration.ts";

export type { MigrationProgress } from "./migrate-apply.ts";

const DEFAULT_HISTORY = "default";
const LEASE_MS = 15_000;
const LOCK_TIMEOUT_MS = 60_000;
/** So often in a row the same part may lose its reply; then it is probably what breaks the line. */
const MAX_LOSSES = 5;

export interface MigrateOptions {
  /** All migrations there are, from number 1 on. */
  migrations: readonly Migration[];
  /** The number of the last one to apply; the newest if left out. */
  to?: number;
  /** Whose migrations these are, where several programs share a database; `"default"` if left out. */
  history?: string;
  /** Tries what is pending and takes it back. Needs no lock, and leaves nothing behind. */
  dryRun?: boolean;
  /** Where time comes from; who has the lock is settled by the database's own. */
  clock?: Clock;
  /** How long to wait while another process migrates, in milliseconds. Default 60,000. */
  lockTimeout?: number;
  /** After how long a process that fell silent loses the lock, in milliseconds. Default 15,000; tests use less. */
  lease?: number;
  /** Ends it between two statements or batches, with `schema.cancelled`. */
  signal?: AbortSignal;
  onProgress?: (progress: MigrationProgress) => void;
}

export interface AppliedMigration {
  number: number;
  name: string;
  /** From its start to its end, in milliseconds. */
  took: number;
  appliedAt: Date;
  /** Of a data migration: how many rows it visited. */
  rows?: number;
}

export interface PendingMigration {
  number: number;
  name: string;
  kind: Migration["kind"];
  /** Statements that stand already, or rows; 0 if it was not begun. */
  done: number;
}

export interface MigrationReport {
  /** What this call applied. */
  applied: AppliedMigration[];
  /** How many were applied before, or by another process meanwhile. */
  already: number;
  /** What is left: after `to`, or by a dry run. */
  pending: PendingMigration[];
  /** Of a dry run: what it could not try. */
  notes: string[];
}

export interface MigrationStatus {
  applied: AppliedMigration[];
  pending: PendingMigration[];
}

/**
 * Brings a store to the newest migration. Any number of processes may call it at once: one works, the others wait, and
 * each returns when everything is applied. After a crash the next call goes on where the last transaction ended.
 *
 * Do not write to a table while an index is built on it: SurrealDB 3.0 leaves such rows out of the index.
 *
 * @throws `schema.bad_migration`, `schema.migration_diverged`, `schema.store_newer` before anything is changed;
 * `schema.migration_failed`, `schema.lock_timeout`, `schema.lock_lost`, `schema.cancelled`, and `DbError` where the
 * database cannot be asked
 * @example await migrate(db, { migrations: await readMigrations(new URL("./migrations", import.meta.url)) });
 */
export async function migrate(db: Queries, options: MigrateOptions): Promise<MigrationReport> {
  const { migrations, history = DEFAULT_HISTORY, to = migrations.length, dryRun = false } = options;
  requireSequence(migrations);
  requireHistory(history);
  requireTarget(to, migrations.length);
  const { signal, onProgress } = options;
  const run: Run = { db, history, signal, onProgress, tokens: new Set() };
  let records = await readHistory(db, history);
  let notes: string[] = [];
  const due = dueOf(migrations, records, to);
  if (dryRun) {
    notes = await tryAll(db, due);
  } else if (due.length > 0) {
    // M5: only now
    await applyUnderLock(run, options, to);
    records = await readHistory(db, history);
  }
  const applied = appliedOf(migrations, records);
  const mine = new Set(
    records.filter((each) => run.tokens.has(each.applied_by ?? 0)).map((each) => each.number),
  );
  const ours = applied.filter(({ number }) => mine.has(number));
  const pending = pendingOf(migrations, records).map(toPublic);
  return { applied: ours, already: applied.length - ours.length, pending, notes };
}

/**
 * What a store has of these migrations, and what it lacks. Reads only.
 *
 * @throws `schema.bad_migration`, `schema.migration_diverged`, `schema.store_newer`
 * @example const { pending } = await migrationStatus(db, { migrations });
 */
export async function migrationStatus(
  db: Queries,
  { migrations, history = DEFAULT_HISTORY }: Pick<MigrateOptions, "migrations" | "history">,
): Promise<MigrationStatus> {
  requireSequence(migrations);
  requireHistory(history);
  const records = await readHistory(db, history);
  const pending = pendingOf(migrations, records);
  return { applied: appliedOf(migrations, records), pending: pending.map(toPublic) };
}

async function applyUnderLock(run: Run, options: MigrateOptions, to: number): Promise<void> {
  let doubt: SchemaError | undefined;
  for (let losses = 0; ;) {
    const readDue = async () => dueOf(options.migrations, await readHistory(run.db, run.history), to);
    const isDone = async () => (await readDue()).length === 0;
    const orDoubt = (error: unknown) => {
      throw doubt ?? error;
    };
    await using lock = await takeLock(run.db, { ...lockOptions(options), isDone }).catch(orDoubt);
    if (!lock) return;
    const due = await readDue().catch(orDoubt); // M3
    if (doubt) {
      losses = isStillAt(doubt, due[0]) ? losses + 1 : 0;
      if (losses > MAX_LOSSES || (losses > 0 && !isLineAtFault(doubt))) throw settled(doubt, due[0]!);
    }
    try {
      return await applyAll(run, lock, due);
    } catch (error) {
      if (!isInDoubt(error)) throw error;
      doubt = error; // M4
    }
  }
}

/** Not known to have failed for good: the reply was lost, or the database was out of reach for a while. */
function isInDoubt(error: unknown): error is SchemaError {
  return (
    error instanceof SchemaError &&
    error.code === "schema.migration_failed" &&
    (error.retryable || error.outcome === "unknown")
  );
}

function isStillAt({ details }: SchemaError, next: Pending | undefined): boolean {
  return next?.migration.number === details?.number && next?.done === details?.done;
}

function isLineAtFault({ cause }: SchemaError): boolean {
  return cause instanceof DbError && (cause.retryable || cause.code === "db.connection_lost");
}

/** The failure, now that the record says that it did not take effect. */
function settled({ cause, details }: SchemaError, { migration, done }: Pending): SchemaError {
  return migrationFailed({
    migration,
    done,
    cause: (cause as DbError).with({ outcome: "not_applied", retryable: false }),
    statement: details?.statement as FailedStatement | undefined,
  });
}

function lockOptions({
  clock = systemClock,
  lease = LEASE_MS,
  lockTimeout = LOCK_TIMEOUT_MS,
  signal,
}: MigrateOptions): Omit<LockOptions, "isDone"> {
  return { clock, lease, lockTimeout, signal };
}

function requireHistory(history: string): void {
  if (/^[\w.@/-]{1,128}$/.test(history)) return;
  throw new SchemaError({
    code: "schema.bad_migration",
    message: `${JSON.stringify(history)} is no name for a history: use letters, digits and _ . @ / -, at most 128`,
  });
}

function requireTarget(to: number, newest: number): void {
  if (to === newest || (Number.isInteger(to) && to >= 1 && to < newest)) return;
  throw new SchemaError({
    code: "schema.bad_migration",
    message: `there is no migration ${to} to go to; the newest is ${newest || "not written yet"}`,
    details: { to, newest },
  });
}

/** M2. */
function dueOf(migrations: readonly Migration[], records: readonly MigrationRecord[], to: number): Pending[] {
  return pendingOf(migrations, records).filter(({ migration }) => migration.number <= to);
}

function appliedOf(
  migrations: readonly Migration[],
  records: readonly MigrationRecord[],
): AppliedMigration[] {
  return records.flatMap(({ number, name, state, applied_at: appliedAt, took, done }, i) => {
    if (state !== "applied" || !appliedAt || !took) return [];
    const rows = migrations[i]?.kind === "data" ? { rows: done } : {};
    return [{ number, name, took: Number(took.milliseconds), appliedAt, ...rows }];
  });
}

function toPublic({ migration: { number, name, kind }, done }: Pending): PendingMigration {
  return { number, name, kind, done };
}
