// Other providers of the AI SDK: what they seal comes back to them, and where they are cut off that is no answer.

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import type { Model } from "@sentient/agent-core";
import { createTestSentient } from "@sentient/agent-core/testing";
import { expect, onTestFinished, test } from "vitest";
import { fromAiSdk } from "../src/from-ai-sdk.ts";
import { failureOf, never, turnOf, untilEnd } from "./support/models.ts";
import { sseServer, type Frame, type SseServer } from "./support/sse-server.ts";
import { talkOf } from "./support/talkers.ts";

interface Provider {
  modelAt: (url: string) => Model;
  /** Thinks, and looks at the weather. */
  calls: readonly Frame[];
  /** Says that it is blue. */
  says: readonly Frame[];
  /** What it has to be told of its first turn. */
  expectTold: (body: Record<string, unknown>) => void;
}

const block = (index: number, start: object, ...deltas: object[]): Frame[] => [
  { type: "content_block_start", index, content_block: start },
  ...deltas.map((delta): Frame => ({ type: "content_block_delta", index, delta })),
  { type: "content_block_stop", index },
];

const anthropicTurn = (stop: string, ...blocks: Frame[][]): Frame[] => [
  {
    type: "message_start",
    message: {
      id: "m",
      type: "message",
      role: "assistant",
      model: "wise-1",
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: {
        input_tokens: 6,
        output_tokens: 1,
        cache_read_input_tokens: 4,
        cache_creation_input_tokens: 0,
      },
    },
  },
  ...blocks.flat(),
  { type: "message_delta", delta: { stop_reason: stop, stop_sequence: null }, usage: { output_tokens: 20 } },
  { type: "message_stop" },
];

const anthropic: Provider = {
  modelAt: (baseURL) => {
    const model = createAnthropic({ baseURL, apiKey: "k" })("claude-haiku-4-5");
    const thinking = { type: "enabled", budgetTokens: 1_024 };
    return fromAiSdk(model, { settings: { providerOptions: { anthropic: { thinking } } } });
  },
  calls: anthropicTurn(
    "tool_use",
    block(
      0,
      { type: "thinking", thinking: "", signature: "" },
      { type: "thinking_delta", thinking: "I should " },
      { type: "thinking_delta", thinking: "look." },
      { type: "signature_delta", signature: "signed" },
    ),
    block(1, { type: "redacted_thinking", data: "sealed" }),
    block(2, { type: "text", text: "" }, { type: "text_delta", text: "I look." }),
    block(
      3,
      { type: "tool_use", id: "a", name: "weather", input: {} },
      { type: "input_json_delta", partial_json: '{"city":' },
      { type: "input_json_delta", partial_json: '"Graz"}' },
    ),
  ),
  says: anthropicTurn(
    "end_turn",
    block(0, { type: "text", text: "" }, { type: "text_delta", text: "Blue." }),
  ),
  expectTold: ({ messages }) =>
    expect(messages).toMatchObject([
      { role: "user" },
      {
        role: "assistant",
        content: [
          { type: "thinking", thinking: "I should look.", signature: "signed" },
          { type: "redacted_thinking", data: "sealed" },
          { type: "text", text: "I look." },
          { type: "tool_use", id: "a", name: "weather", input: { city: "Graz" } },
        ],
      },
      { role: "user", content: [{ type: "tool_result", tool_use_id: "a" }] },
    ]),
};

const openAiTurn = (...items: { item: object; deltas?: object[] }[]): Frame[] => [
  { type: "response.created", response: { id: "r", created_at: 1, model: "gpt-5" } },
  ...items.flatMap(({ item, deltas = [] }, output_index): Frame[] => [
    { type: "response.output_item.added", output_index, item: { ...item, ...EMPTY } },
    ...deltas.map((delta): Frame => ({ type: "", output_index, ...delta })),
    { type: "response.output_item.done", output_index, item },
  ]),
  {
    type: "response.completed",
    response: {
      usage: {
        input_tokens: 10,
        input_tokens_details: { cached_tokens: 4 },
        output_tokens: 20,
        output_tokens_details: { reasoning_tokens: 8 },
      },
    },
  },
];
const EMPTY = { arguments: "", encrypted_content: null };

