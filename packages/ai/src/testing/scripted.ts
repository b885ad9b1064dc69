// Scripted. Owns: a model that says what a test has written, and remembers what it was asked.

import type { Model, Turn, TurnEnd, TurnEvent, Usage } from "@sentient/agent-core";
import type { Json } from "@sentient/schema";
import { AiError } from "../errors.ts";

/** What is said in one turn: text, or more than that, or a failure, or whatever follows from what was asked. */
export type Line = string | Script | Error | ((turn: Turn, signal: AbortSignal) => Line | Promise<Line>);

export interface Script {
  /** One piece, or several. */
  text?: string | readonly string[];
  reasoning?: string;
  calls?: readonly { name: string; args: Json; id?: string }[];
  /** `tool-calls` where there are some, and `stop` if left out. */
  reason?: TurnEnd;
  usage?: Usage;
}

export interface ScriptedModel extends Model {
  /** What it was asked, in turn. */
  readonly asked: readonly Turn[];
}

const USAGE: Usage = { inputTokens: 10, outputTokens: 5 };

/**
 * A model that answers with one line after the other; or with one function, as often as it is asked.
 *
 * @throws when asked: an `Error` of the script; `ai.script_over` if it is asked for more than there is
 * @example const model = scripted([{ calls: [{ name: "weather", args: { city: "Graz" } }] }, "It rains."]);
 */
export function scripted(
  lines: readonly Line[] | Extract<Line, (...args: never[]) => unknown>,
): ScriptedModel {
  const asked: Turn[] = [];
  async function* model(turn: Turn, signal: AbortSignal): AsyncGenerator<TurnEvent, void, undefined> {
    signal.throwIfAborted();
    const nth = asked.push(turn);
    let line = typeof lines === "function" ? lines : lines[nth - 1];
    if (line === undefined) throw overError(lines.length, turn);
    while (typeof line === "function") line = await line(turn, signal);
    if (line instanceof Error) throw line;
    for (const event of eventsOf(typeof line === "string" ? { text: line } : line, nth)) {
      signal.throwIfAborted();
      yield event;
    }
  }
  return Object.assign(model, { asked });
}

function* eventsOf(script: Script, nth: number): Generator<TurnEvent> {
  const { text = [], reasoning, calls = [], usage = USAGE } = script;
  const { reason = calls.length > 0 ? "tool-calls" : "stop" } = script;
  if (reasoning !== undefined) yield { type: "reasoning", text: reasoning };
  for (const piece of typeof text === "string" ? [text] : text) yield { type: "text", text: piece };
  for (const [i, { name, args, id = `call-${nth}-${i + 1}` }] of calls.entries())
    yield { type: "tool-call", id, name, args };
  yield { type: "end", reason, usage, model: "scripted" };
}

function overError(lines: number, { messages }: Turn): AiError {
  return new AiError({
    code: "ai.script_over",
    message: `the script has ${lines} lines, and the model is asked once more, after ${JSON.stringify(messages.at(-1)).slice(0, 500)}; write a line for it, or look why it is asked`,
    retryable: false,
  });
}
