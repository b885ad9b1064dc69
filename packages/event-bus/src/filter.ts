// Filters. Owns: which events somebody wants, as a condition in the database and as a question in code.

import { surql, type Statement } from "@sentient/db-pool";
import { Event } from "@sentient/schema";
import { z } from "zod";
import { EventBusError } from "./errors.ts";

const TypePattern = z
  .string()
  .max(128)
  .regex(
    /^(?:\*|[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*(?:\.\*)?)$/,
    "a type as in step.failed, or all below one: step.*",
  );

const Filter = z.strictObject({
  run: Event.shape.run,
  types: z.union([TypePattern.transform((type) => [type]), z.array(TypePattern).min(1).max(100)]).optional(),
  source: Event.shape.source.optional(),
  target: Event.shape.target,
  workflow: Event.shape.workflow,
  correlation: Event.shape.correlation,
});

/** Which events: those that meet all that is given, and all events if nothing is. */
export interface EventFilter {
  run?: string;
  /** Exact types, or all below one: `step.*`. */
  types?: string | readonly string[];
  source?: string;
  target?: string;
  workflow?: string;
  correlation?: string;
}

/** A filter that was checked. */
export type CheckedFilter = z.output<typeof Filter>;

/** @throws `event_bus.bad_filter` */
export function checkFilter(filter: EventFilter): CheckedFilter {
  const parsed = Filter.safeParse(filter);
  if (parsed.success) return parsed.data;
  const said = parsed.error.issues.map(({ path, message }) =>
    path.length > 0 ? `${path.join(".")}: ${message}` : message,
  );
  throw new EventBusError({
    code: "event_bus.bad_filter",
    message: `this filter fits no event: ${said.join("; ")}`,
    details: { issues: said },
  });
}

const EQUAL = ["run", "source", "target", "workflow", "correlation"] as const;
type Field = (typeof EQUAL)[number];

const equals: Record<Field, (value: string) => Statement> = {
  run: (value) => surql`run = ${value}`,
  source: (value) => surql`source = ${value}`,
  target: (value) => surql`target = ${value}`,
  workflow: (value) => surql`workflow = ${value}`,
  correlation: (value) => surql`correlation = ${value}`,
};

/** @param beside what is asked for already @returns undefined if nothing is left to ask */
export function conditionOf(filter: CheckedFilter, beside?: Field): Statement | undefined {
  const parts = EQUAL.flatMap((field) => {
    const value = filter[field];
    return value === undefined || field === beside ? [] : equals[field](value);
  });
  const types = typeCondition(filter.types);
  if (types) parts.push(types);
  return parts.length === 0 ? undefined : parts.reduce((all, part) => surql`${all} AND ${part}`);
}

function typeCondition(types: readonly string[] | undefined): Statement | undefined {
  if (!types || types.includes("*")) return undefined;
  const exact = types.filter((type) => !type.endsWith("*"));
  const below = types.filter((type) => type.endsWith("*")).map((type) => type.slice(0, -1));
  const parts = below.map((start) => surql`string::starts_with(type, ${start})`);
  if (exact.length > 0) parts.push(surql`type IN ${exact}`);
  return surql`(${parts.reduce((any, part) => surql`${any} OR ${part}`)})`;
}

/** Whether an event is one of those that a filter is for. */
export function matcherOf(filter: CheckedFilter): (event: Pick<Event, Field | "type">) => boolean {
  const fields = EQUAL.filter((field) => filter[field] !== undefined);
  const { types } = filter;
  if (!types || types.includes("*"))
    return (event) => fields.every((field) => event[field] === filter[field]);
  const exact = new Set(types);
  const below = types.filter((type) => type.endsWith("*")).map((type) => type.slice(0, -1));
  const isWanted = (type: string) => exact.has(type) || below.some((start) => type.startsWith(start));
  return (event) => isWanted(event.type) && fields.every((field) => event[field] === filter[field]);
}
