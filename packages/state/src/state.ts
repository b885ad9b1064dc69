import { systemClock, type Clock, type Database } from "@sentient/db-pool";
import type { EventBus } from "@sentient/event-bus";
import type { Asked, Event, Json } from "@sentient/schema";
import { z } from "zod";
import { AccessTokens } from "./access-tokens.ts";
import { Agents } from "./agents.ts";
import { Audit } from "./audit.ts";
import type { Change } from "./change.ts";
import { requireRun, type Context } from "./changing.ts";
import { Checkpoints } from "./checkpoints.ts";
import { Chunks } from "./chunks.ts";
import { claim, type ClaimOptions } from "./claim.ts";
import { commit, type Committed, type Tools } from "./commit.ts";
import { cancel, pause, resume, type CancelOptions, type ControlOptions } from "./control.ts";
import { Depth } from "./depth.ts";
import { diff, type Diff, type DiffSide } from "./diff.ts";
import type { Document } from "./document.ts";
import { readDocument, stateAt } from "./documents.ts";
import { checked } from "./errors.ts";
import { explain, type Explanation } from "./explain.ts";
import { Fleet } from "./fleet.ts";
import { Limits } from "./flow.ts";
import { fork, type ForkOptions } from "./fork.ts";
import { releaseOf, renew, type Renewed, type RenewOptions } from "./holding.ts";
import { journalAt, requireSame, type Attempted, type Journal, type Step } from "./journal.ts";
import { heldOf, type HeldLease, type Lease } from "./lease.ts";
import {
  history,
  list,
  type RunListOptions,
  type RunHistory,
  type RunHistoryOptions,
  type RunPage,
} from "./list.ts";
import { ancestors, descendants, type Relatives, type RelativesOptions } from "./lineage.ts";
import type { Point } from "./points.ts";
import { Questions, type Question } from "./questions.ts";
import { askedOf, replay, replayOf, type Replay, type ReplayOptions } from "./replay.ts";
import { restore, type RestoreOptions, type RestorePoint } from "./restore.ts";
import type { Run } from "./run.ts";
import { Schedules } from "./schedules.ts";
import {
  listSignals,
  nextSignal,
  signal,
  type Signal,
  type SignalListOptions,
  type SignalOptions,
  type SignalPage,
} from "./signals.ts";
import { start, type Started, type StartOptions } from "./start.ts";
import { sweep, type Swept, type SweepOptions } from "./sweep.ts";
import { storeOn } from "./store.ts";
import { Time } from "./time.ts";
import { why, type Why } from "./why.ts";
import { exportRun, type ExportOptions } from "./export.ts";
import { importFile, importRuns, type Imported } from "./import.ts";
import { retain, RetentionOptions, type RetainOptions, type Retained } from "./retention.ts";
import { storage, type StorageUse, type StorageOptions } from "./storage.ts";
import { writeLines } from "./transfer-file.ts";
import { Workers } from "./workers.ts";
import { Workflows } from "./workflows.ts";

const Options = z.strictObject({
  clock: z
    .custom<Clock>((value) => typeof (value as Clock | undefined)?.after === "function")
    .default(systemClock),
  retention: RetentionOptions.prefault({}),
});

export interface StateOptions {
  /** Whose time counts instead of the database's; for tests. */
  clock?: Clock;
  /** What `retain` removes, and when. */
  retention?: RetentionOptions;
}

