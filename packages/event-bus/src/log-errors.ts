// How an append fails that nobody's statement has failed.

import type { Outcome } from "@sentient/db-pool";
import { EventBusError } from "./errors.ts";

export function lateError(outcome: Outcome, cause?: unknown): EventBusError {
  return new EventBusError({
    code: "event_bus.timeout",
    message:
      outcome === "unknown"
        ? "the database did not say in time whether it has the events; tell of them again under the same eventId"
        : "the database could not take the events in time; nothing was appended",
    retryable: outcome === "not_applied",
    outcome,
    ...(cause === undefined ? {} : { cause }),
  });
}

export function runMovedError(run: string, expected: number, n: number): EventBusError {
  return new EventBusError({
    code: "event_bus.run_moved",
    message: `the run ${run} has ${n} events, and not ${expected}: look again what it is, and decide anew`,
    details: { run, expected, n },
  });
}

export function noEntryError(): EventBusError {
  return new EventBusError({
    code: "event_bus.invalid_event",
    message: "an entry is an object: { guards, statements, events }",
  });
}

export function overloadedError(waiting: number): EventBusError {
  return new EventBusError({
    code: "event_bus.overloaded",
    message: `${waiting} appends wait already; wait for some of them before you tell of more`,
    retryable: true,
  });
}

export function cancelledError(): EventBusError {
  return new EventBusError({
    code: "event_bus.cancelled",
    message: "the append was taken back before it was committed",
  });
}
