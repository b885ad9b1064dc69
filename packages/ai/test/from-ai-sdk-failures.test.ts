// How a turn of a model fails, and is let go of: through the real provider, against a real server.

import { NonRetryable, type TurnEvent } from "@sentient/agent-core";
import { until } from "@sentient/testkit";
import { expect, test } from "vitest";
import { AiError } from "../src/errors.ts";
import { KEY, MODEL } from "./support/model-server.ts";
import { failureOf, never, served, turnOf, untilEnd } from "./support/models.ts";

const look = { name: "look", description: "Looks.", input: { type: "object" } };

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

test.each([
  [{ message: "Overloaded" }, "ai.model_failed"],
  [{ message: "you have none left", code: 429 }, "ai.model_failed"],
  [{ message: "what is that?", code: 400 }, "ai.model_refused"],
])("a failure in the midst of a stream is one: %o", async (failure, code) => {
  const { model } = await served(() => ({ text: ["half ", "of it"], failsAfter: 1, failure }));
  const error = await failureOf(untilEnd(model(turnOf("hi"), never)));
  expect(error.code).toBe(code);
  expect(error.message).toContain(failure.message);
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
    { calls: [{ name: "look", args: { city: "Graz" } }], cutAfter: 2 },
  ],
])("%s is an error, and not a short answer", async (_, reply) => {
  const { model } = await served(() => reply);
  const events: TurnEvent[] = [];
  const read = async () => {
    for await (const event of model(turnOf("hi", { tools: [look] }), never)) events.push(event);
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
