// A model as its users meet it: an API over HTTP that speaks as OpenAI's does, streaming, with answers that a test has made up.

import { createOpenAICompatible, type OpenAICompatibleProviderSettings } from "@ai-sdk/openai-compatible";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/** A request, as it came. */
export interface Asked {
  path: string;
  headers: IncomingMessage["headers"];
  body: {
    model: string;
    messages: { role: string; content?: unknown; [field: string]: unknown }[];
    tools?: { function: { name: string; description: string; parameters: object } }[];
    response_format?: { type: string; json_schema?: { schema: object } };
    stream?: boolean;
    max_tokens?: number;
    temperature?: number;
    input?: string[];
  };
  /** Resolves when the client has closed it before it was answered. */
  closed: Promise<void>;
}

export interface Call {
  id?: string;
  name: string;
  /** A string is sent as it is: also what is no JSON. */
  args: unknown;
  /** What the model has to be told again of it. */
  signature?: string;
}

export interface Saying {
  /** One delta each. */
  reasoning?: readonly string[];
  text?: string | readonly string[];
  calls?: readonly Call[];
  /** `stop` or `tool_calls` if left out; null is never said. */
  finish?: string | null;
  /** Not told if null. */
  usage?: { input: number; output: number; cached?: number; reasoning?: number } | null;
  /** Before the delta of that number is sent, from 0 on. */
  before?: (delta: number) => unknown;
  /** After so many deltas the line is cut. */
  cutAfter?: number;
  /** After so many deltas it says that it fails. */
  failsAfter?: number;
  failure?: { message: string; code?: number | string };
}

/** What it says, or how it fails. */
export type Reply =
  | Saying
  | { status: number; message?: string; headers?: Record<string, string> }
  | { vectors: readonly (readonly number[])[] };

export type Answer = (asked: Asked, nth: number) => Reply | Promise<Reply>;

export interface ModelServer extends AsyncDisposable {
  url: string;
  /** What it was asked, in turn. */
  asked: Asked[];
  /** How many requests their client has closed before they were answered. */
  readonly closed: number;
  provider: (
    settings?: Partial<OpenAICompatibleProviderSettings>,
  ) => ReturnType<typeof createOpenAICompatible>;
}

export const KEY = "sk-test-0123456789abcdefghij";
export const MODEL = "owl-1";

/** @param answer to each request; `nth` counts from 1 on */
export async function modelServer(answer: Answer): Promise<ModelServer> {
  const asked: Asked[] = [];
  const counts = { closed: 0 };
  const serve = async (request: IncomingMessage, response: ServerResponse) => {
    const closed = once(response, "close").then(() => {
      if (response.writableFinished || response.errored) return new Promise<never>(() => {});
      counts.closed++;
      return undefined;
    });
    const { url: path = "", headers } = request;
    const body = JSON.parse(await text(request)) as Asked["body"];
    const one = { path, headers, body, closed };
    await respond(response, one, await answer(one, asked.push(one)));
  };
  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  return {
    url,
    asked,
    get closed() {
      return counts.closed;
    },
    provider: (settings) => providerAt(url, settings),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}

/** The real one, as a program would make it. */
export function providerAt(baseURL: string, settings: Partial<OpenAICompatibleProviderSettings> = {}) {
  return createOpenAICompatible({
    name: "owls",
    baseURL,
    apiKey: KEY,
    includeUsage: true,
    supportsStructuredOutputs: true,
    ...settings,
  });
}

async function respond(response: ServerResponse, { body }: Asked, reply: Reply): Promise<void> {
  if (response.destroyed) return;
  const json = (status: number, content: object, headers: Record<string, string> = {}) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(JSON.stringify(content));
  };
  if ("status" in reply) {
    const { status, message = "overloaded", headers } = reply;
    json(status, { error: { message, type: "e" } }, headers);
  } else if ("vectors" in reply) {
    const data = reply.vectors.map((embedding, index) => ({ object: "embedding", index, embedding }));
    json(200, { object: "list", model: body.model, data, usage: { prompt_tokens: 1, total_tokens: 1 } });
  } else if (body.stream) await say(response, body.model, reply);
  else json(200, wholeOf(body.model, reply));
}

async function say(response: ServerResponse, model: string, saying: Saying): Promise<void> {
  const { finish = saying.calls ? "tool_calls" : "stop", cutAfter = Infinity, before } = saying;
  const common = { id: "c", object: "chat.completion.chunk", created: 1, model };
  const send = (data: object) => response.write(`data: ${JSON.stringify({ ...common, ...data })}\n\n`);
  const choice = (delta: object, finish_reason: string | null = null) => ({
    choices: [{ index: 0, delta, finish_reason }],
  });
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.flushHeaders();
  for (const [i, delta] of deltasOf(saying).entries()) {
    if (i === cutAfter) return cut(response);
    if (i === saying.failsAfter) {
      send({ error: { type: "e", ...saying.failure } });
      return void response.end();
    }
    await before?.(i);
    if (response.destroyed) return;
    send(choice(delta));
  }
  if (cutAfter !== Infinity) return cut(response);
  if (finish !== null) send(choice({}, finish));
  const usage = usageOf(saying);
  if (usage) send({ choices: [], usage });
  response.end("data: [DONE]\n\n");
}

/** What was written is on its way before the line goes. */
function cut(response: ServerResponse): void {
  response.write("", () => void response.destroy(new Error("cut")));
}

function deltasOf({ reasoning = [], text: said = [], calls = [] }: Saying): object[] {
  return [
    ...reasoning.map((piece) => ({ reasoning_content: piece })),
    ...(typeof said === "string" ? [said] : said).map((content) => ({ content })),
    ...calls.flatMap(({ name, args, id = `call-${name}`, signature }, index) => {
      const whole = typeof args === "string" ? args : JSON.stringify(args);
      const half = Math.ceil(whole.length / 2);
      const piece = (of: object) => ({ tool_calls: [{ index, ...of }] });
      return [
        piece({ id, type: "function", function: { name, arguments: "" }, ...signedBy(signature) }),
        piece({ function: { arguments: whole.slice(0, half) } }),
        piece({ function: { arguments: whole.slice(half) } }),
      ];
    }),
  ];
}

/** As Gemini does it. */
const signedBy = (signature: string | undefined) =>
  signature === undefined ? {} : { extra_content: { google: { thought_signature: signature } } };

function usageOf({ usage = { input: 10, output: 5 } }: Saying): object | undefined {
  if (usage === null) return undefined;
  const { input, output, cached = 0, reasoning = 0 } = usage;
  return {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: { cached_tokens: cached },
    completion_tokens_details: { reasoning_tokens: reasoning },
  };
}

function wholeOf(model: string, saying: Saying): object {
  const { text: said = [], calls = [], finish = saying.calls ? "tool_calls" : "stop" } = saying;
  const content = typeof said === "string" ? said : said.join("");
  const tool_calls = calls.map(({ name, args, id = `call-${name}` }) => ({
    id,
    type: "function",
    function: { name, arguments: typeof args === "string" ? args : JSON.stringify(args) },
  }));
  const message = { role: "assistant", content, ...(calls.length > 0 ? { tool_calls } : {}) };
  const choices = [{ index: 0, message, finish_reason: finish }];
  return { id: "c", object: "chat.completion", created: 1, model, choices, usage: usageOf(saying) };
}
