// Memory as tools: a model remembers and recalls as it sees fit, and whose memories they are is none of its to say.

import type { Context, Tool } from "@sentient/agent-core";
import { z } from "zod";
import { argumentsSchema, fittingArguments } from "./arguments.ts";
import type { MemoryStore } from "./memory/memory.ts";
import { threadOf } from "./thread-of.ts";

/** Whose memories are: `null` for nobody's in particular, or those of no conversation. */
export interface MemoryScope {
  agent?: string | null | undefined;
  thread?: string | null | undefined;
}

export interface MemoryToolsOptions {
  /** Whose memories they are: those of the agent that uses them if left out. */
  agent?: string;
  /**
   * Whose they are, of the run that uses them: of its tags, say, which whoever starts it sets. What it leaves out is as it would be
   * without it: the agent, and the thread that an assistant was asked in, or those of no thread.
   */
  scope?: (ctx: Pick<Context, "run">, thread: string | undefined) => MemoryScope;
  /** Whether what is nobody's and what is of no thread, as an imported corpus, is recalled too. */
  shared?: boolean;
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
 * Memories of one thread are never recalled in another one.
 *
 * @example defineAssistant({ name: "helper", model, memory, tools: [...memoryTools(memory)] });
 * @example memoryTools(memory, { scope: ({ run }) => ({ thread: run.tags.find((tag) => tag.startsWith("user:")) }), shared: true });
 */
export function memoryTools(memory: MemoryStore, options: MemoryToolsOptions = {}): Tool[] {
  const { shared = false } = options;
  return [
    {
      name: "remember",
      description: "Remembers a fact for later conversations.",
      input: argumentsSchema(Remember),
      call: async (ctx, { args }) => {
        const { text, tags } = await fittingArguments(ctx, "remember", Remember, args);
        const { agent, thread } = scopeOf(ctx, options);
        return memory.remember(ctx, { text, tags, agent: agent ?? undefined, thread: thread ?? undefined });
      },
    },
    {
      name: "recall",
      description: "Finds what was remembered before.",
      input: argumentsSchema(Recall),
      call: async (ctx, { args }) => {
        const { query, limit } = await fittingArguments(ctx, "recall", Recall, args);
        const hits = await memory.recall(ctx, { query, limit, shared, ...scopeOf(ctx, options) });
        return hits.map(({ id, text }) => ({ id, text }));
      },
    },
  ];
}

/** Never wider than one agent and one thread, unless it is said so. */
function scopeOf(
  ctx: Context,
  { agent: whose = ctx.run.name, scope }: MemoryToolsOptions,
): { agent: string | null; thread: string | null } {
  const asked = threadOf(ctx);
  const { agent = whose, thread = asked ?? null } = scope?.(ctx, asked) ?? {};
  return { agent, thread };
}
