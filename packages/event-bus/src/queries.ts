// Statements. Owns: every SurrealQL text of the log; values are bound where they are used.

import {
  BoundIncluded,
  Duration,
  ident,
  RecordId,
  RecordIdRange,
  surql,
  type PreciseDate,
  type Statement,
} from "@sentient/db-pool";
import type { Hash } from "@sentient/schema";

const HEAD = new RecordId("log", "head");
const FLOOR = new RecordId("log", "floor");
/** What is rung when the log grows. In a table of its own, as LIVE taxes every write to the one it stands on. */
export const BELL: RecordId<"bell"> = new RecordId("bell", "log");

/** An event as it is stored. */
export interface EventRow {
  id: RecordId<"event">;
  eventId?: string;
  run?: string;
  n?: number;
  type: string;
  source: string;
  target?: string;
  workflow?: string;
  correlation?: string;
  causation?: string;
  data: string;
  at: Date;
  hash?: string;
  /** Of the first event of a batch: which batch it was. No part of the event. */
  batch?: string;
}

export interface Mark {
  position: number;
  at: PreciseDate;
}

export interface Head extends Mark {
  /** Rises when events are given up whose answer was lost: what was placed before can no more be appended. */
  epoch: number;
}

/** Where a run stands: its last event, if it has one. */
export interface LastOfRun {
  n: number;
  hash?: Hash;
}

/** Where a run stands after an event of it. */
export function lastOf({ n, hash }: Pick<EventRow, "n" | "hash">): LastOfRun | undefined {
  return n === undefined ? undefined : ({ n, ...(hash === undefined ? {} : { hash }) } as LastOfRun);
}

export const eventId = (position: number): RecordId<"event"> => new RecordId("event", position);

/** Both ends are included. */
const between = (first: number, last: number): RecordIdRange<"event"> =>
  new RecordIdRange("event", new BoundIncluded(first), new BoundIncluded(last));

// the ends of the log

export const beginLog = () =>
  surql`INSERT IGNORE INTO log ${[
    { id: HEAD, position: 0, epoch: 0, at: new Date(0) },
    { id: FLOOR, position: 0, at: new Date(0) },
  ]} RETURN NONE`;

export interface Ends {
  now: PreciseDate;
  head: Head | undefined;
  floor: Mark | undefined;
}

const ends = surql`now: time::now(), head: (SELECT * FROM ONLY ${HEAD}), floor: (SELECT * FROM ONLY ${FLOOR})`;

export const readEnds = () => surql<Ends>`RETURN { ${ends} }`;

/** Enough for 2^26 events of one run. */
const PROBES = Array.from({ length: 52 }, (_, i) => i);

/**
 * The last event of `$run` up to the id `$upTo`, found by doubling and halving: SurrealDB 3.0 reads all of a run to answer
 * ORDER BY n DESC. NONE if there is none. What is compared with the index stands in variables of its own: an expression
 * there makes the engine go through the whole run.
 */
const lastOfRun = surql<LastOfRun | undefined>`{
  LET $first = (SELECT VALUE n FROM event WHERE run = $run LIMIT 1)[0];
  LET $found = ${PROBES}.fold({ low: $first, high: NONE }, |$at, $_|
    IF $at.low = NONE OR ($at.high != NONE AND $at.high - $at.low < 2) { $at } ELSE {
      LET $try = IF $at.high = NONE { $at.low * 2 } ELSE { math::floor(($at.low + $at.high) / 2) };
      LET $id = (SELECT VALUE id FROM event WHERE run = $run AND n >= $try LIMIT 1)[0];
      IF $id = NONE OR $id > $upTo { { low: $at.low, high: $try } } ELSE { { low: $try, high: $at.high } }
    });
  LET $n = $found.low;
  SELECT n, hash FROM ONLY event WHERE run = $run AND n = $n AND id <= $upTo LIMIT 1
}`;

const END = eventId(Number.MAX_SAFE_INTEGER);

/** So many events are read sooner than the last of them is looked for. */
const SHORT = 16;

export interface View extends Ends {
  lastOfRuns: (LastOfRun | undefined)[];
}

/** The ends of the log and where `runs` stand; of a run whose events were all trimmed that is what trimming has left. */
export const readView = (runs: readonly string[]) => surql<View>`${view(runs)}`;

