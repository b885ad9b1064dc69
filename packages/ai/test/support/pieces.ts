// What a run has streamed, made up, and the message that the AI SDK's client makes of it.

import type { StreamItem } from "@sentient/agent-core";
import type { Json } from "@sentient/schema";
import type { Chunk } from "@sentient/state";
import { readUIMessageStream, type UIMessage, type UIMessageChunk } from "ai";
import { toUiStream, type UiStreamOptions } from "../../src/ui-stream.ts";

export type Said = [step: string, attempt: number, data: Json | { kind: "reset" | "end" }];

export const END = { kind: "end" } as const;
export const RESET = { kind: "reset" } as const;
export const say = (text: string) => ({ type: "text", text });

/** As `state.chunks` would give it. */
export function piecesOf(said: readonly Said[]): Chunk[] {
  return said.map(([step, attempt, data], i) => {
    const common = {
      run: "run-1",
      n: i + 1,
      step: `main/${step}` as Chunk["step"],
      attempt,
      at: new Date(0),
    };
    const isMark = data === END || data === RESET;
    return (isMark ? { ...common, kind: data.kind } : { ...common, kind: "data", data }) as Chunk;
  });
}

export async function* itemsOf(said: readonly Said[], ...ends: object[]): AsyncGenerator<StreamItem> {
  for (const chunk of piecesOf(said)) yield { type: "chunk", chunk };
  for (const [i, event] of ends.entries())
    yield { type: "event", event: { run: "run-1", position: i + 1, ...event } } as StreamItem;
}

export const completed = { type: "run.completed", data: { steps: 1 } };

export async function messageOf(
  stream: ReadableStream<UIMessageChunk>,
  message?: UIMessage,
): Promise<UIMessage> {
  let last = message;
  for await (const each of readUIMessageStream({
    stream,
    terminateOnError: true,
    ...(message ? { message: structuredClone(message) } : {}),
  }))
    last = each;
  return last!;
}

export const messageFor = (said: readonly Said[], options?: UiStreamOptions) =>
  messageOf(toUiStream(itemsOf(said, completed), options));

export const kindsOf = ({ parts }: UIMessage) => parts.map(({ type }) => type);

export const conversation: Said[] = [
  ["model#1", 1, { type: "reasoning", text: "Let me " }],
  ["model#1", 1, { type: "reasoning", text: "see." }],
  ["model#1", 1, say("I look. ")],
  ["model#1", 1, { type: "tool-call", id: "a", name: "weather", args: { city: "Graz" } }],
  ["model#1", 1, { type: "tool-call", id: "b", name: "weather", args: { city: "" } }],
  ["model#1", 1, END],
  [
    "tools#1.1/-chunks#1",
    1,
    { type: "tool-result", id: "b", name: "weather", output: { error: "no city" }, isError: true },
  ],
  ["tools#1.0/-chunks#1", 1, { type: "tool-result", id: "a", name: "weather", output: { sky: "blue" } }],
  ["model#2", 1, say("It is ")],
  ["model#2", 1, say("blue.")],
  ["model#2", 1, END],
];
