// The server. Owns: the socket, and who may be listened to there.
// L1. It listens on the loopback address unless somebody says otherwise, and nowhere else without tokens and without TLS, of
//     its own or of a proxy in front of it.
// L2. Whoever is slow to ask is cut off; whoever is answered when it stops is answered.

import { createAdaptorServer } from "@hono/node-server";
import type { Sentient } from "@sentient/agent-core";
import { systemClock } from "@sentient/db-pool";
import { once } from "node:events";
import { createServer as createHttp, type Server } from "node:http";
import { createServer as createHttps } from "node:https";
import type { AddressInfo } from "node:net";
import { createApp, type App } from "./app.ts";
import { ApiError } from "./errors.ts";
import { isLoopback, namesOf } from "./hosts.ts";
import type { AppOptions } from "./options.ts";

export interface ServeOptions extends AppOptions {
  /** `127.0.0.1` if left out. */
  host?: string;
  /** 4840 if left out; 0 for any. */
  port?: number;
  /** PEM. */
  tls?: { key: string; cert: string };
}

export interface ServedApi {
  readonly app: App;
  readonly url: string;
  /** Answers what was asked, for at most so many milliseconds (5,000 if left out), and stops. The runtime stays. */
  close(options?: { deadline?: number }): Promise<void>;
}

const DEFAULT_PORT = 4840;
const HEADER_BYTES = 16 * 1024;
const HEADERS_MS = 10_000;
const REQUEST_MS = 30_000;
const LOOK_MS = 1_000;
const MOST_CONNECTIONS = 2_000;
const DEADLINE_MS = 5_000;

/**
 * Serves the API of a runtime.
 *
 * @throws `api.bad_config` for an address that may not be listened on; what the socket throws
 * @example await using api = await serveApi(sentient, { port: 4840 }); console.log(api.url);
 */
export async function serveApi(
  sentient: Sentient,
  options: ServeOptions = {},
): Promise<ServedApi & AsyncDisposable> {
  const { host = "127.0.0.1", port = DEFAULT_PORT, tls, ...rest } = options;
  requireSafe(host, options);
  const names = rest.allowedHosts ?? namesOf(host);
  const app = createApp(sentient, { ...rest, ...(names ? { allowedHosts: names } : {}) });
  const limits = {
    maxHeaderSize: HEADER_BYTES,
    headersTimeout: HEADERS_MS,
    requestTimeout: REQUEST_MS,
    connectionsCheckingInterval: LOOK_MS,
  };
  const fetch = (request: Request, env: object) => app.fetch(request, env);
  const server = (
    tls
      ? createAdaptorServer({ fetch, createServer: createHttps, serverOptions: { ...limits, ...tls } })
      : createAdaptorServer({ fetch, createServer: createHttp, serverOptions: limits })
  ) as Server;
  server.maxConnections = MOST_CONNECTIONS;
  server.listen(port, host);
  await once(server, "listening");
  const { port: taken } = server.address() as AddressInfo;
  const named = host.includes(":") ? `[${host}]` : host;
  const close = async ({ deadline = DEADLINE_MS } = {}) => stop(server, app, deadline);
  return {
    app,
    url: `${tls ? "https" : "http"}://${named}:${taken}`,
    close,
    [Symbol.asyncDispose]: () => close(),
  };
}

/** L1. */
function requireSafe(
  host: string,
  { auth = true, tls, behindProxy = false, allowedHosts }: ServeOptions,
): void {
  if (isLoopback(host)) return;
  const lacks = [
    ...(auth ? [] : ["tokens (without SENTIENT_API_INSECURE)"]),
    ...(tls || behindProxy
      ? []
      : ["TLS (SENTIENT_API_TLS_KEY and _CERT), or a proxy that has it (_BEHIND_PROXY=true)"]),
    ...(allowedHosts ? [] : ["the names it goes by (SENTIENT_API_ALLOWED_HOSTS)"]),
  ];
  if (lacks.length === 0) return;
  throw new ApiError({
    code: "api.bad_config",
    message: `${host} can be reached from other machines, so it needs ${lacks.join(", and ")}; or listen on 127.0.0.1`,
  });
}

/** L2. */
async function stop(server: Server, app: App, deadline: number): Promise<void> {
  await app.close();
  if (!server.listening) return;
  const closed = once(server, "close");
  server.close();
  server.closeIdleConnections();
  const cancel = systemClock.after(deadline, () => server.closeAllConnections());
  try {
    await closed;
  } finally {
    cancel();
  }
}
