// Fields. Owns: what comes in, in paths and queries, where everything is text; and what several bodies have in common.

import { z } from "@hono/zod-openapi";
import { EventId, limits, Name, RunId, StepKey } from "@sentient/schema";

/** A number in a query. */
export const Int = z
  .string()
  .regex(/^\d{1,15}$/, "a whole number")
  .transform(Number)
  .openapi({ type: "integer", minimum: 0 });

export const Flag = z
  .enum(["true", "false"])
  .transform((text) => text === "true")
  .openapi({ type: "boolean" });

/** One, or several of the same name. */
export const several = <S extends z.ZodType>(one: S) =>
  z
    .preprocess((said) => (Array.isArray(said) ? said : [said]), z.array(one).max(100))
    .openapi({ type: "array", items: { type: "string" } });

export const Text = z.string().min(1).max(256);
export const Instant = z.iso.datetime({ offset: true }).transform((text) => new Date(text));
export const AnyJson = z.unknown().openapi({ description: "any JSON" });

export const Page = {
  limit: Int.refine((limit) => limit >= 1 && limit <= limits.page, `1 to ${limits.page}`).optional(),
};

export const OfRun = z.object({ run: RunId });
export const OfName = z.object({ name: Name });

/** A point of a run's history; one of them. */
export const Point = {
  n: z.int().min(1).optional(),
  position: z.int().min(1).optional(),
  checkpoint: Name.optional(),
};

/** What a run is started with, beside what it is of. */
export const RunFields = {
  id: RunId.optional(),
  key: z.string().min(1).max(1024).optional(),
  queue: Name.optional(),
  priority: z.int().min(-1000).max(1000).optional(),
  tags: z.array(z.string().min(1).max(128)).max(32).optional(),
  correlation: Text.optional(),
  causation: EventId.optional(),
  maxAttempts: z.int().min(1).optional(),
  deadline: Instant.optional(),
  at: Instant.optional(),
};

export const EventFilterFields = {
  types: several(z.string().min(1).max(128)).optional(),
  source: Text.optional(),
  target: Text.optional(),
  workflow: Name.optional(),
  correlation: Text.optional(),
};

export { EventId, Name, RunId, StepKey, z };

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** Without what was left out. */
export function defined<T extends object>(fields: T): Defined<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Defined<T>;
}

const IdempotencyKey = z
  .string()
  .min(1)
  .max(1024)
  .openapi({ description: "Said again with the same one, it happens once." });
export const WithKey = z.object({ "idempotency-key": IdempotencyKey.optional() });
