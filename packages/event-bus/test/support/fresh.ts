import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDatabase, type Database, type DatabaseOptions } from "@sentient/db-pool";
import { freshNames } from "@sentient/testkit";
import { onTestFinished } from "vitest";
import { createEventBus, type EventBus, type EventBusOptions } from "../../src/index.ts";

let engineFolder: Promise<string> | undefined;

/** An empty folder, gone when the tests are through. */
export const freshFolder = (): Promise<string> => mkdtemp(join(tmpdir(), "sentient-event-bus-"));

/** An empty database, closed after the test: one rocksdb engine a process, and in it a fresh namespace. */
export async function freshDatabase(options: DatabaseOptions = {}): Promise<Database> {
  engineFolder ??= freshFolder();
  const url = `rocksdb://${await engineFolder}/engine`;
  const db = await openDatabase({ url, ...freshNames(), ...options });
  onTestFinished(() => db.close({ deadline: 500 }));
  return db;
}

/** A bus on a database of its own, closed after the test. */
export async function freshBus(options: EventBusOptions = {}): Promise<{ db: Database; bus: EventBus }> {
  const db = await freshDatabase();
  return { db, bus: busOn(db, options) };
}

/** Another bus on the same database. */
export function busOn(db: Database, options: EventBusOptions = {}): EventBus {
  const bus = createEventBus(db, options);
  onTestFinished(() => bus.close());
  return bus;
}
