import { z } from "zod";
import { Name, Version } from "./ids.ts";
import { index } from "./index-kinds.ts";
import { jsonText } from "./json.ts";
import { RunKind } from "./run.ts";
import { defineTable } from "./table.ts";

/** What is known of an agent in code. Whether it runs is derived from its runs, and stored nowhere. */
export const Agent = z.object({
  id: z.tuple([Name, Version]),
  description: z.string().max(4096).optional(),
  capabilities: z.array(Name).max(64),
  queue: Name,
  /** What a run of it is, what an export of it leaves out, and how long it may take in milliseconds: who starts it by name knows. */
  kind: RunKind.optional(),
  secrets: z.array(z.string().min(1).max(256)).max(64).optional(),
  timeout: z.int().min(1).optional(),
  /** JSON Schema of what it takes and gives. */
  input: jsonText("payloadBytes").optional(),
  output: jsonText("payloadBytes").optional(),
  /** Since when nobody may claim its runs. */
  pausedAt: z.date().optional(),
  pausedBy: z.string().max(256).optional(),
  registeredAt: z.date(),
  updatedAt: z.date(),
});
export type Agent = z.infer<typeof Agent>;

export const agentTable = defineTable({
  name: "agent",
  schema: Agent,
  indexes: { byCapability: index("capabilities"), paused: index("pausedAt") },
  comment: "a named, versioned description in code of who does tasks",
});