function view(runs: readonly string[]): Statement<View> {
  return surql<View>`{
    LET $upTo = ${END};
    {
      ${ends},
      lastOfRuns: ${runs}.map(|$run| {
        LET $some = (SELECT n, hash FROM event WHERE run = $run LIMIT ${SHORT});
        (IF array::len($some) < ${SHORT} { array::last($some) } ELSE { ${lastOfRun} })
          ?? (SELECT n, hash FROM ONLY type::record("run_tail", $run))
      })
    }
  }`;
}

// reading

/** A stretch of the log, seen in one snapshot. */
export interface Stretch extends Ends {
  rows: EventRow[];
  /** Of a run or a correlation: how many events were looked at, and the last of them. */
  seen?: number;
  last?: RecordId;
  /** Of a run: whether none of its events was trimmed. */
  isWhole?: boolean;
}

/** The events in a range that meet a condition. Never a range with LIMIT: SurrealDB 3.0 reads all of it. */
export const readRange = (first: number, last: number, condition: Statement | undefined) =>
  condition
    ? surql<Stretch>`RETURN { ${ends}, rows: (SELECT * FROM ${between(first, last)} WHERE ${condition}) }`
    : surql<Stretch>`RETURN { ${ends}, rows: (SELECT * FROM ${between(first, last)}) }`;

/** The next events of a run after a position. What the index does not cover is asked outside: with LIMIT it is wrong. */
export const readRun = (
  run: string,
  after: number,
  limit: number,
  condition: Statement | undefined,
) => surql<Stretch>`{
  LET $run = ${run};
  LET $upTo = ${eventId(after)};
  LET $from = ${after === 0 ? surql`0` : surql`(${lastOfRun}).n ?? 0`};
  LET $rows = (SELECT * FROM event WHERE run = $run AND n > $from LIMIT ${limit});
  LET $first = (SELECT VALUE n FROM event WHERE run = $run LIMIT 1)[0];
  LET $isWhole = $first = 1 OR ($first = NONE AND (SELECT VALUE n FROM ONLY type::record("run_tail", $run)) = NONE);
  ${stretchOf(condition)}
}`;

/**
 * The last events of a run before a position, the latest first. Of two bounds of an index the engine looks for one and goes
 * through the rest, so there is one, and as n has no gaps a LIMIT does for the other. A bound that is reckoned where it
 * stands is none for it, and the LIMIT would come before the condition.
 */
export const readRunBackward = (
  run: string,
  before: number,
  limit: number,
  condition: Statement | undefined,
) =>
  surql<Stretch>`{
  LET $run = ${run};
  LET $upTo = ${eventId(before - 1)};
  LET $to = (${lastOfRun}).n ?? 0;
  LET $from = $to - ${limit};
  LET $last = (SELECT * FROM event WHERE run = $run AND n > $from LIMIT ${limit});
  LET $rows = array::reverse((SELECT * FROM $last WHERE n <= $to));
  ${stretchOf(condition)}
}`;

/** The next events of a correlation after a position. */
export const readCorrelation = (
  correlation: string,
  after: number,
  limit: number,
  condition: Statement | undefined,
) => surql<Stretch>`{
  LET $rows = (SELECT * FROM event WHERE correlation = ${correlation} AND id > ${eventId(after)} LIMIT ${limit});
  ${stretchOf(condition)}
}`;

/** The last events of a correlation before a position, the latest first: all of it is sorted. */
export const readCorrelationBackward = (
  correlation: string,
  before: number,
  limit: number,
  condition: Statement | undefined,
) => surql<Stretch>`{
  LET $ids = (SELECT VALUE id FROM event WHERE correlation = ${correlation} AND id < ${eventId(before)});
  LET $rows = array::reverse(array::slice(array::sort($ids), -${limit}).map(|$id| (SELECT * FROM ONLY $id)));
  ${stretchOf(condition)}
}`;

function stretchOf(condition: Statement | undefined): Statement {
  const rows = condition ? surql`(SELECT * FROM $rows WHERE ${condition})` : surql`$rows`;
  return surql`RETURN { ${ends}, rows: ${rows}, seen: array::len($rows), last: array::last($rows).id, isWhole: $isWhole }`;
}

