// Commit. Owns: the one way in which a worker changes the run it holds.
// Does not own: getting hold of it (claim.ts), and what others ask of it (control.ts, mailbox.ts).
// C1. A change is committed whole, with the events that tell of it, or not at all.
// C2. Fence: nothing of a worker is committed once its lease was given to another. Whoever gets the lease tells an event of the
//     run, so the number of the run's next event is the fence, and costs nothing: a zombie's is taken.
// C3. A step has one result.
// C4. A run does not begin to wait for what is there already.
// C5. Who waits for a run to end is woken by the commit that ends it.

import { DbError, type Database, type Statement } from "@sentient/db-pool";
import type { EventBus, NewEvent, NewRow, Placed } from "@sentient/event-bus";
import { EventBusError } from "@sentient/event-bus";
import { questionTable, checkpointTable, stepTable, requireWithin } from "@sentient/schema";
import * as blobs from "./blobs.ts";
import { checkChange, textOf, type Change, type CheckedChange, type Then } from "./change.ts";
import { change as changeOf, type Document, type Written } from "./document.ts";
import { StateError } from "./errors.ts";
import type { Lease } from "./lease.ts";
import * as queries from "./queries.ts";
import { apply, type RunEvent } from "./run-machine.ts";
import { readRun, rowOf, type ReadRun, type Run, type RunOf } from "./run.ts";
import { defined, endingOf, eventsOf, tell } from "./telling.ts";
import type { Time } from "./time.ts";

export interface Tools {
  db: Database;
  bus: EventBus;
  time: Time;
  /** The state of a run that a lease holds, as of its last commit. */
  documentOf: (lease: Lease) => Promise<Document>;
}

/** How far a commit has brought the run. */
export interface Committed {
  /** Of its last event. */
  position: number;
  n: number;
}

/** After so many that came between, somebody else writes to the run without end. */
const MOST_TRIES = 1_000;

/**
 * @throws `state.lease_lost`, after which nothing of the lease commits; `state.step_exists`, `state.nothing_to_wait_for`,
 * `state.not_open`, `state.bad_change`, `schema.limit`; what `bus.log.append` throws
 */
export async function commit(lease: Lease, wanted: Change, tools: Tools): Promise<Committed> {
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

async function withState(lease: Lease, change: CheckedChange, tools: Tools): Promise<Committed> {
  lease.requireHeld();
  const document = await tools.documentOf(lease);
  const written = change.state === undefined ? undefined : changeOf(document, change.state);
  const next = written?.next ?? document;
  const committed = await attempt(lease, change, { written, next }, tools);
  lease.document = Promise.resolve(next);
  return committed;
}

interface State {
  written: Written | undefined;
  next: Document;
}

async function attempt(lease: Lease, change: CheckedChange, state: State | undefined, tools: Tools) {
  const run = { ...lease.run, steps: lease.steps + newSteps(lease, change) };
  const part = { change, state, events: eventsOf(run, change) };
  const placed = await (change.then ? end : keepOn)(lease, part, tools);
  for (const { key, status } of change.steps ?? []) {
    if (status === "started" || status === "retrying") lease.begun.add(key);
    else lease.begun.delete(key);
  }
  if (change.then) lease.end();
  return { position: placed.at(-1)!.position, n: placed.at(-1)!.n! };
}

interface Part {
  change: CheckedChange;
  state: State | undefined;
  events: NewEvent[];
}

/** C2. The run goes on: its row stands still, and its next event is the fence. */
async function keepOn(lease: Lease, part: Part, { bus, db, time }: Tools): Promise<Placed[]> {
  const { id: run } = lease.run;
  const { change, events } = part;
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    lease.requireHeld();
    const { n } = lease;
    lease.n += events.length; // what comes meanwhile follows on it
    let written: Rows;
    try {
      const placed = await bus.log.append({
        events,
        expected: { [run]: n },
        rows: (places, at) => (written = rowsOf(lease, part, places, time.of(at))).rows,
        statements: () => written.statements,
      });
      lease.steps += newSteps(lease, change);
      return placed;
    } catch (error) {
      if (!isMoved(error)) throw errorOf(error, lease);
      if ((await db.query(queries.readToken(run))) !== lease.token) throw lease.lost();
      lease.n = (error.details as { n: number }).n;
    }
  }
  throw busyError(run);
}

