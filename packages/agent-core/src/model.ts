// The model and tool ports. Owns: what is asked of a language model in one turn, and what it says, in the words of no provider.
// A model is a function, so that whoever has one can wrap it: `@sentient/ai` makes one of any model of the AI SDK.

import type { Json } from "@sentient/schema";
import type { Context } from "./context.ts";

export interface TextPart {
  type: "text";
  text: string;
}

/** What it thought before it spoke; `metadata` is its provider's own, and goes back to it as it came. */
export interface ReasoningPart {
  type: "reasoning";
  text: string;
  metadata?: Json;
}

/** A picture or a document, as a URL or in Base64. */
export interface FilePart {
  type: "file";
  mediaType: string;
  data: string;
}

/** A tool that the model wants used. */
export interface ToolCallPart {
  type: "tool-call";
  /** The model's own; not to be relied upon. */
  id: string;
  name: string;
  args: Json;
  metadata?: Json;
}

/** What a tool gave, or why it did not. */
export interface ToolResultPart {
  type: "tool-result";
  id: string;
  name: string;
  output: Json;
  isError?: boolean;
}

export type Message =
  | { role: "user"; content: (TextPart | FilePart)[] }
  | { role: "assistant"; content: (TextPart | ReasoningPart | ToolCallPart)[] }
  | { role: "tool"; content: ToolResultPart[] };

/** A tool as a model is told of it. */
export interface ToolSpec {
  name: string;
  description: string;
  /** JSON Schema of its arguments. */
  input: Json;
}

/** What a model is asked. */
export interface Turn {
  instructions?: string;
  messages: readonly Message[];
  tools: readonly ToolSpec[];
  /** JSON Schema of what it is to say, if that is data. */
  output?: Json;
  /** In tokens. */
  maxOutput?: number;
  temperature?: number;
  /** The same at each attempt, for a provider that knows such keys. */
  idempotencyKey?: string;
}

/** Counted by the provider. */
export interface Usage {
  inputTokens: number;
  outputTokens: number;
  /** Of the input, what was read from its cache. */
  cachedTokens?: number;
  /** Of the output, what was thought. */
  reasoningTokens?: number;
  /** In the currency of the model's prices. */
  cost?: number;
}

/** `length`: it had more to say than it was to. */
export type TurnEnd = "stop" | "tool-calls" | "length" | "content-filter" | "other";

/** What a model says, piece by piece; the end comes last, once. */
export type TurnEvent =
  | TextPart
  | ReasoningPart
  | ToolCallPart
  | { type: "end"; reason: TurnEnd; usage: Usage; model?: string; warnings?: readonly string[] };

/**
 * Asks a language model once. It throws where it fails; a `NonRetryable` where it is of no use to ask again.
 *
 * @param signal ends the request
 */
export type Model = (turn: Turn, signal: AbortSignal) => AsyncIterable<TurnEvent>;

/** What a model wants of a tool. */
export interface ToolCall {
  id: string;
  args: Json;
  /** What was said before. */
  messages: readonly Message[];
}

/**
 * Something that a model may use. What it does is done through the run it is used in, so that it is remembered; what it throws is
 * told to the model, and it goes on.
 */
export interface Tool extends ToolSpec {
  call: (ctx: Context, call: ToolCall) => Promise<Json>;
  /** Whether what it gives is the answer of the conversation, which ends with it. */
  ends?: boolean;
}
