// Blobs. Owns: what is too large for a row of its kind, kept once by its hash.

import { surql, type RecordId, type Statement } from "@sentient/db-pool";
import { hashOf, type Hash } from "@sentient/schema";
import * as queries from "./queries.ts";
import type { Store } from "./store.ts";

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

interface BlobRow {
  id: RecordId;
  content: ArrayBuffer;
}

/** Blobs of one answer: each may have a megabyte. */
const AT_ONCE = 16;

/** The texts of blobs by their hashes; one that is gone is left out. */
export async function readContents(db: Store, hashes: Iterable<string>): Promise<Map<string, string>> {
  const all = [...new Set(hashes)];
  const contents = new Map<string, string>();
  for (let at = 0; at < all.length; at += AT_ONCE) {
    const ids = all.slice(at, at + AT_ONCE).map(queries.blobId);
    const rows = await db.query(surql<BlobRow[]>`SELECT * FROM ${ids}`); // fields by name fail for one that is gone
    for (const { id, content } of rows) contents.set(id.id as string, Buffer.from(content).toString());
  }
  return contents;
}
