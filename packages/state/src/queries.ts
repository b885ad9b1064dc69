// Statements. Owns: every SurrealQL text about runs; values are bound where they are used.
// Q1. What is decided from a row that was only read is committed along with an event: whatever appends to the log moves its
//     head, and so is one after the other. SurrealDB alone would let two of them pass each other.
// Q2. A row of a run is written under its revision; where it stands still, its revision is asked.

import { BoundIncluded, RecordId, RecordIdRange, surql, type Statement } from "@sentient/db-pool";
import type { Asked } from "@sentient/schema";
import { runId } from "./run.ts";

/** What the statements of a change throw; anything else they fail with is the database's. */
export const THROWN = {
  /** The run has changed since it was read. */
  stale: "state.stale",
  /** What it is to wait for is there already. */
  woken: "state.woken",
  /** A step has its result already. */
  stepExists: "state.step_exists",
  /** A signal was taken, or a question is not open any more. */
  notOpen: "state.not_open",
};

/** Sorts behind every key that is a text. */
const LAST = "\u{10FFFF}";

const within = (table: string, first: unknown[], last: unknown[]): RecordIdRange =>
  new RecordIdRange(table, new BoundIncluded(first as never), new BoundIncluded(last as never));

export const stepId = (run: string, era: number, key: string): RecordId<"step"> =>
  new RecordId("step", [run, era, key]);
export const stepsOf = (run: string): RecordIdRange =>
  within("step", [run, 0, ""], [run, Number.MAX_SAFE_INTEGER, LAST]);
export const patchId = (run: string, n: number): RecordId<"patch"> => new RecordId("patch", [run, n]);
export const patchesOf = (run: string, last = Number.MAX_SAFE_INTEGER, first = 0): RecordIdRange =>
  within("patch", [run, first], [run, last]);
export const checkpointId = (run: string, name: string): RecordId<"checkpoint"> =>
  new RecordId("checkpoint", [run, name]);
export const checkpointsOf = (run: string): RecordIdRange => within("checkpoint", [run, ""], [run, LAST]);
export const signalId = (run: string, n: number): RecordId<"signal"> => new RecordId("signal", [run, n]);
export const signalsOf = (run: string): RecordIdRange =>
  within("signal", [run, 0], [run, Number.MAX_SAFE_INTEGER]);
export const questionId = (run: string, key: string): RecordId<"question"> =>
  new RecordId("question", [run, key]);
export const questionsOf = (run: string): RecordIdRange => within("question", [run, ""], [run, LAST]);
export const chunksOf = (run: string): RecordIdRange =>
  within("chunk", [run, "", 0], [run, LAST, Number.MAX_SAFE_INTEGER]);
export const slotId = (key: string, run: string): RecordId<"slot"> => new RecordId("slot", [key, run]);
export const slotsOf = (key: string): RecordIdRange => within("slot", [key, ""], [key, LAST]);
export const blobId = (hash: string): RecordId<"blob"> => new RecordId("blob", hash);
export const blobUseId = (hash: string, run: string): RecordId<"blob_use"> =>
  new RecordId("blob_use", [hash, run]);
export const usesOf = (hash: string): RecordIdRange => within("blob_use", [hash, ""], [hash, LAST]);

// runs

export const readRun = (run: string) => surql<unknown>`SELECT * FROM ONLY ${runId(run)}`;

/** In the order of the ids; one that is not there is left out. */
export const readRuns = (runs: readonly string[]) => surql<unknown[]>`SELECT * FROM ${runs.map(runId)}`;

export const readToken = (run: string) =>
  surql<number | undefined>`SELECT VALUE token FROM ONLY ${runId(run)}`;

/** Q2. */
export const saveRun = (run: string, revision: number, { id: _, ...row }: Record<string, unknown>) => surql`{
  LET $saved = (UPDATE ONLY ${runId(run)} CONTENT ${row} WHERE revision = ${revision} RETURN VALUE revision);
  IF $saved = NONE { THROW ${THROWN.stale} }
}`;

