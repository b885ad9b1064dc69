// Health. Owns: saying whether this process lives, and whether it does its work, to whoever asks over HTTP.

import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Health extends AsyncDisposable {
  readonly port: number;
}

export interface Condition {
  /** Whether it claims runs: not before it has begun, and not when it is being stopped. */
  isReady: () => boolean;
  /** Whether the database answers. */
  answers: () => Promise<boolean>;
  running: () => number;
}

export interface Address {
  host: string;
  /** 0 for any that is free. */
  port: number;
}

/** `/healthz`: the process answers. `/readyz`: it claims runs, and its database answers. */
export async function serveHealth({ host, port }: Address, condition: Condition): Promise<Health> {
  const server = createServer((request, response) => {
    if (request.method !== "GET") return void response.writeHead(405).end();
    if (request.url === "/healthz") return answer(response, 200, { status: "alive" });
    if (request.url !== "/readyz") return void response.writeHead(404).end();
    readiness(condition).then(
      ({ status, ...body }) => answer(response, status, body),
      () => answer(response, 503, { ready: false }),
    );
  });
  server.listen(port, host);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function readiness({ isReady, answers, running }: Condition) {
  const claims = isReady();
  const database = await answers();
  const ready = claims && database;
  return { status: ready ? 200 : 503, ready, claims, database, running: running() };
}

function answer(response: ServerResponse, status: number, body: object): void {
  response
    .writeHead(status, { "content-type": "application/json", "cache-control": "no-store" })
    .end(JSON.stringify(body));
}
