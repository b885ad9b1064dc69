// Generate. Owns: the folder of migrations, as far as it follows from the tables: the next file and the snapshot.

import { mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { own, type Definitions } from "./definition.ts";
import type { Decisions } from "./decisions.ts";
import { diff } from "./diff.ts";
import { SchemaError } from "./errors.ts";
import type { Gap } from "./shape.ts";
import type { AnyTable } from "./table.ts";

const SNAPSHOT = "snapshot.json";
const NO_DEFINITIONS: Definitions = { tables: {}, analyzers: {} };
const ADVICE =
  "-- Read it before you commit it. Once applied it is never edited; the next change is the next file.";

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
  /** What zod checks and the database does not, of the tables it is about. */
  gaps: (Gap & { table: string })[];
}

/** What a set of tables asks of a database. @throws `schema.bad_table` for two tables or analyzers of one name */
export function definitionsOf(tables: readonly AnyTable[]): Definitions {
  const definitions: Definitions = { tables: {}, analyzers: {} };
  for (const { name, definition, analyzers } of tables) {
    if (own(definitions.tables, name)) throw twice("table", name);
    definitions.tables[name] = definition;
    for (const analyzer of analyzers) {
      const known = own(definitions.analyzers, analyzer.name);
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
 * @throws `schema.decision_needed` with every open question; `schema.bad_snapshot` if folder and snapshot disagree;
 * `schema.bad_folder`
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
  const gaps = difference.sections.flatMap(({ title: of }) =>
    (tables.find((table) => table.name === of)?.gaps ?? []).map((gap) => ({ table: of, ...gap })),
  );
  const sections = difference.sections.map(({ title: of, statements }) =>
    [`-- ${of}`, ...gaps.filter(({ table }) => table === of).map(gapLine), ...statements].join("\n"),
  );
  const notes = difference.notes.map((note) => commentLine(`note: ${note}`));
  const text = `${[`-- ${title}\n${ADVICE}`, ...notes, ...sections].join("\n\n")}\n`;
  await write(path, `${title}.surql`, text, { number, definitions, previous: snapshot.definitions });
  return { file: `${title}.surql`, text, notes: difference.notes, gaps };
}

function gapLine({ path, what }: Gap): string {
  return commentLine(`on parse only: ${path || "the row"}: ${what}`);
}

/** A comment ends with its line, whatever a name holds. */
function commentLine(text: string): string {
  return `-- ${text.replaceAll(/[\s\u0085]+/g, " ")}`;
}

/** Whether the tables are what the last migration left: nothing was changed without a migration. @throws as `generate` */
export async function isGenerated({
  folder,
  tables,
}: Pick<GenerateOptions, "folder" | "tables">): Promise<boolean> {
  const { definitions } = await readSnapshot(pathOf(folder));
  try {
    return diff(definitions, definitionsOf(tables)).sections.length === 0;
  } catch (error) {
    if (error instanceof SchemaError && error.code === "schema.decision_needed") return false;
    throw error;
  }
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
  await write(path, `${title}.surql`, text, { number: number + 1, definitions, previous: definitions });
  return { file: `${title}.surql`, text, notes: [], gaps: [] };
}

interface Snapshot {
  /** Of the last migration in the folder. */
  number: number;
  definitions: Definitions;
  /** Those before it, for whoever deletes the last migration to generate it again. */
  previous: Definitions;
}

async function readSnapshot(folder: string): Promise<Pick<Snapshot, "number" | "definitions">> {
  const files = await migrationFiles(folder);
  const last = Math.max(0, ...files.map(numberOf));
  const text = await usable(folder, orMissing(readFile(join(folder, SNAPSHOT), "utf8"), undefined));
  if (text === undefined && last === 0) return { number: 0, definitions: NO_DEFINITIONS };
  const { number, definitions, previous } = parsed(text) ?? { number: -1 };
  const numbers = new Set(files.map(numberOf));
  const hole = Array.from({ length: last }, (_, i) => i + 1).find((each) => !numbers.has(each));
  if (hole !== undefined)
    throw new SchemaError({
      code: "schema.bad_snapshot",
      message: `${folder} has no migration ${hole} and later ones: bring it back, or give those the numbers that follow`,
    });
  if (number === last + 1 && previous) return { number: last, definitions: previous };
  // A data migration is written by hand, changes no definition, and so leaves the snapshot behind.
  const isOfOthers = files.some((file) => numberOf(file) > number && file.endsWith(".surql"));
  if (definitions && number <= last && !isOfOthers) return { number: last, definitions };
  throw new SchemaError({
    code: "schema.bad_snapshot",
    message: definitions
      ? `${folder} ends with migration ${last} and its snapshot.json with ${number}: bring both to one commit; the last migration alone may be deleted and generated again`
      : `${folder} has migrations and no readable snapshot.json: bring back the one that was committed with them`,
  });
}

function parsed(text: string | undefined): Snapshot | undefined {
  try {
    const { number, definitions, previous } = JSON.parse(text ?? "") as Snapshot;
    const isWhole = [definitions, previous].every((each) => each.tables && each.analyzers);
    return Number.isInteger(number) && isWhole ? { number, definitions, previous } : undefined;
  } catch {
    return undefined;
  }
}

async function migrationFiles(folder: string): Promise<string[]> {
  const files = await usable(folder, orMissing(readdir(folder), []));
  return files.filter((file) => /^\d{4}_.+\.(?:surql|[cm]?[jt]s)$/.test(file));
}

/** What the file system answers. @throws `schema.bad_folder` */
async function usable<T>(folder: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    const { message } = cause as NodeJS.ErrnoException;
    const reason = /^\w+: ([^,]+)/.exec(message)?.[1] ?? message;
    throw new SchemaError({
      code: "schema.bad_folder",
      message: `the folder of migrations ${folder} cannot be used: ${reason}`,
      cause,
    });
  }
}

/** What is read, or `missing` if it is not there. */
async function orMissing<T, U>(reading: Promise<T>, missing: U): Promise<T | U> {
  return reading.catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return missing;
    throw error;
  });
}

function numberOf(file: string): number {
  return Number(file.slice(0, 4));
}

/** The snapshot last: without it the folder says what is wrong, and the file can be deleted and made again. */
async function write(folder: string, file: string, text: string, snapshot: Snapshot): Promise<void> {
  const draft = join(folder, `.${SNAPSHOT}.${process.pid}`);
  const writing = async () => {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, file), text, { flag: "wx" });
    await writeFile(draft, `${JSON.stringify(snapshot, null, 2)}\n`);
    await rename(draft, join(folder, SNAPSHOT));
  };
  await usable(folder, writing());
}

function requireName(name: string): string {
  if (/^(?!\d{4}_)[a-z0-9][a-z0-9_]{0,63}$/.test(name)) return name;
  throw new SchemaError({
    code: "schema.bad_migration",
    message: `${JSON.stringify(name)} is no name for a migration: use small letters, digits and _, at most 64, and no number before`,
  });
}

function pathOf(folder: string | URL): string {
  return folder instanceof URL ? fileURLToPath(folder) : folder;
}

function twice(what: string, name: string): SchemaError {
  return new SchemaError({ code: "schema.bad_table", message: `there are two ${what}s of the name ${name}` });
}
