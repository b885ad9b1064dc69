// Statements. Owns: every SurrealQL text about runs; values are bound where they are used.
// Q1. What is decided from a row that was only read is committed along with an event: whatever appends to the log moves its
//     head, and so is one after the other. SurrealDB alone would let two of them pass each other.
// Q2. A row of a run is written under its revision; where it stands still, its revision is asked.

import { BoundIncluded, RecordId, RecordIdRange, surql, type Statement } from "@sentient/db-pool";
import type { Asked } from "@sentient/schema";
import { LATE, runId, type Row } from "./run.ts";

/** What the statements of a change throw; anything else they fail with is the database's. */
export const THROWN = {
  /** The run has changed since it was read. */
  stale: "state.stale",
  /** What it is to wait for is there already. */
  woken: "state.woken",
  /** A signal was taken, or a question is not open any more. */
  notOpen: "state.not_open",
  /** There is something else already where a stream was to go on. */
  moved: "state.moved",
  /** What a fork reads of its parent is not there any more. */
  removed: "state.removed",
};

/** Sorts behind every key that is a text. */
export const LAST = "\u{10FFFF}";

export const within = (table: string, first: unknown[], last: unknown[]): RecordIdRange =>
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
/** Where a signal that nobody has taken is looked for. Neither holds a `/`. */
export const untaken = (run: string, name: string): string => `${run}/${name}`;
export const questionId = (run: string, key: string): RecordId<"question"> =>
  new RecordId("question", [run, key]);
export const questionsOf = (run: string): RecordIdRange => within("question", [run, ""], [run, LAST]);
export const chunksOf = (run: string): RecordIdRange =>
  within("chunk", [run, 0], [run, Number.MAX_SAFE_INTEGER]);
export const slotId = (key: string, run: string): RecordId<"slot"> => new RecordId("slot", [key, run]);
export const slotsOf = (key: string): RecordIdRange => within("slot", [key, ""], [key, LAST]);
export const blobId = (hash: string): RecordId<"blob"> => new RecordId("blob", hash);
export const blobUseId = (hash: string, run: string): RecordId<"blob_use"> =>
  new RecordId("blob_use", [hash, run]);
export const usesOf = (hash: string): RecordIdRange => within("blob_use", [hash, ""], [hash, LAST]);

// runs

export const readRun = (run: string) => surql`SELECT * FROM ONLY ${runId(run)}`;

/** The token of a run, and the position of its first event with the sign turned: its id alone may be another run's by now. */
export const readToken = (run: string) =>
  surql<
    [token: number, newest: number] | undefined
  >`SELECT VALUE [token, seek.newest] FROM ONLY ${runId(run)}`;

/** Q2. No block: it would cost a third more, with every run. */
export const saveRun = (run: string, revision: number, { id: _, ...row }: Row) => surql`
  (UPDATE ONLY ${runId(run)} CONTENT ${row}
    WHERE revision = ${revision} AND seek.newest = ${row.seek.newest} RETURN VALUE revision)
    ?? { THROW ${THROWN.stale} }`;

/** Q2. Not its whole row: its worker may be renewing the lease. */
export const saveAsked = (run: string, revision: number, asked: Asked | undefined, at: Date) => surql`{
  LET $asked = ${asked ?? null};
  LET $saved = (UPDATE ONLY ${runId(run)}
    SET asked = IF $asked = NULL { NONE } ELSE { $asked }, updatedAt = ${at}, revision += 1
    WHERE revision = ${revision} RETURN VALUE revision);
  IF $saved = NONE { THROW ${THROWN.stale} }
}`;

export const requireThere = (run: string) => surql`{
  IF (SELECT VALUE revision FROM ONLY ${runId(run)}) = NONE { THROW ${THROWN.stale} }
}`;

/** Q2. */
export const requireRevision = (run: string, revision: number) => surql`{
  IF (SELECT VALUE revision FROM ONLY ${runId(run)}) != ${revision} { THROW ${THROWN.stale} }
}`;

// claiming

/** Nobody renewed the lease that ran out. */
export const requireDue = (run: string, now: Date | null) => surql`{
  LET $now = ${now} ?? time::now();
  LET $seek = (SELECT VALUE seek FROM ONLY ${runId(run)});
  IF $seek.due != ${LATE} AND $seek.dueAt > $now { THROW ${THROWN.stale} }
}`;

/** Who held it has remembered nothing since its steps were counted. */
export const requireSteps = (run: string, steps: number) => surql`
  IF ${countSteps(run)} != ${steps} { THROW ${THROWN.stale} }`;

export const giveSlots = (keys: readonly string[], run: string) => surql`
  DELETE ${keys.map((key) => slotId(key, run))} RETURN NONE`;

/** Answers with those that are still held. */
export const renewLeases = (
  leases: readonly { run: string; token: number }[],
  worker: string,
  lease: number,
  now: Date | null,
) => surql<{ run: string; token: number; until: Date; asked?: Asked }[]>`{
  LET $until = (${now} ?? time::now()) + duration::from_millis(${lease});
  LET $ids = ${leases.map(({ run }) => runId(run))};
  UPDATE $ids SET lease.until = $until, seek.dueAt = $until
    WHERE status = "running" AND lease.worker = ${worker} RETURN record::id(id) AS run, token, lease.until AS until, asked
}`;

