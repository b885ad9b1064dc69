import { systemClock, type Clock, type Database } from "@sentient/db-pool";
import { Event, type Position } from "@sentient/schema";
import { EventEmitter } from "node:events";
import { z } from "zod";
import { checkConsumer, Consumer, registerConsumer, type ConsumerOptions } from "./consumer.ts";
import type { ConsumerHandler } from "./call.ts";
import { Consumers } from "./consumers.ts";
import { draftOf, isSame, type Draft, type NewEvent, type Placed } from "./draft.ts";
import { badOption, closedError, EventBusError } from "./errors.ts";
import { checkFilter, type EventFilter } from "./filter.ts";
import { follow as followLog, patiently, requireFrom, type From } from "./follow.ts";
import { readHistory, type HistoryOptions, type HistoryPage } from "./history.ts";
import type { AppendOptions, Entry } from "./entry.ts";
import { Log, type LogOptions } from "./log.ts";
import { requireFirst, replay as replayTo, type ReplayRange } from "./replay.ts";
import { Reader } from "./reader.ts";
import {
  retain,
  RetentionOptions,
  trim as trimLog,
  type Trimmed,
  type Trimming,
  type TrimOptions,
} from "./retention.ts";
import { subscribe as callForEach, type Handler, type Subscription } from "./subscription.ts";
import { Store } from "./store.ts";
import type { Tools } from "./term.ts";
import { Tail } from "./tail.ts";
import { trace as traceEvent, type Trace, type TraceOptions } from "./trace.ts";
import { verify as verifyRun, type Verified, type VerifyOptions } from "./verify.ts";

const Options = z.strictObject({
  source: Event.shape.source.default("sentient"),
  timeout: z
    .int()
    .min(1)
    .max(2 ** 31 - 1)
    .default(30_000),
  hashes: z.boolean().default(false),
  migrate: z.boolean().default(true),
  retention: RetentionOptions.optional(),
  clock: z
    .custom<Clock>((value) => typeof (value as Clock | undefined)?.after === "function")
    .default(systemClock),
});

export interface EventBusOptions {
  /** Of events that do not name their own; `sentient` if left out. */
  source?: string;
  /** How long a publish may take in all, in milliseconds; default 30,000. */
  timeout?: number;
  /** Each event carries the hash of its run up to it, for `verify`. Say it in every process that appends, or in none. */
  hashes?: boolean;
  /** Whether the runtime's tables are brought up to date first; true if left out. */
  migrate?: boolean;
  /** Trims the log in the background; all is kept if left out. One process of a database is enough, several do no harm. */
  retention?: RetentionOptions;
  clock?: Clock;
}

export interface FollowOptions extends EventFilter {
  /** A position, to begin with the one after it; or an end of the log. `now` if left out. */
  after?: From;
  /** Ends it. */
  signal?: AbortSignal;
}

/** What an event bus tells about itself. */
export interface EventBusEvents {
  /** What was caught on somebody's behalf: a handler threw, or the log could not be read for now. */
  problem: { error: unknown; event?: Event };
}

/** Somebody in this process tells of an event with an id of its own, and has no answer yet. */
interface Telling {
  draft: Draft;
  position: Promise<Position>;
}

