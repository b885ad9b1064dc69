import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freshNames } from "@sentient/testkit";
import { onTestFinished } from "vitest";
import { type Database, type DatabaseOptions, openDatabase } from "../../src/index.ts";
import { compareWholeValues } from "./same-value.ts";

compareWholeValues();

let engineFolder: Promise<string> | undefined;

/** An empty folder, gone when the tests are through. */
export const freshFolder = (): Promise<string> => mkdtemp(join(tmpdir(), "sentient-db-pool-"));

/**
 * An empty database, closed after the test: one rocksdb engine a process, and in it a namespace nobody else uses.
 *
 * @example const db = await freshDatabase({ url: "mem://" });
 */
export async function freshDatabase(options: DatabaseOptions = {}): Promise<Database> {
  engineFolder ??= freshFolder();
  const url = `rocksdb://${await engineFolder}/engine`;
  const db = await openDatabase({ url, ...freshNames(), ...options });
  onTestFinished(() => db.close());
  return db;
}