const openAi: Provider = {
  modelAt: (baseURL) =>
    fromAiSdk(createOpenAI({ baseURL, apiKey: "k" })("gpt-5"), {
      settings: { providerOptions: { openai: { store: false, include: ["reasoning.encrypted_content"] } } },
    }),
  calls: openAiTurn(
    { item: { type: "reasoning", id: "rs", summary: [], encrypted_content: "sealed" } },
    {
      item: {
        type: "function_call",
        id: "fc",
        call_id: "a",
        name: "weather",
        arguments: '{"city":"Graz"}',
        status: "completed",
      },
      deltas: [{ type: "response.function_call_arguments.delta", item_id: "fc", delta: '{"city":"Graz"}' }],
    },
  ),
  says: openAiTurn({
    item: {
      type: "message",
      id: "msg",
      role: "assistant",
      content: [{ type: "output_text", text: "Blue.", annotations: [] }],
    },
    deltas: [{ type: "response.output_text.delta", item_id: "msg", content_index: 0, delta: "Blue." }],
  }),
  expectTold: ({ input }) =>
    expect(input).toMatchObject([
      { role: "user" },
      { type: "reasoning", encrypted_content: "sealed" },
      { type: "function_call", call_id: "a", name: "weather", arguments: '{"city":"Graz"}' },
      { type: "function_call_output", call_id: "a" },
    ]),
};

async function executed(server: SseServer, { modelAt }: Provider) {
  const talk = talkOf(modelAt(server.url));
  const sentient = await createTestSentient({ agents: [talk] });
  onTestFinished(() => sentient.close());
  const handle = await sentient.start(talk, { ask: "What is the sky like in Graz?" });
  const said = await handle.result();
  const { events } = await sentient.events.history({ run: handle.id, types: ["model.turn"] });
  return { said, usage: events.map(({ data }) => (data as { usage: object }).usage) };
}

const providers: [string, Provider][] = [
  ["Anthropic", anthropic],
  ["OpenAI", openAi],
];

test.each(providers)(
  "a conversation with a tool, and what %s has to be told of it again",
  async (_, provider) => {
    const server = await sseServer((nth) => (nth === 1 ? provider.calls : provider.says));
    const { said, usage } = await executed(server, provider);
    expect(said).toBe("Blue.");
    expect(usage[0]).toMatchObject({ inputTokens: 10, outputTokens: 20, cachedTokens: 4 });
    expect(server.asked).toHaveLength(2);
    provider.expectTold(server.asked[1]!);
  },
);

test.each(providers)(
  "a stream of %s that ends anywhere before it says so is no answer",
  async (_, provider) => {
    const { says, modelAt } = provider;
    for (let sent = 0; sent < says.length; sent++) {
      const server = await sseServer(() => says.slice(0, sent));
      const told = await untilEnd(modelAt(server.url)(turnOf("hi"), never)).catch(() => "failed");
      const isWhole =
        Array.isArray(told) && told.some((event) => event.type === "text" && event.text === "Blue.");
      expect(told === "failed" || (isWhole && sent === says.length - 1), `after ${sent} frames`).toBe(true);
    }
    const whole = await sseServer(() => says);
    expect((await untilEnd(modelAt(whole.url)(turnOf("hi"), never))).at(-1)).toMatchObject({
      type: "end",
      reason: "stop",
    });
  },
);

test("what Anthropic is too busy for may be asked again", async () => {
  const failure: Frame = { type: "error", error: { type: "overloaded_error", message: "Overloaded" } };
  const server = await sseServer(() => [...anthropic.says.slice(0, 3), failure]);
  const error = await failureOf(untilEnd(anthropic.modelAt(server.url)(turnOf("hi"), never)));
  expect(error).toMatchObject({ code: "ai.model_failed", retryable: true });
});
