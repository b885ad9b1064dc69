// Statements of retention. NONE is less than any time, so that what has to be there is asked for. What is decided from rows that are only read is committed with an event (queries.ts, Q1).

import { surql, type RecordId, type Statement } from "@sentient/db-pool";
import * as queries from "./queries.ts";
import { runId } from "./run.ts";

const AT_THE_END = new Date("9999-12-31");

/** Of no time at all it is everything: what the log was told of a moment ago may bear a time that is still to come. */
const cutoff = (ms: number, now: Date | null): Statement =>
  ms === 0 ? surql`${AT_THE_END}` : surql`(${now} ?? time::now()) - duration::from_millis(${ms})`;

export interface Over {
  id: RecordId<"run">;
  over: Date;
  /** Whether a run that was forked from it still reads what it did. */
  isRead: boolean;
}

/** In the order of when they were over. */
export const readOver = (after: Date, ms: number, limit: number, now: Date | null) => surql<Over[]>`{
  LET $before = ${cutoff(ms, now)};
  LET $after = ${after};
  LET $found = (SELECT id, seek.over AS over FROM run WHERE seek.over >= $after AND seek.over <= $before LIMIT ${limit});
  RETURN $found.map(|$run| { id: $run.id, over: $run.over, isRead: ${isRead(surql`$run.id`)} });
}`;

/** By a fork that has its own details, through as many forks as there are: each of those has a reader itself. */
function isRead(run: Statement): Statement {
  return surql`(array::len((SELECT VALUE id FROM ${run}->forked->run WHERE id != NONE AND (endedAt = NONE OR seek.over != NONE))) > 0)`;
}

export const readEmptying = (limit: number) =>
  surql<RecordId<"run">[]>`SELECT VALUE id FROM run WHERE seek.emptying >= ${new Date(0)} LIMIT ${limit}`;

export const readBare = (after: Date, ms: number, limit: number, now: Date | null) =>
  surql<{ id: RecordId<"run">; bare: Date; isNeeded: boolean }[]>`{
  LET $before = ${cutoff(ms, now)};
  LET $after = ${after};
  LET $found = (SELECT id, seek.bare AS bare, parent FROM run WHERE seek.bare >= $after AND seek.bare <= $before LIMIT ${limit});
  RETURN $found.map(|$run| { id: $run.id, bare: $run.bare, isNeeded: ${isAwaited(surql`$run.parent`)} });
}`;

/** Its parent is not over, and may still ask what came of it. */
function isAwaited(parent: Statement): Statement {
  return surql`(${parent} != NONE AND (SELECT VALUE [endedAt] FROM type::record("run", ${parent} ?? "-"))[0] = [NONE])`;
}

/** From now on nobody reads what it did. */
export const empty = (run: string, ms: number, now: Date | null) => surql`{
  LET $before = ${cutoff(ms, now)};
  LET $run = ${runId(run)};
  IF ${isRead(surql`$run`)} { THROW ${queries.THROWN.stale} };
  LET $saved = (UPDATE ONLY $run SET seek.emptying = seek.over, seek.over = NONE
    WHERE seek.over != NONE AND seek.over <= $before RETURN VALUE id);
  IF $saved = NONE { THROW ${queries.THROWN.stale} }
}`;

/** Blobs that rows of a run refer to, and that it still counts as a user of. */
export const readUses = (run: string) => surql<string[]>`{
  LET $run = ${run};
  LET $hashes = array::distinct(array::concat(
    (SELECT VALUE blob FROM ${queries.stepsOf(run)} WHERE blob != NONE),
    (SELECT VALUE blob FROM ${queries.patchesOf(run)} WHERE blob != NONE)));
  RETURN $hashes.filter(|$hash| (SELECT VALUE id FROM ONLY type::record("blob_use", [$hash, $run])) != NONE);
}`;

/** A blob goes with the last run that refers to it. */
export const dropUses = (run: string, hashes: readonly string[]): Statement[] =>
  hashes.map(
    (hash) => surql`{
  DELETE ${queries.blobUseId(hash, run)} RETURN NONE;
  IF array::len((SELECT VALUE id FROM ${queries.usesOf(hash)})) = 0 { DELETE ${queries.blobId(hash)} RETURN NONE }
}`,
  );

export const isEmptying = (run: string) => surql`{
  IF (SELECT VALUE seek.emptying FROM ONLY ${runId(run)}) = NONE { THROW ${queries.THROWN.stale} }
}`;

/** Whatever a run did, by the ids. */
export const readDetails = (run: string) => surql<RecordId[]>`RETURN array::concat(
  (SELECT VALUE id FROM ${queries.stepsOf(run)}),
  (SELECT VALUE id FROM ${queries.patchesOf(run)}),
  (SELECT VALUE id FROM ${queries.checkpointsOf(run)}),
  (SELECT VALUE id FROM ${queries.signalsOf(run)}),
  (SELECT VALUE id FROM ${queries.questionsOf(run)}),
  (SELECT VALUE id FROM ${queries.chunksOf(run)}))`;

/** Only of a run that is being emptied: one that was brought back meanwhile keeps them. */
export const removeRows = (run: string, ids: readonly RecordId[], areLast: boolean) => surql`{
  IF (SELECT VALUE seek.emptying FROM ONLY ${runId(run)}) != NONE {
    DELETE ${ids} RETURN NONE;
    IF ${areLast} { UPDATE ${runId(run)} SET seek.bare = seek.emptying, seek.emptying = NONE RETURN NONE }
  }
}`;

/** Its edges go with it. */
export const removeRun = (run: string, ms: number, now: Date | null) => surql`{
  LET $before = ${cutoff(ms, now)};
  LET $parent = (SELECT VALUE parent FROM ONLY ${runId(run)});
  IF ${isAwaited(surql`$parent`)} { THROW ${queries.THROWN.stale} };
  LET $removed = (DELETE ONLY ${runId(run)} WHERE seek.bare != NONE AND seek.bare <= $before RETURN BEFORE);
  IF $removed = NONE { THROW ${queries.THROWN.stale} }
}`;
