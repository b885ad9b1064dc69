// Statements of exports and imports; values are bound where they are used.

import { RecordId, surql, type RecordIdRange, type Statement } from "@sentient/db-pool";
import * as queries from "./queries.ts";
import { runId } from "./run.ts";
import type { DetailKind, StoredRow } from "./transfer-format.ts";

export const rangeOf: Record<DetailKind, (run: string) => RecordIdRange> = {
  step: queries.stepsOf,
  patch: (run) => queries.patchesOf(run),
  checkpoint: queries.checkpointsOf,
  signal: queries.signalsOf,
  question: queries.questionsOf,
  chunk: queries.chunksOf,
};

// exporting

/** What may still change of a run that is not over. */
export interface Unsettled {
  run: string;
  steps: unknown[];
  /** Of its signals n, and the step that has taken it. */
  signals: { n: number; takenBy?: string }[];
  questions: unknown[];
}

export interface Snapshot {
  now: Date;
  /** The last position of the log. */
  head: number;
  /** Without what they take and give. */
  runs: Record<string, unknown>[];
  unsettled: Unsettled[];
}

/** Runs by their ids and all of a tree, as of one point. (`type::range` in such a closure SurrealDB 3.0 does not understand.) */
export const readSnapshot = (runs: readonly string[], root: string | undefined) => surql<Snapshot>`{
  LET $root = ${root ?? null};
  LET $tree = IF $root = NULL { [] } ELSE { array::concat([type::record("run", $root)], (SELECT VALUE id FROM run WHERE seek.tree = $root)) };
  LET $ids = array::distinct(array::concat(${runs.map(runId)}, $tree));
  LET $live = (SELECT VALUE id FROM $ids WHERE endedAt = NONE);
  RETURN {
    now: time::now(),
    head: (SELECT VALUE position FROM ONLY ${new RecordId("log", "head")}) ?? 0,
    runs: (SELECT * OMIT input, output FROM $ids),
    unsettled: $live.map(|$id| {
      LET $run = record::id($id);
      {
        run: $run,
        steps: (SELECT * FROM step:[$run, 0, ""]..=[$run, ${MAX}, ${LAST}] WHERE status IN ["started", "retrying"]),
        signals: (SELECT record::id(id)[1] AS n, takenBy FROM signal:[$run, 0]..=[$run, ${MAX}]),
        questions: (SELECT * FROM question:[$run, ""]..=[$run, ${LAST}])
      }
    })
  };
}`;

const MAX = Number.MAX_SAFE_INTEGER;
const LAST = "\u{10FFFF}";

/** Whole: for `SELECT id, input` of records SurrealDB 3.0 says that no database is used. */
export const readTakenAndGiven = (runs: readonly string[]) =>
  surql<{ id: RecordId<"run">; input: string; output?: string }[]>`SELECT * FROM ${runs.map(runId)}`;

export interface Places {
  events: { position: number; n: number }[];
  /** Of its last event that was trimmed. */
  trimmed?: number;
}

export const readPlaces = (run: string) => surql<Places>`{
  LET $run = ${run};
  RETURN {
    events: (SELECT record::id(id) AS position, n FROM event WHERE run = $run),
    trimmed: (SELECT VALUE n FROM ONLY type::record("run_tail", $run))
  };
}`;

export const eventId = (position: number): RecordId<"event"> => new RecordId("event", position);

export const readIds = (range: RecordIdRange) => surql<RecordId[]>`SELECT VALUE id FROM ${range}`;

/** In the order of the ids; what is gone is left out. */
export const readRows = (ids: readonly RecordId[]) => surql<StoredRow[]>`SELECT * FROM ${ids}`;

/** Runs that are over and have all that they did. */
export const countWhole = (runs: readonly string[]) => surql<number>`
  array::len((SELECT VALUE id FROM ${runs.map(runId)} WHERE endedAt != NONE AND seek.over != NONE))`;

export const readBlobs = (hashes: readonly string[]) =>
  surql<{ content: Uint8Array }[]>`SELECT * FROM ${hashes.map(queries.blobId)}`;

// importing

/** A row that holds the place of a run until all of it is there. */
export const reserve = (rows: readonly object[]) => surql`INSERT INTO run ${rows} RETURN NONE`;

/** One whose details were removed gives its place. */
export const reserveAgain = (run: string, { id: _, ...row }: Record<string, unknown>) => surql`{
  LET $saved = (UPDATE ONLY ${runId(run)} CONTENT ${row} WHERE seek.bare != NONE RETURN VALUE id);
  IF $saved = NONE { THROW ${queries.THROWN.stale} }
}`;

const isReserved = (run: string, by: string): Statement =>
  surql`(SELECT VALUE problem.message FROM ONLY ${runId(run)}) = ${by}`;

export const unreserve = (runs: readonly string[], by: string) => surql`
  DELETE ${runs.map(runId)} WHERE problem.message = ${by} RETURN NONE`;

