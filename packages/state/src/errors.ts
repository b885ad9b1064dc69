import { SentientError, type DbError } from "@sentient/db-pool";
import { z } from "zod";

export type StateErrorCode =
  // what is asked for cannot be
  | "state.bad_option"
  | "state.bad_change"
  | "state.not_found"
  | "state.illegal_transition"
  | "state.revision_mismatch"
  | "state.run_conflict"
  | "state.queue_full"
  // who advances a run
  | "state.lease_lost"
  | "state.journal_mismatch"
  | "state.step_exists"
  | "state.question_exists"
  | "state.nothing_to_wait_for"
  | "state.busy"
  // signals and questions
  | "state.not_open"
  | "state.invalid_answer"
  // looking back
  | "state.checkpoint_exists"
  | "state.position_ahead"
  | "state.details_removed"
  | "state.damaged"
  | "state.bad_export"
  | "state.bad_backup"
  | "state.not_empty"
  | "state.half_restored";

interface StateErrorInit {
  code: StateErrorCode;
  message: string;
  retryable?: boolean;
  outcome?: "not_applied" | "unknown";
  cause?: unknown;
  /** What a program may want to know: the run, what it is, what was expected. */
  details?: Record<string, unknown>;
}

/** Whatever goes wrong with a run and what is known of it. */
export class StateError extends SentientError<StateErrorCode> {
  declare readonly details?: Record<string, unknown>;

  constructor({ details, ...init }: StateErrorInit) {
    super(init);
    if (details) this.details = details;
  }

  override get name(): string {
    return "StateError";
  }

  override toJSON(): Record<string, unknown> {
    return { ...super.toJSON(), ...(this.details ? { details: this.details } : {}) };
  }
}

/** What people ask of a run has changed. */
export function notOpenError(run: string, why: string): StateError {
  return new StateError({
    code: "state.not_open",
    message: `the run ${run} cannot come to this end any more: ${why}; look again, or give it back`,
    details: { run },
  });
}

export function notFoundError(
  what: string,
  id: string,
  details: Record<string, unknown> = { [what]: id },
): StateError {
  return new StateError({
    code: "state.not_found",
    message: `there is no ${what} ${id} in this database`,
    details,
  });
}

export function leaseLostError(run: string, token: number): StateError {
  return new StateError({
    code: "state.lease_lost",
    message: `lease ${token} of the run ${run} has moved on: whoever holds the next one goes on, and nothing of this change was committed`,
    details: { run, token },
  });
}

export function removedError(run: string): StateError {
  return new StateError({
    code: "state.details_removed",
    message: `what the run ${run} did is gone: its details were kept for a time and then removed`,
    details: { run },
  });
}

/** By the row that is there already. @returns undefined for what is none of a run's */
export function existsError(run: string, cause: DbError): StateError | undefined {
  const [, table, key = ""] = /^(\w+):\[.*'([^']*)'\]$/s.exec(String(cause.details?.id)) ?? [];
  switch (table) {
    case "step":
      return new StateError({
        code: "state.step_exists",
        message: `the run ${run} remembers the step ${key} already; nothing of this change was committed. Read the journal, and go on from there`,
        details: { run, key },
        cause,
      });
    case "question":
      return new StateError({
        code: "state.question_exists",
        message: `the run ${run} has asked ${key} already; nothing of this change was committed. Wait for its answer, or ask under another key`,
        details: { run, key },
        cause,
      });
    case "checkpoint":
      return new StateError({
        code: "state.checkpoint_exists",
        message: `the run ${run} has a checkpoint ${key} already, and what it names does not change; nothing of this change was committed. Take another name`,
        details: { run, checkpoint: key },
        cause,
      });
    default:
      return undefined;
  }
}

export function revisionMismatchError(
  what: string,
  { expected, revision, ...of }: { expected: number; revision: number; [of: string]: unknown },
): StateError {
  return new StateError({
    code: "state.revision_mismatch",
    message: `${what} is at revision ${revision}, and not at ${expected}: read it again, and decide anew`,
    details: { ...of, expected, revision },
  });
}

/** What does not fit a schema, each with its place. */
export function issuesOf({ issues }: z.ZodError): string[] {
  return issues.map(({ path, message }) =>
    path.length > 0 ? `${path.map(String).join(".")}: ${message}` : message,
  );
}

/**
 * An option as its schema says it.
 *
 * @throws `state.bad_option`, naming the field
 */
export function checked<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = issuesOf(parsed.error);
  throw new StateError({
    code: "state.bad_option",
    message: `${what}: ${issues.join("; ")}`,
    details: { issues },
  });
}

const Text = z.string().min(1);

/** An id of a run, of which nothing is known yet. @throws `state.bad_option` */
export function checkedRun(id: string): string {
  return checked(Text, id, "the id of a run");
}
