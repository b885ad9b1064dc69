import { SentientError } from "@sentient/db-pool";
import type { z } from "zod";

export type EventBusErrorCode =
  // what is asked for cannot be
  | "event_bus.invalid_event"
  | "event_bus.bad_filter"
  | "event_bus.bad_option"
  | "event_bus.not_migrated"
  // appending
  | "event_bus.event_conflict"
  | "event_bus.guard_failed"
  | "event_bus.run_moved"
  | "event_bus.overloaded"
  | "event_bus.timeout"
  | "event_bus.cancelled"
  // reading
  | "event_bus.position_trimmed"
  | "event_bus.position_ahead"
  | "event_bus.not_found"
  | "event_bus.log_damaged"
  // consuming
  | "event_bus.consumer_mismatch"
  | "event_bus.lease_lost"
  | "event_bus.handler_timeout"
  | "event_bus.process_ended"
  // keeping
  | "event_bus.trim_held"
  // it is over
  | "event_bus.restored"
  | "event_bus.closed";

interface EventBusErrorInit {
  code: EventBusErrorCode;
  message: string;
  retryable?: boolean;
  outcome?: "not_applied" | "unknown";
  cause?: unknown;
  /** What a program may want to know: the position, the event's id, the guard. */
  details?: Record<string, unknown>;
}

/** Whatever goes wrong between somebody who tells of an event and somebody who hears of it. */
export class EventBusError extends SentientError<EventBusErrorCode> {
  declare readonly details?: Record<string, unknown>;

  constructor({ details, ...init }: EventBusErrorInit) {
    super(init);
    if (details) this.details = details;
  }

  override get name(): string {
    return "EventBusError";
  }

  override toJSON(): Record<string, unknown> {
    return { ...super.toJSON(), ...(this.details ? { details: this.details } : {}) };
  }
}

/** What is wrong with an option, by its path. */
export function badOption(error: z.core.$ZodError): EventBusError {
  const said = error.issues.map(({ path, message }) =>
    path.length > 0 ? `${path.join(".")}: ${message}` : message,
  );
  return new EventBusError({
    code: "event_bus.bad_option",
    message: said.join("; "),
    details: { issues: said },
  });
}

export function restoredError(): EventBusError {
  return new EventBusError({
    code: "event_bus.restored",
    message:
      "the database was restored from a backup while this process was connected, so what it knows is of another log; nothing was appended. Start the process again",
  });
}

export function closedError(): EventBusError {
  return new EventBusError({
    code: "event_bus.closed",
    message: "the event bus is closed; make another with createEventBus",
  });
}

export function damagedError(position: number, what: string): EventBusError {
  return new EventBusError({
    code: "event_bus.log_damaged",
    message: `the log is damaged at position ${position}: ${what}; restore the database from a backup`,
    details: { position },
  });
}

export function notMigratedError(): EventBusError {
  return new EventBusError({
    code: "event_bus.not_migrated",
    message: "this database has no log yet; run migrateRuntime(db) first",
  });
}
