// What was said, in the words of the AI SDK.

import type { Message, ToolResultPart } from "@sentient/agent-core";
import type { Json } from "@sentient/schema";
import type { ModelMessage } from "ai";

export function modelMessagesOf(messages: readonly Message[]): ModelMessage[] {
  return messages.map(modelMessageOf);
}

type Part<Role extends Message["role"]> = Extract<Message, { role: Role }>["content"][number];
type ModelPart<Role extends ModelMessage["role"]> = Exclude<
  Extract<ModelMessage, { role: Role }>["content"],
  string
>[number];

function modelMessageOf(message: Message): ModelMessage {
  switch (message.role) {
    case "user":
      return { role: "user", content: message.content.map(userPartOf) };
    case "assistant":
      return { role: "assistant", content: message.content.map(assistantPartOf) };
    case "tool":
      return { role: "tool", content: message.content.map(resultOf) };
  }
}

function userPartOf(part: Part<"user">): ModelPart<"user"> {
  if (part.type === "text") return part;
  const { mediaType, data } = part;
  if (!/^(https?|data):/i.test(data)) return { type: "file", mediaType, data: { type: "data", data } };
  return { type: "file", mediaType, data: { type: "url", url: new URL(data) } };
}

function assistantPartOf(part: Part<"assistant">): ModelPart<"assistant"> {
  switch (part.type) {
    case "text":
      return part;
    case "reasoning":
      return { type: "reasoning", text: part.text, ...backOf(part.metadata) };
    case "tool-call": {
      const { id, name, args, metadata } = part;
      return { type: "tool-call", toolCallId: id, toolName: name, input: args, ...backOf(metadata) };
    }
  }
}

/** What a provider said of it goes back to it. */
const backOf = (metadata: Json | undefined) =>
  metadata === undefined ? {} : { providerOptions: metadata as Record<string, Record<string, Json>> };

function resultOf({ id, name, output, isError }: ToolResultPart): ModelPart<"tool"> {
  const kind = isError === true ? "error-" : "";
  const told =
    typeof output === "string"
      ? { type: `${kind}text` as "text", value: output }
      : { type: `${kind}json` as "json", value: output };
  return { type: "tool-result", toolCallId: id, toolName: name, output: told };
}
