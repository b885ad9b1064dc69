import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freshNames } from "@sentient/testkit";
import { afterAll, onTestFinished } from "vitest";
import { type Database, type DatabaseOptions, openDatabase } from "../../src/index.ts";
import { compareWholeValues } from "./same-value.ts";

compareWholeValues();

const folders: string[] = [];
let engineFolder: Promise<string> | undefined;

afterAll(async () => {
  await Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true })));
});

/** An empty folder, gone after the tests of this file. */
export async function freshFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sentient-db-pool-"));
  folders.push(folder);
  return folder;
}

/**
 * An empty database, closed after the test: one rocksdb engine a test file, and in it a namespace nobody else uses.
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
