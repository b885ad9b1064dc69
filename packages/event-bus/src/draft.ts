// Drafts. Owns: what somebody tells, checked and as it will be stored; all but its place in the log.

import { Event, requireWithin, SchemaError } from "@sentient/schema";
import { z } from "zod";
import { EventBusError } from "./errors.ts";

/** The id of an event whose teller gave none. */
const GIVEN_BY_LOG = /^event:/;

const Draft = z.strictObject({
  eventId: Event.shape.eventId
    .refine((id) => !GIVEN_BY_LOG.test(id), "event:<position> is what the log calls an event without an id")
    .optional(),
  run: Event.shape.run,
  type: Event.shape.type,
  source: Event.shape.source,
  target: Event.shape.target,
  workflow: Event.shape.workflow,
  correlation: Event.shape.correlation,
  causation: Event.shape.causation,
  data: Event.shape.data,
});

/** An event that was not told yet. `source` is the bus's own if left out, `data` is null. */
export interface NewEvent {
  /** Small words with dots, as in `order.placed`. */
  type: string;
  /** JSON: at most 256 KiB, 64 levels deep. */
  data?: unknown;
  /** Told twice under one id, it happened once. The log gives it one of its own if left out. */
  eventId?: string;
  /** The run it belongs to: it becomes the n-th event of it. */
  run?: string;
  source?: string;
  target?: string;
  workflow?: string;
  /** What it belongs to, across runs. */
  correlation?: string;
  /** The id of the event it follows from. */
  causation?: string;
}

/** A row of the log without its place. Its data is canonical text, so equal events have equal rows. */
export type Draft = z.input<typeof Draft>;

/** What the n-th event of a run is told with. */
export interface Placed {
  position: number;
  /** Which of its run's events it is. */
  n?: number;
}

/** @throws `event_bus.invalid_event`, naming the field; `schema.limit` for data that is too large */
export function draftOf(event: NewEvent, source: string): Draft {
  const isObject = typeof event === "object" && event !== null;
  const whole = isObject ? { ...event, source: event.source ?? source, data: event.data ?? null } : event;
  const encoded = z.safeEncode(Draft, whole as z.output<typeof Draft>);
  if (!encoded.success) throw invalid(event, encoded.error);
  for (const key of OPTIONAL) if (encoded.data[key] === undefined) delete encoded.data[key];
  return encoded.data;
}

/** @throws `event_bus.invalid_event`, `schema.limit` */
export function draftsOf(events: readonly NewEvent[], source: string): Draft[] {
  if (!Array.isArray(events))
    throw new EventBusError({
      code: "event_bus.invalid_event",
      message: "the events of an append are a list",
    });
  requireWithin("batch", events.length, "an append");
  const drafts = events.map((event) => draftOf(event, source));
  const ids = drafts.flatMap(({ eventId }) => eventId ?? []);
  const twice = ids.find((id, i) => ids.indexOf(id) < i);
  if (twice === undefined) return drafts;
  throw new EventBusError({
    code: "event_bus.invalid_event",
    message: `two events of one append have the id ${twice}; tell of it once`,
    details: { eventId: twice },
  });
}

function invalid(event: unknown, error: z.core.$ZodError): Error {
  const issues = error.issues.map(({ path, message }) => ({ path: path.map(String).join("."), message }));
  const said = issues.map(({ path, message }) => (path ? `${path}: ${message}` : message)).join("; ");
  const type = JSON.stringify((Object(event) as { type?: unknown }).type)?.slice(0, 130);
  const limit = error.issues
    .map((issue) => (issue as { params?: { limit?: string } }).params)
    .find((params) => params?.limit);
  return limit
    ? new SchemaError({ code: "schema.limit", message: `the event ${type}: ${said}`, details: { ...limit } })
    : new EventBusError({
        code: "event_bus.invalid_event",
        message: `the event ${type} cannot be told: ${said}`,
        details: { issues },
      });
}

/** Bytes of it in memory, roughly. */
export function sizeOf({ data }: Draft): number {
  return 200 + data.length;
}

/** Whether two tell the same. */
export function isSame(one: Draft, other: Draft): boolean {
  return BODY.every((key) => one[key] === other[key]);
}

const BODY = Object.keys(Draft.shape) as (keyof Draft)[];
/** What is undefined is as if it were left out. */
const OPTIONAL = ["eventId", "run", "target", "workflow", "correlation", "causation"] as const;
