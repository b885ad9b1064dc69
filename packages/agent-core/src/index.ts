// what is defined
export { defineAgent, defineWorkflow } from "./define.ts";
export type {
  DefineOptions,
  Definition,
  Given,
  InputOf,
  OnCancel,
  OutputOf,
  SignalSchemas,
} from "./define.ts";
export { defineAgents } from "./define-agents.ts";
export type { AgentsContext, Definitions } from "./define-agents.ts";
export type {
  Answer,
  AskOptions,
  Branch,
  CallOptions,
  Child,
  Context,
  FreeAskOptions,
  Remembered,
  RunInfo,
  RunLog,
  StepContext,
  StepOptions,
  WaitOptions,
} from "./context.ts";
export type { RetryPolicy } from "./retry.ts";

// agents that think
export { converse } from "./turn.ts";
export type {
  Bounds,
  Conversation,
  ConversationEnd,
  ConverseOptions,
  Meter,
  Metered,
  SoFar,
} from "./turn.ts";
export type { Said } from "./said.ts";
export type {
  FilePart,
  Message,
  Model,
  ReasoningPart,
  TextPart,
  Tool,
  ToolCall,
  ToolCallPart,
  ToolResultPart,
  ToolSpec,
  Turn,
  TurnEnd,
  TurnEvent,
  Usage,
} from "./model.ts";

// where it runs
export { createSentient } from "./sentient.ts";
export type { RunOptions, Sentient, SentientOptions } from "./sentient.ts";
export type { ByCapability } from "./routing.ts";
export type { ResultOptions, RunHandle, StreamItem } from "./handle.ts";
export type { WorkerOptions } from "./worker-options.ts";
export type { Worker } from "./worker.ts";
export type { AgentsFace } from "./agents.ts";
export type { CronOptions, SchedulesFace } from "./schedules.ts";
export type { Logger } from "./tools.ts";

// before new code meets old runs
export { replayCheck } from "./replay-check.ts";
export type { CheckedRun, Recorded, RecordedRun, ReplayCheck } from "./replay-check.ts";
export type { Divergence } from "./rehearsal.ts";

// when it goes wrong
export { AgentError, NonRetryable, RememberedError } from "./errors.ts";
export type { AgentErrorCode } from "./errors.ts";
