// Commit. Owns: the one way in which a worker changes the run it holds.
// Does not own: getting hold of it (claim.ts), and what others ask of it (control.ts, signals.ts, questions.ts).
// C1. A change is committed whole, with the events that tell of it, or not at all.
// C2. Fence: nothing of a worker is committed once its lease was given to another. Whoever gets the lease tells an event of the
//     run, so the number of the run's next event is the fence, and costs nothing: a zombie's is taken. That number is known
//     of one commit at a time only: what follows on one that is on its way might follow on somebody else's event instead,
//     which has the same number. So that reads the token, as does what somebody has told something before.
// C3. A step has one result.
// C4. A run does not begin to wait for what is there already.
// C5. Who waits for a run to end is woken by the commit that ends it.
// C6. Who is to be cancelled does not complete, even if its worker has not heard of that yet.

import { DbError, type Statement } from "@sentient/db-pool";
import type { Entry, EventBus, Placed } from "@sentient/event-bus";
import { EventBusError } from "@sentient/event-bus";
import { badChange, checkChange, type Change, type CheckedChange, type End } from "./change.ts";
import {
  expirings,
  lastOf,
  newSteps,
  nothingToTake,
  rowsOf,
  type NextState,
  type Part,
  type Rows,
} from "./commit-rows.ts";
import { change as changeOf, type Document } from "./document.ts";
import { existsError, notOpenError, StateError } from "./errors.ts";
import type { HeldLease } from "./lease.ts";
import { textOf } from "./options.ts";
import * as queries from "./queries.ts";
import { apply } from "./run-machine.ts";
import { readRun, rowOf, type Run, type RunOf } from "./run.ts";
import { endingOf, eventsOf } from "./telling.ts";
import type { Time } from "./time.ts";
import type { Store } from "./store.ts";
import { NOBODY, waiting, wakingOf } from "./waking.ts";

export interface Tools {
  db: Store;
  bus: EventBus;
  time: Time;
  /** The state of a run that a lease holds, as of its last commit. */
  documentOf: (lease: HeldLease) => Promise<Document>;
}

/** How far a commit has brought the run. */
export interface Committed {
  /** Of its last event. */
  position: number;
  n: number;
  /** When, by the time that counts for runs. */
  at: Date;
}

/** After so many changes that came between, somebody else writes to the run without end. */
const MOST_TRIES = 1_000;

/**
 * @throws `state.lease_lost`, after which nothing of the lease commits; `state.step_exists`, `state.nothing_to_wait_for`,
 * `state.not_open`, `state.checkpoint_exists`, `state.question_exists`, `state.bad_change`, `schema.limit`; what `bus.log.append` throws
 */
export async function commit(lease: HeldLease, wanted: Change, tools: Tools): Promise<Committed> {
  lease.requireHeld();
  const change = checkChange(wanted);
  if (change.state === undefined && !change.checkpoint) return attempt(lease, change, undefined, tools);
  const before = lease.turn;
  const { promise, resolve } = Promise.withResolvers<void>();
  lease.turn = promise;
  try {
    await before;
    return await withState(lease, change, tools);
  } finally {
    resolve();
  }
}

async function withState(lease: HeldLease, change: CheckedChange, tools: Tools): Promise<Committed> {
  lease.requireHeld();
  const document = await tools.documentOf(lease);
  const written =
    change.state === undefined ? undefined : changeOf(document, textOf(change.state, "the state", badChange));
  const next = written?.next ?? document;
  const committed = await attempt(lease, change, { written, next }, tools);
  lease.document = Promise.resolve(next);
  return committed;
}

