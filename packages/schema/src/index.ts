// describing tables
export { defineTable } from "./table.ts";
export type { AnyTable, Relation, RowOf, RowSchema, Table, TableOptions } from "./table.ts";
export { defineAnalyzer, fullText, index, unique, vector } from "./index-kinds.ts";
export type { Analyzer, FullTextOptions, Index, VectorOptions } from "./index-kinds.ts";
export { bytes, decimal, duration, link, stored, uuid } from "./surreal-values.ts";
export type { Gap } from "./shape.ts";
export { jsonText, canonicalJson } from "./json.ts";
export type { Json } from "./json.ts";

// migrations
export { generate, generateEmpty, isGenerated } from "./generate.ts";
export type { GenerateOptions, Generated } from "./generate.ts";
export type { Decisions } from "./decisions.ts";
export { defineDataMigration, defineMigration, readMigrations } from "./migration.ts";
export type { DataMigration, DataMigrationInit, Migration, RowChange, SurqlMigration } from "./migration.ts";
export { migrate, migrationStatus } from "./migrate.ts";
export type {
  AppliedMigration,
  MigrateOptions,
  MigrationProgress,
  MigrationReport,
  MigrationStatus,
  PendingMigration,
} from "./migrate.ts";
export { check } from "./check.ts";
export type { Drift } from "./check.ts";

// the nouns of the runtime
export { ACCESS_SCOPES, AccessScope, AccessToken, accessTokenTable } from "./access-token.ts";
export { Agent, agentTable } from "./agent.ts";
export { AgentState, agentStateTable } from "./agent-state.ts";
export { AuditHead, auditHeadTable, AuditRecord, auditTable } from "./audit.ts";
export { Blob, blobTable, BlobUse, blobUseTable } from "./blob.ts";
export { Checkpoint, checkpointTable } from "./checkpoint.ts";
export { Chunk, chunkTable } from "./chunk.ts";
export {
  Consumer,
  ConsumerMember,
  consumerMemberTable,
  consumerTable,
  DeadLetter,
  deadLetterTable,
} from "./consumer.ts";
export { Event, EventType, EVENT_TYPES, eventData, eventTable, readEvent } from "./event.ts";
export type { KnownEvent, OpaqueEvent } from "./event.ts";
export { FlowLimit, flowLimitTable, Slot, slotTable } from "./flow.ts";
export { Caused, causedTable, Forked, forkedTable, Spawned, spawnedTable } from "./lineage.ts";
export { LogMark, logTable, Producer, producerTable, RunTail, runTailTable } from "./log.ts";
export { Patch, patchTable } from "./patch.ts";
export { Question, questionTable } from "./question.ts";
export {
  Asked,
  FINAL_STATUSES,
  Lease,
  ParkReason,
  Run,
  RUN_STATUSES,
  RunKind,
  RunLimit,
  RunStatus,
  runTable,
  Wait,
} from "./run.ts";
export { Schedule, scheduleTable } from "./schedule.ts";
export { Signal, signalTable } from "./signal.ts";
export { Step, stepTable } from "./step.ts";
export { Waiter, waiterTable } from "./waiter.ts";
export { Worker, workerTable } from "./worker.ts";
export { jsonSchemas, migrateRuntime, RUNTIME_HISTORY, runtimeMigrations, runtimeTables } from "./runtime.ts";
export type { Noun } from "./runtime.ts";

// what names them, and how large they may be
export {
  EventId,
  Hash,
  hashOf,
  Name,
  Position,
  ProducerId,
  RunId,
  runIdFor,
  StepKey,
  Token,
  Version,
  WorkerId,
} from "./ids.ts";
export { Failure, failureOf } from "./failure.ts";
export { withoutSecrets } from "./secrets.ts";
export { configureLimits, limits, requireWithin } from "./limits.ts";
export type { Limit, Limits } from "./limits.ts";

// when it goes wrong
export { SchemaError } from "./errors.ts";
export type { SchemaErrorCode } from "./errors.ts";
