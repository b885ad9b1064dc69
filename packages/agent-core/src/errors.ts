import { DbError, SentientError } from "@sentient/db-pool";
import { SchemaError, type Failure } from "@sentient/schema";
import { StateError } from "@sentient/state";
import type { z } from "zod";

export type AgentErrorCode =
  // what is asked for cannot be
  | "agent.bad_option"
  | "agent.bad_definition"
  | "agent.unknown"
  | "agent.invalid_input"
  | "agent.closed"
  | "agent.bad_config"
  // how a run ended
  | "agent.run_cancelled"
  | "agent.run_parked"
  | "agent.result_timeout"
  // inside a run
  | "agent.invalid_output"
  | "agent.invalid_signal"
  | "agent.invalid_answer"
  | "agent.invalid_state"
  | "agent.cancelled"
  | "agent.step_timeout"
  | "agent.outcome_unknown"
  | "agent.cut_off"
  | "agent.no_output"
  | "agent.question_expired"
  | "agent.nested"
  | "agent.too_long"
  // in a test
  | "agent.stuck"
  | "agent.broken_by_crash";

interface AgentErrorInit {
  code: AgentErrorCode;
  message: string;
  retryable?: boolean;
  cause?: unknown;
  /** What a program may want to know: the run, its failure, what did not fit. */
  details?: Record<string, unknown>;
}

/** Whatever goes wrong between you and the runtime. */
export class AgentError extends SentientError<AgentErrorCode> {
  declare readonly details?: Record<string, unknown>;

  constructor({ details, ...init }: AgentErrorInit) {
    super(init);
    if (details) this.details = details;
  }

  override get name(): string {
    return "AgentError";
  }

  override toJSON(): Record<string, unknown> {
    return { ...super.toJSON(), ...(this.details ? { details: this.details } : {}) };
  }
}

/**
 * Thrown inside a step, it is not tried again.
 *
 * @example throw new NonRetryable("the card is stolen", { cause: error });
 */
export class NonRetryable extends Error {
  override get name(): string {
    return "NonRetryable";
  }
}

/** What a run or a step failed with, as it is remembered: the same in whichever process it is thrown. */
export class RememberedError extends Error {
  readonly code: string | undefined;
  readonly failure: Failure;

  constructor(failure: Failure) {
    const cause = causeOf(failure);
    super(failure.message, cause && { cause });
    this.name = failure.name;
    this.code = failure.code;
    this.failure = failure;
    if (failure.stack !== undefined) this.stack = failure.stack;
  }
}

/** As a chain of errors again. */
function causeOf({ causes = [] }: Failure): Error | undefined {
  return causes.reduceRight<Error | undefined>((cause, { name, message, code }) => {
    const error = new Error(message, cause && { cause });
    delete error.stack; // where it was made says nothing
    return Object.assign(error, { name }, code === undefined ? {} : { code });
  }, undefined);
}

/** @throws `agent.bad_option` naming the field */
export function checked<T extends z.ZodType>(schema: T, options: unknown, what: string): z.output<T> {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  throw new AgentError({
    code: "agent.bad_option",
    message: `${what}: ${saidOf(parsed.error)}`,
    cause: parsed.error,
  });
}

/** What does not fit, in one line. */
export function saidOf(error: z.ZodError): string {
  return error.issues
    .map(({ path, message }) => (path.length > 0 ? `${path.map(String).join(".")}: ${message}` : message))
    .join("; ");
}

export function closedError(): AgentError {
  return new AgentError({ code: "agent.closed", message: "this runtime was closed; create another one" });
}

/** Whether it is about what was to be committed, rather than about whether it could be. */
export function isOfWhatIsCommitted(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return (
    error instanceof AgentError ||
    code === "schema.limit" ||
    (error instanceof StateError &&
      ["state.bad_change", "state.checkpoint_exists", "state.not_open", "state.nothing_to_wait_for"].includes(
        error.code,
      ))
  );
}

/** Whether a statement that somebody else has written refuses it. */
export function isOfStatements(error: unknown): boolean {
  return error instanceof DbError && !error.retryable && error.outcome === "not_applied";
}

/** Whether nothing was changed, and the very same may succeed a moment later. */
export function isPassing(error: unknown): boolean {
  const { retryable, outcome } = error as Partial<SentientError>;
  return retryable === true && outcome === "not_applied";
}

/** Whether it is about what was asked for, rather than about whether the database answers, or whose the run is. */
export function isOfWhatIsAsked(error: unknown): boolean {
  return (
    error instanceof AgentError ||
    error instanceof SchemaError ||
    (error instanceof StateError && !["state.lease_lost", "state.busy"].includes(error.code))
  );
}

/** How a run was cancelled, for people. */
export function cancelledText(
  run: string,
  { by, reason }: { by?: string | undefined; reason?: string | undefined },
): string {
  const whom = by === undefined ? "" : ` by ${by}`;
  return `the run ${run} was cancelled${whom}${reason === undefined ? "" : `: ${reason}`}`;
}

export function cancelledError(run: string, reason?: string): AgentError {
  return new AgentError({
    code: "agent.cancelled",
    message: cancelledText(run, { reason }),
    details: { run },
  });
}

export function nestedError(step: string): AgentError {
  return new AgentError({
    code: "agent.nested",
    message: `the step ${step} asks for more of its run while it works. A step is one thing that is done once: do this before or after it, or make it a run of its own with ctx.call`,
    details: { step },
  });
}

export function tooManyWaitsError(run: string, most: number): AgentError {
  return new AgentError({
    code: "agent.bad_option",
    message: `the run ${run} waits for ${most} things at once, and that is the most; say fewer at once with ctx.map and its concurrency`,
    details: { run },
  });
}

export function outcomeUnknownError(name: string, run: string): AgentError {
  return new AgentError({
    code: "agent.outcome_unknown",
    message: `the step ${name} of the run ${run} was begun and cut off: nobody knows what became of it, and it is not begun twice; look what it did`,
    details: { run, step: name },
  });
}
