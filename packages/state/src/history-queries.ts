// Statements about points of a run's history: where they are, their checkpoints, and going back to them.

import { RecordId, surql } from "@sentient/db-pool";
import type { Run } from "./run.ts";
import { runId } from "./run.ts";
import * as queries from "./queries.ts";

/** Where a run stands at a position of the log. */
export interface Place {
  /** The last position there is, and the last that was trimmed. */
  head: number;
  floor: number;
  /** The n of the first of its events that were not trimmed. */
  first?: number;
  /** The n of its last event at or before the position. */
  n?: number;
  /** The n of its last event that was trimmed. */
  trimmed?: number;
}

/** As `queries.lastEventOf`, up to a position. */
export const readPlace = (run: string, position: number) => surql<Place>`{
  LET $run = ${run};
  LET $upTo = ${new RecordId("event", position)};
  LET $first = (SELECT VALUE n FROM event WHERE run = $run LIMIT 1)[0];
  LET $found = ${PROBES}.fold({ low: $first, high: NONE }, |$at, $_|
    IF $at.low = NONE OR ($at.high != NONE AND $at.high - $at.low < 2) { $at } ELSE {
      LET $try = IF $at.high = NONE { $at.low * 2 } ELSE { math::floor(($at.low + $at.high) / 2) };
      LET $id = (SELECT VALUE id FROM event WHERE run = $run AND n >= $try LIMIT 1)[0];
      IF $id = NONE OR $id > $upTo { { low: $at.low, high: $try } } ELSE { { low: $try, high: $at.high } }
    });
  LET $n = $found.low;
  RETURN {
    head: (SELECT VALUE position FROM ONLY ${new RecordId("log", "head")}) ?? 0,
    floor: (SELECT VALUE position FROM ONLY ${new RecordId("log", "floor")}) ?? 0,
    first: $first,
    n: (SELECT VALUE n FROM event WHERE run = $run AND n = $n AND id <= $upTo LIMIT 1)[0],
    trimmed: (SELECT VALUE n FROM ONLY type::record("run_tail", $run))
  };
}`;

/** Enough for 2^26 events of one run. */
const PROBES = Array.from({ length: 52 }, (_, i) => i);

export const readPositionOf = (run: string, n: number) => surql<number | undefined>`{
  LET $run = ${run};
  LET $n = ${n};
  (SELECT VALUE record::id(id) FROM event WHERE run = $run AND n = $n LIMIT 1)[0]
}`;

// checkpoints

export const readCheckpoint = (run: string, name: string) =>
  surql`SELECT * FROM ONLY ${queries.checkpointId(run, name)}`;

/** The latest first. They are few and small until they are chosen, and no index has them in this order. */
export const readCheckpoints = (run: string, before: number, limit: number) => surql<unknown[]>`{
  LET $all = (SELECT id, n FROM ${queries.checkpointsOf(run)} WHERE n < ${before});
  LET $page = array::slice((SELECT id, n FROM $all ORDER BY n DESC), 0, ${limit});
  RETURN $page.map(|$one| (SELECT * FROM ONLY $one.id));
}`;

/** Once under its name, unless a restore has left the one of that name behind. */
export const saveCheckpoint = (
  { id, ...row }: { id: RecordId; [field: string]: unknown },
  restores: NonNullable<Run["restores"]>,
) => surql`{
  LET $n = (SELECT VALUE n FROM ONLY ${id});
  IF $n != NONE AND ${restores}.any(|$cut| $n > $cut.to AND $n < $cut.at)
    { UPDATE ${id} CONTENT ${row} RETURN NONE } ELSE { CREATE ${id} CONTENT ${row} RETURN NONE }
}`;

/** What the run did is still there. */
export const requireDetails = (run: string) => surql`{
  LET $run = (SELECT endedAt, seek.over AS over FROM ONLY ${runId(run)});
  IF $run = NONE OR ($run.endedAt != NONE AND $run.over = NONE) { THROW ${queries.THROWN.removed} }
}`;

// going back

export const readTaken = (run: string) =>
  surql<{ n: number; name: string; takenBy: string }[]>`
  SELECT record::id(id)[1] AS n, name, takenBy FROM ${queries.signalsOf(run)} WHERE takenBy != NONE`;

export const freeSignal = (run: string, n: number, name: string) => surql`
  UPDATE ${queries.signalId(run, n)} SET takenBy = NONE, untaken = ${queries.untaken(run, name)} RETURN NONE`;

/** One that was withdrawn nobody waits for: who needs it asks again. */
export const removeQuestions = (run: string, after: number) => surql`
  DELETE ${queries.questionsOf(run)} WHERE n > ${after} OR status = "withdrawn" RETURN NONE`;

// forking

export const relateFork = (parent: string, fork: string, n: number, at: Date) => surql`
  INSERT RELATION INTO forked ${{ id: new RecordId("forked", fork), in: runId(parent), out: runId(fork), n, at }} RETURN NONE`;
