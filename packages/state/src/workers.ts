// Workers. Owns: who is there to claim runs, as each last told of itself, and by the database's time.

import { workerTable, Worker as WorkerSchema, type Worker as StoredWorker } from "@sentient/schema";
import { z } from "zod";
import type { Context } from "./changing.ts";
import { checked, notFoundError } from "./errors.ts";
import { defined } from "./telling.ts";
import * as queries from "./workers-queries.ts";

/** Who was not heard of for so long is taken for gone. */
export const LIVE_MS = 30_000;
/** Rows of those are kept for a day, for who looks for what became of them. */
const KEPT_MS = 24 * 3_600_000;

const WorkerBeat = z.strictObject(WorkerSchema.omit({ startedAt: true, seenAt: true }).shape);
/** What a worker tells of itself. */
export type WorkerBeat = z.input<typeof WorkerBeat>;

/** A process that claims runs. */
export type Worker = StoredWorker & {
  /** Whether it was heard of within 30 seconds. */
  live: boolean;
};

const ListOptions = z.strictObject({ live: z.boolean().default(true) });

/** Who claims runs. Found at `state.workers`. */
export class Workers {
  readonly #context: Context;

  /** @internal */
  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * Tells that a worker is there, and what it does; the first time begins its row. To be said every few seconds.
   *
   * @throws `state.bad_option`
   * @example await state.workers.beat({ id: "w-1", host, pid, release: "1.0.0", queues: ["default"], serves: ["research@1"], slots: 8, running: 2 });
   */
  async beat(worker: WorkerBeat): Promise<Worker> {
    const { id, ...told } = checked(WorkerBeat, worker, "a worker");
    const { db, time } = this.#context;
    const save = queries.saveWorker(id, defined(told), time.now);
    const row = await db.query(save, { repeatable: true });
    return { ...workerTable.parse(row), live: true };
  }

  /**
   * Those that were heard of within 30 seconds, or all that are known.
   *
   * @param options `live: false` for all
   * @throws `state.bad_option`
   * @example const workers = await state.workers.list();
   */
  async list(options: { live?: boolean } = {}): Promise<Worker[]> {
    const { live } = checked(ListOptions, options, "a list of workers");
    const { now, rows } = await this.#context.db.query(queries.readWorkers(this.#context.time.now));
    const workers = rows.map((row) => seen(row, now));
    return live ? workers.filter((worker) => worker.live) : workers;
  }

  /** @throws `state.not_found` */
  async get(id: string): Promise<Worker> {
    const { now, row } = await this.#context.db.query(queries.readWorker(id, this.#context.time.now));
    if (row === undefined || row === null) throw notFoundError("worker", id);
    return seen(row, now);
  }

  /**
   * Forgets a worker that has stopped. What it holds stays its own until its leases run out.
   *
   * @returns whether it was known
   * @example await state.workers.remove("w-1");
   */
  async remove(id: string): Promise<boolean> {
    return (await this.#context.db.query(queries.removeWorker(id))) !== undefined;
  }
}

/** @returns the ids of those that were not heard of for a day, which are forgotten */
export function removeSilent({ db, time }: Context): Promise<string[]> {
  return db.query(queries.removeSilent(KEPT_MS, time.now));
}

function seen(row: unknown, now: Date): Worker {
  const worker = workerTable.parse(row);
  return { ...worker, live: isLive(worker, now) };
}

function isLive({ seenAt }: StoredWorker, now: Date): boolean {
  return now.getTime() - seenAt.getTime() < LIVE_MS;
}
