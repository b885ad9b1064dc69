import { z } from "zod";
import { Hash, ProducerId, RunId } from "./ids.ts";
import { defineTable } from "./table.ts";

/**
 * Where the log begins and ends. There are two of it in a database, because who appends and who trims would else be in
 * each other's way: `head` with the last position given, and `floor` with the last one trimmed; 0 before the first.
 */
export const LogMark = z.object({
  id: z.enum(["head", "floor"]),
  position: z.int().min(0),
  /** Database time of the last event up to there. */
  at: z.date(),
  /** Of the head: rises when events whose answer was lost are given up, so that they can no more be appended. */
  epoch: z.int().min(0).optional(),
  /** Of the head: whose turn it is to append, while several processes contend. */
  turn: z.object({ by: ProducerId, until: z.date() }).optional(),
});
export type LogMark = z.infer<typeof LogMark>;

export const logTable = defineTable({
  name: "log",
  schema: LogMark,
  asserts: false,
  comment: "where the log begins and ends",
});

/**
 * Who commits without events, with its last such batch: of one whose answer was lost it tells whether it was applied. One
 * with events tells so by itself.
 */
export const Producer = z.object({
  id: ProducerId,
  batch: z.int().min(0),
  /** False for a batch that was given up and can no more be applied. */
  applied: z.boolean(),
  at: z.date(),
});
export type Producer = z.infer<typeof Producer>;

export const producerTable = defineTable({
  name: "producer",
  schema: Producer,
  asserts: false,
  comment: "a process that commits, with its last batch without events",
});

/** The last event of a run that was trimmed, so that its next one goes on from there. */
export const RunTail = z.object({
  id: RunId,
  n: z.int().min(1),
  hash: Hash.optional(),
});
export type RunTail = z.infer<typeof RunTail>;

export const runTailTable = defineTable({
  name: "run_tail",
  schema: RunTail,
  asserts: false,
  comment: "where a run stood when its events were trimmed",
});