/** Q2. Not its whole row: its worker may be renewing the lease. */
export const saveAsked = (run: string, revision: number, asked: Asked | undefined, at: Date) => surql`{
  LET $asked = ${asked ?? null};
  LET $saved = (UPDATE ONLY ${runId(run)}
    SET asked = IF $asked = NULL { NONE } ELSE { $asked }, updatedAt = ${at}, revision += 1
    WHERE revision = ${revision} RETURN VALUE revision);
  IF $saved = NONE { THROW ${THROWN.stale} }
}`;

/** Q2. */
export const requireRevision = (run: string, revision: number) => surql`{
  IF (SELECT VALUE revision FROM ONLY ${runId(run)}) != ${revision} { THROW ${THROWN.stale} }
}`;

// claiming

/** What is to be known of a run to choose it. */
export interface Candidate {
  id: RecordId<"run">;
  priority: number;
  capabilities: string[];
  limits: { key: string; max: number }[];
  queue: string;
  name: string;
}

export interface Candidates {
  now: Date;
  runs: Candidate[];
  paused: RecordId<"agent">[];
  limits: (FlowLimitRow & { used: number })[];
}

export interface FlowLimitRow {
  id: RecordId<"flow_limit">;
  concurrency?: number;
  rate?: { count: number; per: number };
  bucket?: { left: number; at: Date };
}

/** Those that may be claimed, each lane in the order of priority and time; and what would keep them from it. */
export const readCandidates = (
  lanes: readonly string[],
  window: number,
  now: Date | null,
) => surql<Candidates>`{
  LET $now = ${now} ?? time::now();
  LET $lanes = ${lanes};
  LET $ready = $lanes.map(|$lane| (SELECT id, priority, capabilities, limits, queue, name
    FROM run WHERE seek.ready = $lane LIMIT ${window}));
  LET $due = $lanes.map(|$lane| (SELECT id, priority, capabilities, limits, queue, name
    FROM run WHERE seek.due = $lane AND seek.dueAt <= $now LIMIT ${window}));
  LET $limits = (SELECT * FROM flow_limit);
  RETURN {
    now: $now,
    runs: array::flatten([array::flatten($due), array::flatten($ready)]),
    paused: (SELECT VALUE id FROM agent WHERE pausedAt != NONE),
    limits: $limits.map(|$limit| {
      LET $key = record::id($limit.id);
      object::extend($limit, { used: array::len((SELECT VALUE id FROM type::range("slot", [$key, ""]..=[$key, ${LAST}]))) })
    })
  };
}`;

export interface Chosen {
  rows: unknown[];
  /** For each row, how many steps it remembers. */
  steps: number[];
}

/** Whole; of those whose lease ran out also how many steps there are by now. */
export const readChosen = (runs: readonly string[]) => surql<Chosen>`{
  LET $rows = (SELECT * FROM ${runs.map(runId)});
  RETURN {
    rows: $rows,
    steps: $rows.map(|$row| IF $row.status = "running" {
      LET $run = record::id($row.id);
      array::len((SELECT VALUE n FROM step:[$run, 0]..=[$run, ${Number.MAX_SAFE_INTEGER}, ${LAST}]))
    } ELSE { $row.steps })
  };
}`;

/** Nobody has claimed it, and nobody renewed the lease that ran out; it is time, and its agent is not paused. */
export const claimRun = (
  run: string,
  revision: number,
  { id: _, ...row }: Record<string, unknown>,
  now: Date | null,
) => surql`{
  LET $now = ${now} ?? time::now();
  LET $agent = ${new RecordId("agent", [row.name as string, row.version as string])};
  LET $claimed = IF (SELECT VALUE pausedAt FROM ONLY $agent) = NONE {
    UPDATE ONLY ${runId(run)} CONTENT ${row}
      WHERE revision = ${revision} AND (seek.dueAt = NONE OR seek.dueAt <= $now) RETURN VALUE revision
  };
  IF $claimed = NONE { THROW ${THROWN.stale} }
}`;

