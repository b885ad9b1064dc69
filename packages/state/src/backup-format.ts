// The file of a backup. Owns: what its lines are.
// One JSON value a line: first what it is of and how its tables are defined, then their rows as the engine itself encodes
// them, how many of each there are, and the seal: how many lines there are, and their hash.

import { z } from "zod";

/** What this release writes, and the newest it reads. */
export const BACKUP_FORMAT = 1;

const TableName = z.string().regex(/^[A-Za-z_]\w{0,127}$/);
/** What a backup may define, and nothing else is done for it. */
const Definition = z.string().regex(/^DEFINE (?:ANALYZER|EVENT|FIELD|FUNCTION|INDEX|PARAM|SEQUENCE|TABLE) /);

export const BackupHeader = z.object({
  kind: z.literal("backup"),
  format: z.literal(BACKUP_FORMAT),
  /** By the database's clock. */
  at: z.iso.datetime(),
  /** The last position of the log. */
  head: z.int().min(0),
  /** Migrations of the runtime that were applied. */
  migrations: z.int().min(0),
  /** Tables with rows, and whether they are relations. */
  tables: z.array(z.object({ name: TableName, isRelation: z.boolean() })),
  /** What is defined before the rows are there, and what only afterwards, as it acts on what is written. */
  definitions: z.object({ before: z.array(Definition), after: z.array(Definition) }),
});
export type BackupHeader = z.infer<typeof BackupHeader>;

export const BackupBody = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("rows"), table: TableName, rows: z.array(z.base64()).min(1) }),
  z.object({ kind: z.literal("counts"), rows: z.record(TableName, z.int().min(0)) }),
]);
export type BackupBody = z.infer<typeof BackupBody>;

/** What of a database was written, or restored. */
export interface BackupReport {
  /** When it was as it was written. */
  at: Date;
  /** The last position of its log. */
  head: number;
  /** Rows, by table. */
  rows: Record<string, number>;
  /** Of the file: what tells it from any other. */
  sha256: string;
}
