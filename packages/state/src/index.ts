export { createState } from "./state.ts";
export type { State, StateOptions } from "./state.ts";

// runs, and who advances them
export { apply } from "./run-machine.ts";
export type { RunEvent } from "./run-machine.ts";
export type { Run, RunOf } from "./run.ts";
export type { Started, StartOptions } from "./start.ts";
export type { ClaimOptions } from "./claim.ts";
export type { Lease } from "./lease.ts";
export type { Renewed, RenewOptions } from "./holding.ts";
export type { Change } from "./change.ts";
export type { Committed } from "./commit.ts";
export type { Attempted, Journal, Step } from "./journal.ts";
export type { Replay, ReplayOptions } from "./replay.ts";
export type { Chunk, ChunkOptions, Piece, StreamCount } from "./chunks.ts";

// looking and going back
export type {
  Checkpoint,
  CheckpointListOptions,
  CheckpointOptions,
  CheckpointPage,
  Checkpoints,
} from "./checkpoints.ts";
export type { Diff, DiffSide } from "./diff.ts";
export type { ForkOptions } from "./fork.ts";
export type { LedBy, RelatedRun, Relatives, RelativesOptions } from "./lineage.ts";
export type { Point } from "./points.ts";
export type { RestoreOptions, RestorePoint } from "./restore.ts";
export type { Why, WhyLink } from "./why.ts";

// saying and asking
export type { Signal, SignalListOptions, SignalOptions, SignalPage } from "./signals.ts";
export type { ListedQuestion, Question, QuestionListOptions, QuestionPage, Questions } from "./questions.ts";

// finding runs, and changing them from outside
export type { ListedRun, RunHistory, RunHistoryOptions, RunListOptions, RunPage } from "./list.ts";
export type { CancelOptions, ControlOptions } from "./control.ts";
export type { HistoryEntry, Workflow, WorkflowOptions, Workflows, WorkflowUpdate } from "./workflows.ts";

// carrying away, bringing back, removing
export { backupToFile } from "./backup.ts";
export { checkBackup, restoreBackup } from "./backup-restore.ts";
export type { BackupReport } from "./backup-format.ts";
export type { ExportOptions } from "./export.ts";
export type { Imported } from "./import.ts";
export type { Retained, RetainOptions, RetentionOptions } from "./retention.ts";
export type { StorageOptions, StorageUse } from "./storage.ts";

// who does it, when, and how much of it at once
export type { AgentState, StateUpdate } from "./agent-states.ts";
export type { Agent, AgentListOptions, AgentPage, Agents, RegisterOptions } from "./agents.ts";
export type { Explanation, ExplanationCode } from "./explain.ts";
export type { Fired } from "./firing.ts";
export type { Limit, LimitOptions, Limits } from "./flow.ts";
export type { ScheduleOptions, SchedulePage, Schedules } from "./schedules.ts";
export type { Swept, SweepOptions } from "./sweep.ts";
export type { Worker, WorkerBeat, Workers } from "./workers.ts";

// who is let in
export type { AccessToken, AccessTokenOptions, AccessTokens } from "./access-tokens.ts";
export type { Audit, AuditEntry, AuditListOptions, AuditPage, AuditRecord, AuditVerified } from "./audit.ts";

// when it goes wrong
export { StateError } from "./errors.ts";
export type { StateErrorCode } from "./errors.ts";
export { DbError } from "@sentient/db-pool";
export { EventBusError } from "@sentient/event-bus";
export { SchemaError } from "@sentient/schema";

// what one is handed, and hands in
export type { Asked, Event, Failure, Json, ParkReason, RunStatus, Schedule, Wait } from "@sentient/schema";
