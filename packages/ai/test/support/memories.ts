// Memory under test: a database of its own each.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ident, openDatabase, surql, type Database } from "@sentient/db-pool";
import { freshNames } from "@sentient/testkit";
import { afterAll, onTestFinished } from "vitest";
import {
  createMemory,
  type MemoryOptions,
  type MemoryStore,
  type NewMemory,
} from "../../src/memory/index.ts";

const folders: string[] = [];

afterAll(() =>
  Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true, maxRetries: 5 }))),
);

/** On an engine of its own: SurrealDB 3.0 takes the vectors of one database in an engine for those of another. */
export async function freshDatabase(): Promise<Database> {
  const folder = await mkdtemp(join(tmpdir(), "sentient-memory-"));
  folders.push(folder);
  const db = await openDatabase({ url: `rocksdb://${folder}/engine`, ...freshNames() });
  onTestFinished(() => db.close({ deadline: 500 }));
  return db;
}

export async function freshMemory(
  options: MemoryOptions = {},
): Promise<{ db: Database; memory: MemoryStore }> {
  const db = await freshDatabase();
  const memory = createMemory(db, options);
  await memory.migrate();
  return { db, memory };
}

/** Every row of every table, by its table. */
async function everything(db: Database): Promise<Map<string, string>> {
  const { tables } = await db.query(surql<{ tables: Record<string, string> }>`INFO FOR DB`);
  const rows = new Map<string, string>();
  for (const table of Object.keys(tables))
    rows.set(table, JSON.stringify(await db.query(surql`SELECT * FROM ${ident(table)}`)));
  return rows;
}

/** The tables in which any of some texts stands. */
export async function tracesOf(db: Database, ...texts: string[]): Promise<string[]> {
  const all = await everything(db);
  return [...all].filter(([, rows]) => texts.some((text) => rows.includes(text))).map(([table]) => table);
}

/** A part of the documentation, from one heading to the next. */
export interface Section {
  /** `guides/steps.md#Limits` */
  name: string;
  memory: NewMemory;
}

/** As the documentation was when the questions were asked: what is measured with it does not change with what is written. */
export async function sectionsOfDocs(): Promise<Section[]> {
  const file = new URL("../fixtures/sections.json", import.meta.url);
  const texts = JSON.parse(await readFile(file, "utf8")) as Record<string, string>;
  return Object.entries(texts).map(([name, text]) => ({
    name,
    memory: { text, sources: [name.split("#")[0]!] },
  }));
}
