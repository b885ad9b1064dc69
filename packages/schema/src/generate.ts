// Generate. Owns: the folder of migrations, as far as it follows from the tables: the next file and the snapshot.

import { mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Definitions } from "./definition.ts";
import { diff, type Decisions } from "./diff.ts";
import { SchemaError } from "./errors.ts";
import type { AnyTable } from "./table.ts";

const SNAPSHOT = "snapshot.json";
const NO_DEFINITIONS: Definitions = { tables: {}, analyzers: {} };

export interface GenerateOptions {
  /** Where the migrations are: `NNNN_name.surql` and `snapshot.json`. */
  folder: string | URL;
  tables: readonly AnyTable[];
  /** Letters, digits and `_`; made from what changes if left out. */
  name?: string;
  decisions?: Decisions;
}

export interface Generated {
  /** The file's name. */
  file: string;
  text: string;
  /** What whoever reviews it should know. */
  notes: string[];
}

/** What a set of tables asks of a database. @throws `schema.bad_table` for two tables or analyzers of one name */
export function definitionsOf(tables: readonly AnyTable[]): Definitions {
  const definitions: Definitions = { tables: {}, analyzers: {} };
  for (const { name, definition, analyzers } of tables) {
    if (definitions.tables[name]) throw twice("table", name);
    definitions.tables[name] = definition;
    for (const analyzer of analyzers) {
      const known = definitions.analyzers[analyzer.name];
      if (known !== undefined && known !== analyzer.clause) throw twice("analyzer", analyzer.name);
      definitions.analyzers[analyzer.name] = analyzer.clause;
    }
  }
  return definitions;
}

/**
 * Writes the migration that leads from the last snapshot to these tables, and the snapshot. Nothing that could lose data
 * is guessed.
 *
 * @returns undefined if nothing changed
 * @throws `schema.decision_needed` with every open question; `schema.bad_snapshot` if folder and snapshot disagree
 * @example await generate({ folder: "surql", tables: [person, post], decisions: { drop: ["person.age"] } });
 */
export async function generate({
  folder,
  tables,
  name,
  decisions,
}: GenerateOptions): Promise<Generated | undefined> {
  const path = pathOf(folder);
  const snapshot = await readSnapshot(path);
  const definitions = definitionsOf(tables);
  const difference = diff(snapshot.definitions, definitions, decisions);
  if (difference.sections.length === 0) return undefined;
  const number = snapshot.number + 1;
  const title = `${String(number).padStart(4, "0")}_${requireName(name ?? difference.name.slice(0, 60))}`;
  const sections = difference.sections.map(({ title: of, statements }) => {
    const gaps = tables.find((table) => table.name === of)?.gaps ?? [];
    const parsed = gaps.map(({ path: at, what }) =>
      `-- on parse only: ${at || "the row"}: ${what}`.replaceAll(/\s+/g, " "),
    );
    return [`-- ${of}`, ...parsed, ...statements].join("\n");
  });
  const notes = difference.notes.map((note) => `-- note: ${note}`);
  const text = `${[`-- ${title}\n-- Read it before you commit it. Once applied it is never edited; the next change is the next file.`, ...notes, ...sections].join("\n\n")}\n`;
  await write(path, `${title}.surql`, text, { number, definitions });
  return { file: `${title}.surql`, text, notes: difference.notes };
}

/** Whether the tables are what the last migration left: nothing was changed without a migration. @throws as `generate` */
export async function isGenerated({
  folder,
  tables,
}: Pick<GenerateOptions, "folder" | "tables">): Promise<boolean> {
  const { definitions } = await readSnapshot(pathOf(folder));
  return JSON.stringify(definitions) === JSON.stringify(definitionsOf(tables));
}

/**
 * Writes an empty migration for statements of your own: data, functions, events.
 *
 * @throws `schema.bad_snapshot` if folder and snapshot disagree
 * @example await generateEmpty({ folder: "surql", name: "seed_countries" });
 */
export async function generateEmpty({
  folder,
  name,
}: {
  folder: string | URL;
  name: string;
}): Promise<Generated> {
  const path = pathOf(folder);
  const { number, definitions } = await readSnapshot(path);
  const title = `${String(number + 1).padStart(4, "0")}_${requireName(name)}`;
  const text = `-- ${title}\n-- It is applied in one transaction. With a line "-- sentient: stepwise" each statement is a transaction of its own.\n`;
  await write(path, `${title}.surql`, text, { number: number + 1, definitions });
  return { file: `${title}.surql`, text, notes: [] };
}

interface Snapshot {
  /** Of the last migration in the folder. */
  number: number;
  definitions: Definitions;
}

async function readSnapshot(folder: string): Promise<Snapshot> {
  const files = await migrationFiles(folder);
  const last = Math.max(0, ...files.map(numberOf));
  const text = await readFile(join(folder, SNAPSHOT), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined && last === 0) return { number: 0, definitions: NO_DEFINITIONS };
  const snapshot = text === undefined ? undefined : parsed(text);
  // A data migration is written by hand, changes no definition, and so leaves the snapshot behind.
  const since = files.filter((file) => numberOf(file) > (snapshot?.number ?? 0));
  if (snapshot && snapshot.number <= last && !since.some((file) => file.endsWith(".surql")))
    return { ...snapshot, number: last };
  throw new SchemaError({
    code: "schema.bad_snapshot",
    message: snapshot
      ? `${folder} ends with migration ${last} and its snapshot.json with ${snapshot.number}: bring both to the same commit, or remove the newer file and generate it again`
      : `${folder} has migrations and no readable snapshot.json: bring back the one that was committed with them`,
  });
}

function parsed(text: string): Snapshot | undefined {
  try {
    const { number, definitions } = JSON.parse(text) as Snapshot;
    return Number.isInteger(number) && definitions.tables && definitions.analyzers
      ? { number, definitions }
      : undefined;
  } catch {
    return undefined;
  }
}

async function migrationFiles(folder: string): Promise<string[]> {
  const files = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  return files.filter((file) => /^\d{4}_.+\.(?:surql|[cm]?[jt]s)$/.test(file));
}

function numberOf(file: string): number {
  return Number(file.slice(0, 4));
}

/** The snapshot last: without it the folder says what is wrong, and the file can be removed and made again. */
async function write(folder: string, file: string, text: string, snapshot: Snapshot): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, file), text, { flag: "wx" });
  const draft = join(folder, `.${SNAPSHOT}.${process.pid}`);
  await writeFile(draft, `${JSON.stringify(snapshot, null, 2)}\n`);
  await rename(draft, join(folder, SNAPSHOT));
}

function requireName(name: string): string {
  if (/^[a-z0-9][a-z0-9_]{0,63}$/.test(name)) return name;
  throw new SchemaError({
    code: "schema.bad_migration",
    message: `${JSON.stringify(name)} is no name for a migration: use small letters, digits and _, at most 64`,
  });
}

function pathOf(folder: string | URL): string {
  return folder instanceof URL ? fileURLToPath(folder) : folder;
}

function twice(what: string, name: string): SchemaError {
  return new SchemaError({ code: "schema.bad_table", message: `there are two ${what}s of the name ${name}` });
}
