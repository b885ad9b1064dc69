import { z } from "zod";
import { Name } from "./ids.ts";
import { jsonText } from "./json.ts";
import { defineTable } from "./table.ts";

/** What an agent remembers across its runs. */
export const AgentState = z.object({
  /** The agent's name: all versions share it. */
  id: Name,
  state: jsonText("payloadBytes"),
  /** Rises with every change. */
  revision: z.int().min(1),
  createdAt: z.date(),
  updatedAt: z.date(),
});
export type AgentState = z.infer<typeof AgentState>;

export const agentStateTable = defineTable({
  name: "agent_state",
  schema: AgentState,
  comment: "what an agent remembers across its runs",
});
