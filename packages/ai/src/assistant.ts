// Assistants. Owns: the agent that most want: a model with tools, which knows what was said before.
// It is made of `defineAgent`, `converse` and memory, and does nothing that one could not write oneself.

import {
  converse,
  defineAgent,
  type Context,
  type ConverseOptions,
  type Definition,
  type Message,
} from "@sentient/agent-core";
import type { Json } from "@sentient/schema";
import { z } from "zod";
import { AiError } from "./errors.ts";
import type { MemoryStore } from "./memory/memory.ts";

export interface AssistantOptions extends Omit<ConverseOptions, "prompt" | "messages" | "output"> {
  name: string;
  version?: string;
  description?: string;
  capabilities?: readonly string[];
  queue?: string;
  concurrency?: number;
  /** Keeps what is said in a thread, where one is named. */
  memory?: MemoryStore;
  /** Messages of a thread that the model is told of: 50 if left out. */
  last?: number;
}

const Input = z.object({
  prompt: z.string().min(1),
  /** What was said in it before is known, and what is said now is kept. Whoever names it shares it. */
  thread: z.string().min(1).max(256).optional(),
});

const Usage = z.object({
  inputTokens: z.number(),
  outputTokens: z.number(),
  cachedTokens: z.number().optional(),
  reasoningTokens: z.number().optional(),
  cost: z.number().optional(),
});

const Output = z.object({
  text: z.string(),
  /** What a tool has ended it with, if one has: else the text. */
  output: z.json() as unknown as z.ZodType<Json>,
  end: z.string(),
  turns: z.int(),
  usage: Usage,
});

export type Assistant = Definition<z.input<typeof Input>, z.output<typeof Output>>;

/**
 * Describes an agent that answers a prompt with a model and tools.
 *
 * @throws `agent.bad_definition`; its runs fail with what `converse` throws, and with `ai.bad_option` for a thread where there is
 * no memory
 * @example
 * const helper = defineAssistant({ name: "helper", model, tools: [weather], memory });
 * const { text } = await sentient.execute(helper, { prompt: "Do I need a coat?", thread: "ada" });
 */
export function defineAssistant(options: AssistantOptions): Assistant {
  const { name, version, description, capabilities, queue, concurrency, memory, last, ...rest } = options;
  return defineAgent({
    name,
    ...(version === undefined ? {} : { version }),
    ...(description === undefined ? {} : { description }),
    ...(capabilities === undefined ? {} : { capabilities }),
    ...(queue === undefined ? {} : { queue }),
    ...(concurrency === undefined ? {} : { concurrency }),
    input: Input,
    output: Output,
    run: async (ctx, { prompt, thread }) => {
      const before = thread === undefined ? [] : await saidBefore(ctx, { memory, thread, last });
      const { messages, text, output, end, turns, usage } = await converse(ctx, {
        ...rest,
        prompt,
        messages: before,
      });
      if (thread !== undefined) await memory!.say(ctx, thread, messages.slice(before.length));
      return { text, output, end, turns, usage };
    },
  });
}

interface Thread {
  memory: MemoryStore | undefined;
  thread: string;
  last: number | undefined;
}

/** From the first thing on that a person has said: a tool's result without its call is nothing to a model. */
async function saidBefore(ctx: Context, { memory, thread, last }: Thread): Promise<Message[]> {
  if (!memory)
    throw new AiError({
      code: "ai.bad_option",
      message: `the assistant ${ctx.run.name} has no memory to keep the thread ${thread} in; give it one`,
    });
  const said = await memory.thread(ctx, thread, last === undefined ? {} : { last });
  const messages = said.map(({ message }) => message);
  const first = messages.findIndex(({ role }) => role === "user");
  return first === -1 ? [] : messages.slice(first);
}
