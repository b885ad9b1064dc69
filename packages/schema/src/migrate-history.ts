// History. Owns: what the store remembers of its migrations, and what that leaves to do.
// H1. A record is written in the transaction that does what it tells of: it is never ahead of the store nor behind it.
// H2. What stands may not be rewritten: a migration that differs from its record is refused before anything is changed.

import {
  BoundIncluded,
  DbError,
  RecordId,
  RecordIdRange,
  surql,
  type Database,
  type Duration,
  type Statement,
} from "@sentient/db-pool";
import { SchemaError } from "./errors.ts";
import { checksumOfStatements, statementsOf } from "./migrate-text.ts";
import { labelOf, MAX_NUMBER, type Migration } from "./migration.ts";

/** As much of a database as migrating needs. */
export type Queries = Pick<Database, "query" | "transaction">;

/** As long as the engine takes: 24 days are the longest a call can be given. An embedded engine ends it after 255 s. */
export const NO_TIMEOUT = { timeout: 2 ** 31 - 1 };

/** What the store remembers of a migration. */
export interface MigrationRecord {
  number: number;
  name: string;
  /** Of the migration; of the statements that stand, while it is under way. */
  checksum: string;
  state: "under_way" | "applied";
  /** Statements that stand, or rows that were visited. */
  done: number;
  /** The last row that was visited. */
  cursor?: RecordId;
  started_at: Date;
  applied_at?: Date;
  /** The token of the lock under which it was applied. */
  applied_by?: number;
  /** From its start to its end, whoever was away between. */
  took?: Duration;
}

/** A migration that is not applied, or not to its end. */
export interface Pending {
  migration: Migration;
  done: number;
  cursor: RecordId | undefined;
}

/** What is done to the store at once, and how far that brings its migration. */
export interface Part {
  statements: readonly Statement[];
  done: number;
  total: number;
  cursor?: RecordId | undefined;
}

export const HISTORY_TABLE: readonly Statement[] = [
  surql`DEFINE TABLE IF NOT EXISTS schema_migration SCHEMAFULL COMMENT "what @sentient/schema has applied"`,
  surql`DEFINE FIELD IF NOT EXISTS history ON schema_migration TYPE string`,
  surql`DEFINE FIELD IF NOT EXISTS number ON schema_migration TYPE int`,
  surql`DEFINE FIELD IF NOT EXISTS name ON schema_migration TYPE string`,
  surql`DEFINE FIELD IF NOT EXISTS checksum ON schema_migration TYPE string`,
  surql`DEFINE FIELD IF NOT EXISTS state ON schema_migration TYPE "under_way" | "applied"`,
  surql`DEFINE FIELD IF NOT EXISTS done ON schema_migration TYPE int`,
  surql`DEFINE FIELD IF NOT EXISTS cursor ON schema_migration TYPE option<record>`,
  surql`DEFINE FIELD IF NOT EXISTS started_at ON schema_migration TYPE datetime DEFAULT time::now()`,
  surql`DEFINE FIELD IF NOT EXISTS applied_at ON schema_migration TYPE option<datetime>`,
  surql`DEFINE FIELD IF NOT EXISTS applied_by ON schema_migration TYPE option<int>`,
  surql`DEFINE FIELD IF NOT EXISTS took ON schema_migration TYPE option<duration>`,
];

/** The records of a history in the order of their numbers; none if it was never begun. */
export async function readHistory(db: Queries, history: string): Promise<MigrationRecord[]> {
  const first = new BoundIncluded([history, 0]);
  const records = new RecordIdRange("schema_migration", first, new BoundIncluded([history, MAX_NUMBER]));
  return unlessMissing(db.query(surql<MigrationRecord[]>`SELECT * FROM ${records}`), []);
}

/** What `reading` answers, or `otherwise` if the table was not made yet. */
export async function unlessMissing<T>(reading: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof DbError && error.code === "db.not_found") return otherwise;
    throw error;
  }
}

