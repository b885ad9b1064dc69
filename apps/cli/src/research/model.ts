// Model. Owns: asking a language model one thing, and taking its answer as data that fits, or not at all.
// Does not own: what it is asked (thinking.ts), and when it is asked again, which is a step's to say.

import { NonRetryable } from "@sentient/agent-core";
import type { LanguageModel } from "ai";
import type { z } from "zod";
import { usage } from "../cli-error.ts";

export interface Question<T> {
  instructions: string;
  prompt: string;
  answer: z.ZodType<T>;
  /** Ends the request. */
  signal: AbortSignal;
}

export interface Model {
  /** As it was configured: a run goes on with the same. */
  name: string;
  /** @throws `NonRetryable` where it is of no use to ask again */
  ask: <T>(question: Question<T>) => Promise<T>;
}

const OPENAI = "https://api.openai.com/v1";
/** `@ai-sdk/anthropic:claude-haiku-4-5`: a provider of the AI SDK, and its name for a model. */
const OF_PROVIDER = /^(@ai-sdk\/([a-z][a-z0-9-]*)):(.+)$/;

/**
 * The model that the environment names: `SENTIENT_MODEL` is one of an API that speaks as OpenAI's does, at `OPENAI_BASE_URL` with
 * `OPENAI_API_KEY`, or one of another provider of the AI SDK that is installed. Undefined if it names none.
 *
 * @throws `cli.usage` for a provider that is not there
 */
export async function modelFrom(env: NodeJS.ProcessEnv): Promise<Model | undefined> {
  const name = env.SENTIENT_MODEL?.trim();
  if (!name) return undefined;
  const [, module, provider, id] = OF_PROVIDER.exec(name) ?? [];
  const model = module ? await modelOf(module, provider!, id!) : await openAiModel(name, env);
  return { name, ask: (question) => ask(model, question) };
}

/** Loaded when they are needed: that takes a while. */
async function openAiModel(name: string, env: NodeJS.ProcessEnv): Promise<LanguageModel> {
  const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
  const { OPENAI_BASE_URL: baseURL = OPENAI, OPENAI_API_KEY: apiKey } = env;
  const provider = createOpenAICompatible({
    name: "openai-compatible",
    baseURL,
    supportsStructuredOutputs: true,
    ...(apiKey ? { apiKey } : {}),
  });
  return provider(name);
}

async function modelOf(module: string, provider: string, id: string): Promise<LanguageModel> {
  const exported = provider.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
  const { [exported]: make } = (await import(module).catch(() => {
    throw usage(`SENTIENT_MODEL names ${module}, which is not installed; run: npm install ${module}`);
  })) as Record<string, ((id: string) => LanguageModel) | undefined>;
  if (!make) throw usage(`SENTIENT_MODEL names ${module}, which exports no ${exported}`);
  return make(id);
}

async function ask<T>(
  model: LanguageModel,
  { instructions, prompt, answer, signal }: Question<T>,
): Promise<T> {
  const { generateText, Output, APICallError } = await import("ai");
  try {
    const { output } = await generateText({
      model,
      instructions,
      prompt,
      output: Output.object({ schema: answer }),
      abortSignal: signal,
      maxRetries: 0, // a step tries again, where it is remembered how often
    });
    return output;
  } catch (error) {
    if (APICallError.isInstance(error) && !error.isRetryable) throw refused(error);
    throw error;
  }
}

function refused(error: Error & { statusCode?: number | undefined; url: string }): NonRetryable {
  const status = error.statusCode === undefined ? "" : ` (${error.statusCode})`;
  return new NonRetryable(
    `the model refuses${status}: ${error.message}; look at SENTIENT_MODEL, OPENAI_BASE_URL and OPENAI_API_KEY`,
  );
}
