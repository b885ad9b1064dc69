import { SentientError } from "@sentient/db-pool";

export type SchemaErrorCode =
  // a table that cannot be
  | "schema.bad_table"
  | "schema.unsupported"
  // a value that does not fit
  | "schema.invalid_value"
  | "schema.invalid_row"
  | "schema.limit"
  // writing the next migration
  | "schema.decision_needed"
  | "schema.bad_snapshot"
  | "schema.bad_folder"
  // migrating
  | "schema.bad_migration"
  | "schema.migration_diverged"
  | "schema.migration_failed"
  | "schema.store_newer"
  | "schema.denied"
  | "schema.lock_timeout"
  | "schema.lock_lost"
  | "schema.cancelled";

interface SchemaErrorInit {
  code: SchemaErrorCode;
  message: string;
  retryable?: boolean;
  outcome?: "not_applied" | "unknown";
  cause?: unknown;
  /** What a program may want to know: the path, the migration's number, the limit. */
  details?: Record<string, unknown>;
}

/** Whatever goes wrong between a description of tables and the database that holds them. */
export class SchemaError extends SentientError<SchemaErrorCode> {
  declare readonly details?: Record<string, unknown>;

  constructor({ details, ...init }: SchemaErrorInit) {
    super(init);
    if (details) this.details = details;
  }

  override get name(): string {
    return "SchemaError";
  }

  override toJSON(): Record<string, unknown> {
    return { ...super.toJSON(), ...(this.details ? { details: this.details } : {}) };
  }
}
