// Applying. Owns: one pending migration after the other, part by part.
// A1. A part is one transaction: the fence, the statements, the record. It commits whole, or nothing of it happened.

import { DbError, type Statement } from "@sentient/db-pool";
import { batchesOf } from "./migrate-data.ts";
import { findUnparsable, migrationFailed } from "./migrate-failure.ts";
import { NO_TIMEOUT, recordOf, type Part, type Pending, type Queries } from "./migrate-history.ts";
import { isLockLost, lockLost, requireNotCancelled, type Lock } from "./migrate-lock.ts";
import { partsOfText, statementsOf } from "./migrate-text.ts";
import type { Migration, SurqlMigration } from "./migration.ts";

/** How far a migration is. `done` and `total` count statements, or the rows of a data migration. */
export interface MigrationProgress {
  state: "started" | "under_way" | "applied";
  number: number;
  name: string;
  done: number;
  /** Not known of a data migration that has just started. */
  total?: number;
}

export interface Run {
  db: Queries;
  /** Whose migrations these are. */
  history: string;
  signal: AbortSignal | undefined;
  onProgress: ((progress: MigrationProgress) => void) | undefined;
  /** The tokens of the locks it has held: what was applied under one of them it has applied, whether it was told or not. */
  tokens: Set<number>;
}

/** @throws `schema.migration_failed`, `schema.lock_lost`, `schema.cancelled` */
export async function applyAll(run: Run, lock: Lock, pending: readonly Pending[]): Promise<void> {
  for (const step of pending) {
    requireNotCancelled(run.signal);
    await apply(run, lock, step);
  }
}

async function apply(run: Run, lock: Lock, step: Pending): Promise<void> {
  const { migration } = step;
  const { number, name } = migration;
  let { done } = step;
  run.onProgress?.({ state: "started", number, name, done });
  for await (const part of partsOf(run.db, step)) {
    requireNotCancelled(run.signal);
    lock.requireHeld();
    const { total } = part;
    run.tokens.add(lock.token);
    await commit(run, lock, migration, part, done);
    done = part.done;
    run.onProgress?.({ state: done === total ? "applied" : "under_way", number, name, done, total });
  }
}

function partsOf(db: Queries, step: Pending): Iterable<Part> | AsyncIterable<Part> {
  const { migration } = step;
  return migration.kind === "data" ? batchesOf(db, migration, step) : statementPartsOf(migration, step.done);
}

function* statementPartsOf({ text, stepwise }: SurqlMigration, done: number): Generator<Part> {
  const all = statementsOf(text);
  const left = all.slice(done);
  if (left.length === 0) yield { statements: [], done, total: all.length }; // what was left to do was taken out
  for (const statements of stepwise ? left.map((statement) => [statement]) : partsOfText(left)) {
    done += statements.length;
    yield { statements, done, total: all.length };
  }
}

/** A1. @param done how far the migration was before this part */
async function commit(
  { db, history }: Run,
  lock: Lock,
  migration: Migration,
  part: Part,
  done: number,
): Promise<void> {
  const [begin, end] = recordOf({ history, migration, part, before: done, token: lock.token });
  const before: Statement[] = [lock.fence, begin];
  try {
    await db.transaction([...before, ...part.statements, end], NO_TIMEOUT);
  } catch (error) {
    if (!(error instanceof DbError)) throw error;
    if (isLockLost(error)) throw lockLost(error);
    if (migration.kind === "data") throw migrationFailed({ migration, done, cause: error });
    const at =
      error.code === "db.syntax"
        ? await findUnparsable(db, part.statements)
        : (error.statement?.index ?? -1) - before.length;
    const text = part.statements[at]?.text;
    throw migrationFailed({
      migration,
      done,
      cause: error,
      statement: text === undefined ? undefined : { index: done + at, text },
    });
  }
}
