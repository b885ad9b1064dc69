// Problems. Owns: what is answered when something goes wrong: one table from codes to statuses, and application/problem+json.
// P1. What a code is not listed with, or what has none, is a defect of ours: 500, and nothing of it is told but its place in
//     the log of requests.
// P2. Stacks and statements never leave the process.

import type { AgentErrorCode } from "@sentient/agent-core";
import { SentientError, type DbErrorCode } from "@sentient/db-pool";
import type { EventBusErrorCode } from "@sentient/event-bus";
import type { SchemaErrorCode } from "@sentient/schema";
import type { StateErrorCode } from "@sentient/state";
import type { ApiErrorCode } from "./errors.ts";

type Code =
  | AgentErrorCode
  | ApiErrorCode
  | DbErrorCode
  | EventBusErrorCode
  | SchemaErrorCode
  | StateErrorCode;

/** Whatever a caller can do about it decides: 4xx is for them to mend, 503 passes by itself, 500 is ours. */
export const STATUS: Readonly<Record<Code, number>> = {
  "agent.bad_option": 400,
  "agent.bad_config": 500,
  "agent.bad_definition": 500,
  "agent.unknown": 404,
  "agent.invalid_input": 400,
  "agent.closed": 503,
  "agent.run_cancelled": 409,
  "agent.run_parked": 409,
  "agent.result_timeout": 408,
  "agent.invalid_output": 500,
  "agent.invalid_answer": 500,
  "agent.invalid_state": 500,
  "agent.invalid_signal": 400,
  "agent.cancelled": 409,
  "agent.step_timeout": 500,
  "agent.outcome_unknown": 500,
  "agent.cut_off": 500,
  "agent.no_output": 500,
  "agent.question_expired": 409,
  "agent.nested": 500,
  "agent.too_long": 409,
  "agent.stuck": 500,
  "agent.broken_by_crash": 500,

  "api.bad_config": 500,
  "api.bad_request": 400,
  "api.not_found": 404,
  "api.method_not_allowed": 405,
  "api.too_large": 413,
  "api.not_json": 415,
  "api.wrong_key": 400,
  "api.wrong_host": 421,
  "api.wrong_origin": 403,
  "api.not_authenticated": 401,
  "api.not_allowed": 403,
  "api.too_many_requests": 429,
  "api.too_many_streams": 429,
  "api.closing": 503,
  "api.not_ready": 503,
  "api.internal": 500,

  "db.bad_option": 500,
  "db.bad_url": 500,
  "db.bad_statement": 500,
  "db.unencodable": 400,
  "db.syntax": 500,
  "db.double_release": 500,
  "db.nested_acquire": 500,
  "db.already_exists": 409,
  "db.unique": 409,
  "db.thrown": 500,
  "db.invalid_field": 500,
  "db.not_found": 500,
  "db.denied": 500,
  "db.auth_failed": 503,
  "db.too_deep": 400,
  "db.too_large": 413,
  "db.unsupported_server": 500,
  "db.engine": 500,
  "db.conflict": 503,
  "db.session_expired": 503,
  "db.pool_timeout": 503,
  "db.pool_full": 503,
  "db.unreachable": 503,
  "db.timeout": 503,
  "db.cancelled": 503,
  "db.connection_lost": 503,
  "db.closed": 503,
  "db.undecodable": 500,
  "db.locked": 503,
  "db.open_failed": 503,
  "db.corrupt": 500,
  "db.storage_full": 503,
  "db.storage": 503,

  "event_bus.invalid_event": 400,
  "event_bus.bad_filter": 400,
  "event_bus.bad_option": 400,
  "event_bus.not_migrated": 503,
  "event_bus.event_conflict": 409,
  "event_bus.guard_failed": 409,
  "event_bus.run_moved": 409,
  "event_bus.overloaded": 503,
  "event_bus.timeout": 503,
  "event_bus.cancelled": 503,
  "event_bus.position_trimmed": 410,
  "event_bus.position_ahead": 400,
  "event_bus.not_found": 404,
  "event_bus.log_damaged": 500,
  "event_bus.consumer_mismatch": 409,
  "event_bus.lease_lost": 409,
  "event_bus.handler_timeout": 500,
  "event_bus.process_ended": 500,
  "event_bus.trim_held": 409,
  "event_bus.restored": 503,
  "event_bus.closed": 503,

  "schema.bad_table": 500,
  "schema.unsupported": 500,
  "schema.invalid_value": 400,
  "schema.invalid_row": 500,
  "schema.limit": 413,
  "schema.decision_needed": 500,
  "schema.bad_snapshot": 500,
  "schema.bad_folder": 500,
  "schema.bad_migration": 500,
  "schema.migration_diverged": 503,
  "schema.migration_failed": 503,
  "schema.store_newer": 503,
  "schema.denied": 503,
  "schema.lock_timeout": 503,
  "schema.lock_lost": 503,
  "schema.cancelled": 503,

  "state.bad_option": 400,
  "state.bad_change": 400,
  "state.not_found": 404,
  "state.illegal_transition": 409,
  "state.revision_mismatch": 409,
  "state.run_conflict": 409,
  "state.queue_full": 429,
  "state.lease_lost": 409,
  "state.journal_mismatch": 409,
  "state.step_exists": 409,
  "state.question_exists": 409,
  "state.nothing_to_wait_for": 409,
  "state.busy": 503,
  "state.not_open": 409,
  "state.invalid_answer": 400,
  "state.checkpoint_exists": 409,
  "state.position_ahead": 400,
  "state.details_removed": 410,
  "state.damaged": 500,
  "state.bad_export": 400,
  "state.bad_backup": 400,
  "state.not_empty": 409,
  "state.half_restored": 500,
};

