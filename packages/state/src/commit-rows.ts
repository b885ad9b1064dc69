// Rows of a commit. Owns: what a change writes beside the run itself, and what it asks of rows that are there (commit.ts).

import type { Statement } from "@sentient/db-pool";
import type { NewEvent, NewRow, Placed } from "@sentient/event-bus";
import { questionTable, stepTable } from "@sentient/schema";
import * as blobs from "./blobs.ts";
import { badChange, type CheckedChange } from "./change.ts";
import type { Document, Written } from "./document.ts";
import { saveCheckpoint } from "./history-queries.ts";
import type { HeldLease } from "./lease.ts";
import { textOf } from "./options.ts";
import * as queries from "./queries.ts";
import { checkpointRow, keptResult } from "./remembered.ts";
import type { RunOf } from "./run.ts";
import { defined } from "./telling.ts";
import type { Time } from "./time.ts";

/** What a change makes of the state of the run. */
export interface NextState {
  written: Written | undefined;
  next: Document;
}

/** A change on its way. */
export interface Part {
  change: CheckedChange;
  state: NextState | undefined;
  /** How many the run remembers with those of the change. */
  steps: number;
  events: NewEvent[];
  /** When it was committed. */
  at?: Date;
}

export interface Rows {
  rows: NewRow[];
  statements: Statement[];
}

/** Everything a change writes beside the run itself. */
export function rowsOf(lease: HeldLease, part: Part, placed: readonly Placed[], at: Date): Rows {
  const { change, state, events } = part;
  part.at = at;
  const { id: run } = lease.run;
  const n = placed[0]!.n!;
  const rows: NewRow[] = [];
  const statements: Statement[] = [];
  const contents: blobs.Content[] = [];
  for (const step of change.steps ?? []) {
    const { row, content } = stepRow(lease, step, n, at);
    if (content) contents.push(content);
    if (isNew(lease, step)) rows.push(row);
    else statements.push(queries.saveStep(row));
  }
  if (state?.written) {
    const { row, content } = state.written;
    rows.push({ id: queries.patchId(run, n), ...row, at });
    if (content) contents.push(content);
  }
  if (change.checkpoint) {
    const { name, metadata } = change.checkpoint;
    const point = { name, metadata, stateHash: state!.next.hash, last: lastOf(placed), at };
    const row = checkpointRow({ ...lease.run, steps: part.steps }, point);
    const { restores } = lease.run;
    if (restores) statements.push(saveCheckpoint(row, restores));
    else rows.push(row);
  }
  const asked = placed.filter((_, i) => events[i]?.type === "question.asked");
  rows.push(...(change.asks ?? []).map((ask, i) => questionRow(run, ask, asked[i]!, at)));
  for (const { n: signal, key } of change.takes ?? []) statements.push(queries.takeSignal(run, signal, key));
  for (const key of change.withdraws ?? []) statements.push(queries.withdrawQuestion(run, key, at));
  return {
    rows,
    statements: [...blobs.keep(contents, run, at), ...statements, ...(change.statements ?? [])],
  };
}

function stepRow(
  lease: HeldLease,
  step: CheckedStep,
  n: number,
  at: Date,
): { row: NewRow; content?: blobs.Content } {
  const { key, startedAt = at, ...rest } = step;
  const { id: run } = lease.run;
  const core = { ...rest, n, token: lease.token, startedAt, endedAt: at };
  const id = queries.stepId(run, lease.era, key);
  if (!("result" in core))
    return { row: { ...stepTable.serialise({ ...core, id: [run, lease.era, key] } as never), id } };
  const { result, ...known } = core; // written thousands of times a second: what the schema says was checked with the change
  const { fields, content } = keptResult(key, textOf(result, `the result of ${key}`, badChange));
  return { row: { ...defined(known), id, ...fields }, ...(content ? { content } : {}) };
}

function questionRow(run: string, { key, ...ask }: CheckedAsk, place: Placed, at: Date): NewRow {
  const row = { ...defined(ask), ...place, id: [run, key], status: "open", askedAt: at };
  return questionTable.serialise(row as never) as NewRow;
}

type CheckedAsk = NonNullable<CheckedChange["asks"]>[number];
type CheckedStep = NonNullable<CheckedChange["steps"]>[number];

/** Whether it has no row yet, for all that is known. */
function isNew(lease: HeldLease, { key, attempts }: CheckedStep): boolean {
  return attempts === 1 && !lease.begun.has(key);
}

export function newSteps(lease: HeldLease, { steps = [] }: CheckedChange): number {
  return steps.filter(({ key }) => !lease.begun.has(key)).length;
}

/** Of events that were told before, under their ids, the places are from then. */
export function lastOf(placed: readonly Placed[]): Placed {
  return placed.reduce((last, place) => (place.position > last.position ? place : last));
}

/** By the time of the commit, which is what the run was claimed by, and not that of the events, which runs ahead of it. */
export function expirings(run: string, { expires = [] }: CheckedChange, { now }: Time): Statement[] {
  return expires.map((key) => queries.expireQuestion(run, key, now));
}

/** C4. */
export function nothingToTake(run: string, waits: RunOf<"waiting">["waitingFor"]): Statement {
  return queries.requireNothingToTake(
    run,
    waits.flatMap((wait) => (wait.for === "signal" ? wait.name : [])),
    waits.flatMap((wait) => (wait.for === "question" ? wait.at : [])),
    waits.flatMap((wait) => (wait.for === "run" ? wait.run : [])),
  );
}
