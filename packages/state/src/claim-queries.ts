// Statements about who comes next, and what holds runs back.
// B1. An index of SurrealDB 3.0 sorts times as text, so that 12:00:01Z stands behind 12:00:01.999Z: it is looked a second
//     further, and what is not due yet is left out by the exact time.

import { BoundIncluded, RecordId, RecordIdRange, surql, type Statement } from "@sentient/db-pool";
import { LAST, slotId, slotsOf, THROWN } from "./queries.ts";
import { LATE, laneOf, runId } from "./run.ts";

export const agentId = (name: string, version: string): RecordId<"agent"> =>
  new RecordId("agent", [name, version]);
/** Every version of it. */
export const agentsNamed = (name: string): RecordIdRange =>
  new RecordIdRange(
    "agent",
    new BoundIncluded([name, ""] as never),
    new BoundIncluded([name, LAST] as never),
  );
export const limitId = (key: string): RecordId<"flow_limit"> => new RecordId("flow_limit", key);

/** What is to be known of a run to choose it. */
export interface CandidateRow {
  id: RecordId<"run", string>;
  priority: number;
  capabilities: string[];
  limits: { key: string; max: number }[];
  attempts: number;
  maxAttempts: number;
  createdAt: Date;
  availableAt?: Date;
  startedAt?: Date;
  seek: { due?: string; dueAt?: Date };
  /** With the limits that it counts against already. */
  lease?: { slots?: string[] };
}

export interface FlowLimitRow {
  id: RecordId<"flow_limit", string>;
  concurrency?: number;
  rate?: { count: number; per: number };
  bucket?: { left: number; at: Date };
}

export interface Look {
  now: Date;
  /** By lane. */
  ready: CandidateRow[][];
  due: CandidateRow[][];
  paused: RecordId<"agent", [name: string, version: string]>[];
  limits: (FlowLimitRow & { used: number })[];
}

/** Whole fields, as the engine takes as long to reckon with some of them as to read them all. */
const candidate = surql`
  id, priority, capabilities, limits, attempts, maxAttempts, createdAt, availableAt, startedAt, seek, lease`;

const readyOf = (limit: number) => (lane: unknown, start: unknown) =>
  surql`
  SELECT ${candidate} FROM run WHERE seek.ready = ${lane} LIMIT ${limit} START ${start}`;
const dueOf = (limit: number) => (lane: unknown, start: unknown) =>
  surql`
  SELECT ${candidate} FROM run WHERE seek.due = ${lane} AND seek.dueAt < $before LIMIT ${limit} START ${start}`;

/** From so many lanes on a closure over them, which copies what it gives, costs less than to have a query for each parsed. */
const MANY_LANES = 12;

/** A closure does not see what only its START names. */
const inEach = (
  lanes: readonly string[],
  start: number,
  look: (lane: unknown, start: unknown) => Statement,
): Statement =>
  lanes.length < MANY_LANES
    ? surql`[${lanes.map((lane) => surql`(${look(lane, start)})`).reduce((all, one) => surql`${all}, ${one}`)}]`
    : surql`${lanes}.map(|$lane| { LET $start = ${start}; ${look(surql`$lane`, surql`$start`)} })`;

/** Those that may be claimed, each lane in the order of priority and time; and what would keep them from it. */
export const readCandidates = (
  lanes: readonly string[],
  keys: readonly string[],
  { start, limit }: { start: number; limit: number },
  now: Date | null,
) => surql<Look>`{
  LET $now = ${now} ?? time::now();
  LET $before = $now + 1s;
  LET $epoch = d"1970-01-01T00:00:00Z";
  RETURN {
    now: $now,
    ready: ${inEach(lanes, start, readyOf(limit))},
    due: ${inEach(lanes, start, dueOf(limit))},
    paused: (SELECT VALUE id FROM agent WHERE pausedAt >= $epoch),
    limits: (SELECT * FROM ${keys.map(limitId)}).map(|$limit| {
      LET $key = record::id($limit.id);
      object::extend($limit, { used: array::len((SELECT VALUE id FROM slot:[$key, ""]..=[$key, ${LAST}])) })
    })
  };
}`;