/** When the events at these positions happened, as far as they are there. */
export const readTimes = (positions: readonly number[]) => surql<(PreciseDate | undefined)[]>`
  RETURN ${positions.map(eventId)}.map(|$id| (SELECT VALUE at FROM ONLY $id))`;

// appending

/** What the statements of an append throw; anything else they fail with is the database's. */
export const THROWN = {
  otherBatch: "event_bus.other_batch",
  stale: "event_bus.stale",
  guard: "event_bus.guard",
  held: "event_bus.held",
};

/** What became of a batch whose answer was lost. One that was given up never takes effect, however late it comes. */
export type Settled = "applied" | "given up" | "untold";

// of batches with events: the head says where they go, and the first event which batch it was

export interface Move {
  /** Whose turn it may be. */
  producer: RecordId;
  from: Pick<Head, "position" | "epoch">;
  to: number;
  at: Date;
}

/**
 * The condition makes it one writer after the other: who has not seen all that was appended looks again. So does one whose
 * idea of the time is ahead of the database's, as no event may be older than the one before. Answers with the database's
 * time.
 */
export const moveHead = ({ producer, from, to, at }: Move) => surql<PreciseDate>`
  (UPDATE ONLY ${HEAD} SET position = ${to}, at = ${at}, turn = NONE
    WHERE position = ${from.position} AND epoch = ${from.epoch}
      AND (turn = NONE OR turn.by = ${producer.id} OR turn.until <= time::now())
      AND (${at} <= time::now() + 1s OR ${at} = at)
    RETURN VALUE time::now()) ?? { THROW ${THROWN.stale} }`;

export const insertEvents = (rows: readonly EventRow[]) => surql`INSERT INTO event ${rows} RETURN NONE`;

/**
 * What stands at its first position tells. If that is nothing, or of others, the batch may be under way still: the head, as
 * it would have to find it, is written, so that it cannot commit. A head that has moved on stays so, and keeps it out too.
 */
export const settleEvents = (batch: string, { position, epoch }: Move["from"]) => surql<Settled>`{
  IF (SELECT VALUE batch FROM ONLY ${eventId(position + 1)}) = ${batch} { RETURN "applied" };
  IF (SELECT VALUE position FROM ONLY ${FLOOR}) > ${position} { RETURN "untold" };
  UPDATE ${HEAD} SET epoch += 1 WHERE position = ${position} AND epoch = ${epoch} RETURN NONE;
  RETURN "given up"
}`;

// of batches without events: the row of who commits them has the number of the last

export const beginProducer = (producer: RecordId) =>
  surql`CREATE ${producer} SET batch = 0, applied = true, at = time::now() RETURN NONE`;

/** Answers with the database's time. */
export const numberBatch = (producer: RecordId, batch: number) => surql<PreciseDate>`
  (UPDATE ONLY ${producer} SET batch = ${batch}, applied = true, at = time::now()
    WHERE batch = ${batch - 1} RETURN VALUE at) ?? { THROW ${THROWN.otherBatch} }`;

export const settleNumber = (producer: RecordId, batch: number) => surql<Settled>`{
  UPDATE ${producer} SET batch = ${batch}, applied = false, at = time::now() WHERE batch = ${batch - 1} RETURN NONE;
  LET $applied = (SELECT VALUE applied FROM ONLY ${producer});
  RETURN IF $applied = NONE { "untold" } ELSE IF $applied { "applied" } ELSE { "given up" }
}`;

export const removeProducer = (producer: RecordId) => surql`DELETE ${producer} RETURN NONE`;

// turns

/** For so many milliseconds nobody else may append. Answers with what is to be known for it, or nothing while it is another's turn. */
export const takeTurn = (producer: RecordId, ms: number, runs: readonly string[]) => surql<View | undefined>`{
  LET $turn = (UPDATE ONLY ${HEAD} SET turn = { by: ${producer.id}, until: time::now() + ${new Duration(`${ms}ms`)} }
    WHERE ${isFree(producer)} RETURN VALUE position);
  IF $turn = NONE { NONE } ELSE { ${view(runs)} }
}`;

export const giveUpTurn = (producer: RecordId) => surql`
  UPDATE ${HEAD} SET turn = NONE WHERE turn.by = ${producer.id} RETURN NONE`;

