import { z } from "zod";
import { Failure } from "./failure.ts";
import { EventId, Hash, Name, RunId, StepKey, Token, Version, WorkerId } from "./ids.ts";
import { unique } from "./index-kinds.ts";
import { jsonText } from "./json.ts";
import { defineTable } from "./table.ts";

export const RUN_STATUSES = [
  "queued",
  "running",
  "waiting",
  "paused",
  "parked",
  "completed",
  "failed",
  "cancelled",
] as const;
export const RunStatus = z.enum(RUN_STATUSES);
export type RunStatus = z.infer<typeof RunStatus>;

/** The statuses that a run never leaves. */
export const FINAL_STATUSES = ["completed", "failed", "cancelled"] as const satisfies readonly RunStatus[];

export const RunKind = z.enum(["task", "workflow"]);
export type RunKind = z.infer<typeof RunKind>;

/** A worker's right to advance a run, until then. */
export const Lease = z.object({
  worker: WorkerId,
  token: Token,
  until: z.date(),
  /** The limits that it counts against. */
  slots: z.array(Name).max(16).optional(),
});
export type Lease = z.infer<typeof Lease>;

/** Something a waiting run waits for: what `at` awaits, and until when at most. */
export const Wait = z.discriminatedUnion("for", [
  z.object({ for: z.literal("timer"), at: StepKey, until: z.date() }),
  /** A step failed, and is tried again then. */
  z.object({ for: z.literal("retry"), at: StepKey, until: z.date() }),
  z.object({ for: z.literal("signal"), at: StepKey, name: Name, until: z.date().optional() }),
  z.object({ for: z.literal("question"), at: StepKey, until: z.date().optional() }),
  z.object({ for: z.literal("run"), at: StepKey, run: RunId, until: z.date().optional() }),
]);
export type Wait = z.infer<typeof Wait>;

/** What was asked of a run whose worker has not done it yet. */
export const Asked = z.object({
  what: z.enum(["cancel", "pause"]),
  by: z.string().max(256),
  reason: z.string().max(1024).optional(),
  at: z.date(),
});
export type Asked = z.infer<typeof Asked>;

/** No more than so many runs that carry this key run at once. */
export const RunLimit = z.object({ key: Name, max: z.int().min(1) });
export type RunLimit = z.infer<typeof RunLimit>;

/** Why a run cannot go on without help. */
export const ParkReason = z.enum([
  "no_worker",
  "journal_mismatch",
  "attempts_exhausted",
  "too_long",
  "asked",
]);
export type ParkReason = z.infer<typeof ParkReason>;

/**
 * What indexes look at; each follows from the rest of the row. A unique index leaves out a row that lacks its first field,
 * so a run stands only in those where it is looked for.
 */
const Seek = z.object({
  /** Queue, name and version of a run that may be claimed now, its priority and whether it was begun with the sign turned, and since when. */
  ready: z.string().optional(),
  rank: z.int().optional(),
  since: z.date().optional(),
  /** The same of one that may be claimed at a time: it was put off, its timer goes off, or its lease runs out. */
  due: z.string().optional(),
  dueAt: z.date().optional(),
  // A run with a deadline that nobody holds stands in the lane `~` of that of the two in which it has no other.
  /** The position of its first event with the sign turned, so that the newest run comes first. */
  newest: z.int(),
  /** The root of its tree, if it is not that itself. */
  tree: RunId.optional(),
  /** Since when it is over, as long as its details are kept. */
  over: z.date().optional(),
  /** The same once nobody reads its details any more, as long as they are being removed. */
  emptying: z.date().optional(),
  /** The same when they are removed. */
  bare: z.date().optional(),
});

