import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createNodeEngines } from "@surrealdb/node";
import { openDatabase, type Database } from "@sentient/db-pool";
import { median, servedEngine, type BenchRow, type ServedEngine } from "@sentient/testkit";
import { Surreal } from "surrealdb";
import { createEventBus, type EventBus } from "../src/index.ts";

export const root: string = fileURLToPath(new URL("../../..", import.meta.url));
export const folder: string = mkdtempSync(join(tmpdir(), "sentient-bus-bench-"));
const names = { namespace: "bench", database: "bench" };
export async function busIn(name: string): Promise<{ db: Database; bus: EventBus }> {
  const db = await openDatabase({ url: `rocksdb://${join(folder, name)}`, ...names });
  return { db, bus: createEventBus(db) };
}

/** The SDK on an engine in this process, with a table as ours and one without indexes. */
export async function rawIn(name: string): Promise<Surreal> {
  const raw = new Surreal({ engines: createNodeEngines() });
  await raw.connect(`rocksdb://${join(folder, name)}`);
  await raw.use(names);
  await raw.query(`
    DEFINE TABLE bare SCHEMALESS; DEFINE TABLE event SCHEMALESS; DEFINE TABLE note SCHEMALESS;
    DEFINE INDEX byRun ON event FIELDS run, n UNIQUE; DEFINE INDEX byEventId ON event FIELDS eventId UNIQUE;
    DEFINE INDEX byCausation ON event FIELDS causation, id UNIQUE;
    DEFINE INDEX byCorrelation ON event FIELDS correlation, id UNIQUE;`);
  return raw;
}

export function engineIn(name: string): Promise<ServedEngine> {
  const entry = new URL("../test/fixtures/serve-child.ts", import.meta.url);
  return servedEngine({ entry, folder: join(folder, name) });
}

export async function busOf({ url, token }: ServedEngine): Promise<{ db: Database; bus: EventBus }> {
  const db = await openDatabase({ url, token, ...names });
  return { db, bus: createEventBus(db) };
}

export async function rawOf({ url, token }: ServedEngine): Promise<Surreal> {
  const raw = new Surreal();
  await raw.connect(url, { authentication: token, ...names });
  return raw;
}

export const milliseconds = async (work: () => Promise<unknown>): Promise<number> => {
  const began = performance.now();
  await work();
  return performance.now() - began;
};

export interface Goal {
  text: string;
  met: (row: BenchRow) => boolean;
}

export function rowOf(name: string, unit: string, ours: number[], raw: number[] = [], goal?: Goal): BenchRow {
  const row: BenchRow = { name, unit, median: median(ours), min: Math.min(...ours), max: Math.max(...ours) };
  if (raw.length > 0) {
    row.raw = median(raw);
    row.ratio = row.median / row.raw;
  }
  if (goal) {
    row.goal = goal.text;
    row.met = goal.met(row);
  }
  return row;
}
