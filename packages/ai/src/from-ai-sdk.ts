// From AI SDK. Owns: one turn of any of its language models, as our port tells it.
// Does not own: the loop of model and tools, and when a turn is asked for again: that is a step's to say, where it is remembered.
// M1. One request for each turn: nothing is tried again here, and no tool is called.
// M2. An answer that was cut off is an error, and never a short answer.
// M3. Whoever stops reading, or aborts, closes the request.
// M4. What a model says that fits nothing (arguments that are no JSON, a tool that nobody has) is passed on, for the loop to answer.

import type { Model, Turn, TurnEnd, TurnEvent, Usage } from "@sentient/agent-core";
import type { Json } from "@sentient/schema";
import {
  experimental_streamLanguageModelCall as streamCall,
  jsonSchema,
  Output,
  tool,
  type FinishReason,
  type LanguageModel,
  type LanguageModelCallOptions,
  type LanguageModelStreamPart,
  type LanguageModelUsage,
  type ToolSet,
} from "ai";
import { modelMessagesOf } from "./from-ai-sdk-messages.ts";
import { cutOffError, modelError } from "./from-ai-sdk-errors.ts";
import { costOf, type ModelPrice } from "./price.ts";

/** What the AI SDK passes on to the provider with each turn. */
export interface ModelSettings extends LanguageModelCallOptions {
  headers?: Record<string, string>;
  /** By the name of the provider. */
  providerOptions?: Record<string, Record<string, Json>>;
}

export interface FromAiSdkOptions {
  /** As it is called in events and usage: what the provider calls it, if left out. */
  name?: string;
  price?: ModelPrice;
  /** What a turn says itself goes before them. */
  settings?: ModelSettings;
}

/**
 * A language model of the AI SDK, of whichever provider.
 *
 * @throws when asked: `ai.model_refused`, a `NonRetryable`, where it is of no use to ask again; `ai.model_failed` and
 * `ai.incomplete_answer`, which the step tries again
 * @example const model = fromAiSdk(anthropic("claude-haiku-4-5"), { price: { input: 1, output: 5, cached: 0.1 } });
 */
export function fromAiSdk(model: LanguageModel, options: FromAiSdkOptions = {}): Model {
  return (turn, signal) => ask(model, options, turn, signal);
}

async function* ask(
  model: LanguageModel,
  options: FromAiSdkOptions,
  turn: Turn,
  signal: AbortSignal,
): AsyncGenerator<TurnEvent, void, undefined> {
  const left = new AbortController(); // M3
  try {
    const abortSignal = AbortSignal.any([signal, left.signal]);
    const { stream } = await streamCall({ ...requestOf(model, turn, options), abortSignal });
    yield* eventsOf(stream, model, turn, options);
  } catch (error) {
    signal.throwIfAborted();
    throw modelError(error, nameOf(model, options));
  } finally {
    left.abort();
  }
}

type Request = Parameters<typeof streamCall<ToolSet, ReturnType<typeof Output.object>>>[0];

function requestOf(model: LanguageModel, turn: Turn, { settings = {} }: FromAiSdkOptions): Request {
  const { headers, providerOptions, ...call } = settings;
  const { maxOutput, temperature, idempotencyKey, tools, output } = turn;
  const instructions = instructionsOf(model, turn);
  return {
    ...call,
    model,
    messages: modelMessagesOf(turn.messages),
    ...(instructions === undefined ? {} : { instructions }),
    ...(tools.length > 0 ? { tools: toolsOf(turn) } : {}),
    ...(output === undefined ? {} : { output: Output.object({ schema: schemaOf(output) }) }),
    ...(maxOutput === undefined ? {} : { maxOutputTokens: maxOutput }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(providerOptions ? { providerOptions } : {}),
    headers: { ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }), ...headers },
  };
}

/** Without a way to run them: M1. */
function toolsOf({ tools }: Turn): ToolSet {
  return Object.fromEntries(
    tools.map(({ name, description, input }) => [name, tool({ description, inputSchema: schemaOf(input) })]),
  );
}

const schemaOf = (schema: Json) => jsonSchema(schema as Parameters<typeof jsonSchema>[0]);

/** Some servers take no schema for what is to be said, only that it be JSON: those are told in words. */
function instructionsOf(model: LanguageModel, { instructions, output }: Turn): string | undefined {
  const { supportsStructuredOutputs } = model as { supportsStructuredOutputs?: boolean };
  if (output === undefined || supportsStructuredOutputs !== false) return instructions;
  const told = `Answer with JSON that fits this JSON Schema, and with nothing else: ${JSON.stringify(output)}`;
  return instructions === undefined ? told : `${instructions}\n\n${told}`;
}

interface Told {
  model: string;
  warnings: string[];
  /** Characters, where the provider does not count. */
  said: number;
  /** What a provider has to be told again of what it thought, by the piece it belongs to. */
  thoughts: Map<string, { [provider: string]: Json | undefined }>;
}

