// The runtime. Owns: the only wiring: a database, its log, what is true of runs, and who advances them.

import {
  openDatabase,
  systemClock,
  type Clock,
  type Database,
  type DatabaseOptions,
} from "@sentient/db-pool";
import { createEventBus, type EventBus } from "@sentient/event-bus";
import type { Json } from "@sentient/schema";
import {
  createState,
  type CancelOptions,
  type Checkpoints,
  type ControlOptions,
  type Explanation,
  type ForkOptions,
  type Limits,
  type Point,
  type Question,
  type Questions,
  type RestoreOptions,
  type RestorePoint,
  type RetentionOptions,
  type Run,
  type RunHistory,
  type RunHistoryOptions,
  type RunListOptions,
  type RunPage,
  type Signal,
  type SignalOptions,
  type StartOptions,
  type State,
} from "@sentient/state";
import { z } from "zod";
import { AgentsFace } from "./agents.ts";
import { cancelTree } from "./cancel.ts";
import type { Definition, Given, OutputOf } from "./define.ts";
import { AgentError, checked, closedError, saidOf } from "./errors.ts";
import { RunHandle, type Ports, type ResultOptions, type StreamItem } from "./handle.ts";
import { within } from "./held.ts";
import { Listener } from "./listener.ts";
import { Notices } from "./notices.ts";
import { Registry } from "./registry.ts";
import { queueFor, ROUTE, routing, type ByCapability } from "./routing.ts";
import { SchedulesFace } from "./schedules.ts";
import { requireStateFits, startOptionsOf, startOptionsOfName } from "./starting.ts";
import { takeOver } from "./take-over.ts";
import { silent, type Logger, type Tools } from "./tools.ts";
import type { Meter } from "./turn.ts";
import type { WorkerOptions } from "./worker-options.ts";
import { Worker } from "./worker.ts";

export interface SentientOptions extends Omit<DatabaseOptions, "clock" | "database"> {
  /** One that is open; it stays so. Or the name of one. */
  database?: Database | string;
  agents?: readonly Definition[];
  workflows?: readonly Definition[];
  /** Of the worker that is begun with the first run; `false` for none: then others advance the runs. */
  worker?: WorkerOptions | false;
  /** What is kept of runs that are over, and for how long. */
  retention?: RetentionOptions;
  /** Stands around each turn of a model that names no meter of its own, as that of a budget does. */
  meter?: Meter;
  /** Hears what happens, for people: nobody if left out. */
  logger?: Logger;
  /** Whose time counts instead of the database's; for tests. */
  clock?: Clock;
}

export interface RunOptions {
  /** Whoever says the same key means the same run. */
  key?: string;
  id?: string;
  queue?: string;
  /** -1,000 to 1,000; higher goes first. */
  priority?: number;
  tags?: readonly string[];
  /** No more than `max` runs with this key at once. */
  limits?: readonly { key: string; max: number }[];
  correlation?: string;
  /** Of the event that leads to it. */
  causation?: string;
  /** Not before then. */
  at?: Date;
  /** It is cancelled after that, as a time or in milliseconds from now. */
  deadline?: Date | number;
  /** Claims without progress before it is parked. */
  maxAttempts?: number;
  /** Its state to begin with, if not as its definition says. */
  state?: Json;
}

/** Where a test takes part. */
type Hooks = Partial<Pick<Tools, "attempted"> & Pick<Ports, "advance">>;

/** What is in them is checked where it is used; that there is nothing else, here. */
const Own = z.strictObject({
  key: z.unknown().optional(),
  id: z.unknown().optional(),
  queue: z.unknown().optional(),
  priority: z.unknown().optional(),
  tags: z.unknown().optional(),
  limits: z.unknown().optional(),
  correlation: z.unknown().optional(),
  causation: z.unknown().optional(),
  maxAttempts: z.unknown().optional(),
  state: z.unknown().optional(),
  deadline: z.union([z.date(), z.number().min(1)]).optional(),
  at: z.date().optional(),
}) as unknown as z.ZodType<RunOptions>;

/** How long what is on its way to the database is waited for at the end, in milliseconds. */
const CLOSE_MS = 2_000;

