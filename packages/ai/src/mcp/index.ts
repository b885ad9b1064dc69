// tools of a server, for agents
export { mcpTools } from "./mcp-tools.ts";
export type { McpTools, McpToolsOptions } from "./mcp-tools.ts";
export type { McpAddress, McpProgram, McpUrl } from "./connection.ts";

// a runtime, for MCP clients
export { createMcpServer } from "./mcp-server.ts";
export type { McpServerOptions } from "./mcp-server.ts";
export type { Permission } from "./served-tools.ts";
export { serveMcpOnHttp, serveMcpOnStdio } from "./serve.ts";
export type { McpHttpOptions, McpOnHttp, McpOnStdio, ServedMcp } from "./serve.ts";