/** The run becomes something else, under its revision. */
async function end(lease: Lease, part: Part, tools: Tools): Promise<Placed[]> {
  const { bus, time } = tools;
  const then = part.change.then!;
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    lease.requireHeld();
    const run = { ...lease.run, steps: lease.steps + newSteps(lease, part.change) };
    const parent = await parentOf(run, then, tools);
    const woken = parent && isWaitingFor(parent.run, run.id) ? parent : undefined;
    const resumed = (at: Date): RunEvent => ({ type: "run.resumed", at });
    let written: Rows;
    try {
      const placed = await bus.log.append({
        events: woken ? [...part.events, tell(woken.run, resumed(new Date(0)))] : part.events,
        guards: "wait" in then ? [nothingToTake(run.id, then.wait)] : [],
        rows: (places, at) => (written = rowsOf(lease, part, places, time.of(at))).rows,
        statements: (_, placedAt) => {
          const at = time.of(placedAt);
          const next = apply(run, endingOf(run, then, at));
          const { slots = [] } = run.lease;
          return [
            ...written.statements,
            queries.saveRun(run.id, run.revision, rowOf(next, lease.first)),
            ...(slots.length > 0 ? [queries.giveSlots(slots, run.id)] : []),
            ...(woken ? [save(woken, apply(woken.run, resumed(at)))] : []),
            ...(parent && !woken ? [queries.requireRevision(parent.run.id, parent.run.revision)] : []),
          ];
        },
      });
      return placed.slice(0, part.events.length);
    } catch (error) {
      if (!isStale(error)) throw errorOf(error, lease);
      await reload(lease, tools);
    }
  }
  throw busyError(lease.run.id);
}

/** A run as it will be, if it is still what was read. */
export function save({ run, first }: ReadRun, next: Run): Statement {
  return queries.saveRun(run.id, run.revision, rowOf(next, first));
}

/** What the run is by now, if the lease still holds. */
async function reload(lease: Lease, { db }: Tools): Promise<void> {
  const row = await db.query(queries.readRun(lease.run.id));
  const run = row === undefined ? undefined : readRun(row).run;
  if (run?.status !== "running" || run.token !== lease.token) throw lease.lost();
  lease.run = run;
}

/** C5. Who started the run, if it is about to end. */
async function parentOf({ parent }: Run, then: Then, { db }: Tools): Promise<ReadRun | undefined> {
  if (parent === undefined || !("complete" in then || "fail" in then || "cancel" in then)) return undefined;
  const row = await db.query(queries.readRun(parent));
  return row === undefined ? undefined : readRun(row);
}

export function isWaitingFor(run: Run, child: string): run is RunOf<"waiting"> {
  return run.status === "waiting" && run.waitingFor.some((wait) => wait.for === "run" && wait.run === child);
}

/** C4. */
function nothingToTake(run: string, waits: RunOf<"waiting">["waitingFor"]): Statement {
  return queries.requireNothingToTake(
    run,
    waits.flatMap((wait) => (wait.for === "signal" ? wait.name : [])),
    waits.flatMap((wait) => (wait.for === "question" ? wait.at : [])),
    waits.flatMap((wait) => (wait.for === "run" ? wait.run : [])),
  );
}

interface Rows {
  rows: NewRow[];
  statements: Statement[];
}

