// What holds runs back: how many may run at once, and how many may start in a time.

import { z } from "zod";
import { Name, RunId, Token } from "./ids.ts";
import { defineTable } from "./table.ts";

/** What a queue or an agent may do at most: `queue:default`, `agent:research`. */
export const FlowLimit = z.object({
  id: Name,
  /** How many of its runs may run at once. */
  concurrency: z.int().min(1).optional(),
  /** So many of its runs may start in so many milliseconds, and that many at once. */
  rate: z.object({ count: z.int().min(1), per: z.int().min(1) }).optional(),
  /** How many starts are left of the rate, as of a time. */
  bucket: z.object({ left: z.number(), at: z.date() }).optional(),
  updatedAt: z.date(),
});
export type FlowLimit = z.infer<typeof FlowLimit>;

export const flowLimitTable = defineTable({
  name: "flow_limit",
  schema: FlowLimit,
  asserts: false,
  comment: "what a queue or an agent may do at most",
});

/** A running run, counted against a limit. */
export const Slot = z.object({
  /** The limit's key and the run. */
  id: z.tuple([Name, RunId]),
  token: Token,
  at: z.date(),
});
export type Slot = z.infer<typeof Slot>;

export const slotTable = defineTable({
  name: "slot",
  schema: Slot,
  types: false,
  comment: "a running run, counted against a limit",
});
