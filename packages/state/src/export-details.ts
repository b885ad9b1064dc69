// What a run did, as lines: steps, changes of its state, checkpoints, signals, questions, chunks.

import type { RecordId } from "@sentient/db-pool";
import { canonicalJson, hashOf, patchTable, type Hash, type Json, type Patch } from "@sentient/schema";
import { applied, opsBetween } from "./document.ts";
import { readDocument } from "./documents.ts";
import { piecesOf, readBlob } from "./export-blobs.ts";
import { inPages } from "./row-pages.ts";
import { untaken } from "./queries.ts";
import type { Run } from "./run.ts";
import { redactText, type Redaction } from "./redaction.ts";
import * as queries from "./transfer-queries.ts";
import { plain, type Body, type DetailKind, type StoredRow } from "./transfer-format.ts";
import type { Store } from "./store.ts";

/** A run of the file. */
export interface Exported {
  run: Run;
  row: Record<string, unknown>;
  first: number;
  hasDetails: boolean;
  /** How many events it had. */
  n: number;
  /** If it was not over. */
  unsettled?: queries.Unsettled;
}

type Row = StoredRow;

/** A row as it goes into the file, and whether something of it was left out. */
interface Said {
  row: Row;
  redacted: boolean;
}

/** Fields that hold JSON as text. */
const TEXTS: Record<Exclude<DetailKind, "patch">, readonly string[]> = {
  step: ["result"],
  checkpoint: ["metadata"],
  signal: ["data"],
  question: ["answer", "onTimeout"],
  chunk: ["data"],
};

export class DetailWriter {
  /** Blobs that the lines refer to, and that stay what they are. */
  readonly #blobs = new Set<string>();
  /** Those that were made for the file, and are in it. */
  readonly #made = new Set<string>();
  readonly #redaction: Redaction;
  readonly #db: Store;
  /** By run: hashes of its states, and of what is left of them. */
  readonly #states = new Map<string, Map<string, Hash>>();
  readonly #forkOf = new Map<string, string>();

  constructor(redaction: Redaction, db: Store) {
    this.#redaction = redaction;
    this.#db = db;
  }