/** How many run that carry each key. */
export const readUsed = (keys: readonly string[]) => surql<number[]>`{
  LET $keys = ${keys};
  RETURN $keys.map(|$key| { array::len((SELECT VALUE id FROM slot:[$key, ""]..=[$key, ${LAST}])) })
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

/** Whether anything goes on that it has started. */
export const hasOpenChildren = (run: string) => surql<boolean>`{
  LET $children = (SELECT VALUE out.status FROM ${runId(run)}->spawned);
  $children.any(|$status| $status IN ["queued", "running", "waiting", "paused", "parked"])
}`;

/** What a limit says, as it can be compared: how many at once, and how many in how long; 0 for no limit. */
export type LimitSaid = [concurrency: number, count: number, per: number];

export function limitSaid({
  concurrency = 0,
  rate,
}: Partial<Pick<FlowLimitRow, "concurrency" | "rate">> = {}): LimitSaid {
  return [concurrency, rate?.count ?? 0, rate?.per ?? 0];
}

interface Lane {
  name: string;
  version: string;
  queue: string;
  /** What the limits of its queue and its agent said when it was decided what its runs count against. */
  queueLimit: LimitSaid;
  agentLimit: LimitSaid;
}

/**
 * Its agent is not paused, and its limits still say the same. Of a version that was never registered any other says whether
 * the agent is paused.
 */
export const isOpenLane = ({ name, version, queue, queueLimit, agentLimit }: Lane) => surql`{
  LET $paused = (SELECT VALUE pausedAt ?? false FROM ONLY ${agentId(name, version)})
    ?? (SELECT VALUE pausedAt FROM ${agentsNamed(name)} WHERE pausedAt != NONE)[0] ?? false;
  LET $queue = (SELECT VALUE [concurrency ?? 0, rate.count ?? 0, rate.per ?? 0] FROM ONLY ${limitId(`queue:${queue}`)});
  LET $agent = (SELECT VALUE [concurrency ?? 0, rate.count ?? 0, rate.per ?? 0] FROM ONLY ${limitId(`agent:${name}`)});
  $paused = false AND ($queue ?? [0, 0, 0]) = ${queueLimit} AND ($agent ?? [0, 0, 0]) = ${agentLimit}
}`;

const openLanes = new Map<string, Statement>();

/** That nothing limits it, as one statement for each lane: what is started at once shares it. */
export function openLane(run: { name: string; version: string; queue: string }): Statement {
  const lane = laneOf(run);
  const { name, version, queue } = run;
  const known =
    openLanes.get(lane) ?? isOpenLane({ name, version, queue, queueLimit: NONE, agentLimit: NONE });
  if (openLanes.size > 10_000) openLanes.clear();
  openLanes.set(lane, known);
  return known;
}

const NONE = limitSaid();

/** Nobody has claimed it, and nobody renewed the lease that ran out; and it is time. */
export const claimRun = (
  run: string,
  revision: number,
  { id: _, ...row }: Record<string, unknown>,
  now: Date | null,
) => surql`
  (UPDATE ONLY ${runId(run)} CONTENT ${row}
    WHERE revision = ${revision} AND (seek.due IN [NONE, ${LATE}] OR seek.dueAt <= (${now} ?? time::now())) RETURN VALUE revision)
    ?? { THROW ${THROWN.stale} }`;

/** There is room below a limit for a run. */
export const hasRoom = (key: string, run: string, max: number) => surql`
  array::len((SELECT VALUE id FROM ${slotsOf(key)}).filter(|$slot| $slot != ${slotId(key, run)})) < ${max}`;

/** How many starts are left of a rate; a clock that was set back takes none away. */
export const startsLeft = (
  limit: FlowLimitRow | undefined,
  { count, per }: { count: number; per: number },
  now: Date,
): number => {
  if (!limit?.bucket) return count;
  const passed = Math.max(0, now.getTime() - limit.bucket.at.getTime());
  return Math.min(count, limit.bucket.left + (passed * count) / per);
};

/** Takes one start out of a bucket, if there is one. Exact below the millisecond: what is cut off is never given. */
export const takeStart = (
  key: string,
  { count, per }: { count: number; per: number },
  now: Date | null,
) => surql`{
  LET $now = ${now} ?? time::now();
  LET $bucket = (SELECT VALUE bucket FROM ONLY ${limitId(key)});
  LET $passed = IF $bucket = NONE OR $bucket.at >= $now { 0f } ELSE { duration::nanos($now - $bucket.at) / 1000000f };
  LET $left = math::min([${count}, ($bucket.left ?? ${count}) + $passed * ${count} / ${per}]);
  IF $left >= 1 {
    UPDATE ONLY ${limitId(key)}
      SET bucket = { left: $left - 1, at: IF $bucket.at > $now { $bucket.at } ELSE { $now } } RETURN VALUE id
  }
}`;

export const takeSlot = (key: string, run: string, token: number, at: Date) => surql`
  UPSERT ${slotId(key, run)} CONTENT ${{ token, at }} RETURN NONE`;
