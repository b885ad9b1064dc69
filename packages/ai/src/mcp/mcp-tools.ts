// Tools of an MCP server. Owns: what of a server a model may use, and how it is called.
// M1. A use is a step. What only reads may be done again; what changes something is begun once, and where it was cut off its
//     outcome is unknown, to us as to the model: it is not done again.
//     So it is where the answer cannot be read. What does not fit the server's own schema is an error only of what reads.
// M2. What a server says of itself is no more than a hint, and the caller's `effect` has the last word.
// M3. The end of a step reaches the server as a request that is cancelled.

import {
  ProtocolError,
  SdkError,
  SdkErrorCode,
  SdkHttpError,
  type CallToolResult,
  type Tool as McpTool,
} from "@modelcontextprotocol/client";
import type { Json } from "@sentient/schema";
import { AiError } from "../errors.ts";
import { rawTool, type DefinedTool, type Effect, type ToolContext } from "../tool.ts";
import { Connection, nameOf, type McpAddress } from "./connection.ts";
import { requireUnique, toolName } from "./names.ts";
import { failedError, outputOf } from "./result.ts";

export interface McpToolsOptions {
  /** Before each name: `"github_"`. */
  prefix?: string;
  /** The tools to take, by the server's names for them: all if left out. */
  only?: readonly string[];
  /** What a tool does to the world. If left out, as the server's annotations have it: `read` where it says so, `write` where it says that it destroys nothing, else `danger`, as it may. */
  effect?: (tool: McpTool) => Effect;
  /** Of a call, in milliseconds: 60,000 if left out. */
  timeout?: number;
  /** Bytes of JSON that a call may give: as of any tool, if left out. */
  maxOutput?: number;
}

/** The tools of a server. */
export interface McpTools extends AsyncDisposable {
  readonly tools: DefinedTool[];
  /** Who it says it is. */
  readonly server: { name: string; version: string } | undefined;
  /** How to use it, in its own words: text of somebody else. */
  readonly instructions: string | undefined;
  /** Ends the connection, and the server if it was started here. */
  close(): Promise<void>;
}

const TIMEOUT_MS = 60_000;
/** As models are told, in characters. */
const MOST_DESCRIPTION = 4_096;
/** That of the step counts. */
const NO_TIMEOUT = 2 ** 31 - 1;
/** In what is told of a call besides its arguments. */
const KEY = "sentient/idempotency-key";

/**
 * The tools of an MCP server, for agents. A server that has died is started again with the next use.
 *
 * @param address a program that is started for it, or a URL
 * @throws `ai.mcp_unreachable`; `ai.tool_name_clash`; `ai.bad_option` for a tool in `only` that the server does not have
 * @example await using files = await mcpTools({ command: "npx", args: ["-y", "@modelcontextprotocol/server-filesystem", "docs"] });
 */
