// What tests of models share.

import type { Message, Turn, TurnEvent } from "@sentient/agent-core";
import { onTestFinished } from "vitest";
import { fromAiSdk, type FromAiSdkOptions } from "../../src/from-ai-sdk.ts";
import { MODEL, modelServer, type Answer, type ModelServer } from "./model-server.ts";

/** A server that is gone after the test, and a model that asks it. */
export async function served(answer: Answer, options: FromAiSdkOptions = {}) {
  const server = await serverFor(answer);
  return { server, model: fromAiSdk(server.provider()(MODEL), options) };
}

export async function serverFor(answer: Answer): Promise<ModelServer> {
  const server = await modelServer(answer);
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

export const user = (text: string): Message => ({ role: "user", content: [{ type: "text", text }] });

export const turnOf = (text: string, more: Partial<Turn> = {}): Turn => ({
  messages: [user(text)],
  tools: [],
  ...more,
});

export async function untilEnd(events: AsyncIterable<TurnEvent>): Promise<TurnEvent[]> {
  const all: TurnEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

export const textOf = (events: readonly TurnEvent[]): string =>
  events.map((event) => (event.type === "text" ? event.text : "")).join("");

export const never: AbortSignal = new AbortController().signal;

/** What it fails with; anything else, success among it, fails the test. */
export async function failureOf(work: Promise<unknown>): Promise<Error & { code?: string }> {
  const outcome = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (outcome instanceof Error) return outcome;
  throw new Error("it did not fail");
}