  /** What has to follow. */
  blobsLeft(): string[] {
    return [...this.#blobs].filter((hash) => !this.#made.has(hash));
  }

  async *linesOf(exported: Exported, kind: DetailKind): AsyncGenerator<Body> {
    const { id, forkOf } = exported.run;
    if (forkOf) this.#forkOf.set(id, forkOf.run);
    const rows = this.#rowsOf(exported, kind);
    if (kind === "patch" && this.#redaction.concerns(id)) return yield* this.#patchLines(exported, rows);
    for await (const row of rows) {
      const blob = row.blob as string | undefined;
      if (blob !== undefined && kind === "step" && this.#redaction.concerns(id)) {
        yield* this.#storedStep(row, blob);
        continue;
      }
      if (blob !== undefined) this.#blobs.add(blob);
      yield lineOf(kind, kind === "patch" ? { row, redacted: false } : this.#said(id, kind, row));
    }
  }

  /** As of the point of the export. */
  async *#rowsOf({ run, n, unsettled }: Exported, kind: DetailKind): AsyncGenerator<Row> {
    if (unsettled && kind === "question") return yield* unsettled.questions as Row[];
    const ids = await this.#db.query(queries.readIds(queries.rangeOf[kind](run.id)));
    const begun = new Map(
      kind === "step" ? (unsettled?.steps ?? []).map((row) => [String((row as Row).id), row as Row]) : [],
    );
    const takenBy = new Map(unsettled?.signals.map((signal) => [signal.n, signal.takenBy]));
    const read = (page: readonly RecordId[]) => this.#db.query(queries.readRows(page));
    for await (const row of inPages(ids, read)) {
      const then = begun.get(String(row.id)) ?? row;
      if (kind === "signal" && unsettled) {
        const at = (row.id.id as [string, number])[1];
        if (at <= n) yield asTaken(run.id, row, takenBy.get(at));
      } else if (kind === "chunk" || nOf(kind, then) <= n) yield then;
    }
  }

  /** X1. */
  #said(run: string, kind: Exclude<DetailKind, "patch">, row: Row): Said {
    const changes: Record<string, unknown> = {};
    if (!this.#redaction.concerns(run)) return { row, redacted: false };
    for (const field of TEXTS[kind]) {
      const text = row[field] as string | undefined;
      const found =
        text === undefined ? undefined : redactText(text, (value) => this.#redaction.value(value));
      if (found !== undefined) changes[field] = found;
    }
    if (kind === "checkpoint") {
      const hash = this.#stateHashOf(run, row.stateHash as string);
      if (hash !== undefined) changes.stateHash = hash;
    }
    const { inputHash: _, ...rest } = row;
    return { row: { ...rest, ...changes }, redacted: Object.keys(changes).length > 0 };
  }

  /** A fork that has not changed its state has its parent's. */
  #stateHashOf(run: string | undefined, hash: string): Hash | undefined {
    if (run === undefined) return undefined;
    return this.#states.get(run)?.get(hash) ?? this.#stateHashOf(this.#forkOf.get(run), hash);
  }

  async *#storedStep(row: Row, blob: string): AsyncGenerator<Body> {
    const { inputHash: _, ...rest } = row;
    const found = redactText(await this.#textOf(blob), (value) => this.#redaction.value(value));
    const hash = found === undefined ? blob : hashOf(found);
    if (found === undefined) this.#blobs.add(blob);
    else yield* this.#make(hash, found);
    yield lineOf("step", { row: { ...rest, blob: hash }, redacted: found !== undefined });
  }

  /** Each change anew, as the difference of what is left of the states before and after it. */
  async *#patchLines({ run }: Exported, rows: AsyncIterable<Row>): AsyncGenerator<Body> {
    const hashes = new Map<string, Hash>();
    this.#states.set(run.id, hashes);
    let state: Json | undefined;
    for await (const row of rows) {
      const patch = patchTable.parse(row);
      if (state === undefined && patch.kind === "patch")
        state = run.forkOf ? (await readDocument(run.forkOf.run, run.forkOf.n, this.#db)).state : {};
      const before = this.#redaction.document(run.id, state ?? {});
      state = await this.#after(state, patch);
      const left = this.#redaction.document(run.id, state);
      const text = canonicalJson(left);
      const hash = hashOf(text);
      const isSame = left === state && before === state;
      if (left !== state) hashes.set(patch.hash, hash);
      const redacted = hash !== patch.hash;
      if (patch.kind === "stored") {
        if (redacted) yield* this.#make(hash, text);
        else this.#blobs.add(patch.blob);
        yield lineOf("patch", { row: { ...row, hash, blob: hash }, redacted });
      } else if (patch.kind === "snapshot")
        yield lineOf("patch", { row: { ...row, hash, state: text }, redacted });
      else {
        const ops = isSame ? (row.ops as string) : canonicalJson(opsBetween(before, left));
        yield lineOf("patch", { row: { ...row, hash, ops }, redacted });
      }
    }
  }

  async #after(state: Json | undefined, patch: Patch): Promise<Json> {
    if (patch.kind === "patch") return applied(structuredClone(state!), patch);
    return patch.kind === "snapshot" ? patch.state : (JSON.parse(await this.#textOf(patch.blob)) as Json);
  }

  *#make(hash: string, text: string): Generator<Body> {
    if (this.#made.has(hash)) return;
    this.#made.add(hash);
    yield* piecesOf(hash, Buffer.from(text));
  }

  async #textOf(hash: string): Promise<string> {
    return (await readBlob(hash, this.#db)).toString();
  }
}

function lineOf(kind: DetailKind, { row, redacted }: Said): Body {
  return {
    kind,
    row: plain(row) as Record<string, unknown>,
    ...(redacted ? { redacted: true as const } : {}),
  };
}

/** Which of its run's events told of it. */
function nOf(kind: DetailKind, row: Row): number {
  return kind === "patch" ? (row.id.id as [string, number])[1] : ((row.n as number | undefined) ?? 0);
}

function asTaken(run: string, row: Row, by: string | undefined): Row {
  const { takenBy: _, untaken: __, ...rest } = row;
  return {
    ...rest,
    ...(by === undefined ? { untaken: untaken(run, row.name as string) } : { takenBy: by }),
  };
}