/** Agents and workflows on a database. Made by `createSentient`. */
export class Sentient implements AsyncDisposable {
  /** What agents there are, and whether they work. */
  readonly agents: AgentsFace;
  /** What starts runs by the clock. */
  readonly schedules: SchedulesFace;
  /** The log: everything that happens. */
  readonly events: EventBus;
  readonly #db: Database;
  readonly #ownsDatabase: boolean;
  readonly #state: State;
  readonly #registry: Registry;
  readonly #tools: Omit<Tools, "hasRoom">;
  readonly #ports: Ports;
  readonly #workers = new Set<Worker>();
  readonly #ownWorker: WorkerOptions | false;
  #own: Promise<Worker> | undefined;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(
    db: Database,
    isOwn: boolean,
    { clock = systemClock, logger = silent, retention, worker = {}, meter, ...rest }: SentientOptions,
    { advance, attempted = (_, work) => work() }: Hooks = {},
  ) {
    this.#db = db;
    this.#ownsDatabase = isOwn;
    this.events = createEventBus(db);
    this.#state = createState(db, this.events, { clock, ...(retention ? { retention } : {}) });
    const state = this.#state;
    this.#registry = new Registry([routing(state), ...(rest.agents ?? []), ...(rest.workflows ?? [])]);
    const notices = new Notices();
    const find = (name: string) => this.#registry.find(name);
    this.#tools = {
      state,
      clock,
      logger,
      notices,
      find,
      lingers: clock === systemClock,
      attempted,
      meter,
      takenOver: takeOver(db, state, logger),
    };
    this.#ports = {
      state,
      bus: this.events,
      clock,
      notices,
      listener: new Listener(this.events, notices, clock),
      advance,
    };
    this.#ownWorker = worker;
    this.agents = new AgentsFace(state, this.events);
    this.schedules = new SchedulesFace(state, find);
  }

  // starting

  /**
   * Starts a run, and answers once it is on disk. It is advanced in the background, whatever becomes of this process.
   *
   * @param what an agent or a workflow, its name, or what whoever does it must be able to do
   * @throws `agent.invalid_input`, `agent.invalid_state`; `state.run_conflict` if there is another under its key; `state.queue_full`, `state.bad_option`,
   * `schema.limit`, `agent.closed`
   * @example const handle = await sentient.start(research, { question: "why?" }, { key: "q-17" });
   */
  async start<D extends Definition>(what: D, ...given: Given<D, RunOptions>): Promise<RunHandle<OutputOf<D>>>;
  async start(what: string | ByCapability, input?: Json, options?: RunOptions): Promise<RunHandle<Json>>;
  async start(
    what: Definition | string | ByCapability,
    input: unknown = null,
    options: RunOptions = {},
  ): Promise<RunHandle> {
    if (this.#closing) throw closedError();
    const definition = this.#registry.find(typeof what === "string" ? what : what.run ? what.name : ROUTE);
    const worker = definition && this.#ownWorker !== false ? await this.#begin() : undefined;
    const started = await this.#startOptions(what, input, options); // its time counts from here
    requireStateFits(definition, options.state);
    const hold =
      worker && started.limits === undefined && started.availableAt === undefined
        ? worker.reserve(definition!, started)
        : undefined;
    try {
      const { run, lease } = await this.#state.start({ ...started, ...(hold ? { hold } : {}) });
      const handle = new RunHandle(run.id, this.#ports, lease !== undefined);
      if (hold) worker!.take(lease);
      if (!lease) this.#tools.notices.ready();
      return handle;
    } catch (error) {
      if (hold) worker!.take(undefined);
      throw error;
    }
  }

  async #startOptions(what: Definition | string | ByCapability, input: unknown, options: RunOptions) {
    const { deadline, at, ...rest } = checked(Own, options, "the options of a run");
    const base = await this.#whatToStart(what, input);
    const until = typeof deadline === "number" ? new Date(this.#tools.clock.now() + deadline) : deadline;
    return { ...base, ...rest, ...(until ? { deadline: until } : {}), ...(at ? { availableAt: at } : {}) };
  }

  async #whatToStart(what: Definition | string | ByCapability, input: unknown): Promise<StartOptions> {
    const now = this.#tools.clock.now();
    if (typeof what === "string") {
      const found = this.#registry.find(what);
      return found ? startOptionsOf(found, input, now) : startOptionsOfName(what, input, this.#state, now);
    }
    if (what.run) return startOptionsOf(what, input, now);
    const { name, version } = this.#registry.find(ROUTE)!;
    const capabilities = [...what.capabilities];
    return {
      name,
      version,
      kind: "workflow",
      input: { capabilities, input: (input ?? null) as Json },
      ...(await queueFor(this.#state, what)),
    };
  }

  /**
   * Starts a run and waits for what it gives.
   *
   * @throws as `start` and `RunHandle.result`
   * @example const report = await sentient.execute(research, { question: "why?" });
   */
  async execute<D extends Definition>(
    what: D,
    ...given: Given<D, RunOptions & ResultOptions>
  ): Promise<OutputOf<D>>;
  async execute(
    what: string | ByCapability,
    input?: Json,
    options?: RunOptions & ResultOptions,
  ): Promise<Json>;
  async execute(what: never, input: never, options: RunOptions & ResultOptions = {}): Promise<unknown> {
    const { timeout, signal, ...rest } = options;
    const handle = await this.start(what, input, rest);
    return handle.result({ ...(timeout === undefined ? {} : { timeout }), ...(signal ? { signal } : {}) });
  }

  /**
   * Starts a run, and iterates over what it tells and streams until it is over.
   *
   * @throws as `start`, while iterating
   * @example for await (const item of sentient.stream(research, { question: "why?" })) console.log(item.type);
   */
  stream<D extends Definition>(
    what: D,
    ...given: Given<D, RunOptions & { signal?: AbortSignal }>
  ): AsyncGenerator<StreamItem, void, undefined>;
  stream(
    what: string | ByCapability,
    input?: Json,
    options?: RunOptions & { signal?: AbortSignal },
  ): AsyncGenerator<StreamItem, void, undefined>;
  async *stream(
    what: never,
    input: never,
    options: RunOptions & { signal?: AbortSignal } = {},
  ): AsyncGenerator<StreamItem, void, undefined> {
    const { signal, ...rest } = options;
    const handle = await this.start(what, input, rest);
    yield* handle.stream(signal ? { signal } : {});
  }

  /**
   * A run from outside, wherever it is advanced.
   *
   * @example const report = await sentient.handle<Report>(id).result();
   */
  handle<Output = unknown>(id: string): RunHandle<Output> {
    return new RunHandle<Output>(id, this.#ports);
  }

  // looking

  /** @throws `state.not_found` @example const { status } = await sentient.get(id); */
  get(run: string): Promise<Run> {
    return this.#state.load(run);
  }

  /** A page of runs, the newest first. @throws `state.bad_option` @example const { runs } = await sentient.list({ status: "waiting" }); */
  list(options: RunListOptions = {}): Promise<RunPage> {
    return this.#state.list(options);
  }

  /** What happened to a run. @throws `state.not_found` @example const { events } = await sentient.history(id); */
  history(run: string, options: RunHistoryOptions = {}): Promise<RunHistory> {
    return this.#state.history(run, options);
  }

  /** The state of a run at a point of its history. @throws as `state.stateAt` @example await sentient.stateAt(id, { checkpoint: "before" }); */
  stateAt(run: string, point: Point = {}): Promise<Json> {
    return this.#state.stateAt(run, point);
  }

  /** Why a run is where it is. @throws `state.not_found` @example const [reason] = await sentient.explain(id); */
  explain(run: string): Promise<Explanation[]> {
    return this.#state.explain(run);
  }

  /** What runs ask people. */
  get questions(): Questions {
    return this.#state.questions;
  }

  /** Named points of runs. */
  get checkpoints(): Checkpoints {
    return this.#state.checkpoints;
  }

  /** What queues and agents may do at most. */
  get limits(): Limits {
    return this.#state.limits;
  }

  /** The floor below: all that is true of runs. */
  get state(): State {
    return this.#state;
  }

  // asking

  /**
   * Cancels a run and all that it has started. One that is held is asked to, and has a few seconds to undo what it has done;
   * with `force` nothing of it happens any more.
   *
   * @throws `state.not_found`, `state.illegal_transition` once it has completed or failed
   * @example await sentient.cancel(id, { by: "ada", reason: "not needed any more" });
   */
  async cancel(run: string, options: CancelOptions = {}): Promise<Run> {
    return this.#asked(run, await cancelTree(this.#state, run, options));
  }

  /** Pauses a run before its next step. @throws `state.not_found`, `state.illegal_transition` @example await sentient.pause(id); */
  async pause(run: string, options: ControlOptions = {}): Promise<Run> {
    return this.#asked(run, await this.#state.pause(run, options));
  }

  /** Has a run go on that was paused or parked. @throws `state.not_found`, `state.illegal_transition` @example await sentient.resume(id); */
  async resume(run: string, options: ControlOptions = {}): Promise<Run> {
    return this.#asked(run, await this.#state.resume(run, options));
  }

  #asked(id: string, run: Run): Run {
    const { notices } = this.#tools;
    if (run.status === "running") notices.asked();
    else if (run.status === "queued") notices.ready();
    else notices.changed(id);
    return run;
  }

  /**
   * Says something to a run, which it takes when it comes to it.
   *
   * @throws `agent.invalid_signal` if its definition is here and says what fits; `state.not_found`, `state.illegal_transition`
   * once it is over
   * @example await sentient.signal(id, "paid", { total: 12 }, { id: "payment-17" });
   */
  async signal(run: string, name: string, data: Json = null, options: SignalOptions = {}): Promise<Signal> {
    await this.#requireFits(run, name, data);
    const signal = await this.#state.signal(run, name, data, options);
    this.#tools.notices.ready();
    this.#tools.notices.changed(run);
    return signal;
  }

  async #requireFits(id: string, name: string, data: Json): Promise<void> {
    const isChecked = this.#registry.all.some(({ schemas }) => name in schemas.signals);
    if (!isChecked) return;
    const run = await this.#state.load(id);
    const parsed = this.#registry.find(run.name)?.schemas.signals[name]?.safeParse(data);
    if (!parsed || parsed.success) return;
    throw new AgentError({
      code: "agent.invalid_signal",
      message: `the signal ${name} does not fit what ${run.name} hears: ${saidOf(parsed.error)}`,
      details: { run: id, signal: name },
    });
  }

  /**
   * Answers a question, once.
   *
   * @throws `state.not_open`, `state.invalid_answer`, `state.not_found`
   * @example await sentient.answer(id, "main/approve#1", true, { by: "ada" });
   */
  async answer(run: string, key: string, value: Json, options: { by: string }): Promise<Question> {
    const question = await this.#state.answer(run, key, value, options);
    this.#tools.notices.ready();
    this.#tools.notices.changed(run);
    return question;
  }

  /**
   * Puts a run back to a point of its history, from which it goes on.
   *
   * @throws as `state.restore`
   * @example await sentient.restore(id, { checkpoint: "before-send" }, { by: "ada" });
   */
  async restore(run: string, to: RestorePoint, options: RestoreOptions = {}): Promise<Run> {
    return this.#asked(run, await this.#state.restore(run, to, options));
  }

  /**
   * A new run that begins from a point of another one, with what is edited.
   *
   * @throws as `state.fork`
   * @example const other = await sentient.fork(id, { n: 12, steps: { "main/fetch#1": { ok: true } } });
   */
  async fork(run: string, options: ForkOptions = {}): Promise<RunHandle> {
    if (this.#ownWorker !== false) await this.#begin();
    const { run: fork } = await this.#state.fork(run, options);
    this.#tools.notices.ready();
    return this.handle(fork.id);
  }

  // advancing

  /**
   * A worker of this process beside the one that comes by itself; `start` it.
   *
   * @throws `agent.bad_option`
   * @example await using worker = sentient.worker({ slots: 10 }); await worker.start();
   */
  worker(options: WorkerOptions = {}): Worker {
    if (this.#closing) throw closedError();
    const worker = new Worker(options, this.#registry, this.events, this.#tools);
    this.#workers.add(worker);
    return worker;
  }

  #begin(): Promise<Worker> {
    return (this.#own ??= (async () => {
      const worker = this.worker(this.#ownWorker || {});
      await worker.start();
      return worker;
    })().catch((error: unknown) => {
      this.#own = undefined;
      throw error;
    }));
  }

  /** Hands over what is advanced here, and lets go. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#workers].map((worker) => worker.stop()));
    this.#ports.listener.close();
    await within(CLOSE_MS, this.events.close());
    if (this.#ownsDatabase) await this.#db.close({ deadline: CLOSE_MS });
  }
}

/**
 * Agents and workflows on a database: one in a folder, if nothing else is said, with nothing to install.
 *
 * @throws what `openDatabase` throws; `agent.bad_option`
 * @example await using sentient = await createSentient({ agents: [hello] });
 */
export async function createSentient(options: SentientOptions = {}): Promise<Sentient> {
  const {
    database,
    agents: _,
    workflows: __,
    worker: ___,
    retention: ____,
    logger: _____,
    clock: ______,
    meter: _______,
    ...connection
  } = options;
  if (database !== undefined && typeof database !== "string") return new Sentient(database, false, options);
  const db = await openDatabase({ ...connection, ...(database === undefined ? {} : { database }) });
  return new Sentient(db, true, options);
}
