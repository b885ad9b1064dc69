// History. Owns: the log as pages, for who asks once. Does not own: waiting for more (follow.ts).

import { requireWithin, type Event } from "@sentient/schema";
import { z } from "zod";
import { badOption } from "./errors.ts";
import { checkFilter, type CheckedFilter, type EventFilter } from "./filter.ts";
import { requireReached, type Reader } from "./reader.ts";

export interface HistoryOptions extends EventFilter {
  /** Positions: what lies between them, both left out. */
  after?: number;
  before?: number;
  /** When it happened: at or after `from`, before `to`. */
  at?: { from?: Date; to?: Date };
  /** The oldest first (`asc`, as if left out), or the latest (`desc`). */
  order?: "asc" | "desc";
  /** Events in a page: 100 if left out, at most `limits.page`. */
  limit?: number;
}

export interface HistoryPage {
  events: Event[];
  /** For the next page: `after` it, or `before` it when the latest come first; missing when there is no more. */
  next?: number;
}

const LIMIT = 100;
/** A call looks through no more of the log than this; a page may so be short, or empty, and still have a next one. */
const LOOKED_THROUGH = 20_000;

/**
 * One page of the log.
 *
 * @throws `event_bus.bad_filter`, `event_bus.bad_option`, `event_bus.position_trimmed`, `event_bus.position_ahead`
 */
export async function readHistory(reader: Reader, options: HistoryOptions): Promise<HistoryPage> {
  const { after, before, at, order, limit, ...rest } = checkOptions(options);
  const filter = checkFilter(rest);
  const { head, floor } = await reader.ends();
  requireReached(after ?? 0, head);
  if (after !== undefined && after < floor) await reader.forward(filter, after, 1); // throws, unless it has all of a run
  let low = after ?? floor;
  let high = Math.min(before ?? head + 1, head + 1);
  if (at?.from) low = Math.max(low, await reader.lastBefore(at.from));
  if (at?.to) high = Math.min(high, (await reader.lastBefore(at.to)) + 1);
  const walk = order === "asc" ? walkForward : walkBackward;
  return walk(reader, { filter, low, high, limit });
}

interface Walk {
  filter: CheckedFilter;
  /** Both are left out. */
  low: number;
  high: number;
  limit: number;
}

/** If all of them are wanted, and large, no more of them are read than can be carried. */
const firstSpan = (limit: number) => Math.max(limit, 250);

async function walkForward(reader: Reader, { filter, low, high, limit }: Walk): Promise<HistoryPage> {
  const events: Event[] = [];
  let place = low;
  let span = firstSpan(limit);
  while (events.length < limit && place < high - 1 && place < low + LOOKED_THROUGH) {
    const wanted = limit - events.length;
    const page = await reader.forward(filter, place, wanted, span);
    span *= 2;
    const found = page.events.filter(({ position }) => position < high).slice(0, wanted);
    events.push(...found);
    place = found.length === wanted ? found.at(-1)!.position : Math.min(page.end, high - 1);
  }
  return { events, ...(place < high - 1 ? { next: place } : {}) };
}

async function walkBackward(reader: Reader, { filter, low, high, limit }: Walk): Promise<HistoryPage> {
  const events: Event[] = [];
  let place = high;
  let span = firstSpan(limit);
  while (events.length < limit && place > low + 1 && place > high - LOOKED_THROUGH) {
    const wanted = limit - events.length;
    const page = await reader.backward(filter, place, wanted, span);
    span *= 2;
    const found = page.events.filter(({ position }) => position > low).slice(0, wanted);
    events.push(...found);
    const end = found.length === wanted ? found.at(-1)!.position : Math.max(page.end, low + 1);
    if (end >= place) return { events }; // what lies before was trimmed meanwhile
    place = end;
  }
  return { events, ...(place > low + 1 ? { next: place } : {}) };
}

const position = z.int().min(0);
const Options = z.looseObject({
  after: position.optional(),
  before: position.optional(),
  at: z.strictObject({ from: z.date().optional(), to: z.date().optional() }).optional(),
  order: z.enum(["asc", "desc"]).default("asc"),
  limit: z.int().min(1).default(LIMIT),
});

function checkOptions(options: HistoryOptions) {
  const checked = Options.safeParse(options);
  if (!checked.success) throw badOption(checked.error);
  requireWithin("page", checked.data.limit, "a page");
  return checked.data as typeof checked.data & EventFilter;
}
