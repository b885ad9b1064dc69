// A model that says tokens as fast, or as often, as its name says: `words:<how many>:<milliseconds apart>`. Each is the time it was
// said at. It speaks as OpenAI's API does, in a process of its own.

import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { now } from "./clock.ts";

const server = createServer((request, response) => {
  text(request)
    .then((body) => say(response, (JSON.parse(body) as { model: string }).model))
    .catch((error: unknown) => void response.destroy(error as Error));
});
server.listen(0, "127.0.0.1", () => {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1` }));
});

async function say(response: ServerResponse, model: string): Promise<void> {
  const [, count, apart] = model.split(":").map(Number);
  const send = (choices: object[], more: object = {}) =>
    response.write(
      `data: ${JSON.stringify({ id: "c", object: "chat.completion.chunk", created: 1, model, choices, ...more })}\n\n`,
    );
  response.writeHead(200, { "content-type": "text/event-stream" });
  const began = performance.now();
  for (let i = 0; i < count!; i++) {
    if (apart! > 0) await sleep(Math.max(0, began + i * apart! - performance.now()));
    const isRoom = send([{ index: 0, delta: { content: `${now().toFixed(2)} ` }, finish_reason: null }]);
    if (!isRoom) await new Promise((resolve) => void response.once("drain", resolve));
    if (response.destroyed) return;
  }
  send([{ index: 0, delta: {}, finish_reason: "stop" }]);
  send([], { usage: { prompt_tokens: 10, completion_tokens: count, total_tokens: count! + 10 } });
  response.end("data: [DONE]\n\n");
}
