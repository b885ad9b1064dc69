// The tables of budgets. They are none of the runtime's: they stand beside it.

import { defineTable, RunId } from "@sentient/schema";
import { z } from "zod";

const Amounts = z.object({
  /** Of input and output together. */
  tokens: z.int().min(0),
  cost: z.number().min(0),
  calls: z.int().min(0),
});
export type Amounts = z.infer<typeof Amounts>;

export const Limits = z.object({
  tokens: z.int().min(1).optional(),
  /** In the currency of the prices. */
  cost: z.number().positive().optional(),
  /** Turns of models. */
  calls: z.int().min(1).optional(),
  /** From the first turn on, in milliseconds. */
  time: z.int().min(1).optional(),
});
export type Limits = z.infer<typeof Limits>;

/** What a run and all that it has started may use. */
export const Budget = z.object({
  /** The run at the root of the tree. */
  id: RunId,
  limits: Limits,
  /** What was used, as far as it was summed up: what was not stands in its holds. */
  used: Amounts,
  revision: z.int().min(1),
  openedAt: z.date(),
});
export type Budget = z.infer<typeof Budget>;

export const budgetTable = defineTable({
  name: "ai_budget",
  schema: Budget,
  asserts: false,
  comment: "what a run and all that it has started may use",
});

/** What one turn may use at most until it is known, and then what it has used. */
export const Hold = z.object({
  /** The root, the step whose turn it is, and which try of it. */
  id: z.tuple([RunId, z.string(), z.string()]),
  amounts: Amounts,
  isSettled: z.boolean(),
  at: z.date(),
});
export type Hold = z.infer<typeof Hold>;

export const holdTable = defineTable({
  name: "ai_hold",
  schema: Hold,
  asserts: false,
  comment: "what one turn of a model may use",
});