/** Everything a change writes beside the run itself. */
function rowsOf(lease: Lease, { change, state }: Part, placed: readonly Placed[], at: Date): Rows {
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
  if (change.checkpoint) rows.push(checkpointRow(lease, change, state!.next.hash, placed.at(-1)!, at));
  for (const { key, ...ask } of change.asks ?? [])
    rows.push(
      questionTable.serialise({ ...ask, id: [run, key], status: "open", askedAt: at } as never) as NewRow,
    );
  for (const { n: signal, key } of change.takes ?? []) statements.push(queries.takeSignal(run, signal, key));
  for (const key of change.expires ?? []) statements.push(queries.expireQuestion(run, key, at));
  for (const key of change.withdraws ?? []) statements.push(queries.withdrawQuestion(run, key, at));
  if (change.compensates !== undefined) statements.push(queries.setCompensates(run, change.compensates));
  return { rows, statements: [...blobs.keep(contents, run, at), ...statements] };
}

function stepRow(
  lease: Lease,
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
  const { result, ...fields } = core; // written thousands of times a second: what the schema says was checked with the change
  const text = textOf(result, `the result of ${key}`);
  requireWithin("payloadBytes", Buffer.byteLength(text), `the result of the step ${key}`);
  const content = blobs.contentOf(text);
  return content
    ? { row: { ...defined(fields), id, status: "stored", blob: content.hash }, content }
    : { row: { ...defined(fields), id, result: text } };
}

function checkpointRow(
  lease: Lease,
  change: CheckedChange,
  stateHash: string,
  last: Placed,
  at: Date,
): NewRow {
  const { id: run, version, attempts } = lease.run;
  const { name, metadata } = change.checkpoint!;
  return checkpointTable.serialise({
    id: [run, name],
    n: last.n,
    position: last.position,
    stateHash,
    steps: lease.steps + newSteps(lease, change),
    attempt: attempts,
    token: lease.token,
    version,
    ...(metadata === undefined ? {} : { metadata }),
    createdAt: at,
  } as never) as NewRow;
}

type CheckedStep = NonNullable<CheckedChange["steps"]>[number];

/** Whether it has no row yet. */
function isNew(lease: Lease, { key, attempts }: CheckedStep): boolean {
  return attempts === 1 && !lease.begun.has(key);
}

function newSteps(lease: Lease, { steps = [] }: CheckedChange): number {
  return steps.filter((step) => isNew(lease, step)).length;
}

function isMoved(error: unknown): error is EventBusError {
  return error instanceof EventBusError && error.code === "event_bus.run_moved";
}

/** Whether something changed that the commit relied on. */
export function isStale(error: unknown): boolean {
  return thrownBy(error) === queries.THROWN.stale;
}

export function thrownBy(error: unknown): unknown {
  const cause = error instanceof EventBusError ? error.cause : error;
  return cause instanceof DbError ? cause.details?.thrown : undefined;
}

function errorOf(error: unknown, lease: Lease): unknown {
  const { id: run } = lease.run;
  const thrown = thrownBy(error);
  if (
    thrown === queries.THROWN.stepExists ||
    (error instanceof DbError && error.code === "db.already_exists")
  )
    return new StateError({
      code: "state.step_exists",
      message: `a step, checkpoint or question of the change is there already, in the run ${run}; it has one result, and nothing of the change was committed`,
      details: { run },
      cause: error,
    });
  if (thrown === queries.THROWN.woken)
    return new StateError({
      code: "state.nothing_to_wait_for",
      message: `the run ${run} need not wait: something it wants to wait for is there; look again`,
      retryable: true,
      details: { run },
    });
  if (thrown === queries.THROWN.notOpen)
    return new StateError({
      code: "state.not_open",
      message: `a signal or question of the change was taken or answered meanwhile, in the run ${run}; look again`,
      details: { run },
    });
  if (error instanceof EventBusError && error.outcome === "unknown") lease.end(); // whoever claims it next will see
  return error;
}

export function busyError(run: string): StateError {
  return new StateError({
    code: "state.busy",
    message: `the run ${run} changed ${MOST_TRIES} times while this was tried; nothing of it was committed`,
    retryable: true,
    details: { run },
  });
}