/** RFC 9457, with what the error family adds. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  /** For programs: match this, and never the text. */
  code: string;
  detail: string;
  /** Whether the very same request may succeed later. */
  retryable: boolean;
  /** `unknown`: it may have taken effect; look before it is said again, or say it under a key. */
  outcome: "not_applied" | "unknown";
  /** What it is called in the log of requests. */
  request: string;
  details?: Record<string, unknown>;
}

/** What is told of something that was thrown. */
export function problemOf(error: unknown, request: string): Problem {
  const known = error instanceof SentientError && Object.hasOwn(STATUS, error.code) ? error : undefined;
  const status = known ? STATUS[known.code as Code] : 500;
  if (!known || status === 500) return ours(known, request);
  const { code, message, retryable, outcome } = known;
  const { details } = known as { details?: Record<string, unknown> };
  return {
    type: `https://sentient.dev/problems/${code}`,
    title: titleOf(status),
    status,
    code,
    detail: code.startsWith("db.") ? "the database does not answer as it should; try again" : message,
    retryable: retryable || status === 503,
    outcome,
    request,
    ...(details && !code.startsWith("db.") ? { details } : {}),
  };
}

/** P1, P2. */
function ours(error: SentientError | undefined, request: string): Problem {
  const code = error?.code ?? "api.internal";
  return {
    type: `https://sentient.dev/problems/${code}`,
    title: titleOf(500),
    status: 500,
    code,
    detail: `something is wrong on our side; the log of the server has more under ${request}`,
    retryable: false,
    outcome: error?.outcome ?? "unknown",
    request,
  };
}

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad request",
  401: "Not authenticated",
  403: "Not allowed",
  404: "Not found",
  405: "Method not allowed",
  408: "Timeout",
  409: "Conflict",
  410: "Gone",
  413: "Too large",
  415: "Not JSON",
  421: "Wrong host",
  429: "Too many",
  500: "Internal error",
  503: "Not available",
};

function titleOf(status: number): string {
  return TITLES[status] ?? "Error";
}

export const PROBLEM_JSON = "application/problem+json";
/** How long to wait where it says nothing better, in seconds. */
const RETRY_AFTER = "1";

export function problemResponse(problem: Problem, headers: Record<string, string> = {}): Response {
  const { status } = problem;
  const wait = status === 429 || status === 503 ? { "retry-after": RETRY_AFTER } : {};
  return new Response(JSON.stringify(problem), {
    status,
    headers: { "content-type": PROBLEM_JSON, ...wait, ...headers },
  });
}
