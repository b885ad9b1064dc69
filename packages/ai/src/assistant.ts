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
import { shortened } from "./memory/shortening.ts";
import { inThread } from "./thread-of.ts";

/** Messages that are kept in one step. */
const AT_ONCE = 100;

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

/** What a model may say to one. */
export const AssistantPrompt = z.strictObject({ prompt: z.string().min(1) });
export const AssistantInput = z.object({
  ...AssistantPrompt.shape,
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

export type Assistant = Definition<z.input<typeof AssistantInput>, z.output<typeof Output>>;

/**
 * Describes an agent that answers a prompt with a model and tools.
 *
 * @throws `agent.bad_definition`; its runs fail with what `converse` throws, with `ai.bad_option` for a thread where there is no
 * memory, and with `ai.memory_too_large` for a prompt of more than 64 KiB in a thread
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
    input: AssistantInput,
    output: Output,
    run: async (ctx, { prompt, thread }) => {
      const asked: Message = { role: "user", content: [{ type: "text", text: prompt }] };
      const said = thread === undefined ? undefined : threadIn(ctx, { memory, thread, last });
      const heard = [...((await said?.before()) ?? []), asked];
      await said?.keep([asked]); // whatever becomes of the run, and before anything is paid
      const { messages, text, output, end, turns, usage } = await inThread(ctx, thread, () =>
        converse(ctx, { ...rest, messages: heard }),
      );
      await said?.keep(shortened(messages.slice(heard.length)));
      return { text, output, end, turns, usage };
    },
  });
}

interface Thread {
  memory: MemoryStore | undefined;
  thread: string;
  last: number | undefined;
}

/** @throws `ai.bad_option` without a memory */
function threadIn(ctx: Context, { memory, thread, last }: Thread) {
  if (!memory)
    throw new AiError({
      code: "ai.bad_option",
      message: `the assistant ${ctx.run.name} has no memory to keep the thread ${thread} in; give it one`,
    });
  return {
    before: async (): Promise<Message[]> => {
      const said = await memory.conversation(ctx, thread, last === undefined ? {} : { last });
      return said.map(({ message }) => message);
    },
    keep: async (messages: readonly Message[]): Promise<void> => {
      for (let at = 0; at < messages.length; at += AT_ONCE)
        await memory.say(ctx, thread, messages.slice(at, at + AT_ONCE));
    },
  };
}
