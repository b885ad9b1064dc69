// A chat as `useChat` has one, without a page: the AI SDK's own client, over HTTP.

import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import type { ReadableStream as NodeStream } from "node:stream/web";
import {
  AbstractChat,
  createUIMessageStreamResponse,
  DefaultChatTransport,
  type ChatState,
  type ChatStatus,
  type UIMessage,
  type UIMessageChunk,
} from "ai";
import { onTestFinished } from "vitest";

export type Stream = (request: { method: string; path: string }) => ReadableStream<UIMessageChunk>;

/** Serves what a stream says as a program would. */
export async function chatServer(stream: Stream): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    const { method = "", url: path = "" } = request;
    const answer = createUIMessageStreamResponse({ stream: stream({ method, path }) });
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    response.flushHeaders();
    const body = Readable.fromWeb(answer.body as NodeStream);
    response.once("close", () => body.destroy());
    body.on("error", () => response.destroy());
    body.pipe(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/chat`;
}

class State implements ChatState<UIMessage> {
  status: ChatStatus = "ready";
  error: Error | undefined = undefined;
  messages: UIMessage[] = [];
  pushMessage = (message: UIMessage) => void this.messages.push(structuredClone(message));
  popMessage = () => void this.messages.pop();
  replaceMessage = (index: number, message: UIMessage) =>
    void (this.messages[index] = structuredClone(message));
  snapshot = <T>(thing: T): T => structuredClone(thing);
}

class Chat extends AbstractChat<UIMessage> {}

/** As a browser does it: what is cut off is a network error. */
async function browserFetch(...asked: Parameters<typeof fetch>): Promise<Response> {
  const answer = await fetch(...asked);
  async function* read(): AsyncGenerator<Uint8Array> {
    try {
      yield* answer.body!;
    } catch {
      throw new TypeError("network error");
    }
  }
  return new Response(ReadableStream.from(read()), answer);
}

/** @param isReplay whether the server says all of it again to who reconnects */
export function chatAt(api: string, isReplay = true) {
  const outcome: {
    isAbort?: boolean;
    isDisconnect?: boolean;
    isError?: boolean;
    finishReason?: string | undefined;
  } = {};
  const chat = new Chat({
    id: "chat",
    state: new State(),
    transport: new DefaultChatTransport({ api, resumeStreamIsReplay: isReplay, fetch: browserFetch }),
    onFinish: ({ isAbort, isDisconnect, isError, finishReason }) =>
      void Object.assign(outcome, { isAbort, isDisconnect, isError, finishReason }),
  });
  return { chat, outcome };
}

/** What somebody sees of the last message: its texts, in turn. */
export function textOfMessage({ parts }: Pick<UIMessage, "parts">): string {
  return parts.flatMap((part) => (part.type === "text" ? part.text : [])).join("|");
}