async function* eventsOf(
  stream: AsyncIterable<LanguageModelStreamPart>,
  model: LanguageModel,
  turn: Turn,
  options: FromAiSdkOptions,
): AsyncGenerator<TurnEvent, void, undefined> {
  const told: Told = { model: nameOf(model, options), warnings: [], said: 0, thoughts: new Map() };
  for await (const part of stream) {
    if (part.type === "error") throw part.error;
    if (part.type === "model-call-end") {
      yield endOf(part, told, turn, options);
      return;
    }
    const event = eventOf(part, told, options);
    if (event) yield event;
  }
  throw cutOffError(told.model); // M2
}

function eventOf(
  part: LanguageModelStreamPart,
  told: Told,
  options: FromAiSdkOptions,
): TurnEvent | undefined {
  switch (part.type) {
    case "text-delta":
      told.said += part.text.length;
      return part.text === "" ? undefined : { type: "text", text: part.text };
    case "reasoning-start":
    case "reasoning-delta":
    case "reasoning-end":
      return thoughtOf(part, told);
    case "tool-call": {
      if (part.providerExecuted) return undefined; // it was called already, where the model is
      const { toolCallId: id, toolName: name, providerMetadata: metadata } = part;
      const args = (part.input ?? {}) as Json; // M4
      told.said += JSON.stringify(args).length;
      return { type: "tool-call", id, name, args, ...(metadata ? { metadata: metadata as Json } : {}) };
    }
    case "model-call-start":
      told.warnings.push(...part.warnings.map((warning) => JSON.stringify(warning)));
      return undefined;
    case "model-call-response-metadata":
      told.model = options.name ?? part.modelId ?? told.model;
      return undefined;
    default:
      return undefined;
  }
}

type Thought = Extract<LanguageModelStreamPart, { type: `reasoning-${"start" | "delta" | "end"}` }>;

/** Its text as it comes, and at its end, what the provider has to be told of it again. */
function thoughtOf(part: Thought, { thoughts }: Told): TurnEvent | undefined {
  const { id, providerMetadata } = part;
  if (providerMetadata) thoughts.set(id, { ...thoughts.get(id), ...providerMetadata });
  if (part.type === "reasoning-delta" && part.text !== "") return { type: "reasoning", text: part.text };
  if (part.type !== "reasoning-end") return undefined;
  const metadata = thoughts.get(id);
  thoughts.delete(id);
  return metadata === undefined ? undefined : { type: "reasoning", text: "", metadata };
}

function endOf(
  { finishReason, rawFinishReason, usage }: Extract<LanguageModelStreamPart, { type: "model-call-end" }>,
  told: Told,
  turn: Turn,
  { price }: FromAiSdkOptions,
): TurnEvent {
  const reason = ENDS[finishReason];
  const isSaid = reason !== "other" || rawFinishReason !== undefined; // some providers begin with "other", and hear of no end
  if (!reason || !isSaid) throw cutOffError(told.model); // M2
  const { warnings, model } = told;
  if (usage.inputTokens === undefined || usage.outputTokens === undefined) warnings.push(NOT_COUNTED);
  return {
    type: "end",
    reason,
    usage: withCost(usageOf(usage, told, turn), price),
    model,
    ...(warnings.length > 0 ? { warnings } : {}),
  };
}

const ENDS: Record<FinishReason, TurnEnd | undefined> = {
  stop: "stop",
  "tool-calls": "tool-calls",
  length: "length",
  "content-filter": "content-filter",
  other: "other",
  error: undefined,
  interrupted: undefined,
};

const NOT_COUNTED =
  "the provider does not say how many tokens it used, so they are guessed; have it do so, with createOpenAICompatible by includeUsage: true";
/** Characters, as a rule; a guess that is too high rather than too low spares a budget. */
const OF_A_TOKEN = 3;
const guess = (characters: number) => Math.ceil(characters / OF_A_TOKEN);

function usageOf(
  counted: LanguageModelUsage,
  told: Told,
  { instructions = "", messages, tools }: Turn,
): Usage {
  const { cacheReadTokens: cachedTokens } = counted.inputTokenDetails;
  const { reasoningTokens } = counted.outputTokenDetails;
  return {
    inputTokens: counted.inputTokens ?? guess(instructions.length + JSON.stringify([messages, tools]).length),
    outputTokens: counted.outputTokens ?? guess(told.said),
    ...(cachedTokens === undefined ? {} : { cachedTokens }),
    ...(reasoningTokens === undefined ? {} : { reasoningTokens }),
  };
}

function withCost(usage: Usage, price: ModelPrice | undefined): Usage {
  return price ? { ...usage, cost: costOf(usage, price) } : usage;
}

function nameOf(model: LanguageModel, { name }: FromAiSdkOptions): string {
  return name ?? (typeof model === "string" ? model : model.modelId);
}
