// One turn of a model of the AI SDK: through the real provider, against a real server.

import {
  converse,
  defineWorkflow,
  type Message,
  type ReasoningPart,
  type TextPart,
  type ToolCallPart,
  type TurnEvent,
} from "@sentient/agent-core";
import { createTestSentient } from "@sentient/agent-core/testing";
import type { LanguageModel } from "ai";
import { expect, test, vi } from "vitest";
import { fromAiSdk } from "../src/from-ai-sdk.ts";
import { KEY, MODEL } from "./support/model-server.ts";
import { never, served, serverFor, textOf, turnOf, untilEnd, user } from "./support/models.ts";

const weather = {
  name: "weather",
  description: "The weather of a city.",
  input: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

test("text comes as it is said, and then how it ended, what it took and what that costs", async () => {
  const usage = { input: 1_000, output: 200, cached: 400, reasoning: 50 };
  const price = { input: 2, output: 10, cached: 0.5 };
  const { model, server } = await served(() => ({ text: ["Hel", "lo"], usage }), { price });
  const events = await untilEnd(model(turnOf("hi", { instructions: "Be short.", maxOutput: 99 }), never));
  expect(events).toEqual([
    { type: "text", text: "Hel" },
    { type: "text", text: "lo" },
    {
      type: "end",
      reason: "stop",
      model: MODEL,
      usage: {
        inputTokens: 1_000,
        outputTokens: 200,
        cachedTokens: 400,
        reasoningTokens: 50,
        cost: (600 * 2 + 400 * 0.5 + 200 * 10) / 1_000_000,
      },
    },
  ]);
  expect(server.asked[0]!.body).toMatchObject({
    stream: true,
    max_tokens: 99,
    messages: [
      { role: "system", content: "Be short." },
      { role: "user", content: "hi" },
    ],
  });
});

test("a turn is asked with its key, and its settings", async () => {
  const settings = { topP: 0.5, headers: { "x-team": "owls" } };
  const { model, server } = await served(() => ({ text: "ok" }), { settings });
  await untilEnd(model(turnOf("hi", { idempotencyKey: "run-1/main/model#1", temperature: 0.25 }), never));
  const { headers, body } = server.asked[0]!;
  expect(headers).toMatchObject({
    "idempotency-key": "run-1/main/model#1",
    "x-team": "owls",
    authorization: `Bearer ${KEY}`,
  });
  expect(body).toMatchObject({ top_p: 0.5, temperature: 0.25 });
});

test("a tool call comes whole, its arguments read, and its tools are told with their schemas", async () => {
  const { model, server } = await served(() => ({
    text: "Let me look.",
    calls: [
      { id: "a", name: "weather", args: { city: "Graz" } },
      { id: "b", name: "weather", args: { city: "Wien" } },
    ],
  }));
  const events = await untilEnd(model(turnOf("weather?", { tools: [weather] }), never));
  expect(events.filter(({ type }) => type === "tool-call")).toEqual([
    { type: "tool-call", id: "a", name: "weather", args: { city: "Graz" } },
    { type: "tool-call", id: "b", name: "weather", args: { city: "Wien" } },
  ]);
  expect(events.at(-1)).toMatchObject({ type: "end", reason: "tool-calls" });
  expect(server.asked[0]!.body.tools).toMatchObject([
    { function: { name: "weather", description: weather.description, parameters: weather.input } },
  ]);
});

test("a whole conversation is told: files, thoughts, calls, and what came of them", async () => {
  const { model, server } = await served(() => ({ text: "ok" }));
  const messages: Message[] = [
    {
      role: "user",
      content: [
        { type: "text", text: "what is this?" },
        { type: "file", mediaType: "image/png", data: "aGVsbG8=" },
      ],
    },
    {
      role: "assistant",
      content: [
        { type: "reasoning", text: "hm", metadata: { owls: { signature: "s" } } },
        { type: "text", text: "I look." },
        { type: "tool-call", id: "a", name: "weather", args: { city: "Graz" } },
        { type: "tool-call", id: "b", name: "weather", args: "{no json" },
      ],
    },
    {
      role: "tool",
      content: [
        { type: "tool-result", id: "a", name: "weather", output: { sky: "blue" } },
        { type: "tool-result", id: "b", name: "weather", output: "not JSON", isError: true },
      ],
    },
    user("and?"),
  ];
  await untilEnd(model(turnOf("", { messages, tools: [weather] }), never));
  const told = server.asked[0]!.body.messages;
  expect(told.map(({ role }) => role)).toEqual(["user", "assistant", "tool", "tool", "user"]);
  expect(JSON.stringify(told[0])).toContain("data:image/png;base64,aGVsbG8=");
  expect(told[1]).toMatchObject({ content: "I look.", tool_calls: [{ id: "a" }, { id: "b" }] });
  expect(told[2]).toMatchObject({ tool_call_id: "a", content: '{"sky":"blue"}' });
  expect(told[3]).toMatchObject({ tool_call_id: "b", content: "not JSON" });
});

test("thoughts come apart from what is said", async () => {
  const { model } = await served(() => ({ reasoning: ["I ", "think"], text: "so" }));
  const events = await untilEnd(model(turnOf("hi"), never));
  expect(events.slice(0, 3)).toEqual([
    { type: "reasoning", text: "I " },
    { type: "reasoning", text: "think" },
    { type: "text", text: "so" },
  ]);
});

test("arguments that are no JSON, and a tool that nobody has, are passed on as they came", async () => {
  const calls = [
    { id: "a", name: "weather", args: '{"city": "Gr' },
    { id: "b", name: "launch", args: { now: true } },
    { id: "c", name: "weather", args: "" },
  ];
  const { model } = await served(() => ({ calls }));
  const events = await untilEnd(model(turnOf("go", { tools: [weather] }), never));
  expect(events.slice(0, -1)).toEqual([
    { type: "tool-call", id: "a", name: "weather", args: '{"city": "Gr' },
    { type: "tool-call", id: "b", name: "launch", args: { now: true } },
    { type: "tool-call", id: "c", name: "weather", args: {} },
  ]);
  const { model: without } = await served(() => ({ calls: calls.slice(1, 2) }));
  expect((await untilEnd(without(turnOf("go"), never)))[0]).toMatchObject({ name: "launch" });
});

test("what a provider has to be told again of a call goes back to it", async () => {
  const { model, server } = await served(() => ({
    calls: [{ id: "a", name: "weather", args: { city: "Graz" }, signature: "signed" }],
  }));
  const [call] = await untilEnd(model(turnOf("weather?", { tools: [weather] }), never));
  expect(call).toMatchObject({ type: "tool-call", metadata: { owls: { thoughtSignature: "signed" } } });
  const messages: Message[] = [
    user("weather?"),
    { role: "assistant", content: [call as Extract<TurnEvent, { type: "tool-call" }>] },
    { role: "tool", content: [{ type: "tool-result", id: "a", name: "weather", output: "blue" }] },
  ];
  await untilEnd(model(turnOf("", { messages, tools: [weather] }), never));
  const { tool_calls: told } = server.asked[1]!.body.messages[1]!;
  expect(told).toMatchObject([{ id: "a", extra_content: { google: { thought_signature: "signed" } } }]);
});

test("thoughts that a provider has sealed go back to it as it gave them", async () => {
  const prompts: Prompt[] = [];
  const sealed = (id: string, signature: string): StreamPart[] => [
    { type: "reasoning-start", id, providerMetadata: { wise: { item: id } } },
    { type: "reasoning-delta", id, delta: "so " },
    { type: "reasoning-delta", id, delta: `${id}.` },
    { type: "reasoning-end", id, providerMetadata: { wise: { item: id, signature } } },
  ];
  const wise = wiseModel(prompts, [...sealed("r1", "s1"), ...sealed("r2", "s2")]);
  const said = await saidIn(fromAiSdk(wise)(turnOf("why?"), never));
  expect(said).toEqual([
    { type: "reasoning", text: "so r1.", metadata: { wise: { item: "r1", signature: "s1" } } },
    { type: "reasoning", text: "so r2.", metadata: { wise: { item: "r2", signature: "s2" } } },
    { type: "text", text: "because" },
  ]);
  const messages: Message[] = [user("why?"), { role: "assistant", content: said }, user("go on")];
  await untilEnd(fromAiSdk(wise)(turnOf("", { messages }), never));
  expect(prompts[1]![1]).toMatchObject({
    content: [
      { type: "reasoning", text: "so r1.", providerOptions: { wise: { item: "r1", signature: "s1" } } },
      { type: "reasoning", text: "so r2.", providerOptions: { wise: { item: "r2", signature: "s2" } } },
      { type: "text", text: "because" },
    ],
  });
});

const output = { type: "object", properties: { sky: { type: "string" } }, required: ["sky"] };

test("data that is to be said is asked for by its schema", async () => {
  const { model, server } = await served(() => ({ text: '{"sky":"blue"}' }));
  const events = await untilEnd(model(turnOf("sky?", { output }), never));
  expect(textOf(events)).toBe('{"sky":"blue"}');
  expect(server.asked[0]!.body.response_format).toMatchObject({
    type: "json_schema",
    json_schema: { schema: output },
  });
});

test("a server that takes no schemas is told of it in words, and nothing is written to the console", async () => {
  const server = await serverFor(() => ({ text: "{}" }));
  const warn = vi.spyOn(process, "emitWarning");
  const model = fromAiSdk(server.provider({ supportsStructuredOutputs: false })(MODEL));
  const events = await untilEnd(model(turnOf("sky?", { instructions: "Be short.", output }), never));
  const { messages, response_format: format } = server.asked[0]!.body;
  expect(format).toEqual({ type: "json_object" });
  expect(messages[0]!.content).toMatch(/^Be short\.\n\nAnswer with JSON .*"sky"/);
  expect(events.at(-1)).toMatchObject({
    warnings: [expect.stringContaining("responseFormat")],
  });
  expect(warn).not.toHaveBeenCalled();
  warn.mockRestore();
});

test("what a provider does not count is guessed, and said to be", async () => {
  const { model } = await served(() => ({ text: "a".repeat(300), usage: null }));
  const end = (await untilEnd(model(turnOf("hi"), never))).at(-1) as Extract<TurnEvent, { type: "end" }>;
  expect(end.usage.outputTokens).toBe(100);
  expect(end.usage.inputTokens).toBeGreaterThan(0);
  expect(end.warnings).toEqual([expect.stringContaining("includeUsage")]);
});

test.each([
  ["length", "length"],
  ["content_filter", "content-filter"],
  ["something_new", "other"],
] as const)("%s is an end", async (finish, reason) => {
  const { model } = await served(() => ({ text: "so", finish }));
  expect((await untilEnd(model(turnOf("hi"), never))).at(-1)).toMatchObject({ type: "end", reason });
});

type LanguageModelV4 = Extract<LanguageModel, { specificationVersion: "v4" }>;
type Prompt = Parameters<LanguageModelV4["doStream"]>[0]["prompt"];
type StreamPart =
  Awaited<ReturnType<LanguageModelV4["doStream"]>>["stream"] extends ReadableStream<infer P> ? P : never;
type Part = TextPart | ReasoningPart | ToolCallPart;

/** As a conversation puts it together. */
async function saidIn(events: AsyncIterable<TurnEvent>): Promise<Part[]> {
  let said: Part[] = [];
  const flow = defineWorkflow({
    name: "flow",
    run: async (ctx) => {
      const { messages } = await converse(ctx, { model: () => events, prompt: "why?" });
      said = messages.at(-1)!.content as Part[];
    },
  });
  await using sentient = await createTestSentient({ workflows: [flow] });
  await sentient.execute(flow);
  return said;
}

/** A provider that seals what its model thinks. */
function wiseModel(prompts: Prompt[], thoughts: StreamPart[]): LanguageModelV4 {
  const count = { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 };
  const end: StreamPart[] = [
    { type: "text-start", id: "t" },
    { type: "text-delta", id: "t", delta: "because" },
    { type: "text-end", id: "t" },
    {
      type: "finish",
      finishReason: { unified: "stop", raw: "stop" },
      usage: { inputTokens: count, outputTokens: { total: 1, text: 1, reasoning: 0 } },
    },
  ];
  return {
    specificationVersion: "v4",
    provider: "wise",
    modelId: "wise-1",
    supportedUrls: {},
    doGenerate: () => Promise.reject(new Error("it streams")),
    doStream: ({ prompt }) => {
      prompts.push(prompt);
      return Promise.resolve({
        stream: ReadableStream.from([{ type: "stream-start", warnings: [] } as const, ...thoughts, ...end]),
      });
    },
  };
}
