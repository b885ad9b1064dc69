// Statements of backups; values are bound where they are used.

import {
  BoundIncluded,
  ident,
  rawSurql,
  RecordId,
  RecordIdRange,
  surql,
  type Statement,
} from "@sentient/db-pool";
import { RUNTIME_HISTORY } from "@sentient/schema";
import { badBackupError } from "./backup-errors.ts";

export interface Defined {
  analyzers: Record<string, string>;
  functions: Record<string, string>;
  params: Record<string, string>;
  sequences: Record<string, string>;
  tables: Record<string, string>;
}

export interface DefinedTable {
  events: Record<string, string>;
  fields: Record<string, string>;
  indexes: Record<string, string>;
}

export const readDefined = () => surql<Defined>`INFO FOR DB`;
export const readDefinedTable = (table: string) => surql<DefinedTable>`INFO FOR TABLE ${ident(table)}`;

export const readNow = () => surql<Date>`RETURN time::now()`;
export const readHead = () => surql<number>`
  RETURN (SELECT VALUE position FROM ONLY ${new RecordId("log", "head")}) ?? 0`;

export const countApplied = () => surql<number>`RETURN array::len((
  SELECT VALUE number FROM schema_migration WHERE history = ${RUNTIME_HISTORY} AND state = "applied"))`;

/** In the order of the keys. What lies before `start` is passed by its keys alone. */
export const readSomeIds = (table: string, start: number, limit: number) => surql<RecordId[]>`
  SELECT VALUE id FROM ${ident(table)} LIMIT ${limit} START ${start}`;

/** From one row to another, as the engine encodes them: nothing of them is lost on the way. */
export const readEncoded = (table: string, first: RecordId, last: RecordId) => surql<Uint8Array[]>`
  SELECT VALUE encoding::cbor::encode($this) FROM ${new RecordIdRange(
    table,
    new BoundIncluded(first.id),
    new BoundIncluded(last.id),
  )}`;

export const putEncoded = (table: string, isRelation: boolean, rows: readonly Uint8Array[]): Statement =>
  isRelation
    ? surql`INSERT RELATION INTO ${ident(table)} (SELECT VALUE encoding::cbor::decode($this) FROM ${rows}) RETURN NONE`
    : surql`INSERT INTO ${ident(table)} (SELECT VALUE encoding::cbor::decode($this) FROM ${rows}) RETURN NONE`;

export const countRows = (table: string) => surql<number>`
  RETURN (SELECT VALUE count FROM ONLY (SELECT count() FROM ${ident(table)} GROUP ALL) LIMIT 1) ?? 0`;

/** @throws `state.bad_backup` for what is not one definition, and no more */
export function define(text: string): Statement {
  const overwriting = text.replace(/^DEFINE (\w+) (?!OVERWRITE )/, "DEFINE $1 OVERWRITE ");
  // oxlint-disable-next-line sentient/bound-surrealql -- a database has printed it of itself, and it is one definition or refused
  const statements = rawSurql(overwriting);
  if (statements.length === 1 && statements[0]!.keyword === "DEFINE") return statements[0]!;
  throw badBackupError("it would do something else than define what it holds");
}
