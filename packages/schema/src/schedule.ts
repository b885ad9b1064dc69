import { z } from "zod";
import { Name, RunId, Version } from "./ids.ts";
import { index } from "./index-kinds.ts";
import { jsonText } from "./json.ts";
import { RunKind, RunLimit } from "./run.ts";
import { defineTable } from "./table.ts";

/** What starts runs by the clock. */
export const Schedule = z.object({
  id: Name,
  kind: RunKind,
  /** Of the agent or the workflow. */
  name: Name,
  version: Version.optional(),
  input: jsonText("payloadBytes"),
  /** What its runs get; as if they were started without it if left out. */
  queue: Name.optional(),
  priority: z.int().min(-1000).max(1000).optional(),
  capabilities: z.array(Name).max(64).optional(),
  tags: z.array(z.string().min(1).max(128)).max(31).optional(),
  limits: z.array(RunLimit).max(8).optional(),
  maxAttempts: z.int().min(1).optional(),
  secrets: z.array(z.string().min(1).max(256)).max(64).optional(),
  /** How long each of its runs may take, in milliseconds. */
  timeout: z.int().min(1).optional(),
  cron: z.string().min(1).max(256),
  /** An IANA name, as in `Europe/Berlin`. */
  timeZone: z.string().min(1).max(64),
  /** What becomes of times that went by while nobody was there. */
  missed: z.enum(["skip", "once", "all"]),
  /** The next time; each is one run, whoever starts it. There is none while it is paused, nor after the last. */
  nextAt: z.date().optional(),
  lastAt: z.date().optional(),
  lastRun: RunId.optional(),
  pausedAt: z.date().optional(),
  revision: z.int().min(0),
  createdAt: z.date(),
  updatedAt: z.date(),
});
export type Schedule = z.infer<typeof Schedule>;

export const scheduleTable = defineTable({
  name: "schedule",
  schema: Schedule,
  indexes: { due: index("nextAt") },
  comment: "what starts runs by the clock",
});
