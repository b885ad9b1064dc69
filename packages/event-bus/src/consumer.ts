// Consumers. Owns: this process's share of a named durable follower: which partitions it has a lease on.

import { randomUUID } from "node:crypto";
import { sleep } from "@sentient/db-pool";
import { Name } from "@sentient/schema";
import { z } from "zod";
import type { ConsumerHandler } from "./call.ts";
import * as queries from "./consumer-queries.ts";
import { badOption, EventBusError } from "./errors.ts";
import { checkFilter, type EventFilter } from "./filter.ts";
import type { From } from "./follow.ts";
import { Term, type ConsumerSettings, type Tools } from "./term.ts";

export interface ConsumerOptions {
  filter?: EventFilter;
  /** Where a consumer of a new name begins: at an end of the log, or after a position. `beginning` if left out. */
  from?: From;
  /** How many processes can share the work: events are told apart by their run. 1 if left out; it cannot be changed. */
  partitions?: number;
  /** Events handled at once in a partition, never two of one run. 1 if left out. */
  concurrency?: number;
  /** Tries before an event becomes a dead letter, 5 if left out; and the pause between them, with jitter. */
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
});

/** @throws `event_bus.bad_option`, `event_bus.bad_filter` */
export function checkConsumer(
  name: string,
  options: ConsumerOptions,
  handler: ConsumerHandler,
): ConsumerSettings {
  const checked = Options.safeParse({ name, ...options });
  if (!checked.success) throw badOption(checked.error);
  const { from: _from, ...settings } = checked.data;
  return { ...settings, filter: checkFilter(options.filter ?? {}), handler };
}

/** How often it looks for a partition that is free. */
const POLL_MS = 1_000;
const STOP_MS = 10_000;

/** This process's part in a consumer. Made by `bus.consumer`. */
export class Consumer implements AsyncDisposable {
  readonly name: string;
  readonly #settings: ConsumerSettings;
  readonly #tools: Tools;
  readonly #worker = `w-${randomUUID()}`;
  readonly #terms = new Map<number, Term>();
  readonly #stop = new AbortController();
  /** Ends the pause before the next look. */
  #nudge = new AbortController();
  readonly #running: Promise<void>;
  #memberUntil = 0;

  /** @internal */
  constructor(settings: ConsumerSettings, tools: Tools) {
    this.name = settings.name;
    this.#settings = settings;
    this.#tools = tools;
    this.#running = this.#run();
  }

  /** The partitions that are handled in this process now. */
  get partitions(): number[] {
    return [...this.#terms.keys()].toSorted((one, other) => one - other);
  }

  /**
   * Hands out nothing more, waits for the handlers that are under way, saves the position and gives the lease back. The
   * handler is not called any more once it resolves; what was not settled comes again.
   *
   * @param deadline how long handlers may take, in milliseconds; then their signals abort. Default 10,000
   */
  async stop({ deadline = STOP_MS }: { deadline?: number } = {}): Promise<void> {
    this.#stop.abort();
    this.#nudge.abort();
    const cancel = this.#tools.clock.after(deadline, () => this.#terms.forEach((term) => term.abandon()));
    await this.#running;
    cancel();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  /** Somebody here has asked for dead letters to be tried again. @internal */
  redrive(): void {
    for (const term of this.#terms.values()) term.redrive();
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      this.#nudge = new AbortController();
      try {
        await (this.#settings.partitions === 1 ? this.#claim(0) : this.#share());
      } catch (error) {
        this.#tools.onProblem(error);
      }
      if (!this.#stop.signal.aborted) await sleep(this.#tools.clock, POLL_MS, this.#nudge.signal);
    }
    await Promise.all([...this.#terms.values()].map((term) => term.stop()));
    if (this.#settings.partitions > 1)
      await this.#tools.store
        .query(queries.leaveMembers(this.name, this.#worker))
        .catch(this.#tools.onProblem);
  }

  async #claim(partition: number): Promise<void> {
    if (this.#terms.has(partition)) return;
    const { store, clock } = this.#tools;
    const { name, lease } = this.#settings;
    const asked = clock.now();
    const row = await store.query(queries.claim(queries.partitionId(name, partition), this.#worker, lease));
    if (!row) return;
    const term = new Term(row, asked, this.#settings, this.#tools);
    this.#terms.set(partition, term);
    void term.ended.then(() => {
      this.#terms.delete(partition);
      if (!term.failed) this.#nudge.abort(); // to claim it again at once, if it is free
    });
  }

  /** As many partitions as the other processes that want some leave to this one. */
  async #share(): Promise<void> {
    const { store, clock } = this.#tools;
    const { partitions, lease } = this.#settings;
    if (clock.now() >= this.#memberUntil - lease / 2) {
      this.#memberUntil = clock.now() + lease;
      await store.query(queries.joinMembers(this.name, this.#worker, lease));
    }
    const { rows, members, now } = await store.query(queries.readShares(this.name));
    const share = Math.ceil(partitions / Math.max(1, members));
    const free = rows
      .filter((row) => !row.lease || row.lease.until <= now)
      .map(({ id }) => (id.id as [string, number])[1]);
    for (const partition of free.filter((each) => !this.#terms.has(each)))
      if (this.#terms.size < share && !this.#stop.signal.aborted) await this.#claim(partition);
    for (const term of [...this.#terms.values()].slice(share)) void term.stop();
  }
}

/**
 * Makes the rows of a consumer, or finds them.
 *
 * @throws `event_bus.consumer_mismatch`
 */
export async function registerConsumer(
  { name, partitions, filter }: ConsumerSettings,
  position: number,
  { store }: Tools,
): Promise<void> {
  const rows = await store.query(queries.register(name, partitions, position, JSON.stringify(filter)));
  const other = rows.find((row) => row.partitions !== partitions);
  if (!other) return;
  throw new EventBusError({
    code: "event_bus.consumer_mismatch",
    message: `the consumer ${name} has ${other.partitions} partitions, and not ${partitions}: they cannot be changed. Take another name, or remove it first`,
    details: { consumer: name, partitions: other.partitions },
  });
}
