// Consumers. Owns: what can be asked of any consumer, from any process.

import { requireWithin, type Position } from "@sentient/schema";
import { z } from "zod";
import * as queries from "./consumer-queries.ts";
import { badOption, EventBusError } from "./errors.ts";
import type { EventFilter } from "./filter.ts";
import { readLetter, type DeadLetter } from "./letters.ts";
import { fade } from "./rate-meter.ts";
import type { Reader } from "./reader.ts";
import type { Store } from "./store.ts";

export interface PartitionStatus {
  partition: number;
  /** Everything up to here was handled. */
  position: number;
  /** How much of the log it has not looked through yet. */
  lag: number;
  /** Who handles it, and for how long if nothing is heard; missing if nobody does. */
  worker?: string;
  leasedUntil?: Date;
  handled: number;
  /** Events a second, of late. */
  rate: number;
}

export interface ConsumerStatus {
  name: string;
  /** Which events it is for. */
  filter: EventFilter;
  /** Of the partition that is furthest behind. */
  position: number;
  lag: number;
  /** Of all partitions. */
  handled: number;
  rate: number;
  /** Dead letters, and those among them that are about to be tried again. */
  dead: number;
  queued: number;
  partitions: PartitionStatus[];
}

const Page = z.strictObject({
  after: z.int().min(0).default(0),
  limit: z.int().min(1).default(100),
});
const Positions = z.array(z.int().min(1)).optional();
const First = z.int().min(1);

export class Consumers {
  readonly #store: Store;
  readonly #reader: Reader;
  readonly #onChange: (name: string) => void;

  /** @internal */
  constructor(store: Store, reader: Reader, onChange: (name: string) => void) {
    this.#store = store;
    this.#reader = reader;
    this.#onChange = onChange;
  }

  /** The names of all consumers there are. */
  async list(): Promise<string[]> {
    const rows = await this.#store.query(queries.readAllPartitions());
    return [...new Set(rows.map(({ id }) => (id.id as [string, number])[0]))];
  }

  /**
   * How far a consumer is, and who works on it.
   *
   * @throws `event_bus.not_found`
   * @example const { lag, rate, dead } = await bus.consumers.status("mailer");
   */
  async status(name: string): Promise<ConsumerStatus> {
    const rows = await this.#require(name);
    const { head } = await this.#reader.ends();
    const { dead, queued } = await this.#store.query(queries.countLetters(name));
    const partitions = rows.map((row) => statusOf(row, head));
    return {
      name,
      filter: JSON.parse(rows[0]!.filter ?? "{}") as EventFilter,
      position: Math.min(...partitions.map(({ position }) => position)),
      lag: Math.max(...partitions.map(({ lag }) => lag)),
      handled: sum(partitions.map(({ handled }) => handled)),
      rate: sum(partitions.map(({ rate }) => rate)),
      dead,
      queued,
      partitions,
    };
  }

  /**
   * The events that a consumer could not handle, by position.
   *
   * @param limit at most `limits.page`; 100 if left out
   * @throws `event_bus.not_found`, `event_bus.bad_option`, `schema.limit`
   */
  async deadLetters(name: string, page: { after?: number; limit?: number } = {}): Promise<DeadLetter[]> {
    const { after, limit } = check(Page, page);
    requireWithin("page", limit, "a page");
    await this.#require(name);
    return (await this.#store.query(queries.readLetters(name, after, limit))).map(readLetter);
  }

  /**
   * Has dead letters tried again, by whoever works on the consumer: all, or those at some positions. Another process takes
   * them up when it renews its lease.
   *
   * @returns how many of them were not waiting for that already
   * @throws `event_bus.not_found`, `event_bus.bad_option`
   * @example await bus.consumers.redrive("mailer", [17]);
   */
  async redrive(name: string, positions?: readonly number[]): Promise<number> {
    const checked = check(Positions, positions);
    await this.#require(name);
    const queued = await this.#store.query(queries.queueLetters(name, checked));
    if (queued.length > 0) this.#onChange(name);
    return queued.length;
  }

  /**
   * Puts a consumer somewhere else in the log: it goes on with the event at `from`. Whoever works on it now loses the lease
   * and what it has not saved.
   *
   * @throws `event_bus.not_found`, `event_bus.bad_option`, `event_bus.position_trimmed`, `event_bus.position_ahead`
   */
  async move(name: string, from: Position | number): Promise<void> {
    const after = check(First, from) - 1;
    await this.#require(name);
    await this.#reader.requireThere(after);
    await this.#store.query(queries.moveTo(name, after));
    this.#onChange(name);
  }

  /** Forgets a consumer, with its dead letters. Whoever works on it loses the lease. */
  async remove(name: string): Promise<void> {
    await this.#store.transaction(queries.removeConsumer(name));
  }

  async #require(name: string) {
    const rows = await this.#store.query(queries.readPartitions(name));
    if (rows.length > 0) return rows;
    throw new EventBusError({
      code: "event_bus.not_found",
      message: `there is no consumer ${JSON.stringify(name)} in this database`,
      details: { consumer: name },
    });
  }
}

function statusOf(
  { id, position, lease, handled, rate, updatedAt, now }: queries.PartitionRow & { now: Date },
  head: number,
): PartitionStatus {
  return {
    partition: (id.id as [string, number])[1],
    position,
    lag: Math.max(0, head - position),
    ...(lease ? { worker: lease.worker, leasedUntil: new Date(lease.until.getTime()) } : {}),
    handled,
    rate: fade(rate, now.getTime() - updatedAt.getTime()),
  };
}

function check<T>(schema: z.ZodType<T>, value: unknown): T {
  const checked = schema.safeParse(value);
  if (checked.success) return checked.data;
  throw badOption(checked.error);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
