// Check. Owns: where a database differs from the tables in code.
// The engine words what it keeps in its own way, so it is asked: the same definitions are made under other names and
// removed again, in one transaction that changes nothing, and what it says of both is compared.

import { ident, surql, type Database } from "@sentient/db-pool";
import { definitionsOf } from "./generate.ts";
import { defineAnalyzerText, tableTexts } from "./generate-ddl.ts";
import { generatedStatements } from "./generate-statements.ts";
import type { IndexDefinition, TableDefinition } from "./definition.ts";
import type { Analyzer } from "./index-kinds.ts";
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

/**
 * Compares the tables in code with those of the database. Needs the right to define tables there, and leaves nothing.
 *
 * @returns nothing if they agree
 * @throws `db.denied` without that right
 * @example for (const { what, kind, name } of await check(db, [person, post])) console.log(`${what} ${kind} ${name}`);
 */
export async function check(db: Database, tables: readonly AnyTable[]): Promise<Drift[]> {
  const { analyzers } = definitionsOf(tables);
  const known = Object.entries(analyzers).map(([name, clause]) => ({ name, clause }));
  const found = await db.query(surql<DatabaseInfo>`INFO FOR DB STRUCTURE`);
  const names = new Set(found.tables.map(({ name }) => name));
  const drift = await analyzerDrift(db, known);
  for (const table of tables) {
    if (names.delete(table.name)) drift.push(...(await tableDrift(db, table)));
    else drift.push({ what: "missing", kind: "table", name: table.name });
  }
  const extra = [...names].filter((name) => !OWN.has(name));
  return [...drift, ...extra.map((name) => ({ what: "extra" as const, kind: "table" as const, name }))];
}

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

async function tableDrift(db: Database, { name, definition }: AnyTable): Promise<Drift[]> {
  const scratch = `${SCRATCH}${name}`;
  const { fullText, others } = apart(definition.indexes);
  const define = generatedStatements(tableTexts(scratch, { ...definition, indexes: others }));
  const answers = await db.transaction([
    surql`INFO FOR TABLE ${ident(name)} STRUCTURE`,
    ...define,
    surql`INFO FOR TABLE ${ident(scratch)} STRUCTURE`,
    surql`INFO FOR DB STRUCTURE`,
    surql`REMOVE TABLE ${ident(scratch)}`,
  ]);
  const found = answers[0] as TableInfo;
  const [expected, database] = answers.slice(1 + define.length) as [TableInfo, DatabaseInfo];
  const head = (of: string) => wordsOf(database.tables.filter((table) => table.name === of));
  return [
    ...compare("table", undefined, new Map([[name, [...head(scratch).values()][0]!]]), head(name)),
    ...compare("field", name, wordsOf(expected.fields), wordsOf(found.fields)),
    ...compare("index", name, new Map([...wordsOf(expected.indexes), ...fullText]), wordsOf(found.indexes)),
  ];
}

function isFullText({ clause }: IndexDefinition): boolean {
  return clause.startsWith("FULLTEXT");
}

/**
 * A full-text index is not made for a look: the engine keeps something of it outside the transaction, and a second one
 * on a table of that name conflicts with it for ever. But it words it as we do.
 */
function apart(indexes: TableDefinition["indexes"]) {
  const all = Object.entries(indexes);
  return {
    others: Object.fromEntries(all.filter(([, index]) => !isFullText(index))),
    fullText: new Map(
      all
        .filter(([, index]) => isFullText(index))
        .map(([key, { fields, clause }]) => [key, JSON.stringify({ cols: fields, index: clause })]),
    ),
  };
}

async function analyzerDrift(db: Database, analyzers: readonly Analyzer[]): Promise<Drift[]> {
  const define = generatedStatements(
    analyzers.map(({ name, clause }) => defineAnalyzerText(`${SCRATCH}${name}`, clause, "new")),
  );
  const remove = analyzers.map(({ name }) => surql`REMOVE ANALYZER ${ident(`${SCRATCH}${name}`)}`);
  const answers = await db.transaction([...define, surql`INFO FOR DB STRUCTURE`, ...remove]);
  const info = (answers[define.length] as DatabaseInfo).analyzers;
  const ours = info.filter(({ name }) => name.startsWith(SCRATCH));
  const found = info.filter(({ name }) => !name.startsWith(SCRATCH));
  const unprefixed = ours.map((each) => ({ ...each, name: each.name.slice(SCRATCH.length) }));
  return compare("analyzer", undefined, wordsOf(unprefixed), wordsOf(found));
}

/** What the engine says of each, by name. The table's name and its inner number are not what differs. */
function wordsOf(list: readonly Named[]): Map<string, string> {
  return new Map(
    list.map(({ name, table: _table, id: _id, ...rest }) => [
      name,
      JSON.stringify(rest).replaceAll(SCRATCH, ""),
    ]),
  );
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
