// What a run is to remember, as rows hold it: results of steps, and checkpoints.

import type { NewRow, Placed } from "@sentient/event-bus";
import { checkpointTable, requireWithin, type Hash, type Json, type Name } from "@sentient/schema";
import { contentOf, type Content } from "./blobs.ts";
import { checkpointId } from "./queries.ts";
import type { Run } from "./run.ts";

/** The result of a step: in its row, or in a blob that the row names. */
export interface KeptResult {
  fields: { status: "completed"; result: string } | { status: "stored"; blob: Hash };
  content?: Content;
}

/** @throws `schema.limit` */
export function keptResult(key: string, text: string): KeptResult {
  requireWithin("payloadBytes", Buffer.byteLength(text), `the result of the step ${key}`);
  const content = contentOf(text);
  return content
    ? { fields: { status: "stored", blob: content.hash }, content }
    : { fields: { status: "completed", result: text } };
}

/** A named point of a run as it is. */
export interface NamedPoint {
  name: Name;
  metadata: Json | undefined;
  /** Of the state there. */
  stateHash: Hash;
  /** The last event before it. */
  last: Placed;
  at: Date;
}

export function checkpointRow(
  { id, steps, attempts, token, version }: Run,
  { name, metadata, stateHash, last, at }: NamedPoint,
): NewRow {
  const row = checkpointTable.serialise({
    id: [id, name],
    n: last.n,
    position: last.position,
    stateHash,
    steps,
    attempt: attempts,
    token,
    version,
    ...(metadata === undefined ? {} : { metadata }),
    createdAt: at,
  } as never);
  return { ...row, id: checkpointId(id, name) };
}
