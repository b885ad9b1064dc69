/** Whether a failed call may still have taken effect. `"unknown"` asks you to re-read before you repeat. */
export type Outcome = "not_applied" | "unknown";

export interface ErrorInit<Code extends string> {
  code: Code;
  message: string;
  /** True when the very same call may succeed if it is simply made again. */
  retryable?: boolean;
  outcome?: Outcome;
  cause?: unknown;
}

/**
 * The one error family of Sentient. Match `code`, never the message.
 *
 * @example if (error instanceof SentientError && error.code === "db.conflict") …
 */
export class SentientError<Code extends string = string> extends Error {
  readonly code: Code;
  readonly retryable: boolean;
  readonly outcome: Outcome;

  constructor({ code, message, retryable = false, outcome = "not_applied", cause }: ErrorInit<Code>) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.retryable = retryable;
    this.outcome = outcome;
  }

  override get name(): string {
    return "SentientError";
  }

  toJSON(): Record<string, unknown> {
    const { name, code, message, retryable, outcome } = this;
    return { name, code, message, retryable, outcome };
  }
}

export type DbErrorCode =
  // you asked for something that cannot be
  | "db.bad_option"
  | "db.bad_url"
  | "db.bad_statement"
  | "db.unencodable"
  | "db.syntax"
  | "db.double_release"
  | "db.nested_acquire"
  // the database said no
  | "db.already_exists"
  | "db.unique"
  | "db.thrown"
  | "db.invalid_field"
  | "db.not_found"
  | "db.denied"
  | "db.auth_failed"
  | "db.too_deep"
  | "db.too_large"
  | "db.unsupported_server"
  | "db.engine"
  // try again
  | "db.conflict"
  | "db.session_expired"
  | "db.pool_timeout"
  | "db.pool_full"
  | "db.unreachable"
  // the call was cut short
  | "db.timeout"
  | "db.cancelled"
  | "db.connection_lost"
  | "db.closed"
  | "db.undecodable"
  // the folder
  | "db.locked"
  | "db.open_failed"
  | "db.corrupt"
  | "db.storage_full"
  | "db.storage";

/** The statement of a transaction that truly failed: its place in the list (from 0) and its text. */
export interface FailedStatement {
  index: number;
  text: string;
}

export interface DbErrorInit extends ErrorInit<DbErrorCode> {
  statement?: FailedStatement;
  /** What the database added: the id that exists already, the text that was thrown, the attempts made. */
  details?: Record<string, unknown>;
}

/** Whatever goes wrong between you and the database. */
export class DbError extends SentientError<DbErrorCode> {
  declare readonly statement?: FailedStatement;
  declare readonly details?: Record<string, unknown>;

  constructor(init: DbErrorInit) {
    super(init);
    if (init.statement) this.statement = init.statement;
    if (init.details) this.details = init.details;
  }

  override get name(): string {
    return "DbError";
  }

  // It does not name its own class: a bundler would then rename that, and Node would print `_DbError`.
  /** The same error, with more said about where it happened. */
  with(more: Partial<DbErrorInit>): DbError {
    const { code, message, retryable, outcome, cause, statement, details } = this;
    return new (this.constructor as typeof DbError)({
      code,
      message,
      retryable,
      outcome,
      ...(cause === undefined ? {} : { cause }),
      ...(statement ? { statement } : {}),
      ...(details ? { details } : {}),
      ...more,
    });
  }
}

/** @internal */
export function closedError(): DbError {
  return new DbError({
    code: "db.closed",
    message: "the database is closed; open it again before you use it",
  });
}

/** @internal */
export function doubleReleaseError(what: string): DbError {
  return new DbError({ code: "db.double_release", message: `this ${what} was given back already` });
}