/** What is true of runs, and the one way to change it. Made by `createState`. */
export class State {
  /** What is known of agents, whether their runs may be claimed, and what they remember. */
  readonly agents: Agents;
  /** Who claims runs. */
  readonly workers: Workers;
  /** What queues and agents may do at most. */
  readonly limits: Limits;
  /** What starts runs by the clock. */
  readonly schedules: Schedules;
  /** Named points of runs. */
  readonly checkpoints: Checkpoints;
  /** What runs stream. */
  readonly chunks: Chunks;
  /** What runs ask people. */
  readonly questions: Questions;
  /** Runs as whoever coordinates them from outside sees them. */
  readonly workflows: Workflows;
  /** Who is let in over the network. */
  readonly accessTokens: AccessTokens;
  /** Who was let do what. */
  readonly audit: Audit;
  readonly #context: Context;
  readonly #tools: Tools;
  readonly #depth: Depth;
  readonly #fleet: Fleet;
  readonly #kept: Required<RetentionOptions>;

  /** @internal */
  constructor(context: Context, kept: Required<RetentionOptions>) {
    this.#context = context;
    this.#kept = kept;
    this.agents = new Agents(context);
    this.workers = new Workers(context);
    this.limits = new Limits(context);
    this.schedules = new Schedules(context);
    this.checkpoints = new Checkpoints(context);
    this.chunks = new Chunks(context);
    this.questions = new Questions(context);
    this.workflows = new Workflows(context, (options) => this.start(options));
    this.accessTokens = new AccessTokens(context);
    this.audit = new Audit(context);
    this.#depth = new Depth(context.db);
    this.#fleet = new Fleet(context);
    this.#tools = { ...context, documentOf: (lease) => this.#documentOf(lease) };
  }

