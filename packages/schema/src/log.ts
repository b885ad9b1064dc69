import { z } from "zod";
import { ProducerId } from "./ids.ts";
import { defineTable } from "./table.ts";

/** Where the log begins and ends. There is one of it in a database. */
export const LogHead = z.object({
  id: z.literal("head"),
  /** The last position given; 0 before the first event. */
  position: z.int().min(0),
  /** Everything up to here was trimmed; positions are never used again. */
  floor: z.int().min(0),
});
export type LogHead = z.infer<typeof LogHead>;

export const logTable = defineTable({
  name: "log",
  schema: LogHead,
  asserts: false,
  comment: "where the log begins and ends",
});

/** A process that appends, with its last batch: the same batch sent again is answered, not appended. */
export const Producer = z.object({
  id: ProducerId,
  batch: z.int().min(0),
  /** The position of the batch's first event, and how many it had. */
  first: z.int().min(0),
  count: z.int().min(0),
  at: z.date(),
});
export type Producer = z.infer<typeof Producer>;

export const producerTable = defineTable({
  name: "producer",
  schema: Producer,
  asserts: false,
  comment: "a process that appends to the log, with its last batch",
});
