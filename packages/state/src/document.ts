// Documents. Owns: a run's own state as patches and snapshots of it.
// D1. The state after an event is the nearest snapshot at or before it, and the patches from there on.
// D2. A snapshot is written when the patches since the last one outweigh it, or there are many: what is kept grows with what
//     changes, and what is read with one state.
// D3. What is read is what was written: its hash says so.

import { hashOf, canonicalJson, requireWithin, type Hash, type Json, type Patch } from "@sentient/schema";
import jsonPatch, { type Operation } from "fast-json-patch"; // CommonJS: Node finds no names in it
import { INLINE_BYTES, type Content } from "./blobs.ts";
import { removedError, StateError } from "./errors.ts";

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

const EMPTY_TEXT = canonicalJson({});
/** Before anything was written. */
export const EMPTY: Document = {
  state: {},
  text: EMPTY_TEXT,
  hash: hashOf(EMPTY_TEXT),
  snapshot: 0,
  patched: 0,
  patches: 0,
};

/** What to write for a change: a row without its id, and content that is too large for one. */
export interface Written {
  next: Document;
  row: Record<string, unknown>;
  content?: Content;
}

/**
 * What to write to make the state of a canonical text of what was before; undefined if it is that already.
 *
 * @throws `schema.limit`
 */
export function change(before: Document, text: string): Written | undefined {
  if (text === before.text) return undefined;
  const size = Buffer.byteLength(text);
  requireWithin("payloadBytes", size, "the state");
  const hash = hashOf(text);
  const frozen = JSON.parse(text) as Json;
  const ops = before.patches < MOST_PATCHES ? patchOf(before, frozen) : undefined;
  const patched = before.patched + (ops === undefined ? 0 : Buffer.byteLength(ops));
  if (ops !== undefined && patched <= before.snapshot && patched - before.patched < size) {
    const next = { ...before, state: frozen, text, hash, patched, patches: before.patches + 1 };
    return { next, row: { hash, kind: "patch", ops } };
  }
  const next = { state: frozen, text, hash, snapshot: size, patched: 0, patches: 0 };
  return size <= INLINE_BYTES
    ? { next, row: { hash, kind: "snapshot", state: text } }
    : { next, row: { hash, kind: "stored", blob: hash }, content: { hash, text } };
}

/** Undefined if there is nothing to patch yet, or that patch would not be applied. */
function patchOf(before: Document, state: Json): string | undefined {
  if (before.snapshot === 0) return undefined;
  const ops = canonicalJson(opsBetween(before.state, state));
  return ops.includes(REFUSED) ? undefined : ops;
}

/** Where a patch may not reach, as it is read again with the guard against replacing a prototype. */
const REFUSED = "/constructor/prototype";

/** All of a state, by its canonical text, whatever lies before. */
export function whole(text: string): Written {
  return (
    change(EMPTY, text) ?? {
      next: { ...EMPTY, snapshot: 2 },
      row: { hash: EMPTY.hash, kind: "snapshot", state: text },
    }
  );
}

const holds = (one: unknown) => typeof one === "object" && one !== null;

/** RFC 6902. @returns the operations, which are JSON */
export function opsBetween(before: Json, after: Json): Json {
  if (before === after) return [];
  if (!holds(before) || !holds(after) || Array.isArray(before) !== Array.isArray(after))
    return [{ op: "replace", path: "", value: after }];
  return jsonPatch.compare(before as object, after as object) as unknown as Json;
}

/**
 * The state that a snapshot and the patches after it make. `contents` are what blobs hold, by hash.
 *
 * @throws `state.details_removed` if there is none, `state.damaged` (D3)
 */
export function fold(first: Patch, rest: readonly Patch[], contents: ReadonlyMap<string, string>): Document {
  const [run] = first.id;
  const begun = snapshotOf(first, contents);
  if (begun === undefined) throw removedError(run);
  const patches = rest.filter((row) => row.kind === "patch");
  let state = JSON.parse(begun) as Json;
  let patched = 0;
  for (const patch of patches) {
    patched += Buffer.byteLength(canonicalJson(patch.ops)); // before it is applied, which hands over its values
    state = applied(state, patch);
  }
  const { hash } = patches.at(-1) ?? first;
  const text = canonicalJson(state);
  if (hashOf(text) !== hash) throw damagedError(run);
  return { state, text, hash, snapshot: Buffer.byteLength(begun), patched, patches: patches.length };
}

function snapshotOf(patch: Patch, contents: ReadonlyMap<string, string>): string | undefined {
  if (patch.kind === "patch") return undefined;
  return patch.kind === "snapshot" ? canonicalJson(patch.state) : contents.get(patch.blob);
}

/** Changes `state`, which is nobody else's. */
export function applied(state: Json, { id: [run], ops }: Extract<Patch, { kind: "patch" }>): Json {
  try {
    return jsonPatch.applyPatch(state, ops as unknown as Operation[], true, true).newDocument;
  } catch (cause) {
    throw damagedError(run, cause);
  }
}

function damagedError(run: string, cause?: unknown): StateError {
  return new StateError({
    code: "state.damaged",
    message: `the state of the run ${run} there is not what was written: its rows were changed. Go back to another point of it, or take them from a backup`,
    details: { run },
    ...(cause === undefined ? {} : { cause }),
  });
}
