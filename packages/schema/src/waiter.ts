import { z } from "zod";
import { RunId } from "./ids.ts";
import { defineTable } from "./table.ts";

/** A run waits for another one to end: the one that ends, and the one that waits. */
export const Waiter = z.object({ id: z.tuple([RunId, RunId]) });
export type Waiter = z.infer<typeof Waiter>;

export const waiterTable = defineTable({
  name: "waiter",
  schema: Waiter,
  types: false,
  comment: "a run waits for another one to end",
});
