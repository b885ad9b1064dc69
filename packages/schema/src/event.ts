import { z } from "zod";
import { EventId, Hash, Name, Position, RunId, StepKey, Token, Version, WorkerId } from "./ids.ts";
import { Failure } from "./failure.ts";
import { unique } from "./index-kinds.ts";
import { jsonText, type Json } from "./json.ts";
import { ParkReason, RunKind } from "./run.ts";
import { defineTable } from "./table.ts";

/**
 * What each event of the runtime tells, by its type. Fields that a newer release adds are let through, so that an older one
 * can still read its events.
 */
export const eventData = {
  "run.queued": z.looseObject({ kind: RunKind, name: Name, version: Version, queue: Name }),
  "run.started": z.looseObject({ worker: WorkerId, token: Token, attempt: z.int().min(1) }),
  /** Its worker gave it back, or was not heard of until its lease ran out. */
  "run.released": z.looseObject({ worker: WorkerId, reason: z.enum(["handed_over", "lease_expired"]) }),
  "run.waiting": z.looseObject({
    for: z.array(z.looseObject({ for: z.string(), at: StepKey })).max(1_000),
    wakeAt: z.iso.datetime().nullable(),
  }),
  "run.paused": z.looseObject({ by: z.string(), reason: z.string().optional() }),
  /** It goes on: what it waited for has come, or somebody said so. */
  "run.resumed": z.looseObject({ by: z.string().optional(), key: StepKey.optional() }),
  "pause.requested": z.looseObject({ by: z.string(), reason: z.string().optional() }),
  "cancel.requested": z.looseObject({ by: z.string(), reason: z.string().optional() }),
  "run.parked": z.looseObject({ reason: ParkReason, problem: Failure }),
  "run.completed": z.looseObject({ steps: z.int().min(0) }),
  "run.failed": z.looseObject({ error: Failure }),
  "run.cancelled": z.looseObject({ by: z.string().optional(), reason: z.string().optional() }),
  "run.restored": z.looseObject({ to: z.int().min(0), by: z.string().optional() }),
  "run.imported": z.looseObject({ events: z.int().min(0) }),
  "run.removed": z.looseObject({ run: RunId, what: z.enum(["details", "all"]) }),
  "state.changed": z.looseObject({ by: z.string().optional() }),
  "step.started": z.looseObject({ key: StepKey, name: z.string(), attempt: z.int().min(1) }),
  "step.completed": z.looseObject({ key: StepKey, name: z.string(), attempts: z.int().min(1) }),
  "step.failed": z.looseObject({ key: StepKey, name: z.string(), attempt: z.int().min(1), error: Failure }),
  "checkpoint.created": z.looseObject({ name: Name }),
  "checkpoint.restored": z.looseObject({ name: Name, at: Position }),
  "signal.received": z.looseObject({ name: Name }),
  "question.asked": z.looseObject({ key: StepKey, text: z.string() }),
  "question.answered": z.looseObject({ key: StepKey, by: z.string() }),
  "question.expired": z.looseObject({ key: StepKey }),
  "question.withdrawn": z.looseObject({ key: StepKey }),
  "progress.reported": z.looseObject({
    done: z.number(),
    total: z.number().optional(),
    note: z.string().optional(),
  }),
  "agent.registered": z.looseObject({ name: Name, version: Version }),
  "agent.paused": z.looseObject({ name: Name, by: z.string().optional() }),
  "agent.resumed": z.looseObject({ name: Name, by: z.string().optional() }),
  "agent.changed": z.looseObject({ name: Name, revision: z.int().min(0) }),
  "schedule.changed": z.looseObject({ name: Name }),
  "limit.changed": z.looseObject({ key: Name }),
  "token.created": z.looseObject({ token: z.string(), name: z.string(), by: z.string().optional() }),
  "token.revoked": z.looseObject({ token: z.string(), by: z.string().optional() }),
  "system.alerted": z.looseObject({ code: z.string(), message: z.string() }),
} as const satisfies Record<string, z.ZodType>;

/** The types of the runtime's own events; anybody may add names of their own. */
export type EventType = keyof typeof eventData;
export const EVENT_TYPES = Object.keys(eventData) as EventType[];
export const EventType = z.enum(EVENT_TYPES);

/** `noun.past`, and whatever else a user's own events are called. */
const EventName = z
  .string()
  .regex(/^[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*$/, "small words with dots, as in order.placed")
  .max(128);

/** An immutable fact at a position in the log. */
export const Event = z.object({
  position: Position,
  /** Said by whoever tells of it: told twice under one id, it happened once. `event:<position>` if they gave none. */
  eventId: EventId,
  run: RunId.optional(),
  /** It is the n-th of its run. */
  n: z.int().min(1).optional(),
  type: EventName,
  source: z.string().min(1).max(256),
  target: z.string().min(1).max(256).optional(),
  workflow: Name.optional(),
  /** What it belongs to, across runs. */
  correlation: z.string().min(1).max(256).optional(),
  /** The event it follows from. */
  causation: EventId.optional(),
  data: jsonText("eventBytes"),
  /** Database time when it was appended. It never falls from one position to the next. */
  at: z.date(),
  /** Of this event and the hash of the one before in its run. */
  hash: Hash.optional(),
});
export type Event = z.infer<typeof Event>;

/**
 * An id that nobody gave is not stored. The first event of a batch holds, beside what an event is, which batch it was
 * (`batch`). All indexes are unique because those leave out a row that has none of their
 * fields, while a plain one keeps an entry of NONE for it, at a fifth of the cost of the row.
 */
export const eventTable = defineTable({
  name: "event",
  schema: Event.partial({ eventId: true }),
  key: "position",
  types: false,
  indexes: {
    byRun: unique("run", "n"),
    byEventId: unique("eventId"),
    byCausation: unique("causation", "position"),
    byCorrelation: unique("correlation", "position"),
  },
  comment: "an immutable fact at a position in the log",
});

/** An event whose data is checked by its type. */
export type KnownEvent = {
  [T in EventType]: Omit<Event, "type" | "data"> & {
    type: T;
    data: z.infer<(typeof eventData)[T]>;
    opaque: false;
  };
}[EventType];

/** An event of a type that this release does not know, or whose data it cannot read: passed on as it is. */
export interface OpaqueEvent extends Event {
  opaque: true;
  data: Json;
}

/**
 * What an event tells. One that is not known, because it is a user's own or newer than this release, is opaque and never
 * an error.
 *
 * @example const known = readEvent(event); if (!known.opaque && known.type === "run.failed") console.log(known.data.error.message);
 */
export function readEvent(event: Event): KnownEvent | OpaqueEvent {
  const schema = Object.hasOwn(eventData, event.type) ? eventData[event.type as EventType] : undefined;
  const read = schema?.safeParse(event.data);
  return read?.success
    ? ({ ...event, data: read.data, opaque: false } as KnownEvent)
    : { ...event, opaque: true };
}
