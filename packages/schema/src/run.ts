import { z } from "zod";
import { Failure } from "./failure.ts";
import { Hash, Name, Position, RunId, StepKey, Token, Version, WorkerId } from "./ids.ts";
import { index } from "./index-kinds.ts";
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
export const Lease = z.object({ worker: WorkerId, token: Token, until: z.date() });
export type Lease = z.infer<typeof Lease>;

/** What a waiting run waits for. */
export const WaitReason = z.enum(["timer", "retry", "signal", "question", "run", "slot"]);
export type WaitReason = z.infer<typeof WaitReason>;

/** Why a run cannot go on without help. */
export const ParkReason = z.enum([
  "no_worker",
  "journal_mismatch",
  "attempts_exhausted",
  "too_long",
  "asked",
]);
export type ParkReason = z.infer<typeof ParkReason>;

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
  /** The run and the position in its history that this one began from. */
  forkOf: z.object({ run: RunId, at: Position }).optional(),
  correlation: z.string().min(1).max(256).optional(),
  tags: z.array(z.string().min(1).max(128)).max(32),
  /** Rises with every change of the run. */
  revision: z.int().min(0),
  /** The last lease granted: a commit under an older one is refused. */
  token: Token,
  /** Claims without progress. */
  attempts: z.int().min(0),
  maxAttempts: z.int().min(1),
  /** How many events it has. */
  events: z.int().min(0),
  /** How many steps it remembers. */
  steps: z.int().min(0),
  /** What was asked of it and not yet done. */
  asked: z.enum(["cancel", "pause"]).optional(),
  createdAt: z.date(),
  updatedAt: z.date(),
  startedAt: z.date().optional(),
  /** After which it is cancelled. */
  deadline: z.date().optional(),
};

/** One durable execution, as a union: what belongs to a status is there with it, and not otherwise. */
export const Run = z.discriminatedUnion("status", [
  z.object({ ...core, status: z.literal("queued"), availableAt: z.date() }),
  z.object({ ...core, status: z.literal("running"), lease: Lease }),
  z.object({
    ...core,
    status: z.literal("waiting"),
    waitingFor: WaitReason,
    /** The step or question it waits at. */
    waitingAt: StepKey,
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
    reason: z.string().max(1024).optional(),
    endedAt: z.date(),
  }),
]);
export type Run = z.infer<typeof Run>;

export const runTable = defineTable({
  name: "run",
  schema: Run,
  asserts: false,
  indexes: {
    // Each covers every predicate of its query: what an index leaves out is filtered after LIMIT (surrealdb#7028).
    ready: index("queue", "status", "availableAt"),
    waking: index("status", "wakeAt"),
    leased: index("status", "lease.until"),
    byName: index("name", "status"),
    byRoot: index("root"),
  },
  comment: "one durable execution of an agent's task or of a workflow",
});
