// One turn of a model of the AI SDK: through the real provider, against a real server.

import { NonRetryable, type Message, type TurnEvent } from "@sentient/agent-core";
import { until } from "@sentient/testkit";
import { expect, test, vi } from "vitest";
import { AiError } from "../src/errors.ts";
import { fromAiSdk } from "../src/from-ai-sdk.ts";
import { KEY, MODEL } from "./support/model-server.ts";
import { failureOf, never, served, serverFor, textOf, turnOf, untilEnd, user } from "./support/models.ts";

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
    metadata: { warnings: [expect.stringContaining("responseFormat")] },
  });
  expect(warn).not.toHaveBeenCalled();
  warn.mockRestore();
});

test("what a provider does not count is guessed, and said to be", async () => {
  const { model } = await served(() => ({ text: "a".repeat(300), usage: null }));
  const end = (await untilEnd(model(turnOf("hi"), never))).at(-1) as Extract<TurnEvent, { type: "end" }>;
  expect(end.usage.outputTokens).toBe(100);
  expect(end.usage.inputTokens).toBeGreaterThan(0);
  expect(end.metadata).toMatchObject({ warnings: [expect.stringContaining("includeUsage")] });
});

test.each([
  ["length", "length"],
  ["content_filter", "content-filter"],
  ["something_new", "other"],
] as const)("%s is an end", async (finish, reason) => {
  const { model } = await served(() => ({ text: "so", finish }));
  expect((await untilEnd(model(turnOf("hi"), never))).at(-1)).toMatchObject({ type: "end", reason });
});

test.each([429, 500, 503])("%i is asked once, and may be asked again", async (status) => {
  const { model, server } = await served(() => ({ status, headers: { "retry-after": "1" } }));
  const error = await failureOf(untilEnd(model(turnOf("hi"), never)));
  expect(error).toMatchObject({ code: "ai.model_failed", retryable: true, details: { status } });
  expect(error.message).toBe(`the model ${MODEL} failed (${status}): overloaded`);
  expect(server.asked).toHaveLength(1);
});

test.each([400, 401, 403, 404])("%i is not to be asked again, and says what to do", async (status) => {
  const { model } = await served(() => ({ status, message: "no" }));
  const error = await failureOf(untilEnd(model(turnOf("hi"), never)));
  expect(error).toBeInstanceOf(NonRetryable);
  expect(error.code).toBe("ai.model_refused");
  expect(error.message).toMatch(new RegExp(`^the model ${MODEL} refuses \\(${status}\\): no; look at`));
});

test("a key that a provider repeats is in nothing that is thrown", async () => {
  const { model } = await served(() => ({ status: 401, message: `Incorrect API key provided: ${KEY}` }));
  const error = await failureOf(untilEnd(model(turnOf("a secret question"), never)));
  const { inspect } = await import("node:util");
  const all = inspect(error, { depth: 10, showHidden: true });
  expect(all).toContain("Incorrect API key provided: [redacted]");
  expect(all).not.toContain(KEY);
  expect(all).not.toContain("a secret question");
});

test("a server that is not there may be asked again", async () => {
  const { model, server } = await served(() => ({ text: "never" }));
  await server[Symbol.asyncDispose]();
  const error = await failureOf(untilEnd(model(turnOf("hi"), never)));
  expect(error).toMatchObject({ code: "ai.model_failed", retryable: true });
});

test.each([
  ["a line that is cut", { text: ["half ", "of it"], cutAfter: 1 }],
  ["a stream that ends before it says so", { text: ["half "], finish: null }],
  [
    "a stream that is cut in the midst of a call",
    { calls: [{ name: "weather", args: { city: "Graz" } }], cutAfter: 2 },
  ],
])("%s is an error, and not a short answer", async (_, reply) => {
  const { model } = await served(() => reply);
  const events: TurnEvent[] = [];
  const read = async () => {
    for await (const event of model(turnOf("hi", { tools: [weather] }), never)) events.push(event);
  };
  const error = await failureOf(read());
  expect(error).toBeInstanceOf(AiError);
  expect(error).toMatchObject({ retryable: true });
  expect(events.some(({ type }) => type === "end" || type === "tool-call")).toBe(false);
});

test("whoever aborts closes the request, with what they say", async () => {
  const { model, server } = await served(() => ({ text: ["one", "two"], before: (i) => i === 1 && forever }));
  const abort = new AbortController();
  const reason = new Error("not any more");
  const read = async () => {
    for await (const event of model(turnOf("hi"), abort.signal))
      if (event.type === "text") abort.abort(reason);
  };
  expect(await failureOf(read())).toBe(reason);
  await server.asked[0]!.closed;
});

test("whoever stops reading closes the request", async () => {
  const { model, server } = await served(() => ({ text: ["one", "two"], before: (i) => i === 1 && forever }));
  for await (const event of model(turnOf("hi"), never)) if (event.type === "text") break;
  await until(() => server.closed === 1);
});

test("who is aborted before it is answered at all closes the request", async () => {
  const { model, server } = await served(() => forever);
  const abort = new AbortController();
  const failure = failureOf(untilEnd(model(turnOf("hi"), abort.signal)));
  await until(() => server.asked.length === 1);
  abort.abort(new Error("enough"));
  expect((await failure).message).toBe("enough");
  await server.asked[0]!.closed;
});

const forever = new Promise<never>(() => {});