function isFree(producer: RecordId): Statement {
  return surql`turn = NONE OR turn.by = ${producer.id} OR turn.until <= time::now()`;
}

export const insertRows = (table: string, rows: readonly object[]) =>
  surql`INSERT INTO ${ident(table)} ${rows} RETURN NONE`;

export const ringBell = (position: number) => surql`UPSERT ${BELL} SET position = ${position} RETURN NONE`;

/** In a SELECT, because a RETURN in the guard would end the block around it, and a block of its own does not keep it in. */
export const holds = (guard: Statement) => surql`{
  LET $held = (SELECT VALUE { ${guard} } FROM ONLY 1);
  IF !$held { THROW ${THROWN.guard} }
}`;

export const findByEventIds = (ids: readonly string[]) =>
  surql<EventRow[]>`SELECT * FROM event WHERE eventId IN ${ids}`;

// tracing

export const readEvents = (positions: readonly number[]) => surql<EventRow[]>`
  RETURN ${positions.map(eventId)}.map(|$id| (SELECT * FROM ONLY $id)).filter(|$row| $row != NONE)`;

/**
 * The first `most` events that name one of `causes`, whoever's turn comes first. One look a cause: for `IN` on an index of
 * two fields SurrealDB 3.0 reads the whole table.
 */
export const readCausedBy = (causes: readonly string[], most: number) => surql<EventRow[]>`{
  LET $ids = array::flatten(${causes}.map(|$cause| (SELECT VALUE id FROM event WHERE causation = $cause LIMIT ${most})));
  RETURN array::slice($ids, 0, ${most}).map(|$id| (SELECT * FROM ONLY $id));
}`;

export const readCorrelated = (correlation: string, most: number) =>
  surql<EventRow[]>`SELECT * FROM event WHERE correlation = ${correlation} LIMIT ${most}`;

// verifying

export interface ChainPage extends Ends {
  rows: EventRow[];
  /** What trimming has left. */
  tail: LastOfRun | undefined;
}

/** A run by its n, in one snapshot. From the beginning it is asked without n, to see also what has none that may be. */
export const readChain = (run: string, after: number | undefined, limit: number) => {
  const rows =
    after === undefined
      ? surql`(SELECT * FROM event WHERE run = ${run} LIMIT ${limit})`
      : surql`(SELECT * FROM event WHERE run = ${run} AND n > ${after} LIMIT ${limit})`;
  return surql<ChainPage>`RETURN { ${ends}, rows: ${rows}, tail: (SELECT n, hash FROM ONLY type::record("run_tail", ${run})) }`;
};

// trimming

export interface Trimmable extends Ends {
  /** The consumer that has handled the least. */
  slowest: { id: RecordId<"consumer">; position: number } | undefined;
  rows: Pick<EventRow, "id" | "run" | "n" | "hash" | "at">[];
}

export const readTrimmable = (first: number, last: number) => surql<Trimmable>`RETURN {
  ${ends},
  slowest: (SELECT id, position FROM consumer ORDER BY position LIMIT 1)[0],
  rows: (SELECT id, run, n, hash, at FROM ${between(first, last)})
}`;

/** No consumer needs what lies up to here. One that comes at this very moment is told that it was trimmed. */
export const requireHandled = (upTo: number) => surql`{
  IF array::len((SELECT VALUE id FROM consumer WHERE position < ${upTo})) > 0 { THROW ${THROWN.held} }
}`;

/** The condition makes it one trimmer after the other. */
export const moveFloor = (from: number, to: number, at: Date) => surql`{
  LET $moved = (UPDATE ONLY ${FLOOR} SET position = ${to}, at = ${at} WHERE position = ${from} RETURN VALUE position);
  IF $moved = NONE { THROW ${THROWN.stale} }
}`;

export const keepTails = (tails: readonly ({ id: RecordId } & LastOfRun)[]) => surql`
  INSERT INTO run_tail ${tails} ON DUPLICATE KEY UPDATE n = $input.n, hash = $input.hash RETURN NONE`;

export const removeEvents = (first: number, last: number) =>
  surql`DELETE ${between(first, last)} RETURN NONE`;

/** A producer that still lives begins anew. */
export const removeOldProducers = () => surql`DELETE producer WHERE at < time::now() - 1d RETURN NONE`;
