import { systemClock, type Clock, type Database } from "@sentient/db-pool";
import type { EventBus } from "@sentient/event-bus";
import { z } from "zod";
import type { Change } from "./change.ts";
import { requireRun, type Context } from "./changing.ts";
import { claim, type ClaimOptions } from "./claim.ts";
import { commit, type Committed, type Tools } from "./commit.ts";
import { cancel, pause, resume, type CancelOptions, type ControlOptions } from "./control.ts";
import { Depth } from "./depth.ts";
import type { Document } from "./document.ts";
import { readDocument } from "./documents.ts";
import { checked } from "./errors.ts";
import { releaseExpired, renew, type Renewed } from "./holding.ts";
import { readJournal, requireSame, type Attempted, type Journal, type Step } from "./journal.ts";
import type { Lease } from "./lease.ts";
import type { Run } from "./run.ts";
import { start, type Started, type StartOptions } from "./start.ts";
import { Time } from "./time.ts";

const Options = z.strictObject({
  clock: z
    .custom<Clock>((value) => typeof (value as Clock | undefined)?.after === "function")
    .default(systemClock),
});

export interface StateOptions {
  /** Whose time counts instead of the database's; for tests. */
  clock?: Clock;
}

/** What is true of runs, and the one way to change it. Made by `createState`. */
export class State {
  readonly #context: Context;
  readonly #tools: Tools;
  readonly #depth: Depth;

  /** @internal */
  constructor(context: Context) {
    this.#context = context;
    this.#depth = new Depth(context.db);
    this.#tools = { ...context, documentOf: (lease) => this.#documentOf(lease) };
  }

  /**
   * Starts a run, or answers with the one that was started under the same key.
   *
   * @throws `state.run_conflict` if that one has another input; `state.bad_option`, `state.not_found` for a parent,
   * `state.lease_lost`, `schema.limit`
   * @example const { run } = await state.start({ name: "research", input: { question: "why?" }, key: "order-17" });
   */
  start(options: StartOptions): Promise<Started> {
    return start(options, this.#context, this.#depth);
  }

  /**
   * Takes runs that wait for a worker, and those whose worker was not heard of until its lease ran out.
   *
   * @returns a lease for each, none if there is nothing to do
   * @throws `state.bad_option`
   * @example const [lease] = await state.claim({ worker: "w-1", serves: [{ name: "research", versions: ["1"] }] });
   */
  claim(options: ClaimOptions): Promise<Lease[]> {
    return claim(options, this.#context);
  }

  /**
   * Changes a run that a worker holds: its steps, its state, what it asks and waits for, how it ends. All of it with its
   * events, or nothing.
   *
   * @throws `state.lease_lost` once another has the run, after which nothing of this worker commits; `state.step_exists`,
   * `state.nothing_to_wait_for`, `state.not_open`, `state.bad_change`, `schema.limit`
   * @example await state.commit(lease, { steps: [{ key: "main/add#1", name: "add", status: "completed", result: 3 }] });
   */
  commit(lease: Lease, change: Change): Promise<Committed> {
    return commit(lease, change, this.#tools);
  }

  /**
   * Prolongs leases of one worker, in one statement.
   *
   * @param lease for how long from now, in milliseconds
   * @example const { lost } = await state.renew(leases);
   */
  renew(
    leases: readonly Lease[],
    { lease = 15_000, timeout }: { lease?: number; timeout?: number } = {},
  ): Promise<Renewed> {
    return renew(leases, lease, this.#context, timeout);
  }

  /** Gives a run back to its queue; it costs no attempt. @throws `state.lease_lost` */
  async release(lease: Lease): Promise<void> {
    await this.commit(lease, { then: { release: true } });
  }

  async sweep(): Promise<{ released: string[] }> {
    return { released: await releaseExpired(this.#context) };
  }

  /** @throws `state.not_found` */
  async load(run: string): Promise<Run> {
    return (await requireRun(run, this.#context)).run;
  }

  /**
   * What a run remembers of its steps, by their keys.
   *
   * @param of a run, as it was after its n-th event if `at` is given; or a lease, before its first commit
   */
  async journal(of: string | Lease, { at }: { at?: number } = {}): Promise<Journal> {
    const { db } = this.#context;
    if (typeof of === "string") return readJournal(of, at, db);
    const journal = await readJournal(of.run.id, undefined, db);
    for (const { key, status } of journal.values())
      if (status === "started" || status === "retrying") of.begun.add(key);
    return journal;
  }

  /** Parks the run if a step is another than the one remembered. @throws `state.journal_mismatch` */
  requireSame(lease: Lease, step: Step, attempted: Attempted): Promise<void> {
    return requireSame(lease, step, attempted, this.#tools);
  }

  /** @throws `state.not_found`, `state.illegal_transition` */
  pause(run: string, options: ControlOptions = {}): Promise<Run> {
    return pause(run, options, this.#context);
  }

  /** @throws `state.not_found`, `state.illegal_transition` */
  resume(run: string, options: ControlOptions = {}): Promise<Run> {
    return resume(run, options, this.#context);
  }

  /** @throws `state.not_found`, `state.illegal_transition` */
  cancel(run: string, options: CancelOptions = {}): Promise<Run> {
    return cancel(run, options, this.#context);
  }

  #documentOf(lease: Lease): Promise<Document> {
    return (lease.document ??= readDocument(lease.run.id, undefined, this.#context.db));
  }
}

/**
 * Durable runs on a database and its event bus.
 *
 * @throws `state.bad_option`
 * @example const state = createState(db, createEventBus(db));
 */
export function createState(db: Database, bus: EventBus, options: StateOptions = {}): State {
  const { clock } = checked(Options, options, "createState");
  return new State({ db, bus, time: new Time(clock) });
}
