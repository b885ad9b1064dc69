// Serving. Owns: the two ways on which MCP clients come.
// W1. By HTTP nobody is served who does not know the token, nor a page that a browser was led to.

import { timingSafeEqual, createHash } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import {
  createMcpHandler,
  hostHeaderValidationResponse,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  originValidationResponse,
} from "@modelcontextprotocol/server";
import { serveStdio, StdioServerTransport } from "@modelcontextprotocol/server/stdio";
import type { Sentient } from "@sentient/agent-core";
import { createMcpServer, type McpServerOptions } from "./mcp-server.ts";

export interface ServedMcp extends AsyncDisposable {
  close(): Promise<void>;
}

/** A server on the streams of this process: nothing else may be written to its output. */
export interface McpOnStdio extends ServedMcp {
  /** Resolves once the client has gone. */
  readonly closed: Promise<void>;
}

/** @example await using served = serveMcpOnStdio(sentient, { allow: ["read"] }); await served.closed; */
export function serveMcpOnStdio(sentient: Sentient, options: McpServerOptions = {}): McpOnStdio {
  const gone = Promise.withResolvers<void>();
  process.stdin.once("end", gone.resolve).once("close", gone.resolve);
  const transport = new StdioServerTransport();
  const served = serveStdio(() => createMcpServer(sentient, options), { transport });
  const close = async () => {
    await served.close();
    gone.resolve();
  };
  return { closed: gone.promise, close, [Symbol.asyncDispose]: close };
}

export interface McpHttpOptions extends McpServerOptions {
  /** Whoever knows it is served. */
  token: string;
  /** Any that is free, if left out. */
  port?: number;
}

export interface McpOnHttp extends ServedMcp {
  readonly url: string;
}

const HOST = "127.0.0.1";

/**
 * A server on the loopback address, at `/mcp`, for clients of this machine that have the token.
 *
 * @example await using served = await serveMcpOnHttp(sentient, { token, port: 4841 });
 */
export async function serveMcpOnHttp(
  sentient: Sentient,
  { token, port = 0, ...options }: McpHttpOptions,
): Promise<McpOnHttp> {
  const handler = createMcpHandler(() => createMcpServer(sentient, options));
  const fetch = async (request: Request): Promise<Response> =>
    problemOf(request, token) ?? handler.fetch(request); // W1
  const server = createAdaptorServer({ fetch });
  server.listen(port, HOST);
  await once(server, "listening");
  const close = async () => {
    await handler.close();
    const closed = once(server, "close");
    server.close();
    if ("closeAllConnections" in server) server.closeAllConnections();
    await closed;
  };
  const { port: taken } = server.address() as AddressInfo;
  return { url: `http://${HOST}:${taken}/mcp`, close, [Symbol.asyncDispose]: close };
}

function problemOf(request: Request, token: string): Response | undefined {
  const refused =
    hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
    originValidationResponse(request, localhostAllowedOrigins());
  if (refused) return refused;
  if (new URL(request.url).pathname !== "/mcp") return new Response("there is only /mcp", { status: 404 });
  const [, given = ""] = /^Bearer (.+)$/i.exec(request.headers.get("authorization") ?? "") ?? [];
  return isSame(given, token)
    ? undefined
    : new Response("a token is needed: Authorization: Bearer …", {
        status: 401,
        headers: { "www-authenticate": "Bearer" },
      });
}

function isSame(one: string, other: string): boolean {
  const [first, second] = [one, other].map((text) => createHash("sha256").update(text).digest());
  return timingSafeEqual(first!, second!);
}