/** One ordered log, and all who tell and hear of it. Made by `createEventBus`. */
export class EventBus implements AsyncDisposable {
  readonly #source: string;
  readonly #clock: Clock;
  readonly #store: Store;
  readonly #log: Log;
  readonly #reader: Reader;
  readonly #tail: Tail;
  readonly #emitter = new EventEmitter();
  readonly #end = new AbortController();
  readonly #telling = new Map<string, Telling>();
  readonly #subscriptions = new Set<Subscription>();
  readonly #working = new Set<Consumer>();
  readonly #tools: Tools;
  /** What can be asked of any consumer, whichever process works on it. */
  readonly consumers: Consumers;
  readonly #trimming: Trimming;
  readonly #retaining: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(
    db: Database,
    { source, timeout, hashes, migrate, retention, clock }: z.output<typeof Options>,
  ) {
    const store = new Store(db, { migrate });
    this.#source = source;
    this.#clock = clock;
    this.#store = store;
    this.#reader = new Reader(store);
    const onProblem = this.#tellOf;
    this.#tail = new Tail({ reader: this.#reader, hang: () => store.watch(), clock, onProblem });
    const onCommit: LogOptions["onCommit"] = (rows, after, rang) => {
      try {
        this.#tail.push(rows, after);
        if (!rang) store.ring(this.#tail.bell);
      } catch (error) {
        onProblem(error); // what is committed stays so; the tail reads it at its next tick
      }
    };
    this.#log = new Log(store, { clock, source, timeout, hashes, onCommit });
    const { signal } = this.#end;
    this.#trimming = { db: store, reader: this.#reader, signal };
    const trim = this.trim.bind(this);
    this.#retaining = retention && retain({ trim, clock, signal, onProblem }, retention);
    this.#tools = { store, log: this.#log, reader: this.#reader, tail: this.#tail, clock, onProblem };
    this.consumers = new Consumers(store, this.#reader, (name) => {
      for (const consumer of this.#working) if (consumer.name === name) consumer.look();
    });
  }

  /**
   * The runtime's tables and the log are there. Every call sees to it; it is for who asks the database past the bus.
   *
   * @throws the `DbError` or `SchemaError` that kept it from being so; the next call tries again
   * @example await bus.ready(); const runs = await db.query(surql`SELECT * FROM run`);
   */
  ready(): Promise<void> {
    return this.#store.ready();
  }

  /** For who changes something along with what is told of it. */
  get log(): { append(entry: Entry, options?: AppendOptions): Promise<Placed[]> } {
    return this.#log;
  }

  /**
   * Tells of an event, or of several that are committed together, and answers with their positions once they are on disk.
   * Under an `eventId` it happens once, however often it is told.
   *
   * @throws `event_bus.event_conflict` if something else was told under that id; `event_bus.timeout`, after whose
   * `outcome: "unknown"` it may be told again under the same id; `event_bus.invalid_event`, `schema.limit`,
   * `event_bus.overloaded`, `event_bus.cancelled`, `event_bus.closed`
   * @example const position = await bus.publish({ type: "order.placed", data: { total: 12 }, eventId: "order-17" });
   */
  publish(event: NewEvent, options?: AppendOptions): Promise<Position>;
  publish(events: readonly NewEvent[], options?: AppendOptions): Promise<Position[]>;
  async publish(
    told: NewEvent | readonly NewEvent[],
    options?: AppendOptions,
  ): Promise<Position | Position[]> {
    if (Array.isArray(told)) {
      const placed = await this.#log.append({ events: told as NewEvent[] }, options);
      return placed.map(({ position }) => position as Position);
    }
    const draft = draftOf(told as NewEvent, this.#source);
    const { eventId } = draft;
    return eventId === undefined ? this.#tell(draft, options) : this.#tellOnce(draft, eventId, options);
  }

  async #tell(draft: Draft, options?: AppendOptions): Promise<Position> {
    return (await this.#log.tell(draft, options)).position as Position;
  }

  /** Who tells the same at the same time shares one answer; who tells something else has to wait for it. */
  async #tellOnce(draft: Draft, id: string, options?: AppendOptions): Promise<Position> {
    for (let other = this.#telling.get(id); other; other = this.#telling.get(id)) {
      const position = await other.position.catch((error: unknown) => {
        if (isSame(other.draft, draft) && !isCancelled(error)) throw error; // who takes it back does so for themselves
      });
      if (position !== undefined && isSame(other.draft, draft)) return position;
    }
    const position = this.#tell(draft, options).finally(() => this.#telling.delete(id));
    this.#telling.set(id, { draft, position });
    return position;
  }

  /**
   * Events as they come, from any position on: first what is there already, then live. Many may follow; they share one
   * doorbell and one reader, and are handed the same events: those are frozen but for `at`, as no Date can be, so change a
   * copy of it.
   *
   * @throws while iterating: `event_bus.position_trimmed` with the `earliest` position that is left,
   * `event_bus.position_ahead`, `event_bus.log_damaged`, and the `DbError` `db.closed` once the database is closed; at once:
   * `event_bus.bad_filter`, `event_bus.bad_option`
   * @example for await (const event of bus.follow({ after: 0, types: "order.*", signal })) console.log(event.position, event.type);
   */
  follow({ after = "now", signal, ...filter }: FollowOptions = {}): AsyncGenerator<Event, void, undefined> {
    if (this.#end.signal.aborted) throw closedError();
    const checked = checkFilter(filter);
    const patience = {
      clock: this.#clock,
      signal: signal ? AbortSignal.any([signal, this.#end.signal]) : this.#end.signal,
      onProblem: this.#tellOf,
    };
    const from = requireFrom(after, "after");
    const { signal: end } = patience;
    const position = patiently(() => this.#positionOf(from, end), patience).then((found) => found ?? 0);
    position.catch(() => {}); // told to whoever iterates
    const { reader, tail } = this.#tools;
    return followLog({ ...patience, reader, tail, filter: checked, after: position });
  }

  async #positionOf(from: From, signal?: AbortSignal): Promise<number> {
    if (typeof from === "number") return from;
    if (from === "now") return this.#log.head(signal);
    return (await this.#reader.ends()).floor;
  }

  /**
   * Calls a function for each event from now on, one after the other. What it throws is told to `on("problem")`, and the
   * next event comes. For one that must see every event, whatever happens to this process, use `consumer`.
   *
   * @throws `event_bus.bad_filter`, `event_bus.closed`
   * @example const { unsubscribe } = bus.subscribe({ types: "run.*" }, (event) => console.log(event.type));
   */
  subscribe(filter: EventFilter, handler: Handler): Subscription {
    if (this.#end.signal.aborted) throw closedError();
    checkFilter(filter);
    const events = (signal: AbortSignal) => this.follow({ ...filter, signal });
    const subscription = callForEach(events, handler, this.#tellOf, this.#tellOfEnd);
    const { unsubscribe } = subscription;
    const tracked: Subscription = {
      unsubscribe: async () => {
        this.#subscriptions.delete(tracked);
        await unsubscribe();
      },
    };
    this.#subscriptions.add(tracked);
    return tracked;
  }

  /**
   * Works on a consumer: a durable follower of the log whose place outlives every process. However many processes work on
   * one, each event goes to one of them, at least once and in order; what a handler commits with `handling.commit` happens
   * exactly once. An event that fails every try becomes a dead letter with its reason, and the next one comes.
   *
   * @param name letters, digits and . _ : -, at most 128; whoever says the same name shares the work
   * @throws `event_bus.bad_option`, `event_bus.bad_filter`, `event_bus.consumer_mismatch`, `event_bus.position_trimmed`,
   * `event_bus.position_ahead`, `event_bus.closed`
   * @example await bus.consumer("mailer", { filter: { types: "order.placed" } }, async (event, { signal }) => send(event.data, { signal }));
   */
  async consumer(name: string, options: ConsumerOptions, handler: ConsumerHandler): Promise<Consumer> {
    if (this.#end.signal.aborted) throw closedError();
    const settings = checkConsumer(name, options, handler);
    const from = requireFrom(options.from ?? "beginning", "from");
    await registerConsumer(settings, from === "now" ? await this.#log.head() : from, this.#tools);
    if (this.#end.signal.aborted) throw closedError();
    const consumer = new Consumer(settings, this.#tools);
    this.#working.add(consumer);
    void consumer.ended.then(() => this.#working.delete(consumer));
    return consumer;
  }

  /**
   * Goes through a part of the log again: moves a consumer back to an event, from which it goes on; or calls a function
   * for each event of a range, one after the other.
   *
   * @param from the position of the first event; the earliest there is, if left out
   * @param to the position of the last; for a function only, and the last there is now if left out
   * @returns for a function, how many events it was called for
   * @throws `event_bus.not_found`, `event_bus.bad_option`, `event_bus.bad_filter`, `event_bus.position_trimmed`,
   * `event_bus.position_ahead`; what the function throws
   * @example await bus.replay("mailer", { from: 1_000 });
   * @example await bus.replay((event) => rebuild(event), { from: 1, to: 500, types: "order.*" });
   */
  replay(consumer: string, range: { from: number }): Promise<void>;
  replay(handler: Handler, range?: ReplayRange): Promise<number>;
  async replay(who: string | Handler, range: ReplayRange = {}): Promise<number | void> {
    return typeof who === "string"
      ? this.consumers.move(who, requireFirst(range))
      : replayTo(who, range, this.#reader);
  }

  /**
   * A page of the log, by position; with `at` by time.
   *
   * @throws `event_bus.bad_filter`, `event_bus.bad_option`, `schema.limit`, `event_bus.position_trimmed`,
   * `event_bus.position_ahead`
   * @example const { events, next } = await bus.history({ types: "run.failed", order: "desc", limit: 20 });
   */
  history(options: HistoryOptions = {}): Promise<HistoryPage> {
    return readHistory(this.#reader, options);
  }

  /**
   * What led to an event, and what came of it: up along `causation` to the first cause, and from there down again; and
   * whatever shares its `correlation`.
   *
   * @param event an event, its `eventId`, or a position; `event:<position>` is what the log calls the event there
   * @throws `event_bus.not_found`, also for an event that was trimmed; `event_bus.bad_option`, `schema.limit`
   * @example console.log((await bus.trace("order-17")).text);
   */
  trace(event: Event | string | number, options?: TraceOptions): Promise<Trace> {
    return traceEvent(this.#store, event, options);
  }

  /**
   * Whether the events of a run are those that were told, for a log with `{ hashes: true }`: each carries a hash of itself
   * and of all before it in its run. Answers with the first that is damaged. What was trimmed is taken as it was then.
   *
   * A chain alone cannot tell that its end was cut off, nor that somebody wrote all of it anew: note the hash of a run that
   * has ended where others cannot write, and say it here.
   *
   * @throws `event_bus.not_found` for a run that never had events; `event_bus.bad_option`
   * @example const checked = await bus.verify(run, { hash: noted }); if (!checked.ok) console.error(checked.message);
   */
  verify(run: string, options?: VerifyOptions): Promise<Verified> {
    return verifyRun(this.#store, run, options);
  }

  /**
   * Removes the oldest events, for ever. Of several conditions the most cautious wins, and no event goes that a consumer has
   * not handled yet, unless `force` is said. Who follows from further back is told `event_bus.position_trimmed`; nobody
   * else notices. An `eventId` is forgotten with its event. It goes in small transactions; after a crash call it again.
   *
   * @throws `event_bus.bad_option`; `event_bus.closed` when the bus is closed meanwhile; the `DbError` of the database
   * @example const { floor, heldBy } = await bus.trim({ olderThan: 30 * 24 * 3_600_000, keep: 10_000 });
   */
  trim(options: TrimOptions): Promise<Trimmed> {
    return trimLog(this.#trimming, options);
  }

  /** Hears what the bus tells about itself, until the returned function is called. */
  on<Name extends keyof EventBusEvents>(
    name: Name,
    listener: (event: EventBusEvents[Name]) => void,
  ): () => void {
    this.#emitter.on(name, listener);
    return () => void this.#emitter.off(name, listener);
  }

  /** What passes is told to who listens; an error of a handler is else a warning of the process, and never its end. */
  readonly #tellOf = (error: unknown, event?: Event): void => {
    if (!this.#emit({ error, ...(event ? { event } : {}) }) && event) warn(error);
  };

  /** Something has ended that nobody told to. */
  readonly #tellOfEnd = (error: unknown): void => {
    if (!this.#emit({ error })) warn(error);
  };

  /** @returns whether somebody has heard it */
  #emit(problem: EventBusEvents["problem"]): boolean {
    try {
      return this.#emitter.emit("problem", problem);
    } catch (thrown) {
      warn(thrown); // by a listener
      return true;
    }
  }

  /** Takes nothing new, commits what waits, ends all who follow, and lets go. The database stays open. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#end.abort();
    await Promise.all([...this.#working].map((consumer) => consumer.stop()));
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.unsubscribe()));
    await this.#retaining;
    await this.#log.close();
    await this.#tail.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function isCancelled(error: unknown): boolean {
  return error instanceof EventBusError && error.code === "event_bus.cancelled";
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}

/**
 * An event bus in a database. Nothing is asked of the database before the first call.
 *
 * @throws `event_bus.bad_option`
 * @example await using bus = createEventBus(await openDatabase());
 */
export function createEventBus(db: Database, options: EventBusOptions = {}): EventBus {
  const checked = Options.safeParse(options);
  if (!checked.success) throw badOption(checked.error);
  return new EventBus(db, checked.data);
}
