// A model that says what a test has written, and remembers what it was asked.

import type { Json } from "@sentient/schema";
import type { Model, Turn, TurnEvent, Usage } from "../../src/index.ts";

export const USAGE: Usage = { inputTokens: 10, outputTokens: 5 };

type Line = string | { tools: [name: string, args: Json][] } | Error | ((turn: Turn) => Line);

export function scripted(...lines: Line[]): { model: Model; asked: Turn[] } {
  const asked: Turn[] = [];
  async function* model(turn: Turn): AsyncGenerator<TurnEvent> {
    let line = lines[asked.push(turn) - 1] ?? lines.at(-1)!;
    if (typeof line === "function") line = line(turn);
    if (line instanceof Error) throw line;
    if (typeof line === "string") for (const text of line.split(/(?<= )/)) yield { type: "text", text };
    else
      for (const [i, [name, args]] of (line as { tools: [string, Json][] }).tools.entries())
        yield { type: "tool-call", id: `call-${asked.length}-${i}`, name, args };
    yield { type: "end", reason: typeof line === "string" ? "stop" : "tool-calls", usage: USAGE };
  }
  return { model, asked };
}
