// An MCP server with sessions, as those before 2026 have them, which it may forget.

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { McpServer, WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/server";
import { onTestFinished } from "vitest";
import { z } from "zod";

export async function forgetfulServer() {
  const sessions = new Map<string, WebStandardStreamableHTTPServerTransport>();
  const did: string[] = [];
  const begin = async () => {
    const server = new McpServer({ name: "forgetful", version: "1" });
    const annotations = { destructiveHint: false };
    server.registerTool("note", { inputSchema: z.object({ text: z.string() }), annotations }, ({ text }) => {
      did.push(text);
      return { content: [{ type: "text", text: `noted ${text}` }] };
    });
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => crypto.randomUUID(),
      onsessioninitialized: (id) => void sessions.set(id, transport),
    });
    await server.connect(transport);
    return transport;
  };
  const fetch = async (request: Request): Promise<Response> => {
    const id = request.headers.get("mcp-session-id");
    if (id === null) return (await begin()).handleRequest(request);
    return sessions.get(id)?.handleRequest(request) ?? new Response("no such session", { status: 404 });
  };
  const server = createAdaptorServer({ fetch });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    if ("closeAllConnections" in server) server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/mcp`, did, sessions, forget: () => sessions.clear() };
}
