// Any embedding model of the AI SDK, as whoever makes vectors for a memory.

import type { Json } from "@sentient/schema";
import { embedMany, type EmbeddingModel } from "ai";
import { modelError } from "./from-ai-sdk-errors.ts";
import type { Embedder } from "./memory/embedding.ts";

export interface EmbedderFromAiSdkOptions {
  /** Under which its vectors are kept: what the provider calls the model, if left out. */
  name?: string;
  /** By the name of the provider: how it is told of dimensions, say. */
  providerOptions?: Record<string, Record<string, Json>>;
}

/** Requests at once, where a provider takes only so many texts in one. */
const AT_ONCE = 4;

/**
 * Makes vectors by an embedding model of the AI SDK.
 *
 * @param dimension how many numbers a vector of the model has
 * @throws when asked: `ai.model_refused`, a `NonRetryable`, where it is of no use to ask again; `ai.model_failed`
 * @example const embedder = embedderFromAiSdk(openai.embeddingModel("text-embedding-3-small"), 1_536);
 */
export function embedderFromAiSdk(
  model: EmbeddingModel,
  dimension: number,
  { name = nameOf(model), providerOptions }: EmbedderFromAiSdkOptions = {},
): Embedder {
  return {
    name,
    dimension,
    embed: async (texts, signal) => {
      try {
        const { embeddings } = await embedMany({
          model,
          values: [...texts],
          abortSignal: signal,
          maxRetries: 0, // a step tries again, where it is remembered how often
          maxParallelCalls: AT_ONCE,
          ...(providerOptions ? { providerOptions } : {}),
        });
        return embeddings;
      } catch (error) {
        signal.throwIfAborted();
        throw modelError(error, name);
      }
    },
  };
}

function nameOf(model: EmbeddingModel): string {
  const name = typeof model === "string" ? model : model.modelId;
  return name.replaceAll(/[^\w.:/-]/g, "-");
}
