// Migrations. Owns: what one is, and reading them from a folder.
// Does not own: running them (migrate.ts).
// N1. The migrations of a store are numbered from 1 without a gap; a number is used once, for ever.
// N2. What was applied is known by its checksum. It covers what people reviewed, never code, which bundlers rewrite.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { SchemaError } from "./errors.ts";
import { readText, sha256 } from "./migrate-text.ts";

/** One step of a store's history. */
export type Migration = SurqlMigration | DataMigration;

/** SurrealQL that people reviewed. */
export interface SurqlMigration {
  kind: "surql";
  number: number;
  name: string;
  text: string;
  /** Of the text, whatever its line ends are and however it ends. */
  checksum: string;
  /** Each statement commits by itself, instead of all together. */
  stepwise: boolean;
}

/** A change to every row of a table, made in TypeScript. */
export interface DataMigration {
  kind: "data";
  number: number;
  name: string;
  table: string;
  /** Rows that are changed in one transaction. */
  batchSize: number;
  change: RowChange;
  checksum: string;
}

/**
 * What to merge into a row, objects in it too, or undefined to leave it as it is. Called again for a batch that did not
 * commit, so it must do nothing but compute. A field it returns wins over what somebody else writes to it meanwhile.
 * A row whose key is a list or an object with whole numbers kept as floats (`[1f]`) cannot be named, and is left out.
 */
export type RowChange = (row: Record<string, unknown>) => Record<string, unknown> | undefined;

export interface DataMigrationInit {
  number: number;
  name: string;
  table: string;
  change: RowChange;
  /** Rows that are changed in one transaction, 1 to 10,000. Default 500. */
  batchSize?: number;
  /** Counted up when `change` is meant to do something else, before it was applied anywhere. Default 1. */
  version?: number;
}

export const MAX_NUMBER = 9_999;
const MAX_BATCH = 10_000;
const NAME = /^(?!\d{4}_)[a-z0-9_]+$/;
const FILE = /^(\d{4})_([a-z0-9_]+)\.(surql|ts|js|mjs)$/;
/** What a compiler leaves beside a migration. */
const COMPANION = /\.d\.[cm]?ts$|\.map$/;

/**
 * A migration from text that people reviewed. Its statements commit together, or not at all; with the comment
 * `-- sentient: stepwise` at the top each commits by itself, for what is too large for one transaction.
 *
 * @param number from 1, and one more than the migration before it
 * @param name what it does, in small letters, digits and `_`
 * @throws `schema.bad_migration`
 * @example defineMigration(1, "people", "DEFINE TABLE person SCHEMAFULL;")
 */
export function defineMigration(number: number, name: string, text: string): SurqlMigration {
  requireNumberAndName(number, name);
  return { kind: "surql", number, name, text, ...readText(labelOf({ number, name }), text) };
}

/**
 * A migration that changes the rows of a table in TypeScript, batch by batch, resumable after each. It visits each row
 * that is there when it begins once, in the order of the keys; after it was interrupted, those that came behind it too.
 *
 * @throws `schema.bad_migration`
 * @example
 * export default defineDataMigration({
 *   number: 4,
 *   name: "full_names",
 *   table: "person",
 *   change: (row) => ({ name: `${row.first} ${row.last}` }),
 * });
 */
export function defineDataMigration(init: DataMigrationInit): DataMigration {
  const { number, name, table, change, batchSize = 500, version = 1 } = init;
  requireNumberAndName(number, name);
  const label = labelOf({ number, name });
  if (!/^[A-Za-z_]\w{0,127}$/.test(table))
    throw bad(`migration ${label}: ${quote(table)} is not a table's name`);
  if (!Number.isInteger(batchSize) || batchSize < 1 || batchSize > MAX_BATCH)
    throw bad(`migration ${label}: batchSize is a whole number from 1 to ${MAX_BATCH}, not ${batchSize}`);
  const checksum = sha256(["data", name, table, version].join("\n"));
  return { kind: "data", number, name, table, batchSize, change, checksum };
}

