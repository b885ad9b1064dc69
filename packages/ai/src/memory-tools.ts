// Memory as tools: a model remembers and recalls as it sees fit, for its own agent alone.

import type { Context, Tool } from "@sentient/agent-core";
import { z } from "zod";
import { argumentsSchema, fittingArguments } from "./arguments.ts";
import type { MemoryStore } from "./memory/memory.ts";

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
      input: argumentsSchema(Remember),
      call: async (ctx, { args }) => {
        const { text, tags } = await fittingArguments(ctx, "remember", Remember, args);
        return memory.remember(ctx, { text, tags, agent: agentOf(ctx) });
      },
    },
    {
      name: "recall",
      description: "Finds what was remembered before.",
      input: argumentsSchema(Recall),
      call: async (ctx, { args }) => {
        const { query, limit } = await fittingArguments(ctx, "recall", Recall, args);
        const hits = await memory.recall(ctx, { query, limit, agent: agentOf(ctx) });
        return hits.map(({ id, text }) => ({ id, text }));
      },
    },
  ];
}