/**
 * What is left to do.
 *
 * @throws `schema.store_newer`, `schema.migration_diverged` (H2)
 */
export function pendingOf(migrations: readonly Migration[], records: readonly MigrationRecord[]): Pending[] {
  const newest = records.at(-1);
  if (newest && newest.number > migrations.length) throw storeNewer(newest, migrations.length);
  records.forEach((record, i) => {
    if (record.number !== i + 1)
      throw diverged(migrations[i]!, `it has no record, but ${labelOf(record)} has one`);
    requireSame(migrations[i]!, record);
  });
  return migrations.flatMap((migration, i) => {
    const record = records[i];
    return record?.state === "applied"
      ? []
      : [{ migration, done: record?.done ?? 0, cursor: record?.cursor }];
  });
}

/** What is thrown where somebody else has taken the migration on. */
export const MOVED_ON = "schema.lock_lost";

/** A part that is to be recorded; `before` is how far the migration was, `token` that of the lock. */
export interface Recording {
  history: string;
  migration: Migration;
  part: Part;
  before: number;
  token: number;
}

/** H1: what stands before and after the statements of a part, in its transaction. */
export function recordOf({
  history,
  migration,
  part: { done, total, cursor },
  before,
  token,
}: Recording): [begin: Statement, end: Statement] {
  const { number, name } = migration;
  const id = new RecordId("schema_migration", [history, number]);
  const applied = done === total;
  const checksum = applied ? migration.checksum : checksumAt(migration, done);
  const begin = surql`INSERT IGNORE INTO schema_migration ${{ id, history, number, name, checksum, state: "under_way", done: 0 }} RETURN NONE`;
  // The clock of the database may have been put back since.
  const changes = applied
    ? surql`UPDATE ONLY ${id} SET state = "applied", checksum = ${checksum}, done = ${done}, cursor = NONE,
        applied_at = time::now(), applied_by = ${token}, took = IF started_at < time::now() { time::now() - started_at } ELSE { 0ns }
        WHERE state = "under_way" AND done = ${before} RETURN VALUE number`
    : surql`UPDATE ONLY ${id} SET checksum = ${checksum}, done = ${done}, cursor = ${cursor}
        WHERE state = "under_way" AND done = ${before} RETURN VALUE number`;
  // Whoever has been there meanwhile, this part is not done twice.
  const end = surql`IF (${changes}) = NONE { THROW ${MOVED_ON} }`;
  return [begin, end];
}

/** So that the statements of a stepwise migration that have not run yet may still be mended. */
function checksumAt(migration: Migration, done: number): string {
  return migration.kind === "surql"
    ? checksumOfStatements(statementsOf(migration.text).slice(0, done))
    : migration.checksum;
}

function requireSame(migration: Migration, { name, checksum, state, done }: MigrationRecord): void {
  if (name !== migration.name)
    throw diverged(
      migration,
      `the store knows it as ${labelOf({ ...migration, name })}; give it that name again`,
    );
  if (state === "applied" && checksum !== migration.checksum)
    throw diverged(
      migration,
      "it was changed since it was applied; put it back, and write a new one for what is to change",
    );
  if (state === "under_way" && checksum !== checksumAt(migration, done))
    throw diverged(
      migration,
      migration.kind === "data"
        ? `it was changed after ${done} rows; put its table and version back`
        : `its first ${done} statements stand already and were changed; put those back, the others may be mended`,
    );
}

function diverged(migration: Migration, why: string): SchemaError {
  const { number, name } = migration;
  return new SchemaError({
    code: "schema.migration_diverged",
    message: `migration ${labelOf(migration)} is not what this store has: ${why}`,
    details: { number, name },
  });
}

function storeNewer(newest: MigrationRecord, known: number): SchemaError {
  return new SchemaError({
    code: "schema.store_newer",
    message: `the store is at migration ${labelOf(newest)} and this program knows ${known || "none"}: run the newer program`,
    details: { number: newest.number, name: newest.name, known },
  });
}
