import { z } from "zod";
import { Failure } from "./failure.ts";
import { Name, Position, Token, WorkerId } from "./ids.ts";
import { index } from "./index-kinds.ts";
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
  /** How many events it has handled, and how many a second lately. */
  handled: z.int().min(0),
  rate: z.number().min(0),
  /** The event that was being handled when a lease ended without being given back, and how often that happened. */
  suspect: z.object({ position: Position, times: z.int().min(1) }).optional(),
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

/** A process that wants its share of a consumer's partitions. */
export const ConsumerMember = z.object({
  id: z.tuple([Name, WorkerId]),
  /** It is taken for gone after that. */
  until: z.date(),
});
export type ConsumerMember = z.infer<typeof ConsumerMember>;

export const consumerMemberTable = defineTable({
  name: "consumer_member",
  schema: ConsumerMember,
  asserts: false,
  comment: "a process that wants its share of a consumer's partitions",
});

/** An event that a consumer could not handle, with the reason; kept whole, as the log may be trimmed. */
export const DeadLetter = z.object({
  id: z.tuple([Name, Position]),
  partition: z.int().min(0),
  /** As JSON. */
  event: z.string(),
  reason: Failure,
  attempts: z.int().min(1),
  /** How often it was tried again after it came here. */
  redrives: z.int().min(0),
  /** `queued` once somebody asked for it to be tried again. */
  status: z.enum(["dead", "queued"]),
  createdAt: z.date(),
  updatedAt: z.date(),
});
export type DeadLetter = z.infer<typeof DeadLetter>;

export const deadLetterTable = defineTable({
  name: "dead_letter",
  schema: DeadLetter,
  asserts: false,
  indexes: { byStatus: index("status") },
  comment: "an event that a consumer could not handle",
});
