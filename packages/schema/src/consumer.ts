import { z } from "zod";
import { Name, Token, WorkerId } from "./ids.ts";
import { jsonText } from "./json.ts";
import { defineTable } from "./table.ts";

/** A named durable follower of the log, or one partition of it. */
export const Consumer = z.object({
  id: z.tuple([Name, z.int().min(0)]),
  partitions: z.int().min(1).max(256),
  /** Everything up to here was handled; 0 before the first. */
  position: z.int().min(0),
  filter: jsonText("eventBytes").optional(),
  lease: z.object({ worker: WorkerId, until: z.date() }).optional(),
  /** The last lease granted. */
  token: Token,
  createdAt: z.date(),
  updatedAt: z.date(),
});
export type Consumer = z.infer<typeof Consumer>;

export const consumerTable = defineTable({
  name: "consumer",
  schema: Consumer,
  asserts: false,
  comment: "a named durable follower of the log",
});
