import { z } from "zod";
import { Name, Version } from "./ids.ts";
import { index } from "./index-kinds.ts";
import { jsonText } from "./json.ts";
import { defineTable } from "./table.ts";

/** What is known of an agent in code. Whether it runs is derived from its runs, and stored nowhere. */
export const Agent = z.object({
  id: z.tuple([Name, Version]),
  description: z.string().max(4096).optional(),
  capabilities: z.array(Name).max(64),
  queue: Name,
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
