// Memory under test: a database of its own each.

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
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
export async function everything(db: Database): Promise<Map<string, string>> {
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

const DOCS = fileURLToPath(new URL("../../../../docs/", import.meta.url));

/** A part of the documentation, from one heading to the next. */
export interface Section {
  /** `guides/steps.md#Limits` */
  name: string;
  memory: NewMemory;
}

export async function sectionsOfDocs(): Promise<Section[]> {
  const files = (await readdir(DOCS, { recursive: true })).filter((file) => file.endsWith(".md")).toSorted();
  const sections: Section[] = [];
  for (const file of files) {
    if (file.startsWith("reference")) continue; // tables of names
    const text = await readFile(join(DOCS, file), "utf8");
    const title = /^# (.+)$/m.exec(text)?.[1] ?? file;
    for (const part of text.split(/^(?=#{1,2} )/m)) {
      const heading = /^#{1,2} (.+)\n/.exec(part)?.[1];
      if (heading === undefined) continue;
      const said = heading === title ? part : `# ${title}\n\n${part}`;
      sections.push({ name: `${file}#${heading}`, memory: { text: said, sources: [file] } });
    }
  }
  return sections;
}
