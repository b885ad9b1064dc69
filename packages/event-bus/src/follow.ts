// Follow. Owns: one reader's place in the log, and the wait for more.
// Does not own: remembering the place (consumer.ts).
// F1. Events come in the order of their positions, each once, and none is left out.
// F2. What was trimmed is told of, never skipped.
// F3. Nothing piles up: who is slow falls behind what is held in memory, and reads the log.

import { backoff, sleep, type Clock } from "@sentient/db-pool";
import type { Event } from "@sentient/schema";
import { unlessAborted } from "./aborted.ts";
import { EventBusError } from "./errors.ts";
import { matcherOf, type CheckedFilter } from "./filter.ts";
import { PageSize } from "./page-size.ts";
import { isPassing } from "./passing.ts";
import type { Reader } from "./reader.ts";
import type { Tail } from "./tail.ts";

export interface Following {
  reader: Reader;
  tail: Tail;
  clock: Clock;
  filter: CheckedFilter;
  /** The position to begin after. */
  after: Promise<number>;
  signal: AbortSignal;
  /** Hears what keeps it from reading; it tries again. */
  onProblem: (error: unknown) => void;
}

/** All events of a filter, as they come. */
export async function* follow(following: Following): AsyncGenerator<Event, void, undefined> {
  for await (const { events } of stretches(following))
    for (const event of events) {
      if (following.signal.aborted) return;
      yield event;
    }
}

/** The same with how far the log was looked through, where that is further than the events tell. */
export async function* stretches(following: Following): AsyncGenerator<Stretch, void, undefined> {
  const { tail, filter, signal } = following;
  const matches = matcherOf(filter);
  const leave = tail.join();
  try {
    const read = patientReader(following);
    let after = await following.after;
    let stretch: Stretch = await read(after); // whether there is such a place, only the log can say
    while (!signal.aborted) {
      if (stretch.end > after) yield stretch;
      else await tail.more(after, signal);
      after = stretch.end;
      const held = tail.since(after);
      stretch = held ? { events: held.events.filter(matches), end: held.end } : await read(after);
    }
  } finally {
    leave();
  }
}

export interface Stretch {
  events: readonly Event[];
  /** Everything up to here was looked through. */
  end: number;
}

function patientReader(following: Following): (after: number) => Promise<Stretch> {
  const { reader, filter } = following;
  const size = new PageSize();
  return async (after) => {
    const read = () => size.read((limit) => reader.forward(filter, after, limit, 2 * limit));
    return (await patiently(read, following)) ?? { events: [], end: after };
  };
}

/** Tries again what will pass, for as long as it takes; undefined once the signal aborts, whatever it waits for. */
export async function patiently<T>(
  work: () => Promise<T>,
  { clock, signal, onProblem }: Pick<Following, "clock" | "signal" | "onProblem">,
): Promise<T | undefined> {
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      return await unlessAborted(work(), signal);
    } catch (error) {
      if (!isPassing(error)) throw error;
      onProblem(error);
      await sleep(clock, backoff(attempt, { first: 50, max: 2_000 }), signal);
    }
  }
  return undefined;
}

/** Where to begin: a position, which must be one, or one of the ends of the log. */
export type From = number | "beginning" | "now";

/** @throws `event_bus.bad_option` */
export function requireFrom(from: From, name: string): From {
  if (from === "beginning" || from === "now" || (Number.isSafeInteger(from) && from >= 0)) return from;
  throw new EventBusError({
    code: "event_bus.bad_option",
    message: `${name} is a position, "beginning" or "now", and not ${JSON.stringify(from)}`,
  });
}
