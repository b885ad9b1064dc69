// Consumers. Owns: this process's share of a named durable follower: which partitions it has a lease on.

import { AsyncLocalStorage } from "node:async_hooks";
import { randomUUID } from "node:crypto";
import { sleep } from "@sentient/db-pool";
import { canonicalJson, Name } from "@sentient/schema";
import { z } from "zod";
import type { ConsumerHandler } from "./call.ts";
import * as queries from "./consumer-queries.ts";
import { badOption, EventBusError } from "./errors.ts";
import { checkFilter, type CheckedFilter, type EventFilter } from "./filter.ts";
import type { From } from "./follow.ts";
import { Lease, otherFilter } from "./lease.ts";
import { Term, type ConsumerSettings, type Tools } from "./term.ts";

export interface ConsumerOptions {
  filter?: EventFilter;
  /** Where a consumer of a new name begins: at an end of the log, or after a position. `beginning` if left out. */
  from?: From;
  /** How many processes can share the work: events are told apart by their run. 1 if left out; it cannot be changed. */
  partitions?: number;
  /** Events handled at once in a partition, never two of one run. 1 if left out. */
  concurrency?: number;
  /**
   * Tries before an event becomes a dead letter, 5 if left out; and the pause between them, with jitter. An error of the
   * handler's own that says `retryable: false` is not tried again; any of this family is, as it tells of one call and not
   * of the event.
   */
  retry?: { attempts?: number; first?: number; max?: number };
  /** Milliseconds that one try may take; 30,000 if left out. */
  timeout?: number;
  /** Milliseconds after which another process takes over from one that has died; 15,000 if left out. */
  lease?: number;
}

const milliseconds = z
  .int()
  .min(1)
  .max(2 ** 31 - 1);
const Options = z.strictObject({
  name: Name,
  filter: z.unknown().optional(),
  from: z.unknown().optional(),
  partitions: z.int().min(1).max(256).default(1),
  concurrency: z.int().min(1).max(256).default(1),
  retry: z
    .strictObject({
      attempts: z.int().min(1).default(5),
      first: milliseconds.default(1_000),
      max: milliseconds.default(300_000),
    })
    .prefault({}),
  timeout: milliseconds.default(30_000),
  lease: milliseconds.min(100).default(15_000),
  handler: z.custom<ConsumerHandler>((value) => typeof value === "function", "a function"),
});

/** @throws `event_bus.bad_option`, `event_bus.bad_filter` */
export function checkConsumer(
  name: string,
  options: ConsumerOptions,
  handler: ConsumerHandler,
): ConsumerSettings {
  const checked = Options.safeParse({ ...options, name, handler });
  if (!checked.success) throw badOption(checked.error);
  const { from: _from, ...settings } = checked.data;
  return { ...settings, filter: checkFilter(options.filter ?? {}) };
}

/** How often it looks for a partition that is free; oftener where leases are short. */
const POLL_MS = 1_000;
const STOP_MS = 10_000;
/** How long saving and giving back may take after that. */
const GRACE_MS = 1_000;

/** The call of a handler that the code is in. */
const within = new AsyncLocalStorage<symbol>();

/** This process's part in a consumer. Made by `bus.consumer`. */
export class Consumer implements AsyncDisposable {
  readonly name: string;
  /** @internal */
  readonly ended: Promise<void>;
  readonly #settings: ConsumerSettings;
  readonly #tools: Tools;
  readonly #worker = `w-${randomUUID()}`;
  readonly #terms = new Map<number, Term>();
  /** Calls of the handler that have not ended. */
  readonly #calls = new Set<symbol | undefined>();
  readonly #stop = new AbortController();
  /** Ends the pause before the next look. */
  #nudge = new AbortController();
  /** Whether the others were told of this process lately. */
  #isMember = false;
  #cancelRejoin = () => {};

  /** @internal */
  constructor(settings: ConsumerSettings, tools: Tools) {
    this.name = settings.name;
    this.#settings = { ...settings, handler: (...call) => this.#call(() => settings.handler(...call)) };
    this.#tools = tools;
    this.ended = this.#run();
  }

