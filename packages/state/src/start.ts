// Start. Owns: how a run comes to be: once under its key, with its place in the tree.

import { DbError, RecordId, surql, type Statement } from "@sentient/db-pool";
import {
  EventId,
  hashOf,
  limits,
  Name,
  RunId,
  runIdFor,
  RunKind,
  RunLimit,
  StepKey,
  Version,
  requireWithin,
  type Json,
} from "@sentient/schema";
import { randomUUID } from "node:crypto";
import { z } from "zod";
import { textOf } from "./change.ts";
import type { Context } from "./changing.ts";
import { requireRun } from "./changing.ts";
import { thrownBy } from "./commit.ts";
import type { Depth } from "./depth.ts";
import { checked, leaseLostError, StateError } from "./errors.ts";
import type { Lease } from "./lease.ts";
import * as queries from "./queries.ts";
import { rowOf, runId, type Run, type RunOf } from "./run.ts";
import { about } from "./telling.ts";

const Options = z.strictObject({
  kind: RunKind.default("task"),
  name: Name,
  version: Version.default("1" as Version),
  queue: Name.default("default" as Name),
  priority: z.int().min(-1000).max(1000).default(0),
  capabilities: z.array(Name).max(64).default([]),
  input: (z.unknown() as unknown as z.ZodType<Json, Json>).default(null),
  id: RunId.optional(),
  key: z.string().min(1).max(1024).optional(),
  parent: RunId.optional(),
  parentStep: StepKey.optional(),
  correlation: z.string().min(1).max(256).optional(),
  causation: EventId.optional(),
  tags: z.array(z.string().min(1).max(128)).max(32).default([]),
  limits: z.array(RunLimit).max(8).default([]),
  secrets: z.array(z.string().min(1).max(256)).max(64).default([]),
  maxAttempts: z.int().min(1).optional(),
  availableAt: z.date().optional(),
  deadline: z.date().optional(),
  lease: z.custom<Lease>().optional(),
});

export interface StartOptions {
  /** Of the agent or the workflow. */
  name: string;
  /** `task` if left out. */
  kind?: "task" | "workflow";
  version?: string;
  /** JSON, at most 1 MiB. */
  input?: Json;
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
}

export interface Started {
  run: Run;
  /** Whether it was there before. */
  existed: boolean;
}

/** @throws `state.run_conflict`, `state.queue_full`, `state.not_found` for a parent, `state.lease_lost`, `state.bad_option`, `schema.limit` */
export async function start(options: StartOptions, context: Context, depth: Depth): Promise<Started> {
  const { id, key, lease, ...wanted } = checked(Options, options, "a start");
  const inputText = textOf(wanted.input, "the input");
  requireWithin("payloadBytes", Buffer.byteLength(inputText), "the input");
  const run = id ?? (key === undefined ? (`r-${randomUUID()}` as RunId) : runIdFor(wanted.name, key));
  const parent = wanted.parent === undefined ? undefined : (await requireRun(wanted.parent, context)).run;
  const draft = draftOf(run, wanted, hashOf(inputText), parent?.root ?? run);
  const { bus, time } = context;
  let started: Run | undefined;
  try {
    if (!parent) await depth.add(); // what a run waits for must not be kept from it
    await bus.log.append({
      events: [
        {
          ...about(draft),
          type: "run.queued",
          data: { kind: draft.kind, name: draft.name, version: draft.version, queue: draft.queue },
          ...(draft.causation === undefined ? {} : { causation: draft.causation }),
        },
      ],
      rows: ([placed], at) => {
        started = startedAt(draft, wanted.availableAt, time.of(at));
        return [rowOf(started, placed!.position) as { id: RecordId }];
      },
      statements: (_, at) => [
        ...(lease ? [queries.requireToken(lease.run.id, lease.token)] : []),
        ...edges(draft, time.of(at)),
      ],
    });
    return { run: started!, existed: false };
  } catch (error) {
    if (lease && thrownBy(error) === queries.THROWN.stale) throw leaseLostError(lease.run.id, lease.token);
    if (!isThereAlready(error) && !(isFull(error) && (await isThere(run, context)))) throw error;
    return { run: await requireSame(draft, context), existed: true };
  }
}

const isThereAlready = (error: unknown) => error instanceof DbError && error.code === "db.already_exists";
const isFull = (error: unknown) => error instanceof StateError && error.code === "state.queue_full";

async function isThere(run: string, { db }: Context): Promise<boolean> {
  return (await db.query(queries.readToken(run))) !== undefined;
}

type Wanted = Omit<z.output<typeof Options>, "id" | "key" | "lease">;

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

function startedAt(draft: RunOf<"queued">, availableAt: Date | undefined, at: Date): RunOf<"queued"> {
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
async function requireSame({ id, name, inputHash }: Run, context: Context): Promise<Run> {
  const { run } = await requireRun(id, context);
  if (run.name === name && run.inputHash === inputHash) return run;
  throw new StateError({
    code: "state.run_conflict",
    message: `there is a run ${id} already, of ${run.name} with ${run.name === name ? "another input" : "its own input"}; take another key, or the same input`,
    details: { run: id, name: run.name, inputHash: run.inputHash },
  });
}
