// Trace. Owns: what led to an event and what came of it.
// Does not own: how that is printed (trace-text.ts).
// D1. An event has one cause at most, so all that follows from one is a tree; a circle is cut at its first event.
// D2. Between the root and the event asked for nothing is left out, however much came of the events there.

import { EventId, limits, Position, requireWithin, type Event } from "@sentient/schema";
import { z } from "zod";
import { badOption, EventBusError } from "./errors.ts";
import * as queries from "./queries.ts";
import { eventOf } from "./reader.ts";
import type { Store } from "./store.ts";
import { textOf } from "./trace-text.ts";

export interface TraceNode {
  event: Event;
  /** What names it as its cause, in the order of the log. */
  children: TraceNode[];
}

export interface Trace {
  /** The one asked for. */
  event: Event;
  /** The first cause that is in the log, with all that came of it. */
  root: TraceNode;
  /** The cause that the root names, and that was trimmed or is not of this log. */
  missing?: string;
  /** All events of the same correlation, in the order of the log. */
  correlation: Event[];
  /** All of it for people: a tree, one line an event. */
  text: string;
  /** Whether there is more, of the tree or of the correlation. */
  truncated: boolean;
}

export interface TraceOptions {
  /** How many events the tree has at most, and how many the correlation; `limits.page` if left out, and no more than it. */
  limit?: number;
}

/** Parents whose children are looked for in one query. */
const PARENTS = 100;

/** @throws `event_bus.not_found`, `event_bus.bad_option`, `schema.limit` */
export async function trace(
  db: Store,
  asked: Event | string | number,
  options: TraceOptions = {},
): Promise<Trace> {
  const limit = checkLimit(options);
  const event = await requireEvent(db, checkName(asked));
  const { path, missing, isWhole } = await climb(db, event, limit);
  const walked = await walk(db, path, limit);
  const group = await correlated(db, event, limit);
  const traced = {
    event,
    root: treeOf(walked.events, path[0]!),
    ...(missing === undefined ? {} : { missing }),
    correlation: group.events,
    truncated: !(isWhole && walked.isWhole && group.isWhole),
  };
  return { ...traced, text: textOf(traced) };
}

async function requireEvent(db: Store, name: string): Promise<Event> {
  const event = await find(db, name);
  if (event) return event;
  const floor = (await db.query(queries.readEnds())).floor?.position ?? 0;
  const isTrimmed = (positionOf(name) ?? Infinity) <= floor;
  throw new EventBusError({
    code: "event_bus.not_found",
    message: isTrimmed
      ? `the event ${name} was trimmed; the earliest position that is left is ${floor + 1}`
      : `there is no event ${name} in this log`,
    details: { event: name, ...(isTrimmed ? { earliest: floor + 1 } : {}) },
  });
}

async function find(db: Store, name: string): Promise<Event | undefined> {
  const position = positionOf(name);
  const rows = await db.query(
    position === undefined ? queries.findByEventIds([name]) : queries.readEvents([position]),
  );
  return rows[0] && eventOf(rows[0]);
}

interface Climbed {
  /** From the root to the event. */
  path: Event[];
  missing?: string;
  /** Whether it came to an end. */
  isWhole: boolean;
}

async function climb(db: Store, event: Event, limit: number): Promise<Climbed> {
  const path = [event];
  for (let top = event; top.causation !== undefined;) {
    const cause = await find(db, top.causation);
    if (!cause) return { path: path.toReversed(), missing: top.causation, isWhole: true };
    const met = path.findIndex(({ position }) => position === cause.position);
    if (met !== -1) return { path: withoutCircle(path, met), isWhole: true };
    if (path.length === limit) return { path: path.toReversed(), isWhole: false };
    path.push(cause);
    top = cause;
  }
  return { path: path.toReversed(), isWhole: true };
}

/** D1. @param path upwards; what is at `met` names the last of it as its effect */
function withoutCircle(path: readonly Event[], met: number): Event[] {
  const circle = path.slice(met);
  const first = circle.reduce((one, other) => (other.position < one.position ? other : one));
  return path.slice(0, path.indexOf(first) + 1).toReversed();
}

/** The tree below the first of `path`, level by level; `path` is part of it (D2). */
async function walk(
  db: Store,
  path: readonly Event[],
  limit: number,
): Promise<{ events: Event[]; isWhole: boolean }> {
  const root = path[0]!;
  const found = new Map(path.map((event) => [event.position, event]));
  const answer = (isWhole: boolean) => ({ events: [...found.values()], isWhole });
  for (let level = [root]; level.length > 0;) {
    const next: Event[] = [];
    for (let i = 0; i < level.length; i += PARENTS) {
      const causes = level.slice(i, i + PARENTS).flatMap(namesOf);
      for (const row of await db.query(queries.readCausedBy(causes, limit + 1))) {
        const event = found.get(row.id.id as Position) ?? eventOf(row);
        if (event === root) continue; // the end of a circle
        if (!found.has(event.position) && found.size === limit) return answer(false);
        found.set(event.position, event);
        next.push(event);
      }
    }
    level = next;
  }
  return answer(true);
}

async function correlated(
  db: Store,
  { correlation }: Event,
  limit: number,
): Promise<{ events: Event[]; isWhole: boolean }> {
  if (correlation === undefined) return { events: [], isWhole: true };
  const rows = await db.query(queries.readCorrelated(correlation, limit + 1));
  return { events: rows.slice(0, limit).map(eventOf), isWhole: rows.length <= limit };
}

function treeOf(events: readonly Event[], root: Event): TraceNode {
  const nodes = events
    .toSorted((one, other) => one.position - other.position)
    .map((event): TraceNode => ({ event, children: [] }));
  const named = new Map(nodes.flatMap((node) => namesOf(node.event).map((name) => [name, node])));
  for (const node of nodes) if (node.event !== root) named.get(node.event.causation!)!.children.push(node);
  return named.get(root.eventId)!;
}

/** What an event may be called as a cause. */
function namesOf({ eventId, position }: Event): string[] {
  return [...new Set<string>([eventId, `event:${position}`])];
}

function positionOf(name: string): number | undefined {
  const [, digits] = /^event:([1-9]\d{0,15})$/.exec(name) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

const Name = z.union(
  [EventId, Position.transform((position) => `event:${position}`), z.looseObject({ eventId: EventId })],
  "an event, its eventId, or a position",
);

function checkName(asked: Event | string | number): string {
  const checked = Name.safeParse(asked);
  if (!checked.success) throw badOption(checked.error);
  return typeof checked.data === "string" ? checked.data : checked.data.eventId;
}

const Options = z.strictObject({ limit: z.int().min(1).optional() });

function checkLimit(options: TraceOptions): number {
  const checked = Options.safeParse(options);
  if (!checked.success) throw badOption(checked.error);
  const { limit = limits.page } = checked.data;
  requireWithin("page", limit, "a trace");
  return limit;
}
