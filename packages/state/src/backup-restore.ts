// Restoring. Owns: bringing a backup into an empty database.
// R1. The whole file is checked before anything is written, and what was written is counted before anybody can work with it.
// R2. Until all of it is there nobody can: what tells which migrations were applied is written last, with the ends of the log.
// R3. Nobody who worked on the database before has a part in this one (backup-fence.ts).

import type { Database } from "@sentient/db-pool";
import { createEventBus } from "@sentient/event-bus";
import { runtimeMigrations } from "@sentient/schema";
import { recordOf } from "./audit.ts";
import type { BackupOptions } from "./backup.ts";
import { BackupBody, BackupHeader, type BackupReport } from "./backup-format.ts";
import { badBackupError, halfRestoredError, notEmptyError } from "./backup-errors.ts";
import { Fence } from "./backup-fence.ts";
import * as queries from "./backup-queries.ts";
import { Seal, SealLine } from "./transfer-format.ts";
import { readLines } from "./transfer-file.ts";

/** R2. */
const LAST = new Set(["schema_migration", "log"]);
const PATIENCE = { timeout: 10 * 60_000 };

interface Sound extends BackupReport {
  header: BackupHeader;
}

/**
 * Brings a backup into an empty database. Who was connected to the one that it was made of can do nothing in this one, even
 * if it has its name; runs that were held go on with the next who claims them.
 *
 * @throws `state.bad_backup` for a file that is damaged, cut off or of a newer release, `state.not_empty`: nothing was changed
 * then; `state.half_restored` when it failed in between; what the file system throws
 * @example const { head } = await restoreBackup(db, "backup.jsonl");
 */
export async function restoreBackup(
  db: Database,
  path: string,
  { by = "somebody" }: BackupOptions = {},
): Promise<BackupReport> {
  const { header, ...report } = await soundOf(path);
  await requireEmpty(db);
  try {
    await bring(db, path, header, report);
    await tell(db, by, report);
  } catch (error) {
    throw halfRestoredError(error);
  }
  return report;
}

/**
 * Reads a whole backup without bringing it anywhere: whether it could be, and what is in it.
 *
 * @throws `state.bad_backup` for a file that is damaged, cut off or of a newer release; what the file system throws
 * @example const { at, head } = await checkBackup("backup.jsonl");
 */
export async function checkBackup(path: string): Promise<BackupReport> {
  const { header: _, ...report } = await soundOf(path);
  return report;
}

/** R1. @throws `state.bad_backup` */
async function soundOf(path: string): Promise<Sound> {
  const seal = new Seal();
  const counted: Record<string, number> = {};
  let header: BackupHeader | undefined;
  let counts: Record<string, number> | undefined;
  let sha256: string | undefined;
  for await (const line of readLines(path)) {
    if (sha256 !== undefined) throw badBackupError("something follows its end");
    const value = jsonOf(line);
    if (header === undefined) {
      header = await headerOf(value);
      for (const { name } of header.tables) counted[name] = 0;
    } else if ((value as { kind?: unknown } | null)?.kind === "end") {
      sha256 = requireSealed(value, seal);
      continue;
    } else {
      const body = parsed(BackupBody, value);
      if (body.kind === "counts") counts = body.rows;
      else if (counts || !(body.table in counted)) throw badBackupError("its rows stand where none can be");
      else counted[body.table]! += body.rows.length;
    }
    seal.add(line);
  }
  if (!header || !counts || sha256 === undefined)
    throw badBackupError("its end is missing, so it was cut off");
  if (JSON.stringify(counts) !== JSON.stringify(counted)) throw badBackupError("rows of it are missing");
  return { header, at: new Date(header.at), head: header.head, rows: counts, sha256 };
}

function jsonOf(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw badBackupError("a line of it is no JSON", cause);
  }
}