  /** The partitions that are handled in this process now. */
  get partitions(): number[] {
    return [...this.#terms.keys()].toSorted((one, other) => one - other);
  }

  /**
   * Hands out nothing more, waits for the handlers that are under way, saves the position and gives the lease back. The
   * handler is not called any more once it resolves; what was not settled comes again. In the handler itself it does not
   * wait, which would be for its own end.
   *
   * @param deadline how long handlers may take, in milliseconds; then their signals abort. Default 10,000
   */
  async stop({ deadline = STOP_MS }: { deadline?: number } = {}): Promise<void> {
    this.#stop.abort();
    this.#nudge.abort();
    if (this.#calls.has(within.getStore()) || (await this.#endsWithin(deadline))) return;
    for (const term of this.#terms.values()) term.cut();
    if (await this.#endsWithin(GRACE_MS)) return;
    for (const term of this.#terms.values()) term.abandon();
  }

  async #call(handler: () => unknown): Promise<void> {
    const call = Symbol("call");
    this.#calls.add(call);
    try {
      await within.run(call, handler);
    } finally {
      this.#calls.delete(call);
    }
  }

  async #endsWithin(ms: number): Promise<boolean> {
    const ended = new AbortController();
    void this.ended.then(() => ended.abort());
    await sleep(this.#tools.clock, ms, ended.signal);
    return ended.signal.aborted;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Somebody here has moved the consumer, or wants dead letters to be tried again. @internal */
  look(): void {
    for (const term of this.#terms.values()) term.look();
  }

  async #run(): Promise<void> {
    const { clock, store, onProblem } = this.#tools;
    const { lease, partitions } = this.#settings;
    while (!this.#stop.signal.aborted && !store.closed) {
      this.#nudge = new AbortController();
      try {
        await (partitions === 1 ? this.#claim(0) : this.#share());
      } catch (error) {
        onProblem(error);
      }
      if (!this.#stop.signal.aborted) await sleep(clock, Math.min(POLL_MS, lease / 3), this.#nudge.signal);
    }
    this.#stop.abort();
    this.#cancelRejoin();
    await Promise.all([...this.#terms.values()].map((term) => term.stop()));
    if (partitions > 1 && !store.closed)
      await store.query(queries.leaveMembers(this.name, this.#worker)).catch(onProblem);
  }

  async #claim(partition: number): Promise<void> {
    if (this.#terms.has(partition)) return;
    const { name, lease, filter } = this.#settings;
    const asked = { worker: this.#worker, lease, filter: textOf(filter) };
    const granted = await Lease.claim(
      { partition: queries.partitionId(name, partition), ...asked },
      this.#tools,
    );
    if (!granted) return;
    const term = new Term(granted, this.#worker, this.#settings, this.#tools);
    this.#terms.set(partition, term);
    if (this.#stop.signal.aborted) void term.stop();
    void this.#forget(term);
  }

  async #forget(term: Term): Promise<void> {
    await term.ended;
    this.#terms.delete(term.partition);
    if (!term.failed) this.#nudge.abort(); // to claim it again at once, if it is free
  }

  /** Tells the others of this process, and does so again while that holds. */
  async #join(): Promise<void> {
    const { store, clock } = this.#tools;
    const { lease } = this.#settings;
    await store.query(queries.joinMembers(this.name, this.#worker, lease));
    this.#isMember = true;
    this.#cancelRejoin();
    this.#cancelRejoin = clock.after(lease / 2, () => (this.#isMember = false));
  }

  /** As many partitions as the other processes that want some leave to this one. */
  async #share(): Promise<void> {
    const { store } = this.#tools;
    if (!this.#isMember) await this.#join();
    let shares = await store.query(queries.readShares(this.name));
    if (!shares.members.includes(this.#worker)) {
      await this.#join(); // it was taken for gone
      shares = await store.query(queries.readShares(this.name));
    }
    const { partitions } = this.#settings;
    const share = shareOf(this.#worker, shares.members, partitions);
    const free = shares.rows
      .filter(({ lease: held }) => !held || held.until <= shares.now || held.worker === this.#worker)
      .map(({ id }) => (id.id as [string, number])[1]);
    for (const partition of free)
      if (this.#terms.size < share && !this.#stop.signal.aborted) await this.#claim(partition);
    for (const term of [...this.#terms.values()].slice(share)) void term.stop();
  }
}

/** Which events, as text that is the same for the same filter. */
const textOf = ({ types, ...filter }: CheckedFilter): string =>
  canonicalJson({ ...filter, ...(types ? { types: [...new Set(types)].toSorted() } : {}) });

/** Where they cannot be shared out evenly, those whose names come first have one more. */
export function shareOf(worker: string, members: readonly string[], partitions: number): number {
  const rank = members.toSorted().indexOf(worker);
  if (rank === -1) return 0; // taken for gone: it has to join again
  return Math.floor(partitions / members.length) + (rank < partitions % members.length ? 1 : 0);
}

/**
 * Makes the rows of a consumer, or finds them.
 *
 * @param after where one of a new name begins
 * @throws `event_bus.consumer_mismatch`, `event_bus.position_trimmed`, `event_bus.position_ahead`
 */
export async function registerConsumer(
  { name, partitions, filter }: ConsumerSettings,
  after: number | "beginning",
  { store, reader }: Tools,
): Promise<void> {
  const position = after === "beginning" ? undefined : after;
  const own = textOf(filter);
  for (;;) {
    const rows = await store.query(queries.register(name, partitions, position, own));
    const [row] = rows;
    if (row) {
      const other = rows.find((each) => each.partitions !== partitions);
      if (other) throw otherPartitions(name, other.partitions, partitions);
      if (row.filter !== own) throw otherFilter(name, row.filter ?? "{}", own);
      return;
    }
    await reader.requireThere(position ?? 0);
  }
}

function otherPartitions(name: string, stored: number, own: number): EventBusError {
  return new EventBusError({
    code: "event_bus.consumer_mismatch",
    message: `the consumer ${name} has ${stored} partitions, and not ${own}: they cannot be changed. Take another name, or remove it first`,
    details: { consumer: name, partitions: stored },
  });
}
