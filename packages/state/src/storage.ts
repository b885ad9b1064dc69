// Storage. Owns: how many bytes runs take up, by what they are of. Counted is what they say; of each row some 100 bytes come
// on top, and indexes.

import { z } from "zod";
import { requireRun, type Context } from "./changing.ts";
import { checked } from "./errors.ts";
import * as queries from "./storage-queries.ts";

const Options = z.strictObject({ tree: z.boolean().default(false) });

export interface StorageOptions {
  /** All runs of the tree that the run is in; false if left out. */
  tree?: boolean;
}

/** Bytes. */
export interface StorageUse extends Omit<queries.StorageRow, "blobs"> {
  /** How many were counted. */
  runs: number;
  /** What is too large for a row: that nobody else refers to, and that other runs refer to as well. */
  blobs: { own: number; shared: number };
  total: number;
}

const KINDS = [
  "input",
  "output",
  "steps",
  "state",
  "checkpoints",
  "signals",
  "questions",
  "chunks",
  "events",
] as const;

const BLOBS_AT_ONCE = 500;

/** @throws `state.not_found`, `state.bad_option` */
export async function storage(
  id: string,
  options: StorageOptions,
  { db }: Pick<Context, "db">,
): Promise<StorageUse> {
  const { tree } = checked(Options, options, "a question for storage");
  const { run } = await requireRun(id, { db });
  const runs = tree ? await db.query(queries.readTree(run.root)) : [id];
  const sums = Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<(typeof KINDS)[number], number>;
  const hashes = new Set<string>();
  for (const one of runs) {
    const row = await db.query(queries.readStorage(one));
    for (const kind of KINDS) sums[kind] += row[kind];
    for (const hash of row.blobs) hashes.add(hash);
  }
  const counted = new Set(runs);
  const blobs = { own: 0, shared: 0 };
  const all = [...hashes];
  for (let at = 0; at < all.length; at += BLOBS_AT_ONCE)
    for (const { size, users } of await db.query(queries.readBlobSizes(all.slice(at, at + BLOBS_AT_ONCE))))
      blobs[users.every((user) => counted.has(user)) ? "own" : "shared"] += size;
  const total = KINDS.reduce((sum, kind) => sum + sums[kind], blobs.own + blobs.shared);
  return { runs: runs.length, ...sums, blobs, total };
}
