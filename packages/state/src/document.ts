// Documents. Owns: a run's own state as patches and snapshots of it.
// D1. The state after an event is the nearest snapshot at or before it, and the patches from there on.
// D2. A snapshot is written when the patches since the last one outweigh it, or there are many: what is kept grows with what
//     changes, and what is read with one state.

import {
  hashOf,
  patchTable,
  canonicalJson,
  requireWithin,
  type Hash,
  type Json,
  type Patch,
} from "@sentient/schema";
import jsonPatch, { type Operation } from "fast-json-patch"; // CommonJS: Node finds no names in it
import { INLINE_BYTES, type Content } from "./blobs.ts";
import { StateError } from "./errors.ts";

/** Patches in a row, so that few rows are read to know a state. */
const MOST_PATCHES = 100;

/** A run's state, and how much of it was written since the last snapshot. */
export interface Document {
  state: Json;
  text: string;
  hash: Hash;
  /** Bytes of the last snapshot; 0 before the first. */
  snapshot: number;
  /** Bytes and number of patches since. */
  patched: number;
  patches: number;
}

const text = canonicalJson({});
/** Before anything was written. */
export const EMPTY: Document = { state: {}, text, hash: hashOf(text), snapshot: 0, patched: 0, patches: 0 };

/** What to write for a change: a row without its id, and content that is too large for one. */
export interface Written {
  next: Document;
  row: Record<string, unknown>;
  content?: Content;
}

/**
 * What to write to make `state` of what was before; undefined if it is that already.
 *
 * @throws `schema.limit`, `state.bad_change` for what is not JSON
 */
export function change(before: Document, state: Json): Written | undefined {
  const text = textOf(state);
  if (text === before.text) return undefined;
  const size = Buffer.byteLength(text);
  requireWithin("payloadBytes", size, "the state");
  const hash = hashOf(text);
  const frozen = JSON.parse(text) as Json;
  const ops = before.snapshot === 0 ? undefined : canonicalJson(opsBetween(before.state, frozen));
  if (ops !== undefined && before.patches < MOST_PATCHES && before.patched + ops.length <= before.snapshot) {
    const patched = before.patched + ops.length;
    const next = { ...before, state: frozen, text, hash, patched, patches: before.patches + 1 };
    return { next, row: { hash, kind: "patch", ops } };
  }
  const next = { state: frozen, text, hash, snapshot: size, patched: 0, patches: 0 };
  return size <= INLINE_BYTES
    ? { next, row: { hash, kind: "snapshot", state: text } }
    : { next, row: { hash, kind: "stored", blob: hash }, content: { hash, text } };
}

/** All of a state, whatever lies before. */
export function whole(state: Json): Written {
  return (
    change(EMPTY, state) ?? {
      next: { ...EMPTY, snapshot: 2 },
      row: { hash: EMPTY.hash, kind: "snapshot", state: text },
    }
  );
}

/** RFC 6902. @returns the operations, which are JSON */
export function opsBetween(before: Json, after: Json): Json {
  const isSame = (one: unknown) => typeof one === "object" && one !== null;
  if (!isSame(before) || !isSame(after) || Array.isArray(before) !== Array.isArray(after))
    return [{ op: "replace", path: "", value: after }];
  return jsonPatch.compare(before as object, after as object) as unknown as Json;
}

/**
 * The state that rows in the order of their events make, beginning with a snapshot.
 *
 * @throws `state.details_removed` if there is none
 */
export function fold(rows: readonly unknown[], contents: ReadonlyMap<string, string>): Document {
  let document = EMPTY;
  for (const row of rows.map(patchTable.parse)) document = after(document, row, contents);
  return document;
}

function after(before: Document, patch: Patch, contents: ReadonlyMap<string, string>): Document {
  const { hash } = patch;
  if (patch.kind === "patch") {
    if (before.snapshot === 0) throw removedError(patch.id[0]);
    const [size, patches] = [canonicalJson(patch.ops).length, before.patches + 1];
    // eslint-disable-next-line unicorn/prefer-structured-clone
    const state = jsonPatch.applyPatch(
      structuredClone(before.state),
      patch.ops as unknown as Operation[],
      true,
      true,
    ).newDocument;
    return { ...before, state, text: canonicalJson(state), hash, patched: before.patched + size, patches };
  }
  const text = patch.kind === "snapshot" ? canonicalJson(patch.state) : contents.get(patch.blob);
  if (text === undefined) throw removedError(patch.id[0]);
  return {
    state: JSON.parse(text) as Json,
    text,
    hash,
    snapshot: Buffer.byteLength(text),
    patched: 0,
    patches: 0,
  };
}

/** How far back a snapshot lies at most, in rows. */
export const ROWS_BACK = MOST_PATCHES + 1;

function textOf(state: Json): string {
  try {
    return canonicalJson(state);
  } catch (cause) {
    throw new StateError({
      code: "state.bad_change",
      message: `the state cannot be kept: ${(cause as Error).message}`,
      cause,
    });
  }
}

function removedError(run: string): StateError {
  return new StateError({
    code: "state.details_removed",
    message: `the state of the run ${run} there is gone: its details were kept for a time and then removed`,
    details: { run },
  });
}
