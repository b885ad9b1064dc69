import { DbError, type DbErrorCode, type DbErrorInit } from "./errors.ts";

/** An error as the engine words it, on a statement or on a whole request. */
export interface EngineFailure {
  message: string;
  kind?: string;
  details?: unknown;
  code?: number;
}

interface Rule {
  when: RegExp;
  /** A kind that says otherwise. */
  unless?: string;
  code: DbErrorCode;
  more?: (match: RegExpExecArray) => Partial<DbErrorInit>;
}

const nothing = () => ({});
const retryable = () => ({ retryable: true });
const unknown = () => ({ outcome: "unknown" as const });
const named = (key: string) => (match: RegExpExecArray) => ({ details: { [key]: match[1] } });

const THROWN = "An error occurred: ";
/** What the engine puts before the words that matter. */
const LEAD =
  /^(?:(?:An error occurred|Error while processing event \S+|Query not executed|There was a problem with (?:a transaction|the key-value store|the datastore|the database)): )+/;

// In order: the first that fits names the error. SurrealDB 3.0 gives a `kind` for some of these only ("Internal" for the
// rest, conflicts among them), so the words are what can be relied on. Each rule is tied to the beginning of a message:
// the rest may quote a value, and a value may hold anything.
const RULES: Rule[] = [
  { when: /^Transaction conflict: [^]*can be retried/, code: "db.conflict", more: retryable },
  {
    when: /^(?:IO|WAL) error: [^]*(?:No space left on device|no storage space)/i,
    code: "db.storage_full",
    more: unknown,
  },
  { when: /^IO error: [^]*LOCK: (?:No locks available|Resource temporarily unavailable)/, code: "db.locked" },
  { when: /^(?:[\w ]+: )*Database at \S+ is already locked by another process/, code: "db.locked" },
  { when: /^Corrupt/i, unless: "Thrown", code: "db.corrupt" },
  { when: /^(?:IO|WAL) error: /, code: "db.storage", more: unknown },
  { when: /^Database record `([^]*)` already exists$/, code: "db.already_exists", more: named("id") },
  { when: /^The \w+ '([^]*)' already exists$/, code: "db.already_exists", more: named("name") },
  { when: /^Database index `([^`]*)` already contains /, code: "db.unique", more: named("index") },
  { when: /^The (?:query|transaction) was not executed because it exceeded the timeout/, code: "db.timeout" },
  { when: /^The transaction timed out/, code: "db.timeout" },
  { when: /^(?:Parse error: Exceeded|Reached excessive computation depth)/, code: "db.too_deep" },
  { when: /^Parse error: /, code: "db.syntax" },
  {
    when: /^(?:Found [^]* for field |Found field |Found changed value|Couldn't coerce value for field )/,
    code: "db.invalid_field",
  },
  { when: /^The session has expired/, code: "db.session_expired", more: retryable },
  {
    when: /^(?:There was a problem with authentication|Invalid(?:Token|Auth)|The token has expired)/,
    code: "db.auth_failed",
  },
  {
    when: /^(?:IAM error: |Access to network target |You don't have permission|Permission denied)/,
    code: "db.denied",
  },
  { when: /^The \w+ '([^]*)' does not exist$/, code: "db.not_found", more: named("name") },
  { when: /^Function '([^']*)' not found/, code: "db.not_found", more: named("name") },
  { when: /^(?:Method|Session|Transaction) not found/, code: "db.not_found" },
  { when: /^Unsupported value type: /, code: "db.undecodable", more: unknown },
];

const KINDS: Record<string, DbErrorCode> = {
  AlreadyExists: "db.already_exists",
  NotFound: "db.not_found",
  NotAllowed: "db.denied",
};

/**
 * Names what the engine said: one `DbError` with a code, whether it may be retried, and whether it may have applied.
 * A statement that failed was rolled back, so `not_applied` is the rule; storage errors are the exception.
 *
 * @example classify({ message: "Database record `t:1` already exists" }).code // "db.already_exists"
 */
export function classify(failure: EngineFailure): DbError {
  const said = failure.message.replace(LEAD, "").trim();
  for (const { when, unless, code, more = nothing } of RULES) {
    const match = unless && unless === failure.kind ? null : when.exec(said);
    if (match) return dbError(code, said, more(match));
  }
  if (failure.kind === "Thrown" || failure.message.includes(THROWN))
    return dbError("db.thrown", said, { details: { thrown: said } });
  return dbError(KINDS[failure.kind ?? ""] ?? "db.engine", said, {});
}

/** The failure as it was before a `LET` around its statement made it look thrown. */
export function unwrapped(failure: EngineFailure): EngineFailure {
  if (!failure.message.startsWith(THROWN)) return failure;
  const message = failure.message.slice(THROWN.length);
  return { ...failure, message, kind: message.startsWith(THROWN) ? "Thrown" : "Internal" };
}

/** The statements that were merely carried along when another one failed. */
export function isBystander({ message, kind }: EngineFailure): boolean {
  return kind === "Query" && /was not executed due to a (failed|cancelled) transaction/.test(message);
}

function dbError(code: DbErrorCode, said: string, more: Partial<DbErrorInit>): DbError {
  const hint = HINTS[code];
  return new DbError({
    code,
    message: hint ? `${said} (${hint})` : said || "an empty text was thrown",
    ...more,
  });
}

const HINTS: Partial<Record<DbErrorCode, string>> = {
  "db.too_deep": "flatten the value or the statement",
  "db.corrupt": "restore the folder from a backup; do not delete files in it",
  "db.storage_full": "free some space: what was acknowledged is safe, this call may not be",
  "db.undecodable": "the statement may have run, but its answer cannot be carried to JavaScript",
};
