// Runs as one is handed them, and their rows.

import { RecordId } from "@sentient/db-pool";
import { runTable, type Run as StoredRun } from "@sentient/schema";
import { isReserved } from "./reserved.ts";

type Without<T, K extends string> = T extends unknown ? Omit<T, K> : never;

/** One durable execution, as a union by its status. */
export type Run = Without<StoredRun, "seek">;
export type RunOf<Status extends Run["status"]> = Extract<Run, { status: Status }>;

export const runId = (run: string): RecordId<"run"> => new RecordId("run", run);

/** What a worker has to be able to serve to claim a run: its queue, name and version. None of them holds a `/`. */
export const laneOf = ({ queue, name, version }: { queue: string; name: string; version: string }): string =>
  `${queue}/${name}/${version}`;

/** Where indexes look for it. What is over, paused or parked nobody claims. */
function seekOf(run: Run, first: number): StoredRun["seek"] {
  const tree = run.root === run.id ? {} : { tree: run.root };
  const place = { ...lateOf(run), ...placeOf(run) };
  return { newest: -first, ...tree, ...place, ...("endedAt" in run ? { over: run.endedAt } : {}) };
}

/** The lane of those that are cancelled at a time; behind all others. */
export const LATE = "~";

/**
 * Where it is found once its deadline has passed: in that index in which it does not stand already, as not all that may be
 * claimed is. Who holds a run cancels it; one that is parked stays for those who are to help it.
 */
function lateOf(run: Run): Partial<StoredRun["seek"]> {
  if (!mayBeLate(run)) return {};
  const { deadline } = run;
  return placeOf(run).due === undefined
    ? { due: LATE, dueAt: deadline }
    : { ready: LATE, rank: deadline.getTime(), since: deadline };
}

/** Whether anybody cancels it at its deadline, and nobody does yet. */
export function mayBeLate(run: Run): run is RunOf<"queued" | "waiting" | "paused"> & { deadline: Date } {
  const isHeldByNobody = run.status === "queued" || run.status === "waiting" || run.status === "paused";
  return isHeldByNobody && run.deadline !== undefined && run.asked?.what !== "cancel";
}

/** Of one priority what was begun goes on before what was not: it does not stand behind all that came since. */
function rankOf({ priority, startedAt }: Run): number {
  return 0 - 2 * priority - (startedAt ? 1 : 0); // -0 would be a float
}

function placeOf(run: Run): Partial<StoredRun["seek"]> {
  switch (run.status) {
    case "queued":
      return run.availableAt > run.updatedAt
        ? { due: laneOf(run), dueAt: run.availableAt }
        : { ready: laneOf(run), rank: rankOf(run), since: run.startedAt ? run.createdAt : run.availableAt };
    case "running":
      return { due: laneOf(run), dueAt: run.lease.until };
    case "waiting": {
      const dueAt = dueOf(run);
      return dueAt ? { due: laneOf(run), dueAt } : {};
    }
    default:
      return {};
  }
}

/** When a run that waits goes on by itself. */
function dueOf({ wakeAt, deadline }: RunOf<"waiting">): Date | undefined {
  const times = [wakeAt, deadline].filter((at) => at instanceof Date);
  return times.length === 0 ? undefined : new Date(Math.min(...times.map((at) => at.getTime())));
}

/** Whether a worker may claim it, for all that its row says. */
export function isClaimable(run: Run, now: Date): boolean {
  switch (run.status) {
    case "queued":
      return run.availableAt <= now;
    case "running":
      return run.lease.until <= now;
    case "waiting":
      return (dueOf(run) ?? NEVER) <= now;
    default:
      return false;
  }
}

const NEVER = new Date(8.64e15);

export interface Row {
  id: RecordId<"run">;
  seek: { newest: number };
  [field: string]: unknown;
}

/** What to write for a run; `first` is the position of its first event. */
export function rowOf(run: Run, first: number): Row {
  return runTable.serialise({ ...run, seek: seekOf(run, first) }) as unknown as Row;
}

export interface ReadRun {
  run: Run;
  /** The position of its first event. */
  first: number;
  /** Whether its steps and its state are there: some time after it is over they are removed. */
  hasDetails: boolean;
}

export function readRun(row: unknown): ReadRun {
  const { seek, ...run } = runTable.parse(row);
  const hasDetails = "endedAt" in run ? seek.over !== undefined : !isReserved(run);
  return { run: run, first: -seek.newest, hasDetails };
}
