// Backup. Owns: all that is in a database as lines of text, as of one moment, while it is worked on.
// B1. All of it is of one moment: it is read within one snapshot.
// B2. No more of it is held at once than the ids of some rows and a few rows, however large it is.
// B3. A file is there whole or not at all, and only its owner can read it: nothing in it is redacted.
// Does not own: restoring (backup-restore.ts). Users and accesses of the engine are not in it, as their secrets cannot be read.

import type { Database, Snapshot } from "@sentient/db-pool";
import { createEventBus } from "@sentient/event-bus";
import { recordOf } from "./audit.ts";
import { BACKUP_FORMAT, type BackupBody, type BackupHeader, type BackupReport } from "./backup-format.ts";
import * as queries from "./backup-queries.ts";
import { Seal } from "./transfer-format.ts";
import { writeLines } from "./transfer-file.ts";

/** Made anew by whoever opens the database, or gone with whoever made it. */
const PASSING = /^(?:bell|sentient_doctor_\w+)$/;
const IDS_AT_ONCE = 50_000;
const MOST_ROWS = 128;
const LINE_BYTES = 2 * 1024 * 1024;
/** Of one statement: a large table is passed through. */
const PATIENCE = { timeout: 10 * 60_000 };

type Definitions = Pick<BackupHeader, "tables" | "definitions">;

/**
 * Writes all that is in a database to a file, as of one moment, while others go on working on it.
 *
 * @throws the `DbError` of the database, what the file system throws; nothing is left behind then
 * @example const { head, rows } = await backupToFile(db, "backup.jsonl");
 */
export async function backupToFile(
  db: Database,
  path: string,
  { by = "somebody" }: BackupOptions = {},
): Promise<BackupReport> {
  await tell(db, by);
  const report: BackupReport = { at: new Date(0), head: 0, rows: {}, sha256: "" };
  await db.snapshot((then) => writeLines(path, linesOf(then, report)));
  return report;
}

export interface BackupOptions {
  /** Who asks, for the audit. */
  by?: string;
}

/** Before anything is read, so that it stands in the backup too. A database of an older release is left as it is. */
async function tell(db: Database, by: string): Promise<void> {
  const { tables } = await db.query(queries.readDefined());
  if (!("audit" in tables)) return;
  await using bus = createEventBus(db, { migrate: false });
  await bus.log.append({
    statements: (_, at) => [recordOf({ what: "database.exported", by }, new Date(at.getTime()))],
  });
}

async function* linesOf(then: Snapshot, report: BackupReport): AsyncGenerator<string, void, undefined> {
  const seal = new Seal();
  const line = (value: BackupHeader | BackupBody) => seal.add(JSON.stringify(value));
  const defined = await definitionsOf(then);
  const isThere = (name: string) => defined.tables.some((table) => table.name === name);
  report.at = await then.query(queries.readNow());
  report.head = isThere("log") ? await then.query(queries.readHead()) : 0;
  const migrations = isThere("schema_migration") ? await then.query(queries.countApplied()) : 0;
  const at = report.at.toISOString();
  yield line({ kind: "backup", format: BACKUP_FORMAT, at, head: report.head, migrations, ...defined });
  for (const { name } of defined.tables) {
    let count = 0;
    for await (const rows of rowsOf(name, then)) {
      count += rows.length;
      yield line({ kind: "rows", table: name, rows: rows.map(textOfBytes) });
    }
    report.rows[name] = count;
  }
  yield line({ kind: "counts", rows: report.rows });
  const end = seal.close();
  report.sha256 = end.sha256;
  yield JSON.stringify(end);
}

const textOfBytes = (bytes: Uint8Array) =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");

/** What a view or an event of a table would do with rows that are brought back was done when they were first written. */
async function definitionsOf(then: Snapshot): Promise<Definitions> {
  const { analyzers, functions, params, sequences, tables } = await then.query(queries.readDefined());
  const before = [analyzers, functions, params, sequences].flatMap(Object.values<string>);
  const after: string[] = [];
  const withRows: Definitions["tables"] = [];
  for (const [name, text] of Object.entries(tables)) {
    if (PASSING.test(name)) continue;
    const isView = / AS SELECT /.test(text);
    const { fields, indexes, events } = await then.query(queries.readDefinedTable(name));
    (isView ? after : before).push(text, ...Object.values(fields), ...Object.values(indexes));
    after.push(...Object.values(events));
    if (!isView) withRows.push({ name, isRelation: / TYPE RELATION\b/.test(text) });
  }
  return { tables: withRows, definitions: { before, after } };
}

/** B2. As many at once as are a line. */
async function* rowsOf(table: string, then: Snapshot): AsyncGenerator<Uint8Array[], void, undefined> {
  let size = 8;
  for (let start = 0; ; start += IDS_AT_ONCE) {
    const ids = await then.query(queries.readSomeIds(table, start, IDS_AT_ONCE), PATIENCE);
    for (let from = 0; from < ids.length;) {
      const last = Math.min(from + size, ids.length) - 1;
      const rows = await then.query(queries.readEncoded(table, ids[from]!, ids[last]!), PATIENCE);
      yield* linesWorth(rows);
      const bytes = rows.reduce((sum, row) => sum + row.byteLength, 0);
      size = Math.max(1, Math.min(MOST_ROWS, 2 * size, Math.floor((rows.length * LINE_BYTES) / bytes)));
      from = last + 1;
    }
    if (ids.length < IDS_AT_ONCE) return;
  }
}

function* linesWorth(rows: readonly Uint8Array[]): Generator<Uint8Array[], void, undefined> {
  let some: Uint8Array[] = [];
  let bytes = 0;
  for (const row of rows) {
    if (some.length > 0 && bytes + row.byteLength > LINE_BYTES) {
      yield some;
      some = [];
      bytes = 0;
    }
    some.push(row);
    bytes += row.byteLength;
  }
  if (some.length > 0) yield some;
}
