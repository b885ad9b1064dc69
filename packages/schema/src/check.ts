// Check. Owns: where a database differs from the tables in code.
// The engine words what it keeps in its own way, so it is asked: the same definitions are made under other names, and
// what it says of both is compared. All in one transaction that is taken back by throwing what was to be learnt. (Removing
// them again would not do: of an index on a removed table something stays, and the next of that name conflicts for ever.)

import { DbError, decode, ident, surql, type Database, type Statement } from "@sentient/db-pool";
import { definitionsOf } from "./generate.ts";
import { defineAnalyzerText, tableTexts } from "./generate-ddl.ts";
import { generatedStatements } from "./generate-statements.ts";
import { nameText } from "./literal.ts";
import type { AnyTable } from "./table.ts";

const SCRATCH = "schema_check_";
/** Tables that this package keeps for itself. */
const OWN = new Set(["schema_migration", "schema_lock"]);

export interface Drift {
  what: "missing" | "extra" | "different";
  kind: "table" | "field" | "index" | "analyzer";
  table?: string;
  name: string;
  /** What the tables in code ask for, in the engine's words. */
  expected?: string;
  /** What the database has. */
  found?: string;
}

export interface CheckOptions {
  /** Whether tables and analyzers that the code does not know are drift; true if left out. */
  others?: boolean;
}

/**
 * Compares the tables in code with those of the database. Needs the right to define tables there, and leaves nothing.
 *
 * @returns nothing if they agree
 * @throws `db.denied` without that right
 * @example for (const { what, kind, name } of await check(db, [person, post])) console.log(`${what} ${kind} ${name}`);
 */
export async function check(
  db: Database,
  tables: readonly AnyTable[],
  { others = true }: CheckOptions = {},
): Promise<Drift[]> {
  const { before, after, pairs } = await ask(db, tables);
  const drift = compare(
    "analyzer",
    undefined,
    wordsOf(after.analyzers.filter(isScratch)),
    wordsOf(before.analyzers),
  );
  const has = new Set(before.tables.map(({ name }) => name));
  for (const [i, { name }] of tables.entries()) {
    if (!has.delete(name)) {
      drift.push({ what: "missing", kind: "table", name });
      continue;
    }
    const { expected, found } = pairs[i]!;
    drift.push(
      ...compare(
        "table",
        undefined,
        wordsOf(named(after.tables, SCRATCH + name)),
        wordsOf(named(before.tables, name)),
      ),
      ...compare("field", name, wordsOf(expected.fields), wordsOf(found.fields)),
      ...compare("index", name, wordsOf(expected.indexes), wordsOf(found.indexes)),
    );
  }
  for (const name of has) if (!OWN.has(name)) drift.push({ what: "extra", kind: "table", name });
  return others ? drift : drift.filter((each) => !isOther(each));
}

const isScratch = ({ name }: Named) => name.startsWith(SCRATCH);
const named = (list: Named[], name: string) => list.filter((each) => each.name === name);
const isOther = ({ what, kind }: Drift) => what === "extra" && (kind === "table" || kind === "analyzer");

interface Named {
  name: string;
  [key: string]: unknown;
}

interface TableInfo {
  fields: Named[];
  indexes: Named[];
}

interface DatabaseInfo {
  tables: Named[];
  analyzers: Named[];
}

interface Answers {
  /** The database as it is, and with the same definitions under other names. */
  before: DatabaseInfo;
  after: DatabaseInfo;
  /** For each table what it should be and what it is. */
  pairs: { expected: TableInfo; found: TableInfo }[];
}

async function ask(db: Database, tables: readonly AnyTable[]): Promise<Answers> {
  const { analyzers } = definitionsOf(tables);
  const definitions = [
    ...Object.entries(analyzers).map(([name, clause]) => defineAnalyzerText(SCRATCH + name, clause, "new")),
    ...tables.flatMap(({ name, definition }) => tableTexts(SCRATCH + name, definition).map(inScratch)),
  ];
  const [before, after, ...infos] = (await learn(db, [
    surql`INFO FOR DB STRUCTURE`,
    ...generatedStatements(definitions),
    surql`INFO FOR DB STRUCTURE`,
    ...tables.flatMap(({ name }) => [
      surql`INFO FOR TABLE ${ident(SCRATCH + name)} STRUCTURE`,
      surql`INFO FOR TABLE ${ident(name)} STRUCTURE`,
    ]),
  ])) as [DatabaseInfo, DatabaseInfo, ...TableInfo[]];
  const pairs = tables.map((_, i) => ({ expected: infos[2 * i]!, found: infos[2 * i + 1]! }));
  return { before, after, pairs };
}

/** A full-text index names its analyzer. */
function inScratch(text: string): string {
  return text.replace(
    /( FULLTEXT ANALYZER )(\S+)/,
    (_, lead: string, name: string) => lead + scratchText(name),
  );
}

function scratchText(name: string): string {
  return name.startsWith("`") ? `\`${SCRATCH}${name.slice(1)}` : nameText(SCRATCH + name);
}

/** What each INFO among these statements says; none of them is done. */
async function learn(db: Database, statements: readonly Statement[]): Promise<unknown[]> {
  const asking = statements.map((statement) =>
    statement.keyword === "INFO" ? surql`LET $said = array::append($said, (${statement}))` : statement,
  );
  try {
    await db.transaction([
      surql`LET $said = []`,
      ...asking,
      surql`THROW encoding::base64::encode(encoding::cbor::encode($said))`,
    ]);
  } catch (error) {
    if (!(error instanceof DbError && error.code === "db.thrown")) throw error;
    return decode(Buffer.from(String(error.details?.thrown), "base64")) as unknown[];
  }
  throw new TypeError("the engine let a THROW pass");
}

/** What the engine says of each, by name. The table's name and its inner number are not what differs. */
function wordsOf(list: readonly Named[]): Map<string, string> {
  const words = ({ name, table: _table, id: _id, ...rest }: Named) =>
    [name.replace(SCRATCH, ""), JSON.stringify(rest).replaceAll(SCRATCH, "")] as const;
  return new Map(list.map(words));
}

function compare(
  kind: Drift["kind"],
  table: string | undefined,
  expected: ReadonlyMap<string, string>,
  found: ReadonlyMap<string, string>,
): Drift[] {
  const place = table === undefined ? {} : { table };
  const drift: Drift[] = [];
  for (const [name, text] of expected) {
    const has = found.get(name);
    if (has === undefined) drift.push({ what: "missing", kind, ...place, name, expected: text });
    else if (has !== text)
      drift.push({ what: "different", kind, ...place, name, expected: text, found: has });
  }
  for (const [name, text] of found)
    if (!expected.has(name)) drift.push({ what: "extra", kind, ...place, name, found: text });
  return drift;
}