async function attempt(lease: HeldLease, change: CheckedChange, state: NextState | undefined, tools: Tools) {
  const added = newSteps(lease, change);
  const steps = (lease.steps += added);
  const part: Part = { change, state, steps, events: eventsOf({ ...lease.run, steps }, change) };
  let placed: Placed[];
  try {
    placed = await (change.end ? endLease : keepOn)(lease, part, tools);
  } catch (error) {
    lease.steps -= added;
    throw error;
  }
  for (const { key, status } of change.steps ?? []) {
    if (status === "started" || status === "retrying") lease.begun.add(key);
    else lease.begun.delete(key);
  }
  if (change.end) lease.end();
  const { position, n } = lastOf(placed);
  return { position, n: n!, at: part.at! };
}

/** C2. The run goes on, and its row stands still. */
async function keepOn(lease: HeldLease, part: Part, tools: Tools): Promise<Placed[]> {
  const isAlone = lease.underway++ === 0;
  try {
    const placed = (isAlone && (await asNext(lease, part, tools))) || (await underToken(lease, part, tools));
    lease.n = Math.max(lease.n, lastOf(placed).n!);
    return placed;
  } finally {
    lease.underway--;
  }
}

/** @returns undefined if somebody has told something of the run */
async function asNext(lease: HeldLease, part: Part, tools: Tools): Promise<Placed[] | undefined> {
  try {
    return await append(lease, part, { expected: { [lease.run.id]: lease.n } }, tools);
  } catch (error) {
    if (error instanceof EventBusError && error.code === "event_bus.run_moved") return undefined;
    throw errorOf(error, lease);
  }
}

async function underToken(lease: HeldLease, part: Part, tools: Tools): Promise<Placed[]> {
  const { run, token } = lease;
  try {
    return await append(
      lease,
      part,
      { statements: [queries.requireToken(run.id, token, lease.first)] },
      tools,
    );
  } catch (error) {
    throw isStale(error) ? lease.lost() : await refusal(error, lease, tools);
  }
}

interface Fence {
  expected?: Record<string, number>;
  statements?: Statement[];
}

function append(lease: HeldLease, part: Part, fence: Fence, { bus, time }: Tools): Promise<Placed[]> {
  const { statements = [], ...expected } = fence;
  const { id: run } = lease.run;
  const { change } = part;
  const isMarked = lease.mark(change);
  let written: Rows;
  const entry: Entry = {
    ...expected,
    events: part.events,
    rows: (places, at) => (written = rowsOf(lease, part, places, time.of(at))).rows,
    statements: () => [
      ...statements,
      ...written.statements,
      ...expirings(run, change, time),
      ...(isMarked ? [queries.mark(run, lease.marks)] : []), // with what commits beside it mark, so that one writes it
    ],
  };
  return bus.log.append(entry, { onKnown: "omit" });
}

/** Rows that are not as the worker has left them: it may be that somebody else holds the run. */
async function refusal(error: unknown, lease: HeldLease, { db }: Tools): Promise<unknown> {
  const refused = errorOf(error, lease);
  if (!(refused instanceof StateError)) return refused;
  const [token, newest] = (await db.query(queries.readToken(lease.run.id))) ?? [];
  return token === lease.token && newest === -lease.first ? refused : lease.lost();
}

