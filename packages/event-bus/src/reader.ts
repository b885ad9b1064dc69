// Reader. Owns: reading stretches of the log, and telling when what was asked for is not all there.
// R1. A stretch is one snapshot. What it holds is all that the log has there, or the reader throws.

import { eventTable, type Event, type EventId } from "@sentient/schema";
import { damagedError, EventBusError, notMigratedError } from "./errors.ts";
import { conditionOf, type CheckedFilter } from "./filter.ts";
import { STRETCH } from "./page-size.ts";
import * as queries from "./queries.ts";
import type { EventRow, Stretch } from "./queries.ts";
import type { Store } from "./store.ts";

/** A stretch of the log as it was read. */
export interface Page {
  events: Event[];
  /** Of their data, about. */
  bytes: number;
  /** How far the log was looked through: forward all up to here, backward all from here on. */
  end: number;
  /** The last position of the log when it was read. */
  head: number;
  /** Whether the log goes on behind `end`. */
  more: boolean;
}

/** How many positions are looked through at a time at most where a condition has to be asked of each. */
const FILTERED_STRETCH = 2 * STRETCH;

export class Reader {
  readonly #db: Store;

  constructor(db: Store) {
    this.#db = db;
  }

  /**
   * The next events after a position: at most `limit` of a run or correlation, else what a stretch of the log holds.
   *
   * @param span how many positions are looked through where a condition has to be asked of each
   * @throws `event_bus.position_trimmed`, `event_bus.position_ahead`, `event_bus.log_damaged`
   */
  async forward(
    filter: CheckedFilter,
    after: number,
    limit: number = STRETCH,
    span: number = FILTERED_STRETCH,
  ): Promise<Page> {
    const { run, correlation } = filter;
    if (run !== undefined) {
      const read = await this.#db.query(queries.readRun(run, after, limit, conditionOf(filter, "run")));
      return pageOf(read, after, indexEnd(read, limit));
    }
    if (correlation !== undefined) {
      const condition = conditionOf(filter, "correlation");
      const read = await this.#db.query(queries.readCorrelation(correlation, after, limit, condition));
      return pageOf(read, after, indexEnd(read, limit));
    }
    const condition = conditionOf(filter);
    const last = after + (condition ? Math.min(span, FILTERED_STRETCH) : Math.min(limit, STRETCH));
    const read = await this.#db.query(queries.readRange(after + 1, last, condition));
    const page = pageOf(read, after, Math.max(after, Math.min(last, headOf(read))));
    if (!condition) requireWhole(page.events, after + 1, page.end);
    return page;
  }

  /** The last events before a position, the latest first. */
  async backward(
    filter: CheckedFilter,
    before: number,
    limit: number,
    span: number = FILTERED_STRETCH,
  ): Promise<Page> {
    if (before <= 1) return { events: [], bytes: 0, end: 1, head: 0, more: false };
    const { run, correlation } = filter;
    if (run !== undefined) {
      const condition = conditionOf(filter, "run");
      const read = await this.#db.query(queries.readRunBackward(run, before, limit, condition));
      return pageOf(read, undefined, indexEnd(read, limit, 1));
    }
    if (correlation !== undefined) {
      const condition = conditionOf(filter, "correlation");
      const read = await this.#db.query(
        queries.readCorrelationBackward(correlation, before, limit, condition),
      );
      return pageOf(read, undefined, indexEnd(read, limit, 1));
    }
    const condition = conditionOf(filter);
    const first = Math.max(1, before - (condition ? Math.min(span, FILTERED_STRETCH) : limit));
    const read = await this.#db.query(queries.readRange(first, before - 1, condition));
    const page = pageOf(read, undefined, Math.max(first, floorOf(read) + 1));
    if (!condition && page.end < before && before <= page.head + 1)
      requireWhole(page.events, page.end, before - 1);
    page.events.reverse();
    return page;
  }

  /** @throws `event_bus.not_migrated` */
  async ends(): Promise<{ head: number; floor: number }> {
    const read = await this.#db.query(queries.readEnds());
    return { head: headOf(read), floor: floorOf(read) };
  }

  /** @throws `event_bus.position_trimmed`, `event_bus.position_ahead` */
  async requireThere(after: number): Promise<void> {
    const { head, floor } = await this.ends();
    requireThere(after, floor, head);
  }

  /**
   * The last position at which something had happened before `time`, or 0. Times never fall from one position to the next,
   * so that a few looks find it, however long the log is.
   */
  async lastBefore(time: Date): Promise<number> {
    let { floor: low, head: high } = await this.ends(); // it is at or after low, and at or before high
    while (low < high) {
      const step = Math.max(1, Math.ceil((high - low) / PROBES));
      const positions = Array.from({ length: Math.ceil((high - low) / step) }, (_, i) =>
        Math.min(high, low + (i + 1) * step),
      );
      const times = await this.#db.query(queries.readTimes(positions));
      const isBefore = (i: number) => times[i] === undefined || times[i] < time; // trimmed meanwhile: older than all
      const first = positions.findIndex((_, i) => !isBefore(i));
      if (first > 0) low = positions[first - 1]!;
      if (first === -1) low = positions.at(-1)!;
      else high = positions[first]! - 1;
    }
    return low;
  }
}

const PROBES = 32;

/** The event that a row tells of. It cannot be changed: it may be handed to many. */
export function eventOf(row: EventRow | Record<string, unknown>): Event {
  const event = eventTable.parse(row);
  event.eventId ??= `event:${event.position}` as EventId;
  return deepFreeze(event as Event);
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  for (const inner of Object.values(value)) deepFreeze(inner);
  return Object.freeze(value);
}

function headOf({ head }: queries.Ends): number {
  if (head) return head.position;
  throw notMigratedError();
}

function floorOf({ floor }: queries.Ends): number {
  return floor?.position ?? 0;
}

/** @throws R1 */
function pageOf(read: Stretch, after: number | undefined, end: number): Page {
  const head = headOf(read);
  if (after !== undefined) requireThere(after, read.isWhole ? 0 : floorOf(read), head);
  const more = after === undefined ? end > floorOf(read) + 1 : end < head;
  return { events: read.rows.map(eventOf), bytes: bytesOf(read.rows), end, head, more };
}

/** Of their data, about. */
export function bytesOf(rows: readonly EventRow[]): number {
  return rows.reduce((sum, { data }) => sum + (data?.length ?? 0), 0);
}

/** A list by index that is not full goes to the end of the log. */
function indexEnd(read: Stretch, limit: number, otherwise = headOf(read)): number {
  return read.seen! < limit ? otherwise : (read.last!.id as number);
}

function requireThere(after: number, floor: number, head: number): void {
  if (after < floor)
    throw new EventBusError({
      code: "event_bus.position_trimmed",
      message: `the events after position ${after} were trimmed; the earliest that is left is ${floor + 1}`,
      details: { position: after, earliest: floor + 1 },
    });
  requireReached(after, head);
}

/** @throws `event_bus.position_ahead` */
export function requireReached(after: number, head: number): void {
  if (after > head)
    throw new EventBusError({
      code: "event_bus.position_ahead",
      message: `nothing was told after position ${after} yet: the log ends at ${head}. Is it of another database?`,
      details: { position: after, last: head },
    });
}

/** Every position between two is there. */
function requireWhole(events: readonly Event[], first: number, last: number): void {
  if (events.length === last - first + 1) return;
  const missing = events.findIndex(({ position }, i) => position !== first + i);
  const position = first + (missing === -1 ? events.length : missing);
  throw damagedError(position, "there is no event");
}
