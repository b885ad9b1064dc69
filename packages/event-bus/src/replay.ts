// Replay. Owns: a range of the log again, for a function.

import { z } from "zod";
import { badOption, EventBusError } from "./errors.ts";
import { checkFilter, matcherOf, type EventFilter } from "./filter.ts";
import { PageSize } from "./page-size.ts";
import type { Reader } from "./reader.ts";
import type { Handler } from "./subscription.ts";

export interface ReplayRange extends EventFilter {
  /** The position of the first event. */
  from?: number;
  /** The position of the last. */
  to?: number;
  signal?: AbortSignal;
}

const Range = z.object({ from: z.int().min(1).optional(), to: z.int().min(0).optional() });

/** Calls a function for each event of a range. @returns how many there were */
export async function replay(handler: Handler, range: ReplayRange, reader: Reader): Promise<number> {
  const { from, to, signal, ...rest } = checkRange(range);
  const filter = checkFilter(rest);
  const matches = matcherOf(filter);
  const { head, floor } = await reader.ends();
  const last = Math.min(to ?? head, head);
  let after = from === undefined ? floor : from - 1;
  await reader.requireThere(after);
  const size = new PageSize();
  let count = 0;
  while (after < last) {
    const page = await size.read((limit) => reader.forward(filter, after, limit, 2 * limit));
    for (const event of page.events) {
      if (event.position > last || signal?.aborted) return count;
      if (!matches(event)) continue;
      await handler(event);
      count++;
    }
    after = page.end;
  }
  return count;
}

/** Where a consumer is to go on. @throws `event_bus.bad_option` */
export function requireFirst(range: ReplayRange): number {
  const { from, ...rest } = checkRange(range);
  if (from !== undefined && Object.keys(rest).length === 0) return from;
  throw new EventBusError({
    code: "event_bus.bad_option",
    message:
      "a consumer is moved with { from: position } and goes on from there; a range or a filter is for a function",
  });
}

function checkRange(range: ReplayRange): ReplayRange {
  const checked = Range.safeParse(range);
  if (checked.success) return range;
  throw badOption(checked.error);
}