/** The run becomes something else, under its revision. */
async function endLease(lease: HeldLease, part: Part, tools: Tools): Promise<Placed[]> {
  const { bus, time } = tools;
  const end = part.change.end!;
  const isAsked = "pause" in end && end.pause.asked;
  if (isAsked || lease.run.asked) await reload(lease, tools); // it may be asked no longer, or be another's by now
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    lease.requireHeld();
    const run = asOf(lease, part);
    if ("wait" in end && run.asked) throw nothingToWaitForError(run, `it is asked to ${run.asked.what}`);
    if (isAsked && !run.asked) throw notOpenError(run.id, "nobody asks for a pause of it any more");
    if ("complete" in end && run.asked?.what === "cancel")
      throw notOpenError(run.id, "it is to be cancelled");
    const waking = isFinal(end) ? await wakingOf(run, tries === 0, tools.db) : NOBODY;
    let written: Rows;
    try {
      const entry: Entry = {
        events: [...part.events, ...waking.events],
        rows: (places, at) => (written = rowsOf(lease, part, places, time.of(at))).rows,
        statements: (_, placedAt) => {
          const at = time.of(placedAt);
          const next = apply(run, endingOf(run, end, at));
          const { slots = [] } = run.lease;
          return [
            ...written.statements,
            ...expirings(run.id, part.change, time),
            ...("wait" in end ? [nothingToTake(run.id, end.wait)] : []),
            ...(next.status === "waiting" ? waiting(run.id, next) : []),
            queries.saveRun(run.id, run.revision, rowOf(next, lease.first)),
            ...withdrawals(next, at),
            ...(slots.length > 0 ? [queries.giveSlots(slots, run.id)] : []),
            ...waking.statements(at),
          ];
        },
      };
      const placed = await bus.log.append(entry, { onKnown: "omit" });
      return placed.slice(0, part.events.length);
    } catch (error) {
      if (!isStale(error)) throw await refusal(error, lease, tools);
      await reload(lease, tools);
    }
  }
  throw busyError(lease.run.id);
}

/** The run as it is before it becomes something else. */
function asOf({ run }: HeldLease, { change, steps }: Part): RunOf<"running"> {
  const { compensates = run.compensates } = change;
  const attempts = steps > run.steps ? 1 : run.attempts; // it got on, so what was tried in vain before does not count
  return {
    ...run,
    steps,
    attempts,
    ...(compensates === undefined ? {} : { compensates }),
    ...(change.asks ? { hasQuestions: true } : {}),
  };
}

/** A question whose run is over cannot be answered. */
export function withdrawals(next: Run, at: Date): Statement[] {
  return next.hasQuestions && "endedAt" in next ? [queries.withdrawQuestions(next.id, at)] : [];
}

/** What the run is by now, if the lease still holds. */
async function reload(lease: HeldLease, { db }: Tools): Promise<void> {
  const row = await db.query(queries.readRun(lease.run.id));
  const { run, first } = row === undefined ? {} : readRun(row);
  if (run?.status !== "running" || run.token !== lease.token || first !== lease.first) throw lease.lost();
  lease.run = run;
}

/** C5. */
function isFinal(end: End): boolean {
  return "complete" in end || "fail" in end || "cancel" in end;
}

/** Whether something changed that the commit relied on. */
export function isStale(error: unknown): boolean {
  return thrownBy(error) === queries.THROWN.stale;
}

export function thrownBy(error: unknown): unknown {
  const cause = error instanceof EventBusError ? error.cause : error;
  return cause instanceof DbError ? cause.details?.thrown : undefined;
}

function errorOf(error: unknown, lease: HeldLease): unknown {
  const { id: run } = lease.run;
  const thrown = thrownBy(error);
  if (error instanceof DbError && error.code === "db.already_exists") return existsError(run, error) ?? error;
  if (thrown === queries.THROWN.woken)
    return nothingToWaitForError(lease.run, "something it wants to wait for is there");
  if (thrown === queries.THROWN.notOpen)
    return new StateError({
      code: "state.not_open",
      message: `a signal or question of the change was taken or answered meanwhile, in the run ${run}; look again`,
      details: { run },
    });
  if (error instanceof EventBusError && error.outcome === "unknown") lease.end(); // whoever claims it next will see
  return error;
}

function nothingToWaitForError({ id: run, asked }: Run, why: string): StateError {
  return new StateError({
    code: "state.nothing_to_wait_for",
    message: `the run ${run} is not to wait: ${why}; look again`,
    retryable: true,
    details: { run, ...(asked ? { asked: asked.what } : {}) },
  });
}

export function busyError(run: string): StateError {
  return new StateError({
    code: "state.busy",
    message: `the run ${run} changed ${MOST_TRIES} times while this was tried; nothing of it was committed`,
    retryable: true,
    details: { run },
  });
}
