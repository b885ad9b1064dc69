import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDatabase, type Database, type DatabaseOptions } from "@sentient/db-pool";
import { createEventBus, type EventBus } from "@sentient/event-bus";
import { freshNames } from "@sentient/testkit";
import { afterAll, onTestFinished } from "vitest";
import { createState, type State, type StateOptions } from "../../src/index.ts";

const folders: string[] = [];
let engineFolder: Promise<string> | undefined;

afterAll(async () => {
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
});

/** An empty folder, gone after the tests of this file. */
export async function freshFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sentient-state-"));
  folders.push(folder);
  return folder;
}

/** An empty database, closed after the test: one rocksdb engine a test file, and in it a fresh namespace. */
async function freshDatabase(options: DatabaseOptions = {}): Promise<Database> {
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
