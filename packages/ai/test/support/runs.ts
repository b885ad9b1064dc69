// Runs that talk, on a database of their own each.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSentient, type Sentient, type SentientOptions } from "@sentient/agent-core";
import { openDatabase, type Database, type DatabaseOptions } from "@sentient/db-pool";
import { freshNames } from "@sentient/testkit";
import type { Chunk } from "@sentient/state";
import { afterAll, onTestFinished } from "vitest";

let folder: Promise<string> | undefined;

afterAll(async () => {
  if (folder) await rm(await folder, { recursive: true, force: true });
});

/** Gone after the tests of this file. */
export function freshFolder(): Promise<string> {
  folder ??= mkdtemp(join(tmpdir(), "sentient-ai-"));
  return folder;
}

/** One engine a file, and in it an empty database. */
export async function freshRuns(options: SentientOptions): Promise<{ sentient: Sentient; db: Database }> {
  const db = await openedUntilEnd({ url: `rocksdb://${await freshFolder()}/engine`, ...freshNames() });
  return { db, sentient: await sentientOn(db, options) };
}

export async function openedUntilEnd(options: DatabaseOptions): Promise<Database> {
  const db = await openDatabase(options);
  onTestFinished(() => db.close({ deadline: 500 }));
  return db;
}

/** As another process on the same database would have it. */
export async function sentientOn(database: Database, options: SentientOptions): Promise<Sentient> {
  const sentient = await createSentient({ database, ...options });
  onTestFinished(() => sentient.close());
  return sentient;
}

/** What counts of a stream, by its step: what was said since its last reset. */
export class Reader {
  readonly said = new Map<string, string>();
  /** The last piece. */
  n = 0;

  add(chunk: Chunk): void {
    const { n, step, kind } = chunk;
    if (n !== this.n + 1) throw new Error(`piece ${n} comes after ${this.n}`);
    this.n = n;
    if (kind === "reset") this.said.set(step, "");
    if (kind !== "data") return;
    const { type, text } = chunk.data as { type?: string; text?: string };
    if (type === "text") this.said.set(step, (this.said.get(step) ?? "") + text);
  }

  get text(): string {
    return [...this.said.values()].join("|");
  }
}
