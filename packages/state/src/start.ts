// Start. Owns: how a run comes to be: once under its key, with its place in the tree.

import { DbError, RecordId, surql, type Statement } from "@sentient/db-pool";
import { EventBusError, type Entry, type NewEvent, type Placed } from "@sentient/event-bus";
import {
  EventId,
  hashOf,
  type Hash,
  limits,
  Name,
  RunId,
  runIdFor,
  RunKind,
  RunLimit,
  StepKey,
  Version,
  requireWithin,
  WorkerId,
  type Json,
  type Token,
} from "@sentient/schema";
import { randomUUID } from "node:crypto";
import { z } from "zod";
import { keep } from "./blobs.ts";
import type { Context } from "./changing.ts";
import { requireRun } from "./changing.ts";
import { thrownBy } from "./commit.ts";
import type { Depth } from "./depth.ts";
import { EMPTY, whole } from "./document.ts";
import { checked, leaseLostError, StateError } from "./errors.ts";
import { JsonValue, textOf } from "./options.ts";
import { openLane } from "./claim-queries.ts";
import { HeldLease, LEASE_MS, NOT_GRANTED, type Lease } from "./lease.ts";
import * as queries from "./queries.ts";
import { rowOf, runId, type Run, type RunOf } from "./run.ts";
import { apply, type RunEvent } from "./run-machine.ts";
import { about, tell } from "./telling.ts";

const Options = z.strictObject({
  kind: RunKind.default("task"),
  name: Name,
  version: Version.default("1" as Version),
  queue: Name.default("default" as Name),
  priority: z.int().min(-1000).max(1000).default(0),
  capabilities: z.array(Name).max(64).default([]),
  input: JsonValue.default(null),
  id: RunId.optional(),
  key: z.string().min(1).max(1024).optional(),
  parent: RunId.optional(),
  parentStep: StepKey.optional(),
  correlation: z.string().min(1).max(256).optional(),
  causation: EventId.optional(),
  tags: z.array(z.string().min(1).max(128)).max(32).default([]),
  limits: z
    .array(
      RunLimit.refine(({ key }) => !/^(queue|agent):/.test(key), "queue: and agent: are limits of their own"),
    )
    .max(8)
    .default([]),
  secrets: z.array(z.string().min(1).max(256)).max(64).default([]),
  maxAttempts: z.int().min(1).optional(),
  availableAt: z.date().optional(),
  deadline: z.date().optional(),
  lease: z.custom<HeldLease>((value) => value instanceof HeldLease, NOT_GRANTED).optional(),
  state: JsonValue.optional(),
  hold: z
    .strictObject({ worker: WorkerId, lease: z.int().min(100).max(3_600_000).default(LEASE_MS) })
    .optional(),
});

export interface StartOptions {
  /** Of the agent or the workflow. */
  name: string;
  /** `task` if left out. */
  kind?: "task" | "workflow";
  version?: string;
  /** JSON, at most 1 MiB. */
  input?: Json;
  /** Its own state to begin with; `{}` if left out. */
  state?: Json;
  /** Whoever says the same key of the same name means the same run. */
  key?: string;
  /** Its id, if it is to have one of your own. */
  id?: string;
  queue?: string;
  /** -1,000 to 1,000; higher goes first. */
  priority?: number;
  /** What whoever claims it must be able to do. */
  capabilities?: readonly string[];
  parent?: string;
  /** The step of the parent that starts it. */
  parentStep?: string;
  /** Of the parent: it starts nothing once its lease is lost. */
  lease?: Lease;
  correlation?: string;
  /** The id of the event that leads to it. */
  causation?: string;
  tags?: readonly string[];
  /** No more than `max` runs with this key run at once; a key is a name. */
  limits?: readonly { key: string; max: number }[];
  /** What an export leaves out: names of keys, at any depth, or JSON Pointers. */
  secrets?: readonly string[];
  /** Claims without progress before it is parked; 5 if left out. */
  maxAttempts?: number;
  /** It is not claimed before then. */
  availableAt?: Date;
  /** It is cancelled after that. */
  deadline?: Date;
  /**
   * By whom it is held from the beginning, with a lease of so many milliseconds (15,000 if left out): for a worker that has
   * nothing else to do, and saves a claim. It waits in its queue after all where a limit is to be asked or its agent is paused.
   */
  hold?: { worker: string; lease?: number };
}

