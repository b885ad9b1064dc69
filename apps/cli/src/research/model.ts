// Model. Owns: which language model takes part, as the environment names it.
// Does not own: what it is asked (thinking.ts).

import { NonRetryable, type Model } from "@sentient/agent-core";
import type { LanguageModel } from "ai";
import { usage } from "../cli-error.ts";

export interface NamedModel {
  /** As it was configured: a run goes on with the same. */
  name: string;
  model: Model;
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
export async function modelFrom(env: NodeJS.ProcessEnv): Promise<NamedModel | undefined> {
  const name = env.SENTIENT_MODEL?.trim();
  if (!name) return undefined;
  const [, module, provider, id] = OF_PROVIDER.exec(name) ?? [];
  const model = module ? await modelOf(module, provider!, id!) : await openAiModel(name, env);
  const { fromAiSdk } = await import("@sentient/ai");
  return { name, model: explained(fromAiSdk(model)) };
}

/** Loaded when they are needed: that takes a while. */
async function openAiModel(name: string, env: NodeJS.ProcessEnv): Promise<LanguageModel> {
  const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
  const { OPENAI_BASE_URL: baseURL = OPENAI, OPENAI_API_KEY: apiKey } = env;
  const provider = createOpenAICompatible({
    name: "openai-compatible",
    baseURL,
    supportsStructuredOutputs: true,
    includeUsage: true,
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

/** What the provider refuses is a matter of what was configured. */
function explained(model: Model): Model {
  return async function* (turn, signal) {
    try {
      yield* model(turn, signal);
    } catch (error) {
      if (!(error instanceof NonRetryable)) throw error;
      throw new NonRetryable(`${error.message}; look at SENTIENT_MODEL, OPENAI_BASE_URL and OPENAI_API_KEY`);
    }
  };
}
