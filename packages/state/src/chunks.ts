// Chunks. Owns: what runs stream while they work, beside what they remember: text as it comes, in the order it came.
// Does not own: when it is written (who streams), and what counts of it: a reset says that what its step has streamed does not.
// U1. Pieces of a run are numbered 1, 2, 3, … without gaps: whoever reads goes on from the last number, in any process.
// U2. Only who holds the run writes; sent twice they are there once. A snapshot may be older than the lease of who came next: of
//     what was written so, that one is told (U1 would have it take the other's pieces for its own).

import { RecordId, surql, type Statement } from "@sentient/db-pool";
import {
  chunkTable,
  requireWithin,
  RunId,
  StepKey,
  type Chunk as StoredChunk,
  type Json,
} from "@sentient/schema";
import { z } from "zod";
import { requireRun, type Context } from "./changing.ts";
import { thrownBy } from "./commit.ts";
import { checked, StateError } from "./errors.ts";
import { heldOf, type Lease } from "./lease.ts";
import { chunksOf, requireToken, THROWN, within } from "./queries.ts";

type Without<T, K extends string> = T extends unknown ? Omit<T, K> : never;

/** A piece of what a step streams. */
export type Chunk = { run: string; n: number } & Without<StoredChunk, "id">;

const Pieces = z
  .array(
    z.strictObject({
      step: StepKey,
      attempt: z.int().min(1),
      kind: z.enum(["data", "reset", "end"]),
      data: z.unknown().optional(),
    }),
  )
  .min(1)
  .max(1_000);

/** What is to be written, in turn. */
export interface Piece {
  step: string;
  attempt: number;
  kind: "data" | "reset" | "end";
  /** JSON, of `data`. */
  data?: Json;
}

const ReadOptions = z.strictObject({
  run: RunId,
  after: z.int().min(0).default(0),
  limit: z.int().min(1).default(100),
});

/** How many pieces of one kind of stream there are. */
export interface StreamCount {
  step: string;
  attempt: number;
  count: number;
}

export interface ChunkOptions {
  /** Those behind this one; from the beginning if left out. */
  after?: number;
  /** 100 if left out, at most `limits.page`. */
  limit?: number;
}

/** What runs stream. Found at `state.chunks`. */
export class Chunks {
  readonly #context: Context;

  /** @internal */
  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * Writes pieces behind those that are there.
   *
   * @param after how many there are, from `count` or the last time
   * @returns how many there are then
   * @throws `state.lease_lost`, `state.revision_mismatch` if there are others than those, `state.bad_option`, `schema.limit`
   * @example const n = await state.chunks.append(lease, 0, [{ step: "main/say#1", attempt: 1, kind: "data", data: "Hel" }]);
   */
  async append(lease: Lease, after: number, pieces: readonly Piece[]): Promise<number> {
    const held = heldOf(lease);
    held.requireHeld();
    const { id } = held.run;
    const at = this.#context.time.now ?? new Date();
    const rows = checked(Pieces, pieces, "pieces of a stream").map(({ data, ...piece }, i) => {
      const row = { ...piece, id: [id, after + i + 1], at, ...(piece.kind === "data" ? { data } : {}) };
      return { ...chunkTable.serialise(row as never), id: new RecordId("chunk", row.id as never) };
    });
    try {
      const insert = insertChunks(rows, requireToken(id, held.token, held.first));
      await this.#context.db.query(insert, { repeatable: true }); // U2
    } catch (error) {
      if (thrownBy(error) === THROWN.moved) throw movedError(id, after);
      throw thrownBy(error) === THROWN.stale ? held.lost() : error;
    }
    return after + rows.length;
  }

  /** How many pieces a run has streamed. @throws `state.bad_option` */
  async count(run: string): Promise<number> {
    return this.#context.db.query(countChunks(checked(RunId, run, "the id of a run")));
  }

  /** The same for each of its streams. @throws `state.bad_option` */
  async counts(run: string): Promise<StreamCount[]> {
    return this.#context.db.query(countStreams(checked(RunId, run, "the id of a run")));
  }

  /**
   * What a run has streamed, in the order it came.
   *
   * @throws `state.not_found`, `state.bad_option`, `schema.limit`
   * @example const pieces = await state.chunks.read(run.id, { after: 12 });
   */
  async read(run: string, options: ChunkOptions = {}): Promise<Chunk[]> {
    const { run: id, after, limit } = checked(ReadOptions, { run, ...options }, "pieces of a stream");
    requireWithin("page", limit, "a page");
    const rows = await this.#context.db.query(readChunks(id, after, limit));
    if (rows.length === 0 && after === 0) await requireRun(id, this.#context);
    return rows.map((row) => {
      const {
        id: [of, n],
        ...chunk
      } = chunkTable.parse(row);
      return { run: of, n, ...chunk };
    });
  }
}

function movedError(run: string, after: number): StateError {
  return new StateError({
    code: "state.revision_mismatch",
    message: `the run ${run} has streamed something else behind piece ${after}, by whoever held it before; count its pieces, and write behind them`,
    details: { run, expected: after },
  });
}

/** U2. */
const insertChunks = (rows: readonly object[], guard: Statement) => surql`{
  ${guard};
  LET $rows = ${rows};
  LET $before = (SELECT * FROM $rows.id);
  LET $kept = $rows[0..array::len($before)];
  IF $before.map(|$row| [$row.id, $row.step, $row.attempt, $row.kind, $row.data])
    != $kept.map(|$row| [$row.id, $row.step, $row.attempt, $row.kind, $row.data]) { THROW ${THROWN.moved} };
  INSERT IGNORE INTO chunk $rows RETURN NONE
}`;

const countStreams = (run: string) =>
  surql<StreamCount[]>`SELECT step, attempt, count() AS count FROM ${chunksOf(run)} GROUP BY step, attempt`;

const countChunks = (run: string) => surql<number>`array::len((SELECT VALUE id FROM ${chunksOf(run)}))`;

/** U1: a window of numbers, as SurrealDB 3.0 reads all of a range that has a LIMIT. */
const readChunks = (run: string, after: number, limit: number) =>
  surql<unknown[]>`SELECT * FROM ${within("chunk", [run, after + 1], [run, after + limit])}`;
