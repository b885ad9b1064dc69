// Dead letters. Owns: an event that could not be handled, with the reason, and the way back to its consumer.

import type { Statement } from "@sentient/db-pool";
import type { Event, Failure, Position } from "@sentient/schema";
import { keepLetter, letterId, type LetterRow } from "./consumer-queries.ts";

/** An event that a consumer could not handle. */
export interface DeadLetter {
  consumer: string;
  position: Position;
  event: Event;
  reason: Failure;
  /** How often it was tried, the last time it was. */
  attempts: number;
  redrives: number;
  /** `queued` once somebody asked for it to be tried again. */
  status: "dead" | "queued";
  createdAt: Date;
  updatedAt: Date;
}

/** What keeps an event as a dead letter. */
export function letterOf(
  consumer: string,
  partition: number,
  event: Event,
  { reason, attempts, redrives = 0 }: { reason: Failure; attempts: number; redrives?: number },
): Statement {
  const id = letterId(consumer, event.position);
  return keepLetter(id, { partition, event: JSON.stringify(event), reason, attempts, redrives });
}

export function eventOfLetter({ event }: LetterRow): Event {
  const parsed = JSON.parse(event, (_, value: unknown) => Object.freeze(value)) as Event;
  return Object.freeze({ ...parsed, at: new Date(parsed.at) });
}

export function readLetter(row: LetterRow): DeadLetter {
  const [consumer, position] = row.id.id as [string, Position];
  const { reason, attempts, redrives, status, createdAt, updatedAt } = row;
  return {
    consumer,
    position,
    event: eventOfLetter(row),
    reason,
    attempts,
    redrives,
    status,
    createdAt: new Date(createdAt.getTime()),
    updatedAt: new Date(updatedAt.getTime()),
  };
}
