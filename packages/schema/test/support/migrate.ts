import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  ident,
  openDatabase,
  surql,
  type Database,
  type DatabaseOptions,
  type Statement,
} from "@sentient/db-pool";
import { freshNames } from "@sentient/testkit";
import { onTestFinished } from "vitest";
import { SchemaError } from "../../src/errors.ts";
import type { Queries } from "../../src/migrate-history.ts";

let engineFolder: Promise<string> | undefined;

/** An empty folder, gone when the tests are through. */
export const freshFolder = (): Promise<string> => mkdtemp(join(tmpdir(), "sentient-schema-"));

/** An empty database, closed after the test; by default one rocksdb engine a process, and in it a fresh namespace. */
export async function freshDatabase(options: DatabaseOptions = {}): Promise<Database> {
  engineFolder ??= freshFolder();
  const url = `rocksdb://${await engineFolder}/engine`;
  const db = await openDatabase({ url, ...freshNames(), ...options });
  onTestFinished(() => db.close({ deadline: 500 }));
  return db;
}

/** The `SchemaError` that `work` fails with; anything else, success among it, fails the test. */
export async function failureOf(work: () => unknown): Promise<SchemaError> {
  try {
    await work();
  } catch (error) {
    if (error instanceof SchemaError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

type Send = (statements: readonly Statement[]) => Promise<unknown[]>;

/** A database whose transactions go through `on`, which may look, wait, change them, or not send them at all. */
export function intercepted(
  db: Queries,
  on: (statements: readonly Statement[], send: Send) => Promise<unknown[]>,
): Queries {
  return {
    query: (statement, options) => db.query(statement, options),
    transaction: (statements, options) =>
      on(statements, (changed) => db.transaction(changed, options)) as never,
  };
}

/** Everything in a database that a migration may have made, definitions and rows; but no times, and no lock. */
export async function contentsOf(db: Queries): Promise<Record<string, unknown>> {
  const { tables, ...others } = await db.query(surql<{ tables: Definition[] }>`INFO FOR DB STRUCTURE`);
  const contents: Record<string, unknown> = { ...others };
  for (const { id: _internal, ...definition } of tables) {
    // a transaction that was rolled back has used one up
    const { name } = definition;
    const parts = await db.query(surql`INFO FOR TABLE ${ident(name)} STRUCTURE`);
    contents[name] = { definition, parts, rows: await db.query(rowsOf(name)) };
  }
  return contents;
}

interface Definition {
  id: number;
  name: string;
}

function rowsOf(table: string): Statement {
  if (table === "schema_lock") return surql`SELECT VALUE id FROM schema_lock`;
  if (table === "schema_migration")
    return surql`SELECT * OMIT started_at, applied_at, applied_by, took FROM schema_migration`;
  return surql`SELECT * FROM ${ident(table)}`;
}
