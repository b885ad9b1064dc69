import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDatabase, type Database, type DatabaseOptions } from "@sentient/db-pool";
import { createEventBus, type EventBus } from "@sentient/event-bus";
import { freshNames } from "@sentient/testkit";
import { onTestFinished } from "vitest";
import { createState, type State, type StateOptions } from "../../src/index.ts";

let engineFolder: Promise<string> | undefined;

/** An empty folder, gone when the tests are through. */
export const freshFolder = (): Promise<string> => mkdtemp(join(tmpdir(), "sentient-state-"));

/** An empty database, closed after the test: one rocksdb engine a process, and in it a fresh namespace. */
export async function freshDatabase(options: DatabaseOptions = {}): Promise<Database> {
  engineFolder ??= freshFolder();
  const url = `rocksdb://${await engineFolder}/engine`;
  const db = await openDatabase({ url, ...freshNames(), ...options });
  onTestFinished(() => db.close({ deadline: 500 }));
  return db;
}

export interface Fresh {
  db: Database;
  bus: EventBus;
  state: State;
}

/** Runs in a database of their own. */
export async function freshState(options: StateOptions = {}): Promise<Fresh> {
  return stateOn(await freshDatabase(), options);
}

/** As another process on the same database would have it. */
export async function stateOn(db: Database, options: StateOptions = {}): Promise<Fresh> {
  const bus = createEventBus(db);
  onTestFinished(() => bus.close());
  await bus.ready();
  return { db, bus, state: createState(db, bus, options) };
}
