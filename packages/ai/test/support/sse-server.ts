// A server of whichever provider: what a test says it sends, frame by frame.

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { onTestFinished } from "vitest";

export type Frame = { type: string; [field: string]: unknown };

export interface SseServer {
  url: string;
  /** The bodies of what it was asked, in turn. */
  asked: Record<string, unknown>[];
}

export async function sseServer(framesOf: (nth: number) => readonly Frame[]): Promise<SseServer> {
  const asked: Record<string, unknown>[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const frames = framesOf(asked.push(JSON.parse(body) as Record<string, unknown>));
      response.writeHead(200, { "content-type": "text/event-stream" });
      return response.end(
        frames.map((frame) => `event: ${frame.type}\ndata: ${JSON.stringify(frame)}\n\n`).join(""),
      );
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, asked };
}