const core = {
  id: RunId,
  kind: RunKind,
  /** Of the agent or the workflow. */
  name: Name,
  version: Version,
  queue: Name,
  /** Higher goes first. */
  priority: z.int().min(-1000).max(1000),
  /** What whoever claims it must be able to do. */
  capabilities: z.array(Name).max(64),
  input: jsonText("payloadBytes"),
  inputHash: Hash,
  parent: RunId.optional(),
  /** The step of the parent that started it. */
  parentStep: StepKey.optional(),
  /** The first run of its tree; itself if it has no parent. */
  root: RunId,
  /** The run that this one began from, and how many of its events it shares. */
  forkOf: z.object({ run: RunId, n: z.int().min(1) }).optional(),
  correlation: z.string().min(1).max(256).optional(),
  /** The event that led to it. */
  causation: EventId.optional(),
  tags: z.array(z.string().min(1).max(128)).max(32),
  limits: z.array(RunLimit).max(8),
  /** What an export leaves out, by the name of the key at any depth, or as a JSON Pointer. */
  secrets: z.array(z.string().min(1).max(256)).max(64),
  /** Rises with every change of the row; steps are rows of their own. */
  revision: z.int().min(0),
  /** The last lease granted: a commit under an older one is refused. */
  token: Token,
  /** Claims without progress. */
  attempts: z.int().min(0),
  maxAttempts: z.int().min(1),
  /** How many steps it remembered when it was last claimed or changed its status. */
  steps: z.int().min(0),
  asked: Asked.optional(),
  /** Whether it has something to undo when it is cancelled. */
  compensates: z.boolean().optional(),
  /** Whether it ever asked anything: what is open when it ends is withdrawn. */
  hasQuestions: z.boolean().optional(),
  /** By which of its events it was put back, and after which: what lies between does not count any more. */
  restores: z
    .array(z.object({ at: z.int().min(1), to: z.int().min(0) }))
    .max(1_000)
    .optional(),
  createdAt: z.date(),
  updatedAt: z.date(),
  startedAt: z.date().optional(),
  /** After which it is cancelled. */
  deadline: z.date().optional(),
  seek: Seek,
};

/** One durable execution, as a union: what belongs to a status is there with it, and not otherwise. */
export const Run = z.discriminatedUnion("status", [
  z.object({
    ...core,
    status: z.literal("queued"),
    availableAt: z.date(),
    /** The worker that was not heard of again, if that is why it is here. */
    lostBy: WorkerId.optional(),
  }),
  z.object({ ...core, status: z.literal("running"), lease: Lease }),
  z.object({
    ...core,
    status: z.literal("waiting"),
    /** The first that comes wakes it. */
    waitingFor: z.array(Wait).min(1).max(1_000),
    /** When it goes on by itself; null if only something from outside can wake it. */
    wakeAt: z.date().nullable(),
  }),
  z.object({
    ...core,
    status: z.literal("paused"),
    pausedBy: z.string().max(256),
    reason: z.string().max(1024).optional(),
  }),
  z.object({ ...core, status: z.literal("parked"), parkedFor: ParkReason, problem: Failure }),
  z.object({ ...core, status: z.literal("completed"), output: jsonText("payloadBytes"), endedAt: z.date() }),
  z.object({ ...core, status: z.literal("failed"), error: Failure, endedAt: z.date() }),
  z.object({
    ...core,
    status: z.literal("cancelled"),
    cancelledBy: z.string().max(256).optional(),
    reason: z.string().max(1024).optional(),
    endedAt: z.date(),
  }),
]);
export type Run = z.infer<typeof Run>;

export const runTable = defineTable({
  name: "run",
  schema: Run,
  types: false,
  indexes: {
    // Each covers every predicate of its query: what an index leaves out is filtered after LIMIT (surrealdb#7028).
    ready: unique("seek.ready", "seek.rank", "seek.since", "id"),
    due: unique("seek.due", "seek.dueAt", "id"),
    leased: unique("lease.until", "id"),
    byStatus: unique("status", "seek.newest"),
    byName: unique("name", "seek.newest"),
    byTree: unique("seek.tree", "seek.newest"),
    over: unique("seek.over", "id"),
    emptying: unique("seek.emptying", "id"),
    bare: unique("seek.bare", "id"),
  },
  comment: "one durable execution of an agent's task or of a workflow",
});
