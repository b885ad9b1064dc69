// Blobs as lines, in pieces.

import { StateError } from "./errors.ts";
import * as queries from "./transfer-queries.ts";
import { PIECE_BYTES, type Body } from "./transfer-format.ts";
import type { Store } from "./store.ts";

/** @throws `state.details_removed` for one that is gone */
export async function* blobLines(hashes: Iterable<string>, db: Store): AsyncGenerator<Body> {
  for (const hash of hashes) {
    yield* piecesOf(hash, await readBlob(hash, db));
  }
}

export function* piecesOf(hash: string, content: Buffer): Generator<Body> {
  const parts = Math.max(1, Math.ceil(content.length / PIECE_BYTES));
  for (let part = 1; part <= parts; part++) {
    const piece = content.subarray((part - 1) * PIECE_BYTES, part * PIECE_BYTES);
    yield { kind: "blob", hash: hash as never, part, parts, content: piece.toString("base64") };
  }
}

/** @throws `state.details_removed` */
export async function readBlob(hash: string, db: Store): Promise<Buffer> {
  const [blob] = await db.query(queries.readBlobs([hash]));
  if (!blob) throw missingBlobError(hash);
  return Buffer.from(blob.content);
}

function missingBlobError(hash: string): StateError {
  return new StateError({
    code: "state.details_removed",
    message: `the content ${hash} that a run of the export refers to is gone: its details were removed meanwhile. Export it again`,
    details: { hash },
  });
}