export const readExpired = (limit: number, now: Date | null) => surql<{
  now: Date;
  runs: RecordId<"run", string>[];
}>`{
  LET $now = ${now} ?? time::now();
  LET $before = $now + 1s; -- an index sorts times as text (claim-queries.ts B1)
  LET $runs = (SELECT id, lease.until AS until FROM run WHERE lease.until < $before LIMIT ${limit});
  RETURN { now: $now, runs: (SELECT VALUE id FROM $runs WHERE until <= $now) }
}`;

export const countSteps = (run: string) => surql<number>`
  array::len((SELECT VALUE n FROM ${stepsOf(run)}))`;

/** What was asked of runs that are held. */
export const readAsked = (runs: readonly string[]) => surql<{ run: string; token: number; asked: Asked }[]>`{
  LET $runs = (SELECT * FROM ${runs.map(runId)});
  SELECT record::id(id) AS run, token, asked FROM $runs WHERE asked != NONE
}`;

// committing

/**
 * Writes what is known of a step that was begun, and keeps how it first stood; its result is written once. One that was begun
 * before a restore, or by the run that was forked, has no row here yet: theirs stays as it is.
 */
export const saveStep = ({ id, ...row }: { id: RecordId; [field: string]: unknown }) => surql`{
  LET $was = (SELECT * FROM ONLY ${id});
  IF $was.status IN ["started", "retrying"] {
    UPDATE ONLY ${id} CONTENT object::extend(${row}, { begun: $was.begun ?? {
      n: $was.n, attempts: $was.attempts, token: $was.token, startedAt: $was.startedAt, endedAt: $was.endedAt
    } }) RETURN NONE
  } ELSE { CREATE ${id} CONTENT ${row} RETURN NONE }
}`;

export const keepBlob = (hash: string, run: string, content: Uint8Array, at: Date): Statement[] => [
  surql`INSERT IGNORE INTO blob ${{ id: blobId(hash), size: content.length, content, createdAt: at }} RETURN NONE`,
  surql`INSERT IGNORE INTO blob_use ${{ id: blobUseId(hash, run) }} RETURN NONE`,
];

/** Nothing that a run is about to wait for is there; a child that is gone has ended. */
export const requireNothingToTake = (
  run: string,
  signals: readonly string[],
  questions: readonly string[],
  children: readonly string[],
) => surql`{
  IF ${signals.map((name) => untaken(run, name))}.any(|$untaken|
    (SELECT VALUE id FROM signal WHERE untaken = $untaken LIMIT 1)[0] != NONE) { THROW ${THROWN.woken} };
  IF ${questions.map((key) => questionId(run, key))}.any(|$id| (SELECT VALUE status FROM ONLY $id) != "open")
    { THROW ${THROWN.woken} };
  IF ${children.map(runId)}.any(|$id| (SELECT VALUE endedAt ?? "not yet" FROM ONLY $id) != "not yet")
    { THROW ${THROWN.woken} }
}`;

export const takeSignal = (run: string, n: number, key: string) => surql`{
  LET $taken = (UPDATE ONLY ${signalId(run, n)} SET takenBy = ${key}, untaken = NONE
    WHERE takenBy = NONE RETURN VALUE takenBy);
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

export const expireQuestion = (run: string, key: string, now: Date | null) => surql`{
  LET $now = ${now} ?? time::now();
  LET $closed = (UPDATE ONLY ${questionId(run, key)} SET status = "expired", expiredAt = $now
    WHERE status = "open" AND deadline != NONE AND deadline <= $now RETURN VALUE status);
  IF $closed = NONE { THROW ${THROWN.notOpen} }
}`;

export const withdrawQuestion = (run: string, key: string, at: Date) => surql`{
  LET $closed = (UPDATE ONLY ${questionId(run, key)} SET status = "withdrawn", withdrawnAt = ${at}
    WHERE status = "open" RETURN VALUE status);
  IF $closed = NONE { THROW ${THROWN.notOpen} }
}`;

/** All that are open. */
export const withdrawQuestions = (run: string, at: Date) => surql`
  UPDATE ${questionsOf(run)} SET status = "withdrawn", withdrawnAt = ${at} WHERE status = "open" RETURN NONE`;

/** What a run is marked with while it is held. */
export interface Marks {
  hasQuestions: boolean | null;
  compensates: boolean | null;
}

/**
 * Read again before the row is next written, as it is under its revision. Only what changes it writes it: the engine refuses
 * a second UPDATE of a row in one transaction if the row stands in a unique index along with its id, and several commits of
 * a run may share one.
 */
export const mark = (run: string, { hasQuestions, compensates }: Marks) => surql`
  UPDATE ${runId(run)} SET
    hasQuestions = ${hasQuestions} ?? hasQuestions, compensates = ${compensates} ?? compensates, revision += 1
  WHERE (${hasQuestions} != NULL AND hasQuestions != ${hasQuestions})
    OR (${compensates} != NULL AND compensates != ${compensates})
  RETURN NONE`;

/** @param first the position of its first event */
export const requireToken = (run: string, token: number, first: number) => surql`
  (SELECT VALUE [token, seek.newest] FROM ONLY ${runId(run)}) = ${[token, -first]} OR { THROW ${THROWN.stale} }`;

/** Of an event that was trimmed, or is of another database, nothing is known. */
export const relateCause = (eventId: string, run: string, at: Date) => surql`{
  LET $event = ${
    /^event:\d+$/.test(eventId) ? new RecordId("event", Number(eventId.slice(6))) : null
  } ?? (SELECT VALUE id FROM event WHERE eventId = ${eventId})[0];
  IF $event != NONE {
    INSERT RELATION INTO caused
      { id: type::record("caused", ${run}), in: $event, out: ${runId(run)}, run: $event.run, at: ${at} } RETURN NONE
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