export interface Started {
  run: Run;
  /** Whether it was there before. */
  existed: boolean;
  /** Of who was to hold it and does. */
  lease?: Lease;
}

/** @throws `state.run_conflict`, `state.queue_full`, `state.not_found` for a parent, `state.lease_lost`, `state.bad_option`, `schema.limit` */
export async function start(options: StartOptions, context: Context, depth: Depth): Promise<Started> {
  const { id, key, lease, state, hold: wantedHold, ...wanted } = checked(Options, options, "a start");
  const hold = wantedHold && isHoldable(wanted) ? wantedHold : undefined;
  const inputText = textOf(wanted.input, "the input");
  requireWithin("payloadBytes", Buffer.byteLength(inputText), "the input");
  const run = id ?? (key === undefined ? (`r-${randomUUID()}` as RunId) : runIdFor(wanted.name, key));
  const parent = wanted.parent === undefined ? undefined : (await requireRun(wanted.parent, context)).run;
  const draft = draftOf(run, wanted, hashOf(inputText), parent?.root ?? run);
  const { time } = context;
  const first = state === undefined ? undefined : whole(textOf(state, "the state"));
  let started: Run | undefined;
  try {
    if (!parent && !hold) await depth.add(); // what a run waits for must not be kept from it
    const entry: Entry = {
      events: [queuedEvent(draft), ...(hold ? [tell(draft, heldFrom(hold, new Date(0)))] : [])],
      ...(hold ? { guards: [openLane(draft)] } : {}),
      rows: ([placed], at) => {
        const queued = startedAt(draft, wanted.availableAt, time.of(at));
        started = hold ? apply(queued, heldFrom(hold, time.of(at))) : queued;
        const row = rowOf(started, placed!.position);
        return [
          row,
          ...(first ? [{ id: queries.patchId(run, placed!.n!), ...first.row, at: time.of(at) }] : []),
        ];
      },
      statements: (_, at) => [
        ...(lease ? [queries.requireToken(lease.run.id, lease.token, lease.first)] : []),
        ...edges(draft, time.of(at)),
        ...keep(first?.content ? [first.content] : [], run, time.of(at)),
      ],
    };
    const isNew = id === undefined && key === undefined;
    const placed = await appendFirst(isNew ? { ...entry, begins: [run] } : entry, run, context);
    const held = started?.status === "running" ? heldBy(started, placed) : undefined;
    return { run: started!, existed: false, ...(held ? { lease: held } : {}) };
  } catch (error) {
    if (hold && isGuardFailed(error)) return start({ ...options, hold: undefined }, context, depth);
    if (lease && thrownBy(error) === queries.THROWN.stale) throw leaseLostError(lease.run.id, lease.token);
    if (!isThereAlready(error) && !(isFull(error) && (await isThere(run, context)))) throw error;
    return { run: await requireSame(draft, first?.next.hash, context), existed: true };
  }
}

/**
 * As the first event of the run: who comes second is refused without a transaction, however many they are. Twice, as the one
 * before may still be on its way; what is then not there is no run, but somebody has told something under its id.
 */
async function appendFirst(entry: Entry, run: string, context: Context): Promise<Placed[]> {
  for (let tries = 0; tries < 2; tries++) {
    try {
      return await context.bus.log.append({ ...entry, expected: { [run]: 0 } });
    } catch (error) {
      if (!isMoved(error) || (await isThere(run, context))) throw error;
    }
  }
  return context.bus.log.append(entry);
}

type Hold = z.output<typeof Options>["hold"] & {};

/** Whether nothing is to be asked for it but its lane. */
function isHoldable({ limits: own, availableAt }: Pick<Wanted, "limits" | "availableAt">): boolean {
  return own.length === 0 && (!availableAt || availableAt.getTime() <= Date.now());
}

function heldFrom({ worker, lease }: Hold, at: Date): RunEvent {
  const until = new Date(at.getTime() + lease);
  return { type: "run.started", at, lease: { worker, token: 1 as Token, until }, attempt: 1, steps: 0 };
}

