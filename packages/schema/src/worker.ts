import { z } from "zod";
import { Name, WorkerId } from "./ids.ts";
import { defineTable } from "./table.ts";

/** A process that claims and advances runs, as it last told of itself. */
export const Worker = z.object({
  id: WorkerId,
  host: z.string().max(256),
  pid: z.int().min(0),
  /** Of this library. */
  release: z.string().max(64),
  queues: z.array(Name).max(256),
  /** `name@version` of its agents and workflows. */
  serves: z.array(z.string().max(260)).max(1_000),
  /** What it can do; everything if left out. */
  capabilities: z.array(Name).max(64).optional(),
  slots: z.int().min(0),
  running: z.int().min(0),
  startedAt: z.date(),
  seenAt: z.date(),
  /** Since when it takes nothing new. */
  drainingAt: z.date().optional(),
});
export type Worker = z.infer<typeof Worker>;

export const workerTable = defineTable({
  name: "worker",
  schema: Worker,
  comment: "a process that claims and advances runs",
});