export async function mcpTools(address: McpAddress, options: McpToolsOptions = {}): Promise<McpTools> {
  const connection = new Connection(address);
  try {
    const client = await connection.client();
    const listed = chosen((await client.listTools()).tools, options, address);
    const names = listed.map(({ name }) => ({ theirs: name, ours: toolName(name, options.prefix) }));
    requireUnique(names);
    const tools = listed.map((tool, i) => toolOf(tool, names[i]!.ours, connection, options));
    const close = () => connection.close();
    return {
      tools,
      server: client.getServerVersion(),
      instructions: client.getInstructions(),
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await connection.close();
    throw error;
  }
}

function chosen(all: readonly McpTool[], { only }: McpToolsOptions, address: McpAddress): McpTool[] {
  const missing = only?.find((name) => !all.some((tool) => tool.name === name));
  if (missing !== undefined)
    throw new AiError({
      code: "ai.bad_option",
      message: `the MCP server ${nameOf(address)} has no tool ${missing}; it has ${all.map(({ name }) => name).join(", ")}`,
    });
  return all.filter(({ name }) => only === undefined || only.includes(name));
}

function toolOf(
  tool: McpTool,
  name: string,
  connection: Connection,
  { effect: said, timeout = TIMEOUT_MS, maxOutput }: McpToolsOptions,
): DefinedTool {
  const effect = said ? said(tool) : effectOf(tool); // M2
  return rawTool({
    name,
    description: (tool.description ?? tool.title ?? tool.name).slice(0, MOST_DESCRIPTION),
    inputSchema: tool.inputSchema as Json,
    effect,
    timeout,
    ...(maxOutput === undefined ? {} : { maxOutput }),
    run: async (args, step) => outputOf(name, await ask({ connection, tool, name, effect, args, step })),
  });
}

function effectOf({ annotations = {} }: McpTool): Effect {
  if (annotations.readOnlyHint) return "read";
  return annotations.destructiveHint === false ? "write" : "danger"; // what says nothing may destroy: so MCP has it
}

interface Asking {
  connection: Connection;
  tool: McpTool;
  name: string;
  effect: Effect;
  args: Json;
  step: ToolContext;
}

async function ask(asking: Asking, isAgain = false): Promise<CallToolResult> {
  const { connection, tool, effect, args, step } = asking;
  const client = await connection.client();
  step.signal.throwIfAborted();
  try {
    return await client.callTool(
      {
        name: tool.name,
        arguments: args as Record<string, unknown>,
        _meta: { [KEY]: step.idempotencyKey },
      },
      {
        signal: step.signal, // M3
        timeout: NO_TIMEOUT,
        toolDefinition: effect === "read" ? tool : withoutOutputSchema(tool),
        onprogress: ({ progress, total, message }) => step.progress(progress, total, message),
      },
    );
  } catch (error) {
    step.signal.throwIfAborted();
    const what = meaningOf(error);
    const hasFailed = what === "answered" || (what === "unreadable" && effect === "read");
    if (hasFailed) throw failedError(asking.name, (error as Error).message, error);
    if (what === "unknown session" && !isAgain) {
      await connection.renew();
      return ask(asking, true);
    }
    throw cutOffError(asking, error);
  }
}

/** M1. The SDK says that the call has failed where what it gave does not fit. */
function withoutOutputSchema({ outputSchema: _, ...tool }: McpTool): McpTool {
  return tool;
}

/** Codes of what came back from the server, and says no more. */
const UNREADABLE: readonly string[] = [SdkErrorCode.InvalidResult, SdkErrorCode.UnsupportedResultType];

/**
 * What is known of a call that has no result: a session that a server does not know is one for which it has done nothing, and
 * neither has one that asks for more before it does it.
 */
function meaningOf(error: unknown): "answered" | "unreadable" | "unknown session" | "cut off" {
  if (ProtocolError.isInstance(error)) return "answered";
  if (SdkHttpError.isInstance(error) && error.status === 404) return "unknown session";
  if (SdkHttpError.isInstance(error) && error.status !== undefined && error.status < 500) return "answered";
  if (!SdkError.isInstance(error)) return "cut off";
  if (asksForMore(error)) return "answered";
  return UNREADABLE.includes(error.code) ? "unreadable" : "cut off";
}

function asksForMore({ code, data }: SdkError): boolean {
  const { resultType } = (data ?? {}) as { resultType?: unknown };
  return code === SdkErrorCode.InputRequiredRoundsExceeded || resultType === "input_required";
}

/** M1. */
function cutOffError({ name, effect, connection }: Asking, cause: unknown): AiError {
  const isRead = effect === "read";
  const isGone = SdkError.isInstance(cause) && cause.code === SdkErrorCode.ConnectionClosed;
  const what = meaningOf(cause) === "unreadable" ? "its answer cannot be read" : "cut off";
  return new AiError({
    code: isRead ? "ai.mcp_unreachable" : "ai.outcome_unknown",
    message: `${name} was asked for and ${what}: ${(cause as Error).message}${isGone ? connection.lastSaid : ""}${isRead ? "" : "; nobody knows whether it was done"}`,
    retryable: isRead,
    cause,
  });
}
