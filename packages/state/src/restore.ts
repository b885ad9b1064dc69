// Restore. Owns: putting a run back to a point of its history, from which it goes on as a new attempt.
// R1. Nothing of the past is overwritten: what lies between does not count any more, and can still be forked from.
// R2. What the run had taken or asked since then is free again, in the same transaction: a signal is there for whoever waits
//     for it, and a question can be asked anew. One that was asked before keeps its answer, whenever that came.
// R3. A run that a worker holds is not put back, nor one that is over: nobody does it behind a worker's back.
// Runs that it started since then go on: their ids follow from their keys, so the steps that started them find them again.

import type { Placed } from "@sentient/event-bus";
import { Name, type Checkpoint } from "@sentient/schema";
import { z } from "zod";
import * as blobs from "./blobs.ts";
import { changeRun, type Context, type Decision } from "./changing.ts";
import { whole, type Document } from "./document.ts";
import { readDocument } from "./documents.ts";
import { checked, StateError } from "./errors.ts";
import * as queries from "./history-queries.ts";
import { inHistory, readJournal } from "./journal.ts";
import { resolve, type Resolved } from "./points.ts";
import { By } from "./options.ts";
import { patchId } from "./queries.ts";
import type { Run } from "./run.ts";

const Options = z.strictObject({ by: By });
const To = z.union([z.strictObject({ checkpoint: Name }), z.strictObject({ n: z.int().min(1) })], {
  error: "say { checkpoint } or { n }",
});

/** Where to: a checkpoint, or after one of its events. */
export type RestorePoint = { checkpoint: string } | { n: number };

export interface RestoreOptions {
  /** Who asks. */
  by?: string;
}

/** As many as a run's row remembers. */
const MOST_RESTORES = 1_000;

/** @throws `state.not_found`, `state.position_ahead`, `state.illegal_transition`, `state.details_removed`, `state.damaged` */
export async function restore(
  id: string,
  point: RestorePoint,
  options: RestoreOptions,
  context: Context,
): Promise<Run> {
  const { by } = checked(Options, options, "a restore");
  const to = checked(To, point, "the point of a restore");
  return changeRun(
    id,
    async ({ run }) => {
      requireRestorable(run);
      const resolved = await resolve(id, to, context);
      requireCounts(run, resolved);
      return decide(run, resolved, by, context);
    },
    context,
  );
}

async function decide(run: Run, to: Resolved, by: string, context: Context): Promise<Decision> {
  const { id } = run;
  const { n, checkpoint } = to;
  const { db } = context;
  const [document, journal, taken] = await Promise.all([
    readDocument(id, n, db),
    readJournal(id, n, db),
    db.query(queries.readTaken(id)),
  ]);
  if (checkpoint) requireState(checkpoint, document);
  const freed = taken.filter(({ takenBy }) => !journal.has(takenBy));
  const { row, content } = whole(document.text);
  return {
    events: [
      { event: { type: "run.restored", to: n, n: 0, by }, told: { data: toldOf(to, document, by) } },
      ...(checkpoint ? [restoredEvent(checkpoint)] : []),
    ],
    rows: ([placed]: readonly Placed[], at: Date) => [{ id: patchId(id, placed!.n!), ...row, at }],
    statements: (_: readonly Placed[], at: Date) => [
      ...blobs.keep(content ? [content] : [], id, at),
      ...freed.map((signal) => queries.freeSignal(id, signal.n, signal.name)),
      queries.removeQuestions(id, n),
    ],
  };
}

function toldOf({ n, checkpoint }: Resolved, { hash }: Document, by: string) {
  return { to: n, by, stateHash: hash, ...(checkpoint ? { version: checkpoint.version } : {}) };
}

function restoredEvent({ id: [, name], position }: Checkpoint): Decision["events"][number] {
  return { event: { type: "checkpoint.restored" }, told: { data: { name, at: position } } };
}

/** R3. */
function requireRestorable(run: Run): void {
  const { id, status, asked, restores = [] } = run;
  const refuse = (why: string) => {
    throw new StateError({
      code: "state.illegal_transition",
      message: `the run ${id} cannot be restored: ${why}`,
      details: { run: id, status },
    });
  };
  if (status === "running") refuse("a worker holds it; pause it, and restore it when it is paused");
  if ("endedAt" in run) refuse(`it is ${status}, and stays so; fork it from that point instead`);
  if (asked?.what === "cancel") refuse("it is being cancelled; fork it from that point instead");
  if (restores.length >= MOST_RESTORES)
    refuse(`it was ${MOST_RESTORES} times already; fork it from that point instead`);
}

/** A signal that was taken there may have been taken by another step since: the one history would not know of the other. */
function requireCounts(run: Run, { n }: Resolved): void {
  if (inHistory(run, undefined)(n)) return;
  throw new StateError({
    code: "state.illegal_transition",
    message: `the run ${run.id} was restored to a point before its event ${n}, which does not count any more; fork it from there instead`,
    details: { run: run.id, status: run.status, n },
  });
}

/** @throws `state.damaged` if the state is not what it was when the checkpoint was made */
export function requireState({ id: [run, name], stateHash }: Checkpoint, { hash }: Document): void {
  if (stateHash === hash) return;
  throw new StateError({
    code: "state.damaged",
    message: `the state at the checkpoint ${name} of the run ${run} is not the one it was made of: rows of it were changed or lost. Take another point`,
    details: { run, checkpoint: name, stateHash, found: hash },
  });
}