/** Rows of a run whose place is held, whether they are there already or not. */
export const putRows = (run: string, by: string, rows: readonly StoredRow[]) => surql`{
  IF !(${isReserved(run, by)}) { THROW ${queries.THROWN.stale} };
  FOR $row IN ${rows} { UPSERT $row.id CONTENT $row RETURN NONE }
}`;

/**
 * Written even if it is there, so that it conflicts with whoever removes its last use at the same moment: this is no
 * transaction of the log's.
 */
export const putBlob = (hash: string, runs: readonly string[], content: Uint8Array, at: Date) => surql`{
  LET $at = (SELECT VALUE createdAt FROM ONLY ${queries.blobId(hash)}) ?? ${at};
  UPSERT ${queries.blobId(hash)} CONTENT { size: ${content.length}, content: ${content}, createdAt: $at } RETURN NONE;
  INSERT IGNORE INTO blob_use ${runs.map((run) => ({ id: queries.blobUseId(hash, run) }))} RETURN NONE
}`;

/** A run whose first events were trimmed goes on from there. */
export const beginAt = (run: string, n: number) => surql`
  INSERT IGNORE INTO run_tail ${{ id: new RecordId("run_tail", run), n }} RETURN NONE`;

export const readToldTypes = (run: string, after: number) => surql<string[]>`{
  LET $run = ${run};
  LET $n = ${after};
  (SELECT type, n FROM event WHERE run = $run AND n > $n).type
}`;

/**
 * What is told of imports of a run, as it is there since the event at `first`: before anything that it did here. Other runs
 * had its id before.
 */
export const readImports = (run: string, after: number, first: number) => surql<string[]>`{
  LET $run = ${run};
  LET $n = ${after};
  LET $last = ${after + AFTER_IMPORT};
  LET $first = ${eventId(first)};
  LET $told = (SELECT id, type, data FROM event WHERE run = $run AND n > $n AND n <= $last);
  (SELECT VALUE data FROM $told WHERE type = "run.imported" AND id >= $first)
}`;

/** More than an import finds of a run beyond its file: each time that it was removed and brought back tells a few. */
const AFTER_IMPORT = 1_000;

/** What the log has at places of runs: nothing where it was trimmed. */
export const readTold = (places: readonly [run: string, n: number][]) =>
  surql<({ type: string; data: string } | undefined)[]>`
  RETURN ${places}.map(|$place| {
    LET $run = $place[0];
    LET $n = $place[1];
    (SELECT type, data FROM event WHERE run = $run AND n = $n LIMIT 1)[0]
  })`;

export const readKnownIds = (ids: readonly string[]) => surql<string[]>`
  RETURN ${ids}.map(|$id| (SELECT VALUE eventId FROM event WHERE eventId = $id LIMIT 1)[0]).filter(|$id| $id != NONE)`;

/** Where events of a run are: by n, the position; and that of the first there is. */
export const readPositions = (run: string, ns: readonly number[]) =>
  surql<{ first?: number; positions: (number | undefined)[] }>`{
  LET $run = ${run};
  RETURN {
    first: (SELECT VALUE record::id(id) FROM event WHERE run = $run LIMIT 1)[0],
    positions: ${ns}.map(|$n| (SELECT VALUE record::id(id) FROM event WHERE run = $run AND n = $n LIMIT 1)[0])
  };
}`;

export const countDetails = (run: string, kinds: readonly DetailKind[]) => surql<number[]>`
  RETURN [${joined(kinds.map((kind) => surql`array::len((SELECT VALUE id FROM ${rangeOf[kind](run)}))`))}]`;

function joined(statements: readonly Statement[]): Statement {
  return statements.reduce((all, one) => surql`${all}, ${one}`);
}

/** The run takes the place that was held for it. */
export const putRun = (run: string, by: string, { id: _, ...row }: Record<string, unknown>) => surql`{
  LET $saved = (UPDATE ONLY ${runId(run)} CONTENT ${row} WHERE problem.message = ${by} RETURN VALUE id);
  IF $saved = NONE { THROW ${queries.THROWN.stale} }
}`;

export const relate = (
  table: "spawned" | "forked",
  { run, from, at, ...more }: { run: string; from: string; at: Date; step?: string; n?: number },
) =>
  surql`INSERT RELATION IGNORE INTO ${RELATIONS[table]} ${{
    id: new RecordId(table, run),
    in: runId(from),
    out: runId(run),
    at,
    ...more,
  }} RETURN NONE`;

const RELATIONS = { spawned: surql`spawned`, forked: surql`forked` };

/** Of an event that is not in this log nothing is known. */
export const relateCause = (eventId: string, run: string, at: Date) => surql`{
  LET $id = ${eventId};
  LET $event = (SELECT VALUE id FROM event WHERE eventId = $id LIMIT 1)[0];
  IF $event != NONE {
    INSERT RELATION IGNORE INTO caused
      { id: type::record("caused", ${run}), in: $event, out: ${runId(run)}, run: $event.run, at: ${at} } RETURN NONE
  }
}`;