/** Nobody renewed the lease that ran out. */
export const requireDue = (run: string, now: Date | null) => surql`{
  LET $now = ${now} ?? time::now();
  IF (SELECT VALUE seek.dueAt FROM ONLY ${runId(run)}) > $now { THROW ${THROWN.stale} }
}`;

/** There is room below a limit for a run. */
export const hasRoom = (key: string, run: string, max: number) => surql`
  array::len((SELECT VALUE id FROM ${slotsOf(key)}).filter(|$slot| $slot != ${slotId(key, run)})) < ${max}`;

/** Takes one start out of a bucket, if there is one. */
export const takeStart = (
  key: string,
  { count, per }: { count: number; per: number },
  now: Date | null,
) => surql`{
  LET $now = ${now} ?? time::now();
  LET $limit = (SELECT * FROM ONLY ${new RecordId("flow_limit", key)});
  LET $passed = IF $limit.bucket = NONE { ${per} } ELSE { duration::millis($now - $limit.bucket.at) };
  LET $left = math::min([${count}, ($limit.bucket.left ?? ${count}) + ($passed * ${count} / <float>${per})]);
  IF $left >= 1 { UPDATE ONLY ${new RecordId("flow_limit", key)} SET bucket = { left: $left - 1, at: $now } RETURN VALUE id }
}`;

export const takeSlot = (key: string, run: string, token: number, at: Date) => surql`
  UPSERT ${slotId(key, run)} CONTENT ${{ token, at }} RETURN NONE`;

export const giveSlots = (keys: readonly string[], run: string) => surql`
  DELETE ${keys.map((key) => slotId(key, run))} RETURN NONE`;

/** Answers with those that are still held. */
export const renewLeases = (
  leases: readonly { run: string; token: number }[],
  worker: string,
  lease: number,
  now: Date | null,
) => surql<{ run: string; token: number; asked?: Asked }[]>`{
  LET $until = (${now} ?? time::now()) + duration::from_millis(${lease});
  LET $ids = ${leases.map(({ run }) => runId(run))};
  UPDATE $ids SET lease.until = $until, seek.dueAt = $until
    WHERE status = "running" AND lease.worker = ${worker} RETURN record::id(id) AS run, token, asked
}`;

export const readExpired = (limit: number, now: Date | null) => surql<RecordId<"run">[]>`{
  LET $now = ${now} ?? time::now();
  SELECT VALUE id FROM run WHERE lease.until <= $now LIMIT ${limit}
}`;

// committing

/** Writes what is known of a step that was begun; its result is written once. */
export const saveStep = ({ id, ...row }: { id: RecordId; [field: string]: unknown }) => surql`{
  LET $saved = (UPDATE ONLY ${id} CONTENT ${row} WHERE status IN ["started", "retrying"] RETURN VALUE status);
  IF $saved = NONE { THROW ${THROWN.stepExists} }
}`;

export const keepBlob = (hash: string, run: string, content: Uint8Array, at: Date): Statement[] => [
  surql`INSERT IGNORE INTO blob ${{ id: blobId(hash), size: content.length, content, createdAt: at }} RETURN NONE`,
  surql`INSERT IGNORE INTO blob_use ${{ id: blobUseId(hash, run) }} RETURN NONE`,
];

/** Nothing that a run is about to wait for is there. */
export const requireNothingToTake = (
  run: string,
  signals: readonly string[],
  questions: readonly string[],
  children: readonly string[],
) => surql`{
  LET $signals = ${signals};
  IF array::len($signals) > 0 AND
    array::len((SELECT VALUE id FROM ${signalsOf(run)} WHERE takenBy = NONE AND name IN $signals)) > 0
    { THROW ${THROWN.woken} };
  IF ${questions.map((key) => questionId(run, key))}.any(|$id| (SELECT VALUE status FROM ONLY $id) != "open")
    { THROW ${THROWN.woken} };
  IF ${children.map(runId)}.any(|$id| (SELECT VALUE endedAt FROM ONLY $id) != NONE) { THROW ${THROWN.woken} }
}`;

