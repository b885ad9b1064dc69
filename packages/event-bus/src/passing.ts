import { DbError, type DbErrorCode } from "@sentient/db-pool";

/** What goes by itself, or with the next connection. */
const PASSING = new Set<string>([
  "db.conflict",
  "db.connection_lost",
  "db.pool_full",
  "db.pool_timeout",
  "db.session_expired",
  "db.storage_full",
  "db.timeout",
  "db.unreachable",
] satisfies DbErrorCode[]);

/** Whether the database may answer later what it cannot answer now. */
export function isPassing(error: unknown): boolean {
  return error instanceof DbError && (error.retryable || PASSING.has(error.code));
}