/**
 * The migrations of a folder: `0001_people.surql`, and `0002_full_names.ts` (or `.js`, `.mjs`), whose default export is
 * a data migration. Files that do not begin with a digit are let be.
 *
 * @throws `schema.bad_migration` naming the file and what to do about it
 * @example await migrate(db, { migrations: await readMigrations(new URL("./migrations", import.meta.url)) });
 */
export async function readMigrations(folder: string | URL): Promise<Migration[]> {
  const path = typeof folder === "string" ? folder : fileURLToPath(folder);
  const files = (await listFolder(path)).filter((name) => /^\d/.test(name) && !COMPANION.test(name));
  const migrations: Migration[] = [];
  for (const file of files.sort()) {
    const [, digits, name, extension] = FILE.exec(file) ?? [];
    if (!digits || !name)
      throw bad(`${file} is not named as a migration is: write 0001_what_it_does.surql, or .ts, .js, .mjs`);
    requireNext(file, Number(digits), migrations.at(-1));
    const read = extension === "surql" ? readSurql : importData;
    migrations.push(await read(join(path, file), Number(digits), name));
  }
  return migrations;
}

/** N1. @throws `schema.bad_migration` */
export function requireSequence(migrations: readonly Migration[]): void {
  migrations.forEach((migration, i) =>
    requireNext(`migration ${labelOf(migration)}`, migration.number, migrations[i - 1]),
  );
}

/** As its file is called, without the ending. */
export function labelOf({ number, name }: { number: number; name: string }): string {
  return `${String(number).padStart(4, "0")}_${name}`;
}

async function listFolder(path: string): Promise<string[]> {
  try {
    return await readdir(path);
  } catch (cause) {
    throw bad(`the folder of migrations ${path} cannot be read: ${(cause as Error).message}`, cause);
  }
}

async function readSurql(path: string, number: number, name: string): Promise<SurqlMigration> {
  const text = await readFile(path, "utf8").catch((cause: Error) => {
    throw bad(`${labelOf({ number, name })}.surql cannot be read: ${cause.message}`, cause);
  });
  return defineMigration(number, name, text.replace(/^\uFEFF/, "")); // what some editors put before it
}

async function importData(path: string, number: number, name: string): Promise<DataMigration> {
  const label = labelOf({ number, name });
  let exported: { default?: unknown };
  try {
    exported = await import(pathToFileURL(path).href);
  } catch (cause) {
    throw bad(`migration ${label} cannot be imported from ${path}: ${(cause as Error).message}`, cause);
  }
  const migration = exported.default;
  if (!isDataMigration(migration))
    throw bad(`${path} has no migration: write export default defineDataMigration({ … })`);
  if (migration.number !== number || migration.name !== name)
    throw bad(
      `${path} calls itself ${labelOf(migration)}: write number: ${number}, name: ${quote(name)}, or rename the file`,
    );
  return migration;
}

function isDataMigration(value: unknown): value is DataMigration {
  const { kind, change } = (value ?? {}) as Partial<DataMigration>;
  return kind === "data" && typeof change === "function";
}

function requireNumberAndName(number: number, name: string): void {
  if (!Number.isInteger(number) || number < 1 || number > MAX_NUMBER)
    throw bad(`a migration's number is a whole number from 1 to ${MAX_NUMBER}, not ${number}`);
  if (!NAME.test(name))
    throw bad(
      `${quote(name)} is not a migration's name: use small letters, digits and _, without its number`,
    );
}

/** N1: what `before` is followed by. */
function requireNext(
  what: string,
  number: number,
  before: { number: number; name: string } | undefined,
): void {
  const expected = (before?.number ?? 0) + 1;
  if (number === expected) return;
  const next = labelOf({ number: expected, name: "…" });
  throw bad(
    number === before?.number
      ? `${what} has the number of ${labelOf(before)}: make it ${next} if it is the later one`
      : `${what} does not follow ${before ? labelOf(before) : "nothing"}: ${next} is missing, or it should be that`,
  );
}

function quote(text: unknown): string {
  return JSON.stringify(text);
}

function bad(message: string, cause?: unknown): SchemaError {
  return new SchemaError({ code: "schema.bad_migration", message, cause });
}