export const takeSignal = (run: string, n: number, key: string) => surql`{
  LET $taken = (UPDATE ONLY ${signalId(run, n)} SET takenBy = ${key} WHERE takenBy = NONE RETURN VALUE takenBy);
  IF $taken = NONE { THROW ${THROWN.notOpen} }
}`;

export const answerQuestion = (
  run: string,
  key: string,
  { id: _, ...row }: Record<string, unknown>,
  now: Date | null,
) => surql`{
  LET $now = ${now} ?? time::now();
  LET $closed = (UPDATE ONLY ${questionId(run, key)} CONTENT ${row}
    WHERE status = "open" AND (deadline = NONE OR deadline > $now) RETURN VALUE status);
  IF $closed = NONE { THROW ${THROWN.notOpen} }
}`;

export const expireQuestion = (run: string, key: string, at: Date) => surql`{
  LET $closed = (UPDATE ONLY ${questionId(run, key)} SET status = "expired", expiredAt = ${at}
    WHERE status = "open" AND deadline <= ${at} RETURN VALUE status);
  IF $closed = NONE { THROW ${THROWN.notOpen} }
}`;

export const withdrawQuestion = (run: string, key: string, at: Date) => surql`{
  LET $closed = (UPDATE ONLY ${questionId(run, key)} SET status = "withdrawn", withdrawnAt = ${at}
    WHERE status = "open" RETURN VALUE status);
  IF $closed = NONE { THROW ${THROWN.notOpen} }
}`;

/** Read again before the row is next written, as it is under its revision. */
export const setCompensates = (run: string, compensates: boolean) => surql`
  UPDATE ${runId(run)} SET compensates = ${compensates}, revision += 1 RETURN NONE`;

export const requireToken = (run: string, token: number) => surql`{
  IF (SELECT VALUE token FROM ONLY ${runId(run)}) != ${token} { THROW ${THROWN.stale} }
}`;

/** Of an event that was trimmed, or is of another database, nothing is known. */
export const relateCause = (eventId: string, run: string, at: Date) => surql`{
  LET $event = ${
    /^event:\d+$/.test(eventId) ? new RecordId("event", Number(eventId.slice(6))) : null
  } ?? (SELECT VALUE id FROM event WHERE eventId = ${eventId})[0];
  IF $event != NONE {
    INSERT RELATION INTO caused { id: type::record("caused", ${run}), in: $event, out: ${runId(run)}, at: ${at} } RETURN NONE
  }
}`;

export const readSteps = (run: string) => surql<unknown[]>`SELECT * FROM ${stepsOf(run)}`;

/** The patches of a run by n, both ends included. */
export const readPatches = (run: string, first: number, last: number) =>
  surql<unknown[]>`SELECT * FROM ${patchesOf(run, last, first)}`;

/**
 * How many events a run has; found by doubling and halving, as SurrealDB 3.0 reads all of a run to answer ORDER BY n DESC.
 * What is compared with the index stands in a variable of its own, else all of the run is gone through.
 */
export const lastEventOf = (run: string) => surql<number | undefined>`{
  LET $run = ${run};
  LET $first = (SELECT VALUE n FROM event WHERE run = $run LIMIT 1)[0];
  LET $found = ${PROBES}.fold({ low: $first, high: NONE }, |$at, $_|
    IF $at.low = NONE OR ($at.high != NONE AND $at.high - $at.low < 2) { $at } ELSE {
      LET $try = IF $at.high = NONE { $at.low * 2 } ELSE { math::floor(($at.low + $at.high) / 2) };
      IF (SELECT VALUE n FROM event WHERE run = $run AND n >= $try LIMIT 1)[0] = NONE
        { { low: $at.low, high: $try } } ELSE { { low: $try, high: $at.high } }
    });
  $found.low ?? (SELECT VALUE n FROM ONLY type::record("run_tail", $run))
}`;

/** Enough for 2^26 events of one run. */
const PROBES = Array.from({ length: 52 }, (_, i) => i);
