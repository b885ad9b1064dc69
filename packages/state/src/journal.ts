// Journal. Owns: what a run remembers of its steps.
// J1. A step that a run remembers is the one that counts at a point of its history: what was done before a restore to an earlier
//     point does not, and a fork remembers what its parent did up to where they part. One that was begun by then, and whose
//     outcome came later, is begun there.
// J2. A step of the same key is the same step: another name or input means that the code has changed, and the run is parked
//     with both, rather than going on from something that never was.

import { stepTable, type Json, type Step as StoredStep } from "@sentient/schema";
import { z } from "zod";
import { readContents } from "./blobs.ts";
import { commit, type Tools } from "./commit.ts";
import { requireRun, type Context } from "./changing.ts";
import { checked, removedError, StateError } from "./errors.ts";
import type { HeldLease } from "./lease.ts";
import * as queries from "./queries.ts";
import { PointOptions, resolve, type Point } from "./points.ts";
import { countWhole } from "./transfer-queries.ts";
import { readRun, type ReadRun, type Run } from "./run.ts";
import type { Store } from "./store.ts";

type Without<T, K extends string> = T extends unknown ? Omit<T, K> : never;

/** What is remembered of a step, as a union by its status. */
export type Step = {
  key: string;
  /** How often its run had been put back by then. */
  era: number;
} & (
  | (Without<Extract<StoredStep, { status: "completed" }>, "id" | "begun"> & { result: Json })
  | Without<Extract<StoredStep, { status: "failed" | "started" | "retrying" }>, "id" | "begun">
);

/** By key, in the order in which it was remembered; what a fork was told to begin with stands where its parent has it. */
export type Journal = ReadonlyMap<string, Step>;

/** Up to which of its events a run is asked about; all of it if undefined. */
export type UpTo = number | undefined;

const At = z.strictObject({ at: PointOptions.optional() });

/** @throws what `State.journal` says */
export async function journalAt(run: string, options: { at?: Point }, context: Context): Promise<Journal> {
  const { at } = checked(At, options, "a journal");
  await requireRun(run, context);
  return readJournal(run, at && (await resolve(run, at, context)).n, context.db);
}

/** What a run remembers, or one that it was forked from; the first of those comes first. */
export interface Part {
  run: string;
  /** Up to which of its events. */
  upTo: UpTo;
  counts: (n: number) => boolean;
  /** By key, which of its events told of it. */
  steps: ReadonlyMap<string, number>;
  startedAt: Date | undefined;
}

/** @throws `state.not_found`, `state.details_removed` */
export async function readJournal(run: string, upTo: UpTo, db: Store): Promise<Map<string, Step>> {
  return (await readHistory(run, upTo, db)).journal;
}

/** J1. @throws `state.not_found`, `state.details_removed` */
export async function readHistory(
  run: string,
  upTo: UpTo,
  db: Store,
): Promise<{ journal: Map<string, Step>; parts: Part[] }> {
  const rows: StoredStep[] = [];
  const parts: Part[] = [];
  const seen: Run[] = [];
  let read = await requireRun(run, { db });
  for (let n = upTo; ;) {
    if (!read.hasDetails) throw removedError(run);
    seen.push(read.run);
    const counts = inHistory(read.run, n);
    const own = (await db.query(queries.readSteps(read.run.id))).map(stepTable.parse);
    const counting = own
      .flatMap((step) => asOf(step, counts) ?? [])
      .toSorted((one, other) => one.n - other.n);
    rows.unshift(...counting);
    const steps = new Map(counting.map((step) => [step.id[2], step.n]));
    parts.unshift({ run: read.run.id, upTo: n, counts, steps, startedAt: read.run.startedAt });
    if (!read.run.forkOf) break;
    n = read.run.forkOf.n;
    read = await parentOfFork(read.run, db);
  }
  const hashes = rows.flatMap((row) => (row.status === "stored" ? row.blob : []));
  const contents = await readContents(db, hashes);
  await requireStill(seen, db);
  return { journal: new Map(rows.map((row) => [row.id[2], stepOf(row, contents)])), parts };
}

/** @throws `state.details_removed` if it was removed */
export async function parentOfFork({ id, forkOf }: Run, db: Store): Promise<ReadRun> {
  const row = await db.query(queries.readRun(forkOf!.run));
  if (row === undefined) throw removedError(id);
  return readRun(row);
}

/**
 * What was read of runs that are over was all there: nothing of them was removed meanwhile.
 *
 * @throws `state.details_removed`
 */
export async function requireStill(runs: readonly Run[], db: Store): Promise<void> {
  const over = runs.filter((run) => "endedAt" in run).map(({ id }) => id);
  if (over.length === 0 || (await db.query(countWhole(over))) === over.length) return;
  throw removedError(runs[0]!.id);
}

/** Whether what one of its events told of still counts after `upTo`. */
export function inHistory({ restores = [] }: Pick<Run, "restores">, upTo: UpTo): (n: number) => boolean {
  const end = upTo ?? Number.MAX_SAFE_INTEGER;
  const cuts = restores.filter(({ at }) => at <= end);
  return (n) => n <= end && !cuts.some(({ at, to }) => n > to && n < at);
}

/** J1. */
function asOf(step: StoredStep, counts: (n: number) => boolean): StoredStep | undefined {
  if (counts(step.n)) return step;
  const { id, name, inputHash, begun } = step;
  if (!begun || !counts(begun.n)) return undefined;
  return { id, name, ...(inputHash === undefined ? {} : { inputHash }), ...begun, status: "started" };
}

function stepOf(row: StoredStep, contents: ReadonlyMap<string, string>): Step {
  const { id, begun: _, ...rest } = row;
  const [run, era, key] = id;
  if (rest.status !== "stored") return { key, era, ...rest };
  const { blob, ...core } = rest;
  const text = contents.get(blob);
  if (text === undefined)
    throw new StateError({
      code: "state.details_removed",
      message: `the result of the step ${key} of the run ${run} is gone: its details were kept for a time and then removed`,
      details: { run, key },
    });
  return { key, era, ...core, status: "completed", result: JSON.parse(text) as Json };
}

/** What a step is in the code that runs now. */
export interface Attempted {
  name: string;
  inputHash?: string;
}

/**
 * J2. Parks the run if it is another step than the one remembered.
 *
 * @throws `state.journal_mismatch` with `details: { recorded, attempted }`, after which the lease is over
 */
export async function requireSame(
  lease: HeldLease,
  step: Step,
  attempted: Attempted,
  tools: Tools,
): Promise<void> {
  const { name, inputHash } = step;
  const isSame =
    name === attempted.name &&
    (inputHash === undefined || attempted.inputHash === undefined || inputHash === attempted.inputHash);
  if (isSame) return;
  const { id: run, version } = lease.run;
  const recorded = { name, ...(inputHash === undefined ? {} : { inputHash }) };
  const what = name === attempted.name ? "with another input" : `as ${attempted.name}`;
  const message = `the step ${step.key} is remembered as ${name}, and is now called ${what}: the code of version ${version} has changed under the run ${run}`;
  const problem = { name: "JournalMismatch", code: "journal_mismatch", message, retryable: false };
  await commit(lease, { end: { park: { reason: "journal_mismatch", problem } } }, tools);
  throw new StateError({
    code: "state.journal_mismatch",
    message: `${message}. The run is parked; put the code back, give it a new version, or fork the run before that step`,
    details: { run, key: step.key, recorded, attempted },
  });
}
