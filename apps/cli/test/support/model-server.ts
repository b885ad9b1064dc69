// A model as its users meet it: an API over HTTP that speaks as OpenAI's does, with answers a test has made up.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

export interface Asked {
  instructions: string;
  prompt: string;
  authorization: string | undefined;
}

export interface Reply {
  status?: number;
  /** What the model says, as JSON. */
  says?: unknown;
}

export interface ModelServer {
  /** For the environment of who asks. */
  env: Record<string, string>;
  /** What it was asked, in turn. */
  asked: Asked[];
}

interface Request {
  model: string;
  messages: { role: string; content: string | { text: string }[] }[];
}

export const KEY = "sk-test-0123456789abcdefghij";

export async function modelServer(reply: (asked: Asked, nth: number) => Reply): Promise<ModelServer> {
  const asked: Asked[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const { model, messages } = JSON.parse(await text(request)) as Request;
    const said = (role: string) => {
      const content = messages.find((message) => message.role === role)?.content ?? "";
      return typeof content === "string" ? content : content.map((part) => part.text).join("");
    };
    const { authorization } = request.headers;
    const one = { instructions: said("system"), prompt: said("user"), authorization };
    const { status = 200, says } = reply(one, asked.push(one));
    const isSaid = status === 200;
    response.writeHead(status, { "content-type": isSaid ? "text/event-stream" : "application/json" });
    response.end(isSaid ? completion(model, says) : JSON.stringify(refusal(status)));
  };
  const server = createServer((request, response) => void answer(request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const OPENAI_BASE_URL = `http://127.0.0.1:${port}/v1`;
  return { asked, env: { SENTIENT_MODEL: "owl-1", OPENAI_BASE_URL, OPENAI_API_KEY: KEY } };
}

/** In two pieces, and what was used. */
function completion(model: string, says: unknown): string {
  const said = JSON.stringify(says);
  const delta = (content: string, finish_reason: string | null = null) => ({
    choices: [{ index: 0, delta: { role: "assistant", content }, finish_reason }],
  });
  const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
  const chunks = [delta(said.slice(0, 9)), delta(said.slice(9)), delta("", "stop"), { choices: [], usage }];
  const common = { id: "c", object: "chat.completion.chunk", created: 0, model };
  return [...chunks.map((chunk) => JSON.stringify({ ...common, ...chunk })), "[DONE]"]
    .map((data) => `data: ${data}\n\n`)
    .join("");
}

const refusal = (status: number) => ({
  error: { message: status === 401 ? `Incorrect API key provided: ${KEY}` : "overloaded", type: "e" },
});
