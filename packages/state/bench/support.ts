import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createNodeEngines } from "@surrealdb/node";
import { openDatabase, type Database } from "@sentient/db-pool";
import { createEventBus, type EventBus } from "@sentient/event-bus";
import { median, servedEngine, type BenchRow, type ServedEngine } from "@sentient/testkit";
import { Surreal } from "surrealdb";
import { createState, type State } from "../src/index.ts";

export const root: string = fileURLToPath(new URL("../../..", import.meta.url));
export const folder: string = mkdtempSync(join(tmpdir(), "sentient-state-bench-"));
const names = { namespace: "bench", database: "bench" };

export interface Ours extends AsyncDisposable {
  db: Database;
  bus: EventBus;
  state: State;
}

export function stateIn(name: string): Promise<Ours> {
  return stateOf({ url: `rocksdb://${join(folder, name)}` });
}

export async function stateOf(at: { url: string; token?: string }): Promise<Ours> {
  const db = await openDatabase({ url: at.url, ...(at.token ? { token: at.token } : {}), ...names });
  const bus = createEventBus(db);
  const close = async () => {
    await bus.close();
    await db.close();
  };
  return { db, bus, state: createState(db, bus), [Symbol.asyncDispose]: close };
}

/** The SDK on an engine of its own in this process, with tables and indexes as ours. */
export async function rawIn(name: string): Promise<Surreal> {
  const raw = new Surreal({ engines: createNodeEngines() });
  await raw.connect(`rocksdb://${join(folder, name)}`);
  await raw.use(names);
  await raw.query(`
    DEFINE TABLE event SCHEMALESS; DEFINE TABLE step SCHEMALESS; DEFINE TABLE state SCHEMALESS;
    DEFINE INDEX byRun ON event FIELDS run, n UNIQUE; DEFINE INDEX byEventId ON event FIELDS eventId UNIQUE;
    DEFINE INDEX byCausation ON event FIELDS causation, id UNIQUE;
    DEFINE INDEX byCorrelation ON event FIELDS correlation, id UNIQUE;
    CREATE log:head SET position = 0;`);
  return raw;
}

export function engineIn(name: string): Promise<ServedEngine> {
  const entry = new URL("../test/fixtures/serve-child.ts", import.meta.url);
  return servedEngine({ entry, folder: join(folder, name) });
}

export const milliseconds = async (work: () => Promise<unknown>): Promise<number> => {
  const began = performance.now();
  await work();
  return performance.now() - began;
};

/** Calls `work` so often, so many of them at once. */
export async function inFlight(
  lanes: number,
  count: number,
  work: (i: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

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
