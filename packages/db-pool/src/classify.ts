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
  code: DbErrorCode;
  more?: (match: RegExpExecArray, failure: EngineFailure) => Partial<DbErrorInit>;
}

const nothing = () => ({});
const retryable = () => ({ retryable: true });
const unknown = () => ({ outcome: "unknown" as const });

// In order: the first that matches the message names the error. SurrealDB 3.0 gives a `kind` for some of these only
// ("Internal" for the rest, conflicts among them), so the message is what can be relied on.
const RULES: Rule[] = [
  { when: /can be retried/, code: "db.conflict", more: retryable },
  {
    when: /No space left on device|kind=no storage space|StorageFull/i,
    code: "db.storage_full",
    more: unknown,
  },
  {
    when: /LOCK: (No locks available|Resource temporarily)|already locked by another process/,
    code: "db.locked",
  },
  { when: /Corruption:|corrupted/i, code: "db.corrupt" },
  { when: /IO error|WAL error/, code: "db.storage", more: unknown },
  {
    when: /Database record `(.*)` already exists/,
    code: "db.already_exists",
    more: (m) => ({ details: { id: m[1] } }),
  },
  {
    when: /^The \w+ '(.*)' already exists/,
    code: "db.already_exists",
    more: (m) => ({ details: { name: m[1] } }),
  },
  {
    when: /^Database index `(.*)` already contains/,
    code: "db.unique",
    more: (m) => ({ details: { index: m[1] } }),
  },
  {
    when: /^(?:An error occurred: )+([^]*)$/,
    code: "db.thrown",
    more: (m) => ({ details: { thrown: m[1] } }),
  },
  { when: /exceeded the timeout|timed out/i, code: "db.timeout" },
  { when: /^Parse error/, code: "db.syntax" },
  {
    when: /conform to|Couldn't coerce value for field|no such field exists|field is readonly/,
    code: "db.invalid_field",
  },
  {
    when: /There was a problem with authentication|InvalidAuth|invalid.*(signin|credentials)/i,
    code: "db.auth_failed",
  },
  { when: /token (has )?expired|session has expired/i, code: "db.auth_failed" },
  {
    when: /Not enough permissions|is not allowed|not permitted|You don't have permission/i,
    code: "db.denied",
  },
  { when: /does not exist|not found/i, code: "db.not_found" },
  { when: /recursion|too deep|computation depth/i, code: "db.too_deep" },
  { when: /Unsupported value type/, code: "db.undecodable", more: unknown },
];

/**
 * Names what the engine said: one `DbError` with a code, whether it may be retried, and whether it may have applied.
 * A statement that failed was rolled back, so `not_applied` is the rule; storage errors are the exception.
 *
 * @example classify({ message: "Database record `t:1` already exists" }).code // "db.already_exists"
 */
export function classify(failure: EngineFailure): DbError {
  for (const { when, code, more = nothing } of RULES) {
    const match = when.exec(failure.message);
    if (match) return dbError(code, failure, more(match, failure));
  }
  return dbError("db.engine", failure, {});
}

/** The statements that were merely carried along when another one failed. */
export function isBystander({ message, kind }: EngineFailure): boolean {
  return kind === "Query" && /was not executed due to a (failed|cancelled) transaction/.test(message);
}

function dbError(code: DbErrorCode, failure: EngineFailure, more: Partial<DbErrorInit>): DbError {
  return new DbError({ code, message: say(code, failure.message), ...more });
}

const HINTS: Partial<Record<DbErrorCode, string>> = {
  "db.too_deep": "flatten the value or the statement",
  "db.corrupt": "restore the folder from a backup; do not delete files in it",
  "db.storage_full": "free some space: what was acknowledged is safe, this call may not be",
  "db.undecodable": "the statement may have run, but its answer cannot be carried to JavaScript",
};

function say(code: DbErrorCode, message: string): string {
  const hint = HINTS[code];
  const said = message.trim().replace(/^(An error occurred: )+/, "");
  return hint ? `${said} (${hint})` : said;
}
