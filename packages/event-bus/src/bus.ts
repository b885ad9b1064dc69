import { systemClock, type Clock, type Database } from "@sentient/db-pool";
import { Event, type Position } from "@sentient/schema";
import { EventEmitter } from "node:events";
import { z } from "zod";
import { draftOf, isSame, type Draft, type NewEvent, type Placed } from "./draft.ts";
import { badOption, closedError } from "./errors.ts";
import { checkFilter, type EventFilter } from "./filter.ts";
import { follow as followLog, requireFrom, type From } from "./follow.ts";
import { readHistory, type HistoryOptions, type HistoryPage } from "./history.ts";
import { Log, type AppendOptions, type Entry } from "./log.ts";
import { Reader } from "./reader.ts";
import { subscribe as callForEach, type Handler, type Subscription } from "./subscription.ts";
import { Store } from "./store.ts";
import { Tail } from "./tail.ts";

const Options = z.strictObject({
  source: Event.shape.source.default("sentient"),
  timeout: z
    .int()
    .min(1)
    .max(2 ** 31 - 1)
    .default(30_000),
  hashes: z.boolean().default(false),
  migrate: z.boolean().default(true),
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
  readonly #log: Log;
  readonly #reader: Reader;
  readonly #tail: Tail;
  readonly #emitter = new EventEmitter();
  readonly #end = new AbortController();
  readonly #telling = new Map<string, Telling>();
  readonly #subscriptions = new Set<Subscription>();
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(db: Database, { source, timeout, hashes, migrate, clock }: z.output<typeof Options>) {
    const store = new Store(db, { migrate });
    this.#source = source;
    this.#clock = clock;
    this.#reader = new Reader(store);
    const onProblem = this.#tellOf;
    this.#tail = new Tail({ reader: this.#reader, hang: () => store.watch(), clock, onProblem });
    const onCommit = this.#tail.push.bind(this.#tail);
    this.#log = new Log(store, { clock, source, timeout, hashes, onCommit });
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
    const event = told as NewEvent;
    return event.eventId === undefined
      ? this.#tell(event, options)
      : this.#tellOnce(event, event.eventId, options);
  }

  async #tell(event: NewEvent, options?: AppendOptions): Promise<Position> {
    const [placed] = await this.#log.append({ events: [event] }, options);
    return placed!.position as Position;
  }

  /** Who tells the same at the same time shares one answer; who tells something else has to wait for it. */
  async #tellOnce(event: NewEvent, id: string, options?: AppendOptions): Promise<Position> {
    const draft = draftOf(event, this.#source);
    for (let other = this.#telling.get(id); other; other = this.#telling.get(id)) {
      if (isSame(other.draft, draft)) return other.position;
      await other.position.catch(() => {});
    }
    const position = this.#tell(event, options).finally(() => this.#telling.delete(id));
    this.#telling.set(id, { draft, position });
    return position;
  }

  /**
   * Events as they come, from any position on: first what is there already, then live. Many may follow; they share one
   * doorbell and one reader.
   *
   * @throws while iterating: `event_bus.position_trimmed` with the `earliest` position that is left,
   * `event_bus.position_ahead`, `event_bus.log_damaged`; at once: `event_bus.bad_filter`, `event_bus.bad_option`
   * @example for await (const event of bus.follow({ after: 0, types: "order.*", signal })) console.log(event.position, event.type);
   */
  follow({ after = "now", signal, ...filter }: FollowOptions = {}): AsyncGenerator<Event, void, undefined> {
    if (this.#end.signal.aborted) throw closedError();
    const checked = checkFilter(filter);
    const from = this.#positionOf(requireFrom(after, "after"));
    from.catch(() => {}); // told to whoever iterates
    return followLog({
      reader: this.#reader,
      tail: this.#tail,
      clock: this.#clock,
      filter: checked,
      after: from,
      signal: signal ? AbortSignal.any([signal, this.#end.signal]) : this.#end.signal,
      onProblem: this.#tellOf,
    });
  }

  async #positionOf(from: From): Promise<number> {
    if (typeof from === "number") return from;
    if (from === "now") return this.#log.head();
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
    const subscription = callForEach(events, handler, this.#tellOf);
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
   * A page of the log, by position; with `at` by time.
   *
   * @throws `event_bus.bad_filter`, `event_bus.bad_option`, `schema.limit`, `event_bus.position_trimmed`,
   * `event_bus.position_ahead`
   * @example const { events, next } = await bus.history({ types: "run.failed", order: "desc", limit: 20 });
   */
  history(options: HistoryOptions = {}): Promise<HistoryPage> {
    return readHistory(this.#reader, options);
  }

  /** Hears what the bus tells about itself, until the returned function is called. */
  on<Name extends keyof EventBusEvents>(
    name: Name,
    listener: (event: EventBusEvents[Name]) => void,
  ): () => void {
    this.#emitter.on(name, listener);
    return () => void this.#emitter.off(name, listener);
  }

  /** An error of a handler that nobody listens for is a warning of the process, and never its end. */
  readonly #tellOf = (error: unknown, event?: Event): void => {
    const isHeard = this.#emitter.emit("problem", { error, ...(event ? { event } : {}) });
    if (!isHeard && event) process.emitWarning(error instanceof Error ? error : String(error));
  };

  /** Takes nothing new, commits what waits, ends all who follow, and lets go. The database stays open. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#end.abort();
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.unsubscribe()));
    await this.#log.close();
    await this.#tail.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
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
