// What a tool of a server has answered, as a model is told.

import type { CallToolResult } from "@modelcontextprotocol/client";
import type { Json } from "@sentient/schema";
import { AiError } from "../errors.ts";

/** Of what a server says about a failure, in characters. */
const MOST_SAID = 4_096;

/** Data where there is some, else its text, else its pieces. @throws `ai.tool_failed` where it says that it failed */
export function outputOf(tool: string, result: CallToolResult): Json {
  if (result.isError) throw failedError(tool, textOf(result) || "it does not say why");
  if (result.structuredContent !== undefined) return result.structuredContent as Json;
  if (result.content.every(({ type }) => type === "text")) return textOf(result);
  return result.content.map(({ _meta, annotations: _, ...piece }) => piece) as Json;
}

function textOf({ content }: CallToolResult): string {
  return content.flatMap((piece) => (piece.type === "text" ? [piece.text] : [])).join("\n");
}

export function failedError(tool: string, why: string, cause?: unknown): AiError {
  return new AiError({
    code: "ai.tool_failed",
    message: `${tool} failed: ${why.slice(0, MOST_SAID)}`,
    retryable: false,
    cause,
  });
}
