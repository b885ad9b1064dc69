// Said. Owns: one answer of a model, from the pieces it comes in.

import { z } from "zod";
import type { Json } from "@sentient/schema";
import { AgentError } from "./errors.ts";
import type { Message, ReasoningPart, TextPart, ToolCallPart, TurnEnd, TurnEvent, Usage } from "./model.ts";

/** What a model has said in one turn. */
export interface Said {
  message: Extract<Message, { role: "assistant" }>;
  reason: TurnEnd;
  usage: Usage;
  model?: string;
  /** What its provider did not heed of what was asked. */
  warnings?: string[];
}

type Part = TextPart | ReasoningPart | ToolCallPart;

/**
 * Puts it together. Each piece is passed on as it comes.
 *
 * @throws `agent.cut_off` where it ends before it has said that it does: it may be asked again
 */
export async function saidBy(events: AsyncIterable<TurnEvent>, pass: (piece: Json) => void): Promise<Said> {
  const content: Part[] = [];
  for await (const event of events) {
    if (event.type === "end") {
      const { reason, usage, model, warnings = [] } = event;
      return {
        message: { role: "assistant", content },
        reason,
        usage,
        ...(model ? { model } : {}),
        ...(warnings.length > 0 ? { warnings: [...warnings] } : {}),
      };
    }
    for (const piece of piecesOf(event)) pass(piece);
    const last = content.at(-1);
    if (event.type !== "tool-call" && last?.type === event.type && !hasMetadata(last)) {
      content[content.length - 1] = { ...last, ...event, text: (last as TextPart).text + event.text } as Part;
    } else content.push({ ...event });
  }
  throw new AgentError({
    code: "agent.cut_off",
    message:
      'the model\'s answer was cut off: what it yields last is to be { type: "end" }; it may be asked again',
    retryable: true,
  });
}

/** What one piece of a stream shows, in characters: some providers say all at once. */
const MOST_SHOWN = 8_192;

function* piecesOf(part: Part): Generator<Json> {
  if (part.type !== "tool-call") {
    const { type, text } = part;
    for (let at = 0; at < text.length || at === 0; at += MOST_SHOWN)
      yield { type, text: text.slice(at, at + MOST_SHOWN) };
    return;
  }
  const { type, id, name, args } = part;
  yield { type, id, name, args: shortened(args) };
}

/** As it is, or what it begins with: the whole stands in the journal. */
export function shortened(value: Json): Json {
  const text = JSON.stringify(value);
  if (text.length <= 2 * MOST_SHOWN) return value;
  return { isShortened: true, characters: text.length, begins: text.slice(0, MOST_SHOWN) };
}

/** Reasoning that is sealed is not added to. */
function hasMetadata(part: Part): boolean {
  return "metadata" in part && part.metadata !== undefined;
}

export function textOf({ content }: Said["message"]): string {
  return content.flatMap((part) => (part.type === "text" ? part.text : [])).join("");
}

export function toolCallsOf({ content }: Said["message"]): ToolCallPart[] {
  return content.filter((part) => part.type === "tool-call");
}

/** The text as data that fits, or why it is none. */
export function parsedBy<T extends z.ZodType>(
  schema: T,
  text: string,
): { output: z.output<T> } | { problem: string } {
  let json: unknown;
  try {
    json = JSON.parse(unfenced(text));
  } catch {
    return { problem: "it is no JSON" };
  }
  const parsed = schema.safeParse(json);
  return parsed.success ? { output: parsed.data } : { problem: z.prettifyError(parsed.error) };
}

/** Models like to put JSON into a block of Markdown. */
function unfenced(text: string): string {
  return /^\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*$/s.exec(text)?.[1] ?? text;
}

export const NO_USAGE: Usage = Object.freeze({ inputTokens: 0, outputTokens: 0 });

export function addUsage(one: Usage, other: Usage): Usage {
  const sum: Usage = {
    inputTokens: one.inputTokens + other.inputTokens,
    outputTokens: one.outputTokens + other.outputTokens,
  };
  for (const key of ["cachedTokens", "reasoningTokens", "cost"] as const) {
    const total = (one[key] ?? 0) + (other[key] ?? 0);
    if (one[key] !== undefined || other[key] !== undefined) sum[key] = total;
  }
  return sum;
}