  /**
   * Starts a run, or answers with the one that was started under the same key.
   *
   * @throws `state.run_conflict` if that one has another input; `state.queue_full`, `state.bad_option`, `state.not_found` for a
   * parent, `state.lease_lost`, `schema.limit`
   * @example const { run } = await state.start({ name: "research", input: { question: "why?" }, key: "order-17" });
   */
  start(options: StartOptions): Promise<Started> {
    return start(options, this.#context, this.#depth);
  }

  /** How many runs wait in the queues. @example const waiting = await state.queued(); */
  queued(): Promise<number> {
    return this.#depth.count();
  }

  /**
   * Takes runs that wait for a worker, and those whose worker was not heard of until its lease ran out.
   *
   * @param options `lease` in milliseconds, 15,000 if left out
   * @returns a lease for each, none if there is nothing to do
   * @throws `state.bad_option`
   * @example const [lease] = await state.claim({ worker: "w-1", serves: [{ name: "research", versions: ["1"] }] });
   */
  claim(options: ClaimOptions): Promise<Lease[]> {
    return claim(options, this.#fleet, this.#context);
  }

  /**
   * Changes a run that a worker holds: its steps, its state, what it asks and waits for, how it ends. All of it with its
   * events, or nothing.
   *
   * @throws `state.lease_lost` once another has the run, or this lease has ended, after which nothing of it commits;
   * `state.step_exists`, `state.nothing_to_wait_for`, `state.not_open`, `state.checkpoint_exists`, `state.question_exists`,
   * `state.bad_change`, `state.busy`, `schema.limit`; `state.bad_option` for a lease that did not come from `claim`
   * @example await state.commit(lease, { steps: [{ key: "main/add#1", name: "add", status: "completed", result: 3 }] });
   */
  async commit(lease: Lease, change: Change): Promise<Committed> {
    return commit(heldOf(lease), change, this.#tools);
  }

  /**
   * Prolongs leases of one worker, in one statement. What was asked of their runs meanwhile, to pause or to cancel, stands
   * beside those that are held.
   *
   * @param options `lease`: how long from now, in milliseconds, 15,000 if left out; `timeout` of the statement, in milliseconds
   * @throws `state.bad_option`; the `DbError` of a database that does not answer, after which they still run
   * @example const { held, lost } = await state.renew(leases);
   */
  renew(leases: readonly Lease[], options: RenewOptions = {}): Promise<Renewed> {
    return renew(leases, options, this.#context);
  }

  /**
   * Gives a run back to its queue; it costs no attempt.
   *
   * @throws `state.lease_lost`, `state.busy`; `state.bad_option` for a lease that did not come from `claim`
   * @example await state.release(lease);
   */
  async release(lease: Lease): Promise<void> {
    await this.commit(lease, { end: { release: true } });
  }

  /**
   * Does what has to be done by the clock: starts what schedules are to start, forgets workers that have been silent for a
   * day, cancels runs that nobody holds at their deadline, and shows runs as queued whose worker was not heard of until its
   * lease ran out, which a claim takes also without that. To be called every second or at `nextAt`, by any number of processes: nothing does it by itself. A part that fails
   * is told of in `problems`, and keeps none of the others from being done.
   *
   * @param options `limit`: leases, deadlines and schedules that are looked at, at most 500
   * @throws `state.bad_option`; what the database throws, if none of it could be done
   * @example const { nextAt } = await state.sweep();
   */
  sweep(options: SweepOptions = {}): Promise<Swept> {
    return sweep(options, this.#context, this.#depth);
  }

  /**
   * Puts runs back into their queues whose worker was in a process that is known to be gone, and forgets those workers: nobody
   * has to wait until their leases run out.
   *
   * @returns the runs
   * @throws `state.bad_option`; what `bus.log.append` throws
   * @example if (db.predecessor) await state.releaseOf(db.predecessor);
   */
  releaseOf(process: { pid: number; host: string }): Promise<string[]> {
    return releaseOf(process, this.#context);
  }

  /**
   * Why a run is where it is: what it waits for, who holds it, what keeps it from being claimed.
   *
   * @throws `state.not_found`, `state.bad_option`
   * @example const [reason] = await state.explain(run.id); // { code: "limit_full", key: "queue:default", holders: […], … }
   */
  explain(run: string): Promise<Explanation[]> {
    return explain(run, this.#context);
  }

  /**
   * A run as it is now, with what it takes and gives.
   *
   * @throws `state.not_found`, `state.bad_option`
   * @example const { status } = await state.load(run.id);
   */
  async load(run: string): Promise<Run> {
    return (await requireRun(run, this.#context)).run;
  }

  /**
   * What a run remembers of its steps, by their keys.
   *
   * @param of a run, as it was at a point of its history if `at` is given; or a lease, before its first commit
   * @throws `state.not_found`, `state.position_ahead` for a point that is not there yet, `state.details_removed`,
   * `state.bad_option`
   * @example const before = await state.journal(run.id, { at: { checkpoint: "before-send" } });
   */
  async journal(of: string | Lease, options: { at?: Point } = {}): Promise<Journal> {
    if (typeof of === "string") return journalAt(of, options, this.#context);
    const { run, begun } = heldOf(of);
    const journal = await journalAt(run.id, options, this.#context);
    for (const { key, status } of journal.values())
      if (status === "started" || status === "retrying") begun.add(key);
    return journal;
  }

  /**
   * All that whoever takes a run up again has to know of it: its steps, and its state as it was after each.
   *
   * @param of a lease, before its first commit; or a run that is only looked at
   * @param options `state: true` for that too
   * @throws `state.not_found`, `state.details_removed`, `state.damaged`, `state.bad_option`
   * @example const { journal, first } = await state.replay(lease, { state: true });
   */
  async replay(of: string | Lease, options: ReplayOptions = {}): Promise<Replay> {
    return typeof of === "string"
      ? replayOf(of, options, this.#context)
      : replay(heldOf(of), options, this.#context);
  }

  /**
   * What was asked of the runs of one worker, to pause or to cancel: sooner than the next renewal tells it.
   *
   * @throws `state.bad_option`
   * @example for (const { lease, asked } of await state.asked(leases)) stop(lease, asked);
   */
  async asked(leases: readonly Lease[]): Promise<{ lease: Lease; asked: Asked }[]> {
    return leases.length === 0 ? [] : askedOf(leases.map(heldOf), this.#context);
  }

  /**
   * Parks the run if a step is another than the one remembered.
   *
   * @throws `state.journal_mismatch` with `details: { recorded, attempted }`, after which the lease is over; `state.lease_lost`,
   * `state.busy`, `state.bad_option`
   * @example await state.requireSame(lease, remembered, { name: "fetch", inputHash });
   */
  async requireSame(lease: Lease, step: Step, attempted: Attempted): Promise<void> {
    return requireSame(heldOf(lease), step, attempted, this.#tools);
  }

  /**
   * Pauses a run. One that is held is paused by its worker, before its next step, and any other at once.
   *
   * @throws `state.not_found`, `state.illegal_transition` for a run that is over or being cancelled, `state.bad_option`,
   * `state.busy`
   * @example await state.pause(run.id, { by: "ada", reason: "its model is down" });
   */
  pause(run: string, options: ControlOptions = {}): Promise<Run> {
    return pause(run, options, this.#context);
  }

  /**
   * Puts a run that is paused or parked back into its queue, and takes back a pause that was not done yet.
   *
   * @throws `state.not_found`, `state.illegal_transition` for a run that waits or is over, `state.bad_option`, `state.busy`
   * @example await state.resume(run.id, { by: "ada" });
   */
  resume(run: string, options: ControlOptions = {}): Promise<Run> {
    return resume(run, options, this.#context);
  }

  /**
   * Cancels a run. Its worker is asked to, if it is held or has something to undo; else, or with `force`, it is cancelled at
   * once, and nothing of it commits any more.
   *
   * @throws `state.not_found`, `state.illegal_transition` for a run that has completed or failed, `state.bad_option`,
   * `state.busy`
   * @example await state.cancel(run.id, { by: "ada", force: true });
   */
  cancel(run: string, options: CancelOptions = {}): Promise<Run> {
    return cancel(run, options, this.#context);
  }

  /**
   * The state of a run at a point of its history, or as it is now.
   *
   * @throws `state.not_found` for a run, or one that was not there yet; `state.position_ahead` for a point that is not there
   * yet; `state.details_removed`, `state.damaged`, `state.bad_option`
   * @example const before = await state.stateAt(run.id, { position: event.position - 1 });
   */
  stateAt(run: string, point: Point = {}): Promise<Json> {
    return stateAt(run, point, this.#context);
  }

  /**
   * Puts a run that no worker holds back to a point of its history, from which it goes on as a new attempt: steps that were
   * done since then are done again, signals that they took are free again, and questions asked since then are gone. Nothing
   * of the past is overwritten. Runs that it started go on, and are found again under their keys.
   *
   * @throws `state.illegal_transition` for a run that is running, over or being cancelled, or a point that an earlier restore
   * left behind; `state.not_found`, `state.position_ahead`, `state.damaged` if the state is not what the checkpoint was made
   * of, `state.details_removed`, `state.bad_option`, `state.busy`
   * @example await state.restore(run.id, { checkpoint: "before-send" }, { by: "ada" });
   */
  restore(run: string, to: RestorePoint, options: RestoreOptions = {}): Promise<Run> {
    return restore(run, to, options, this.#context);
  }

  /**
   * A new run that begins from a point of another one, whatever became of that one: it remembers its steps up to there and
   * has its state, with what is edited. Nothing is copied. It is the root of a tree of its own, and asks again what the other
   * has open.
   *
   * @throws `state.run_conflict` if there is another under that id or key; `state.queue_full`, `state.not_found`,
   * `state.position_ahead`, `state.details_removed`, `state.damaged`, `state.bad_option`, `schema.limit`
   * @example const { run } = await state.fork(failed.id, { n: 12, steps: { "main/fetch#1": { ok: true } }, by: "ada" });
   */
  fork(run: string, options: ForkOptions = {}): Promise<Started> {
    return fork(run, options, this.#context, this.#depth);
  }

  /**
   * How two runs differ, or two points of them, as data.
   *
   * @throws `state.not_found`, `state.position_ahead`, `state.details_removed`, `state.damaged`, `state.bad_option`
   * @example const { state: ops } = await state.diff({ run: run.id, n: 5 }, run.id);
   */
  diff(a: DiffSide, b: DiffSide): Promise<Diff> {
    return diff(a, b, this.#context);
  }

  /**
   * The runs that led to a run: that spawned it, that it was forked from, whose events caused it; and theirs.
   *
   * @throws `state.not_found`, `state.bad_option`, `schema.limit`
   * @example const { runs } = await state.ancestors(run.id);
   */
  ancestors(run: string, options: RelativesOptions = {}): Promise<Relatives> {
    return ancestors(run, options, this.#context);
  }

  /**
   * The runs that came of a run, and of those.
   *
   * @throws `state.not_found`, `state.bad_option`, `schema.limit`
   * @example const { runs, truncated } = await state.descendants(run.id, { limit: 50 });
   */
  descendants(run: string, options: RelativesOptions = {}): Promise<Relatives> {
    return descendants(run, options, this.#context);
  }

  /**
   * Why an event happened: its run, what started that, and so on up to the first cause.
   *
   * @param event an event, its `eventId`, or a position
   * @throws `state.not_found`, `state.bad_option`
   * @example console.log((await state.why(42)).text);
   */
  why(event: Event | string | number): Promise<Why> {
    return why(event, this.#context);
  }

  /**
   * Says something to a run. It is kept until a step takes it, and wakes the run if it waits for that.
   *
   * @param data JSON, at most 256 KiB
   * @throws `state.not_found`, `state.illegal_transition` once the run is over, `state.bad_option`, also for what is not
   * JSON, `state.busy`, `schema.limit`; `event_bus.event_conflict` if something else was said under its id
   * @example await state.signal(run.id, "paid", { total: 12 }, { id: "payment-17" });
   */
  signal(run: string, name: string, data: Json = null, options: SignalOptions = {}): Promise<Signal> {
    return signal(run, name, data, options, this.#context);
  }

  /**
   * The oldest signal of a name that no step has taken, for `commit(lease, { takes: [{ n, key }] })`.
   *
   * @throws `state.bad_option`
   * @example const paid = await state.nextSignal(lease, "paid");
   */
  nextSignal(of: string | Lease, name: string): Promise<Signal | undefined> {
    return nextSignal(of, name, this.#context);
  }

  /**
   * A page of what was said to a run, the oldest first.
   *
   * @throws `state.not_found`, `state.bad_option`, `schema.limit`
   * @example const { signals } = await state.signals(run.id, { name: "paid", taken: false });
   */
  signals(run: string, options: SignalListOptions = {}): Promise<SignalPage> {
    return listSignals(run, options, this.#context);
  }

  /**
   * Answers a question, once: everybody else is told who was first.
   *
   * @param value JSON that fits the schema of the question
   * @throws `state.not_open` with `details: { status, by, at }` once it was answered, its deadline has passed or it was
   * withdrawn; `state.invalid_answer`, `state.not_found`, `state.bad_option`, `state.busy`, `schema.limit`
   * @example await state.answer(run.id, "main/approve#1", true, { by: "ada" });
   */
  answer(run: string, key: string, value: Json, options: { by: string }): Promise<Question> {
    return this.questions.answer(run, key, value, options);
  }

  /**
   * A page of runs, the newest first, without what they take and give. A run keeps its place, so none stands in two pages.
   *
   * @throws `state.bad_option`, `schema.limit`
   * @example const { runs, next } = await state.list({ status: ["running", "waiting"], name: "research" });
   */
  list(options: RunListOptions = {}): Promise<RunPage> {
    return list(options, this.#context);
  }

  /**
   * A page of what happened to a run.
   *
   * @throws `state.not_found`, `state.bad_option`, `schema.limit`; `event_bus.position_trimmed`, `event_bus.position_ahead`
   * @example const { events } = await state.history(run.id, { order: "desc", limit: 20 });
   */
  history(run: string, options: RunHistoryOptions = {}): Promise<RunHistory> {
    return history(run, options, this.#context);
  }

  /**
   * A run and all that belongs to it as lines of text: its tree, the runs it was forked from, events, blobs. They are of one
   * point, also where runs go on meanwhile. What runs call secret reads `[redacted]`; a text that somebody wrote it into is
   * not looked for.
   *
   * @throws `state.not_found`, `state.details_removed`, `state.bad_option`, all while the lines are read: without the last one
   * they are no export
   * @example for await (const line of state.export(run.id)) stream.write(`${line}\n`);
   */
  export(run: string, options: ExportOptions = {}): AsyncGenerator<string, void, undefined> {
    return exportRun(run, options, this.#context);
  }

  /**
   * The same as a file that is there whole or not at all, and only its owner can read.
   *
   * @throws as `export`, and what the file system throws
   * @example await state.exportToFile(run.id, "run.jsonl");
   */
  exportToFile(run: string, path: string, options: ExportOptions = {}): Promise<void> {
    return writeLines(path, this.export(run, options));
  }

  /**
   * Brings the runs of an export into this database. All lines are checked before anything is written, and kept in a file
   * meanwhile; an import that was cut off is finished by importing the same again. Events keep their order and their n, and
   * get new positions and times. A run that was not over is parked, and goes on when it is resumed.
   *
   * @throws `state.bad_export` for lines that are damaged or of a newer release, naming the line; `state.run_conflict` if a run
   * of them is there already, and is another; `state.details_removed` if what a fork of them reads was removed meanwhile, which
   * importing them again brings back; what `bus.log.append` throws
   * @example const { imported, existed } = await state.import(lines);
   */
  import(lines: AsyncIterable<string> | Iterable<string>): Promise<Imported> {
    return importRuns(lines, this.#context);
  }

  /**
   * The same from a file, which is read twice.
   *
   * @throws as `import`, and what the file system throws
   * @example const { imported } = await state.importFromFile("run.jsonl");
   */
  importFromFile(path: string): Promise<Imported> {
    return importFile(path, this.#context);
  }

  /**
   * One pass that removes what is kept for a time: what runs did that are over, runs if that is said, old events. To be called
   * again and again by whoever runs workers, at once if there is `more`, else after a minute or so: nothing does it by itself,
   * and any number of them do no harm.
   *
   * @param options where they differ from those of `createState`, in milliseconds; `most` runs in one pass
   * @throws `state.bad_option`; what `bus.trim` and `bus.log.append` throw, after which the next pass goes on
   * @example const { details, more } = await state.retain();
   */
  retain(options: RetainOptions = {}): Promise<Retained> {
    return retain(options, this.#kept, this.#context);
  }

  /**
   * How many bytes a run takes up, by what they are of.
   *
   * @throws `state.not_found`, `state.bad_option`
   * @example const { total, blobs } = await state.storage(run.id, { tree: true });
   */
  storage(run: string, options: StorageOptions = {}): Promise<StorageUse> {
    return storage(run, options, this.#context);
  }

  #documentOf(lease: HeldLease): Promise<Document> {
    return (lease.document ??= readDocument(lease.run.id, undefined, this.#context.db).catch(
      (error: unknown) => {
        lease.document = undefined; // the next who asks tries again
        throw error;
      },
    ));
  }
}

/**
 * Durable runs on a database and its event bus.
 *
 * @throws `state.bad_option`
 * @example const state = createState(db, createEventBus(db));
 */
export function createState(db: Database, bus: EventBus, options: StateOptions = {}): State {
  const { clock, retention } = checked(Options, options, "createState");
  return new State({ db: storeOn(db, bus), bus, time: new Time(clock) }, retention);
}
