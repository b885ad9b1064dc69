export { createEventBus } from "./bus.ts";
export type { EventBus, EventBusEvents, EventBusOptions, FollowOptions } from "./bus.ts";

// telling
export type { NewEvent, Placed } from "./draft.ts";
export type { AppendOptions, Entry, NewRow } from "./entry.ts";

// hearing
export type { EventFilter } from "./filter.ts";
export type { From } from "./follow.ts";
export type { Handler, Subscription } from "./subscription.ts";
export type { HistoryOptions, HistoryPage } from "./history.ts";
export type { ReplayRange } from "./replay.ts";

// consuming
export type { Consumer, ConsumerOptions } from "./consumer.ts";
export type { Change, ConsumerHandler, Handling } from "./call.ts";
export type { Consumers, ConsumerStatus, PartitionStatus } from "./consumers.ts";
export type { DeadLetter } from "./letters.ts";

// looking back, and keeping
export type { Trace, TraceNode, TraceOptions } from "./trace.ts";
export type { Damage, Verified, VerifyOptions } from "./verify.ts";
export type { RetentionOptions, Trimmed, TrimOptions } from "./retention.ts";

// for who restores a backup of it
export { epochOfNewEra } from "./era.ts";

// when it goes wrong
export { EventBusError } from "./errors.ts";
export type { EventBusErrorCode } from "./errors.ts";
export { DbError } from "@sentient/db-pool";
export { SchemaError } from "@sentient/schema";

// what one is handed, and hands in
export type { Event, EventId, Position } from "@sentient/schema";
export type { Statement } from "@sentient/db-pool";