function heldBy(run: RunOf<"running">, placed: readonly Placed[]): Lease {
  return new HeldLease(run, placed[0]!.position, placed.at(-1)!.n!);
}

const isMoved = (error: unknown) => error instanceof EventBusError && error.code === "event_bus.run_moved";
export const isThereAlready = (error: unknown) =>
  isMoved(error) || (error instanceof DbError && error.code === "db.already_exists");
export const isGuardFailed = (error: unknown): error is EventBusError =>
  error instanceof EventBusError && error.code === "event_bus.guard_failed";
export const isFull = (error: unknown) => error instanceof StateError && error.code === "state.queue_full";

export async function isThere(run: string, { db }: Context): Promise<boolean> {
  return (await db.query(queries.readToken(run))) !== undefined;
}

/** How the log is told of a run that is started. */
export function queuedEvent(draft: Run): NewEvent {
  const { kind, name, version, queue, causation } = draft;
  return {
    ...about(draft),
    type: "run.queued",
    data: { kind, name, version, queue },
    ...(causation === undefined ? {} : { causation }),
  };
}

/** A run without a parent that is about to be started. */
export function draftFor(id: RunId, options: StartOptions): RunOf<"queued"> {
  const {
    id: _,
    key: __,
    lease: ___,
    state: ____,
    hold: _____,
    ...wanted
  } = checked(Options, options, "a start");
  const inputText = textOf(wanted.input, "the input");
  requireWithin("payloadBytes", Buffer.byteLength(inputText), "the input");
  return draftOf(id, wanted, hashOf(inputText), id);
}

type Wanted = Omit<z.output<typeof Options>, "id" | "key" | "lease" | "state" | "hold">;

function draftOf(id: RunId, wanted: Wanted, inputHash: string, root: RunId): RunOf<"queued"> {
  const { availableAt: _, maxAttempts = limits.attempts, ...rest } = wanted;
  const epoch = new Date(0);
  const counters = { revision: 1, token: 0, attempts: 0, steps: 0 };
  const times = { createdAt: epoch, updatedAt: epoch, availableAt: epoch };
  return {
    ...rest,
    ...counters,
    ...times,
    id,
    inputHash,
    root,
    maxAttempts,
    status: "queued",
  } as RunOf<"queued">;
}

export function startedAt(draft: RunOf<"queued">, availableAt: Date | undefined, at: Date): RunOf<"queued"> {
  return {
    ...draft,
    createdAt: at,
    updatedAt: at,
    availableAt: availableAt && availableAt > at ? availableAt : at,
  };
}

/** What led to it, in the graph. */
export function edges({ id, parent, parentStep, causation }: Run, at: Date): Statement[] {
  const step = parentStep === undefined ? {} : { step: parentStep };
  return [
    ...(parent === undefined
      ? []
      : [
          surql`INSERT RELATION INTO spawned ${{ id: new RecordId("spawned", id), in: runId(parent), out: runId(id), ...step, at }} RETURN NONE`,
        ]),
    ...(causation === undefined ? [] : [queries.relateCause(causation, id, at)]),
  ];
}

/** @throws `state.run_conflict` if the one that is there is another */
async function requireSame(
  { id, name, inputHash }: Run,
  state: Hash | undefined,
  context: Context,
): Promise<Run> {
  const { run, hasDetails } = await requireRun(id, context);
  const hasInput = run.name === name && run.inputHash === inputHash;
  if (hasInput && (state === undefined || !hasDetails || state === (await firstState(id, context))))
    return run;
  const other = run.name !== name ? "its own input" : hasInput ? "another first state" : "another input";
  throw new StateError({
    code: "state.run_conflict",
    message: `there is a run ${id} already, of ${run.name} with ${other}; take another key, or the same input`,
    details: { run: id, name: run.name, inputHash: run.inputHash },
  });
}

async function firstState(run: string, { db }: Context): Promise<unknown> {
  const [patch] = (await db.query(queries.readPatches(run, 1, FIRST_EVENTS))) as { hash: string }[];
  return patch?.hash ?? EMPTY.hash;
}

/** One of these told of the start; others may have told of the run before. */
const FIRST_EVENTS = 1_000;
