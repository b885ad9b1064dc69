// Checkpoints. Owns: named points of a run, as one lists and makes them from outside.
// Does not own: those that a worker makes of a run it holds (commit.ts), and going back to one (restore.ts).

import { DbError } from "@sentient/db-pool";
import type { Placed } from "@sentient/event-bus";
import { checkpointTable, Name, requireWithin, type Checkpoint as Stored, type Json } from "@sentient/schema";
import { z } from "zod";
import { changeRun, requireRun, type Context } from "./changing.ts";
import { readDocument } from "./documents.ts";
import { checked, existsError, StateError } from "./errors.ts";
import * as queries from "./history-queries.ts";
import { inHistory } from "./journal.ts";
import { By, JsonValue } from "./options.ts";
import { requireCheckpoint } from "./points.ts";
import { checkpointRow } from "./remembered.ts";
import type { Run } from "./run.ts";

/** A named point of a run. */
export interface Checkpoint extends Omit<Stored, "id"> {
  run: string;
  name: string;
  /** Whether the run may be put back to it; a restore to an earlier point has left it behind otherwise, for forks only. */
  counts: boolean;
}

export interface CheckpointPage {
  /** The latest first. */
  checkpoints: Checkpoint[];
  /** Say it as `before` for the next page; missing when there is no more. */
  next?: number;
}

const Options = z.strictObject({
  metadata: JsonValue.optional(),
  by: By,
});

export interface CheckpointOptions {
  /** JSON, at most 256 KiB. */
  metadata?: Json;
  /** Who makes it. */
  by?: string;
}

const Page = z.strictObject({
  before: z.int().min(1).default(Number.MAX_SAFE_INTEGER),
  limit: z.int().min(1).default(100),
});

export interface CheckpointListOptions {
  before?: number;
  /** Checkpoints in a page: 100 if left out, at most `limits.page`. */
  limit?: number;
}

/** Named points of runs. */
export class Checkpoints {
  readonly #context: Context;

  /** @internal */
  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * The checkpoints of a run, the latest first. Those of the run that a fork began from are that run's.
   *
   * @throws `state.not_found`, `state.bad_option`, `schema.limit`
   * @example const { checkpoints, next } = await state.checkpoints.list(run.id, { limit: 20 });
   */
  async list(run: string, options: CheckpointListOptions = {}): Promise<CheckpointPage> {
    const { before, limit } = checked(Page, options, "a page of checkpoints");
    requireWithin("page", limit, "a page");
    const { db } = this.#context;
    const { run: of } = await requireRun(run, { db });
    const rows = await db.query(queries.readCheckpoints(run, before, limit + 1));
    const found = rows.map((row) => checkpointOf(of, checkpointTable.parse(row)));
    const checkpoints = found.slice(0, limit);
    return { checkpoints, ...(found.length > limit ? { next: checkpoints.at(-1)!.n } : {}) };
  }

  /**
   * @throws `state.not_found` for the run or the checkpoint
   * @example const { n, stateHash } = await state.checkpoints.get(run.id, "before-send");
   */
  async get(run: string, name: string): Promise<Checkpoint> {
    const { run: of } = await requireRun(run, this.#context);
    return checkpointOf(of, await requireCheckpoint(run, name, this.#context));
  }

  /**
   * Names the point where a run stands that no worker holds; a worker makes those of its run with a commit.
   *
   * @throws `state.checkpoint_exists`, `state.illegal_transition` for a run that is running or over, `state.not_found`,
   * `state.bad_option`, `schema.limit`
   * @example await state.checkpoints.create(run.id, "before-repair", { by: "ada", metadata: { ticket: 17 } });
   */
  async create(run: string, name: string, options: CheckpointOptions = {}): Promise<Checkpoint> {
    const { metadata, by } = checked(Options, options, "a checkpoint");
    const named = checked(Name, name, "the name of a checkpoint");
    try {
      await changeRun(run, (read) => this.#decide(read.run, named, metadata, by), this.#context);
    } catch (error) {
      const isThere = error instanceof DbError && error.code === "db.already_exists";
      throw (isThere && existsError(run, error)) || error;
    }
    return this.get(run, name);
  }

  async #decide(run: Run, name: Name, metadata: Json | undefined, by: string) {
    if (run.status === "running") throw heldError(run);
    const { hash } = await readDocument(run.id, undefined, this.#context.db);
    return {
      events: [{ event: { type: "checkpoint.created" as const }, told: { data: { name, by } } }],
      statements: ([last]: readonly Placed[], at: Date) => [
        queries.saveCheckpoint(
          checkpointRow(run, { name, metadata, stateHash: hash, last: last!, at }),
          run.restores ?? [],
        ),
      ],
    };
  }
}

function checkpointOf(of: Run, { id: [run, name], ...rest }: Stored): Checkpoint {
  return { run, name, ...rest, counts: inHistory(of, undefined)(rest.n) };
}

function heldError({ id, status }: Run): StateError {
  return new StateError({
    code: "state.illegal_transition",
    message: `the run ${id} is held by a worker, and moves on meanwhile: let its worker make the checkpoint, or pause the run first`,
    details: { run: id, status },
  });
}
