// Duplicates. Owns: what to answer to whoever tells of an event that is in the log already.

import type { CallOptions } from "@sentient/db-pool";
import { isSame, type Placed } from "./draft.ts";
import { EventBusError } from "./errors.ts";
import { findByEventIds, type EventRow } from "./queries.ts";
import type { Pending } from "./queue.ts";
import type { Store } from "./store.ts";

/**
 * Answers the entries whose events are all in the log: with their places if they say the same, with `event_conflict` if
 * not. One that only tells of events, or that omits those that are known, is left with the others.
 *
 * @returns what is still to be appended
 */
export async function answerDuplicates(
  db: Store,
  entries: readonly Pending[],
  time: CallOptions,
): Promise<Pending[]> {
  const ids = entries.flatMap(({ drafts }) => drafts.flatMap(({ eventId }) => eventId ?? []));
  const rows = await db.query(findByEventIds(ids), time);
  const byId = new Map(rows.map((row) => [row.eventId!, row]));
  return entries.flatMap((entry) => {
    const found = entry.drafts.map(({ eventId }) => (eventId === undefined ? undefined : byId.get(eventId)));
    if (found.every((row) => !row)) return entry;
    const other = found.find((row, i) => row && !isSame(row, entry.drafts[i]!));
    const isWhole = found.every(Boolean);
    const tellsOnly = entry.guards.length === 0 && entry.weight === 0;
    if (other || (!isWhole && !tellsOnly && !entry.omitsKnown)) {
      entry.reject(conflictError(other ?? found.find(Boolean)!, other !== undefined));
      return [];
    }
    if (entry.omitsKnown || !isWhole) return withoutFound(entry, found);
    entry.resolve(found.map((row) => placeOf(row!)));
    return [];
  });
}

function withoutFound(entry: Pending, found: readonly (EventRow | undefined)[]): Pending {
  const whole = (placed: readonly Placed[]) => {
    const rest = placed.values();
    return found.map((row) => (row ? placeOf(row) : rest.next().value!));
  };
  return {
    ...entry,
    drafts: entry.drafts.filter((_, i) => !found[i]),
    rows: (placed, at) => entry.rows(whole(placed), at),
    statements: (placed, at) => entry.statements(whole(placed), at),
    resolve: (placed) => entry.resolve(whole(placed)),
  };
}

function placeOf({ id, n }: EventRow): Placed {
  return { position: id.id as number, ...(n === undefined ? {} : { n }) };
}

function conflictError({ id, eventId }: Pick<EventRow, "id" | "eventId">, saysOther: boolean): EventBusError {
  const position = id.id as number;
  return new EventBusError({
    code: "event_bus.event_conflict",
    message: saysOther
      ? `an event with the id ${eventId} was told before, at position ${position}, and says something else`
      : `the event ${eventId} is in the log already, at position ${position}, without the rest of this entry`,
    details: { eventId, position },
  });
}
