// Statements about what comes due.

import { surql } from "@sentient/db-pool";
import { LATE } from "./run.ts";

/** How many lanes are looked at in one question. */
const LANES = Array.from({ length: 50 }, (_, i) => i);

export interface NextDue {
  now: Date;
  /** The earliest time of the lanes that were looked at. */
  run?: Date;
  schedule?: Date;
  /** To go on behind, if there are more lanes. */
  lane?: string;
}

export interface LateRuns {
  now: Date;
  runs: string[];
  /** Whether there may be others. */
  more: boolean;
}

/** Some of those whose deadline has passed, and that nobody holds (run.ts). */
export const readLate = (limit: number, now: Date | null) => surql<LateRuns>`{
  LET $now = ${now} ?? time::now();
  LET $before = $now + 1s; -- an index sorts times as text (claim-queries.ts B1)
  LET $notYet = time::millis($now) + 1;
  LET $due = (SELECT id, deadline FROM run WHERE seek.due = ${LATE} AND seek.dueAt < $before LIMIT ${limit});
  LET $ready = (SELECT id, deadline FROM run WHERE seek.ready = ${LATE} AND seek.rank < $notYet LIMIT ${limit});
  LET $late = (SELECT VALUE record::id(id) FROM array::concat($due, $ready) WHERE deadline <= $now);
  RETURN {
    now: $now,
    runs: array::slice($late, 0, ${limit}),
    more: array::len($late) > ${limit} OR ${limit} IN [array::len($due), array::len($ready)]
  }
}`;

/**
 * When something comes due that is not yet. Times of runs stand in their lanes, so the first of each lane is looked for; a
 * lane that is followed by a blank sorts behind all that stands in it, and before the next. As an index sorts times as text
 * (claim-queries.ts B1), what comes next is a fraction of this second, or in the first second that has something: a fraction
 * of it, before which the whole second may be, that stands behind it. The last lane is that of deadlines. (In a closure what
 * an index finds is compared again.)
 */
export const readNextDue = (after: string, now: Date | null) => surql<NextDue>`{
  LET $now = ${now} ?? time::now();
  LET $soon = $now + 1ms;
  LET $second = time::floor($now, 1s) + 1s;
  LET $last = $second - 1ns;
  LET $notYet = time::millis($now) + 1;
  LET $late = ${LATE};
  LET $found = ${LANES}.fold({ lane: ${after}, times: [] }, |$at, $_| IF $at.lane = NONE { $at } ELSE {
    LET $behind = string::concat($at.lane, " ");
    LET $lane = (SELECT VALUE seek.due FROM run WHERE seek.due >= $behind AND seek.due < $late LIMIT 1)[0]
      ?? IF $at.lane != $late { $late };
    LET $fraction = (SELECT VALUE seek.dueAt FROM run
      WHERE seek.due = $lane AND seek.dueAt >= $soon AND seek.dueAt < $second LIMIT 1)[0];
    LET $first = $fraction ?? (SELECT VALUE seek.dueAt FROM run WHERE seek.due = $lane AND seek.dueAt >= $last LIMIT 1)[0];
    LET $whole = IF $fraction = NONE AND $first != NONE { time::floor($first, 1s) };
    LET $time = (SELECT VALUE seek.dueAt FROM run WHERE seek.due = $lane AND seek.dueAt = $whole LIMIT 1)[0] ?? $first;
    { lane: $lane, times: IF $time = NONE { $at.times } ELSE { array::append($at.times, $time) } }
  });
  RETURN {
    now: $now,
    run: array::min(array::concat($found.times,
      (SELECT VALUE deadline FROM run WHERE seek.ready = $late AND seek.rank >= $notYet LIMIT 1))),
    schedule: array::min((SELECT VALUE nextAt FROM schedule).filter(|$time| $time > $now)),
    lane: $found.lane
  }
}`;
