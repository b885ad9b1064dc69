export { createState } from "./state.ts";
export type { State, StateOptions } from "./state.ts";
export { apply } from "./run-machine.ts";
export type { RunEvent } from "./run-machine.ts";
export type { Lease } from "./lease.ts";

// looking and going back
export type {
  Checkpoint,
  CheckpointOptions,
  CheckpointPage,
  CheckpointPageOptions,
  Checkpoints,
} from "./checkpoints.ts";
export type { Diff, DiffSide } from "./diff.ts";
export type { ForkOptions } from "./fork.ts";
export type { LedBy, Relative, Relatives, RelativesOptions } from "./lineage.ts";
export type { Point } from "./points.ts";
export type { RestoreOptions, RestorePoint } from "./restore.ts";
export type { Reason, Why } from "./why.ts";

// saying and asking
export type { Signal, SignalListOptions, SignalOptions, SignalPage } from "./signals.ts";
export type { ListedQuestion, Question, QuestionListOptions, QuestionPage, Questions } from "./questions.ts";

// finding runs, and changing them from outside
export type { ListedRun, ListOptions, RunHistory, RunHistoryOptions, RunPage } from "./list.ts";
export type { HistoryEntry, UpdateOptions, Workflow, WorkflowOptions, Workflows } from "./workflows.ts";

// carrying away, bringing back, removing
export type { ExportOptions } from "./export.ts";
export type { Imported } from "./import.ts";
export type { PassOptions, Removed, RetentionOptions } from "./retention.ts";
export type { Storage, StorageOptions } from "./storage.ts";

// who does it, when, and how much of it at once
export type { AgentState, Patch } from "./agent-states.ts";
export type { Agent, AgentPage, Agents, ListAgentsOptions, RegisterOptions } from "./agents.ts";
export type { Explanation, ExplanationCode } from "./explain.ts";
export type { Fired } from "./firing.ts";
export type { Limit, LimitOptions, Limits } from "./flow.ts";
export type { ScheduleOptions, SchedulePage, Schedules } from "./schedules.ts";
export type { Swept, SweepOptions } from "./sweep.ts";
export type { Beat, Worker, Workers } from "./workers.ts";