async function headerOf(value: unknown): Promise<BackupHeader> {
  const { kind, format } = (value ?? {}) as { kind?: unknown; format?: unknown };
  if (kind === "backup" && typeof format === "number" && format > 1)
    throw badBackupError("it was written by a newer release; use that one");
  const header = parsed(BackupHeader, value);
  for (const text of [...header.definitions.before, ...header.definitions.after]) queries.define(text);
  if (header.migrations > (await runtimeMigrations()).length)
    throw badBackupError("its tables are those of a newer release; use that one");
  return header;
}

function parsed<T>(
  schema: { safeParse: (value: unknown) => { data?: T; error?: unknown } },
  value: unknown,
): T {
  const { data, error } = schema.safeParse(value);
  if (data !== undefined) return data;
  throw badBackupError("a line of it is not what a backup has", error);
}

function requireSealed(value: unknown, seal: Seal): string {
  const said = parsed(SealLine, value);
  const { lines, sha256 } = seal.close();
  if (said.lines !== lines || said.sha256 !== sha256)
    throw badBackupError("it was changed, or lines of it are missing");
  return sha256;
}

/** @throws `state.not_empty` */
async function requireEmpty(db: Database): Promise<void> {
  const { tables, functions, analyzers } = await db.query(queries.readDefined());
  const found = [tables, functions, analyzers].flatMap(Object.keys);
  if (found.length > 0) throw notEmptyError(found);
}

async function bring(db: Database, path: string, header: BackupHeader, report: BackupReport): Promise<void> {
  const now = await db.query(queries.readNow());
  const fence = new Fence(new Date(Math.min(now.getTime(), report.at.getTime())));
  const { before, after } = header.definitions;
  const isRelation = new Map(header.tables.map((table) => [table.name, table.isRelation]));
  for (const text of before) await db.query(queries.define(text), PATIENCE);
  const last: { table: string; rows: Uint8Array[] }[] = [];
  const written: Record<string, number> = {};
  for await (const { table, rows: encoded } of rowsIn(path, report.sha256)) {
    const rows = encoded.flatMap((row) => fence.of(table, row) ?? []);
    written[table] = (written[table] ?? 0) + rows.length;
    if (LAST.has(table)) last.push({ table, rows });
    else if (rows.length > 0)
      await db.query(queries.putEncoded(table, isRelation.get(table)!, rows), PATIENCE);
  }
  await requireAll(db, written);
  for (const text of after) await db.query(queries.define(text), PATIENCE);
  await db.transaction(last.map(({ table, rows }) => queries.putEncoded(table, false, rows)));
}

/** And whether the file is still what was checked. */
async function* rowsIn(path: string, sha256: string) {
  const seal = new Seal();
  for await (const line of readLines(path)) {
    const body = JSON.parse(line) as BackupBody | { kind: "backup" | "end" };
    if (body.kind === "end") break;
    seal.add(line);
    if (body.kind === "rows")
      yield { table: body.table, rows: body.rows.map((text) => new Uint8Array(Buffer.from(text, "base64"))) };
  }
  if (seal.close().sha256 !== sha256) throw new Error("the file was changed meanwhile");
}

/** R1. */
async function requireAll(db: Database, written: Record<string, number>): Promise<void> {
  for (const [table, count] of Object.entries(written)) {
    if (LAST.has(table)) continue;
    const found = await db.query(queries.countRows(table), PATIENCE);
    if (found !== count) throw new Error(`of ${count} rows of ${table} ${found} are there`);
  }
}

/** The first event of the log's new era. */
async function tell(db: Database, by: string, { at, head, sha256, rows }: BackupReport): Promise<void> {
  if (!("log" in rows)) return; // a database that nobody ran anything in
  await using bus = createEventBus(db);
  const message = `restored from a backup of ${at.toISOString()}, whose log ended at ${head}: what was told behind it there is lost`;
  const told = { what: "database.restored", by, data: { sha256, at: at.toISOString(), head } };
  await bus.log.append({
    events: [{ type: "system.alerted", data: { code: "restored", message, sha256 } }],
    statements: (_, placedAt) => [recordOf(told, new Date(placedAt.getTime()))],
  });
}
