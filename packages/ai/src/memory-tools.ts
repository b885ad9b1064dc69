// Memory as tools: a model remembers and recalls as it sees fit, for its own agent alone.

import type { Context, Tool, ToolCall } from "@sentient/agent-core";
import type { Json } from "@sentient/schema";
import { z } from "zod";
import type { MemoryStore } from "./memory/memory.ts";
import { refused } from "./use.ts";

export interface MemoryToolsOptions {
  /** Whose memories they are: those of the agent that uses them if left out. */
  agent?: string;
}

const Remember = z.strictObject({
  text: z.string().min(1).max(4_000).describe("one fact, in a sentence that is clear by itself"),
  tags: z.array(z.string().min(1).max(128)).max(8).default([]).describe("names and topics it is about"),
});
const Recall = z.strictObject({
  query: z.string().min(1).max(1_000).describe("what to look for, in words"),
  limit: z.int().min(1).max(20).default(5),
});

/**
 * `remember` and `recall` for a model. What it recalls is told to it as it was when it asked, however often the run is replayed.
 *
 * @example defineAssistant({ name: "helper", model, tools: [...memoryTools(memory)] });
 */
export function memoryTools(memory: MemoryStore, { agent }: MemoryToolsOptions = {}): Tool[] {
  const agentOf = (ctx: Context) => agent ?? ctx.run.name;
  return [
    {
      name: "remember",
      description: "Remembers a fact for later conversations.",
      input: z.toJSONSchema(Remember, { io: "input" }) as Json,
      call: async (ctx, call) => {
        const { text, tags } = await parsed(ctx, "remember", Remember, call);
        return memory.remember(ctx, { text, tags, agent: agentOf(ctx) });
      },
    },
    {
      name: "recall",
      description: "Finds what was remembered before.",
      input: z.toJSONSchema(Recall, { io: "input" }) as Json,
      call: async (ctx, call) => {
        const { query, limit } = await parsed(ctx, "recall", Recall, call);
        const hits = await memory.recall(ctx, { query, limit, agent: agentOf(ctx) });
        return hits.map(({ id, text }) => ({ id, text }));
      },
    },
  ];
}

async function parsed<T extends z.ZodType>(ctx: Context, name: string, schema: T, { args }: ToolCall) {
  const result = schema.safeParse(args);
  if (result.success) return result.data;
  throw await refused(ctx, name, z.prettifyError(result.error), args);
}
