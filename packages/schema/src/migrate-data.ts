// Changing rows. Owns: the batches of a data migration, from where it stopped.
// B1. The ids are read once, in the order of the keys; no more than these and one batch of rows are held.
// B2. A batch commits together with the place it brings the migration to, so a row is changed once.

import { BoundExcluded, ident, RecordIdRange, surql, type RecordId } from "@sentient/db-pool";
import { migrationFailed } from "./migrate-failure.ts";
import { NO_TIMEOUT, type Part, type Pending, type Queries } from "./migrate-history.ts";
import type { DataMigration } from "./migration.ts";

type Row = Record<string, unknown> & { id: RecordId };

/** @throws `schema.migration_failed` when rows cannot be read, or `change` throws */
export async function* batchesOf(
  db: Queries,
  migration: DataMigration,
  { done, cursor }: Pick<Pending, "done" | "cursor">,
): AsyncGenerator<Part> {
  const ids = await reading(migration, done, readIds(db, migration.table, cursor));
  const total = done + ids.length;
  if (ids.length === 0) yield { statements: [], done, total };
  for (let from = 0; from < ids.length; from += migration.batchSize) {
    const batch = ids.slice(from, from + migration.batchSize);
    const rows = await reading(migration, done, db.query(surql<Row[]>`SELECT * FROM ${batch}`, NO_TIMEOUT));
    const changes = rows.flatMap((row) => changeOf(migration, row, done));
    done += batch.length;
    const update = surql`FOR $row IN ${changes} { UPDATE $row.id MERGE $row.change RETURN NONE }`;
    yield { statements: changes.length > 0 ? [update] : [], done, total, cursor: batch.at(-1) };
  }
}

// Of a range, not with LIMIT: that reads the range to its end for each page.
function readIds(db: Queries, table: string, cursor: RecordId | undefined): Promise<RecordId[]> {
  if (!cursor) return db.query(surql<RecordId[]>`SELECT VALUE id FROM ${ident(table)}`, NO_TIMEOUT);
  const rest = new RecordIdRange(table, new BoundExcluded(cursor.id), undefined);
  return db.query(surql<RecordId[]>`SELECT VALUE id FROM ${rest}`, NO_TIMEOUT);
}

function changeOf(migration: DataMigration, row: Row, done: number): { id: RecordId; change: unknown }[] {
  try {
    const change = migration.change(row);
    return change === undefined ? [] : [{ id: row.id, change }];
  } catch (cause) {
    throw migrationFailed({ migration, done, cause, row: String(row.id) });
  }
}

async function reading<T>(migration: DataMigration, done: number, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    throw migrationFailed({ migration, done, cause });
  }
}
