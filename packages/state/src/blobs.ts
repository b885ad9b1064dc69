// Blobs. Owns: what is too large for a row of its kind, kept once by its hash.

import type { Database, Statement } from "@sentient/db-pool";
import { hashOf, type Hash } from "@sentient/schema";
import * as queries from "./queries.ts";
import { surql } from "@sentient/db-pool";

/** What a row holds itself. */
export const INLINE_BYTES = 64 * 1024;

/** Text that goes into a blob. */
export interface Content {
  hash: Hash;
  text: string;
}

/** Undefined for what a row holds itself. */
export function contentOf(text: string): Content | undefined {
  return Buffer.byteLength(text) <= INLINE_BYTES ? undefined : { hash: hashOf(text), text };
}

export function keep(contents: readonly Content[], run: string, at: Date): Statement[] {
  return contents.flatMap(({ hash, text }) => queries.keepBlob(hash, run, Buffer.from(text), at));
}

/** The texts of blobs by their hashes; one that is gone is left out. */
export async function readContents(db: Database, hashes: Iterable<string>): Promise<Map<string, string>> {
  const ids = [...new Set(hashes)].map(queries.blobId);
  if (ids.length === 0) return new Map();
  const rows = await db.query(
    surql<{ hash: string; content: ArrayBuffer }[]>`SELECT record::id(id) AS hash, content FROM ${ids}`,
  );
  return new Map(rows.map(({ hash, content }) => [hash, Buffer.from(content).toString()]));
}
