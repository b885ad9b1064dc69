// opening
export { openDatabase } from "./open.ts";
export { optionsFromEnv } from "./env.ts";
export type { DatabaseOptions } from "./options.ts";
export { Secret } from "./secret.ts";

// serving an embedded one to other processes
export { serve } from "./serve.ts";
export type { Served, ServeOptions } from "./serve.ts";

// asking
export { surql, rawSurql, ident } from "./surql.ts";
export { Statement } from "./surql.ts";
export type { Identifier } from "./surql.ts";
export type { Database } from "./db.ts";
export type { Predecessor } from "./source.ts";
export type { Session } from "./session.ts";
export type { Snapshot } from "./snapshot.ts";
export type { CallOptions, Answers } from "./queryable.ts";
export type { PoolStats } from "./pool.ts";
export type { DatabaseEvents } from "./telemetry.ts";
export type { Doorbell, Ring } from "./doorbell.ts";

// values
export { encode, decode, PreciseDate } from "./codec.ts";
export {
  BoundExcluded,
  BoundIncluded,
  Decimal,
  Duration,
  RecordId,
  RecordIdRange,
  Table,
  Uuid,
} from "surrealdb";

// when it goes wrong
export { SentientError, DbError } from "./errors.ts";
export type { DbErrorCode, FailedStatement, Outcome } from "./errors.ts";

// time
export { systemClock, afterReading, sleep } from "./clock.ts";
export type { Clock } from "./clock.ts";
export { backoff } from "./backoff.ts";
export type { BackoffOptions } from "./backoff.ts";
