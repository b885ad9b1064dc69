// The file of an export. Owns: what its lines are, and the seal that tells whether they are all there.
// One JSON value a line: first what it is of, then the runs, their events in the order of the log, what the runs did, blobs in
// pieces, and the seal: how many lines there are, and their hash.

import { RecordId } from "@sentient/db-pool";
import {
  checkpointTable,
  chunkTable,
  eventTable,
  Hash,
  patchTable,
  questionTable,
  RunId,
  runTable,
  signalTable,
  stepTable,
} from "@sentient/schema";
import { createHash } from "node:crypto";
import { z } from "zod";

/** What this release writes, and the newest it reads. */
export const FORMAT = 1;
/** Bytes of a blob in one line. */
export const PIECE_BYTES = 192 * 1024;
/** A line that is longer was not written by an export. */
export const MOST_LINE_BYTES = 64 * 1024 * 1024;
/** What stands for a value that was left out. */
export const REDACTED = "[redacted]";

/** Tables of what a run did; retention removes these. */
export const DETAILS = {
  step: stepTable,
  patch: patchTable,
  checkpoint: checkpointTable,
  signal: signalTable,
  question: questionTable,
  chunk: chunkTable,
} as const;
export type DetailKind = keyof typeof DETAILS;
export const DETAIL_KINDS = Object.keys(DETAILS) as DetailKind[];

const TABLES = { run: runTable, event: eventTable, ...DETAILS } as const;
export type RowKind = keyof typeof TABLES;

export const Header = z.object({
  kind: z.literal("export"),
  format: z.literal(FORMAT),
  /** Names the log that positions of the file belong to. */
  origin: z.string().regex(/^[0-9a-f]{16}$/),
  run: RunId,
  runs: z.array(RunId).min(1),
  /** Whether something may have been left out. */
  redacts: z.boolean(),
  at: z.iso.datetime(),
});
export type Header = z.infer<typeof Header>;

const Row = z.record(z.string(), z.unknown());
const redacted = z.literal(true).optional();

export const Body = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("run"),
    row: Row,
    redacted,
    /** How many events it had. */
    n: z.int().min(0),
    hasDetails: z.boolean(),
  }),
  z.object({ kind: z.literal("event"), row: Row, redacted }),
  z.object({ kind: z.enum(DETAIL_KINDS), row: Row, redacted }),
  z.object({
    kind: z.literal("blob"),
    hash: Hash,
    part: z.int().min(1),
    parts: z.int().min(1),
    content: z.base64(),
  }),
]);
export type Body = z.infer<typeof Body>;
export type BodyOf<Kind extends Body["kind"]> = Extract<Body, { kind: Kind }>;

export const SealLine = z.object({
  kind: z.literal("end"),
  lines: z.int().min(1),
  sha256: Hash,
});

/** Counts and hashes lines as they pass. */
export class Seal {
  readonly #hash = createHash("sha256");
  lines = 0;

  /** @returns the line */
  add(line: string): string {
    this.lines++;
    this.#hash.update(line).update("\n");
    return line;
  }

  /** Nothing can be added afterwards. */
  close(): z.infer<typeof SealLine> {
    return { kind: "end", lines: this.lines, sha256: this.#hash.digest("hex") as Hash };
  }
}

/** A stored row as JSON: its key for its id, instants as `{ $date }`. What a user said stands in it as text. */
export function plain(value: unknown): unknown {
  if (value instanceof Date) return { $date: value.toISOString() };
  if (value instanceof RecordId) return value.id;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

function unplain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unplain);
  if (typeof value !== "object" || value === null) return value;
  const { $date } = value as { $date?: unknown };
  if (typeof $date === "string") return new Date($date);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, unplain(item)]));
}

export type StoredRow = { id: RecordId } & Record<string, unknown>;

/**
 * The row that a line holds, to be stored: no more than its schema says.
 *
 * @throws `schema.invalid_row`, `schema.limit`
 */
export function rowOfLine(kind: Exclude<RowKind, "run">, row: Record<string, unknown>): StoredRow {
  const { id, ...rest } = unplain(row) as Record<string, unknown>;
  const table = TABLES[kind];
  const parsed = table.parse({ ...rest, id: new RecordId(kind, id as never) });
  return table.serialise(parsed as never) as StoredRow;
}

export type StoredRun = ReturnType<typeof runTable.parse>;

/** @throws `schema.invalid_row` */
export function runOfLine(row: Record<string, unknown>): StoredRun {
  const { id, ...rest } = unplain(row) as Record<string, unknown>;
  return runTable.parse({ ...rest, seek: { newest: 0 }, id: new RecordId("run", id as never) });
}
