// Agents that use one tool or another, as a script has their model say.

import { converse, defineAgent, type Context, type Conversation, type Tool } from "@sentient/agent-core";
import { createTestSentient, type TestOptions, type TestSentient } from "@sentient/agent-core/testing";
import type { Event, Json } from "@sentient/schema";
import { onTestFinished } from "vitest";
import { scripted, type Line } from "../../src/testing/index.ts";

export type Talk = Conversation<Json>;

/** An agent whose model says these lines. */
export function agentOf(tools: readonly Tool[], lines: Parameters<typeof scripted>[0], name = "agent") {
  const model = scripted(lines);
  const agent = defineAgent({
    name,
    retry: { attempts: 2, delay: 0 },
    run: (ctx: Context) => converse(ctx, { model, tools, prompt: "go" }),
  });
  return { agent, model };
}

/** Uses a tool once, and then says what it gave. */
export const once =
  (name: string, args: Json): Extract<Line, (...args: never[]) => unknown> =>
  ({ messages }) =>
    messages.length === 1 ? { calls: [{ name, args, id: "the-call" }] } : `it gave ${lastOutput(messages)}`;

function lastOutput(messages: readonly { content: readonly unknown[] }[]): string {
  const { output } = messages.at(-1)!.content[0] as { output: Json };
  return JSON.stringify(output);
}

export async function testSentient(options: TestOptions): Promise<TestSentient> {
  const sentient = await createTestSentient(options);
  onTestFinished(() => sentient.close());
  return sentient;
}

/** What the log tells of tools, in order. */
export async function toolEvents(sentient: TestSentient, run: string): Promise<[string, Json][]> {
  const { events } = await sentient.events.history({ run, limit: 1_000 });
  return events.filter(({ type }: Event) => type.startsWith("tool.")).map(({ type, data }) => [type, data]);
}
