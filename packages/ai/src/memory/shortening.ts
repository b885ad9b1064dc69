// Shortening. Owns: what is kept of what a model and its tools have said, where that is more than a message may be.
// H1. It is never too large, and what was cut says so.
// H2. Calls and their results stay together: a model takes neither alone.

import type { Message } from "@sentient/agent-core";
import type { Json } from "@sentient/schema";
import { MOST_MESSAGE } from "./options.ts";

type Part = Message["content"][number];

/** H1. Thoughts go first, as their seal holds for the whole of them alone; then the largest parts are cut. */
export function shortened(messages: readonly Message[]): Message[] {
  const all = messages.map((message) => (isFit(message) ? message : fitted(message)));
  return all.every(isFit) ? all : messages.flatMap(inWords); // H2
}

const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));
const isFit = (message: Message): boolean => bytesOf(message) <= MOST_MESSAGE;

function fitted(message: Message): Message {
  const parts = message.content.filter(({ type }) => type !== "reasoning").map(unsealed);
  const around = bytesOf({ ...message, content: [] }) + parts.length;
  const most = evenShare(parts.map(bytesOf), MOST_MESSAGE - around);
  return { ...message, content: parts.map((part) => cutPart(part, most)) } as Message;
}

function unsealed(part: Part): Part {
  if (!("metadata" in part)) return part;
  const { metadata: _, ...rest } = part;
  return rest;
}

/** How large each may be so that all have room: what is smaller leaves its room to the others. */
function evenShare(sizes: readonly number[], room: number): number {
  let left = room;
  const sorted = sizes.toSorted((a, b) => a - b);
  for (const [i, size] of sorted.entries()) {
    const share = Math.floor(left / (sorted.length - i));
    if (size > share) return Math.max(0, share);
    left -= size;
  }
  return room;
}

function cutPart(part: Part, most: number): Part {
  if (bytesOf(part) <= most) return part;
  switch (part.type) {
    case "text":
      return { ...part, text: cutText(part.text, most - bytesOf({ ...part, text: "" })) };
    case "tool-call":
      return { ...part, args: cutJson(part.args, most - bytesOf({ ...part, args: 0 })) };
    case "tool-result":
      return { ...part, output: cutJson(part.output, most - bytesOf({ ...part, output: 0 })) };
    default:
      return {
        type: "text",
        text: cutText(JSON.stringify(part), most - bytesOf({ type: "text", text: "" })),
      };
  }
}

function cutJson(value: Json, most: number): Json {
  if (typeof value === "string") return cutText(value, most - 2);
  const text = JSON.stringify(value);
  const told = { isShortened: true, characters: text.length };
  return { ...told, begins: beginning(text, most - bytesOf({ ...told, begins: "" })) };
}

function cutText(text: string, most: number): string {
  const note = `\n[shortened: ${text.length} characters in all]`;
  return beginning(text, most - bytesOf(note) + 2) + note;
}

/** So much of a text as takes no more bytes in JSON, without its quotes. */
function beginning(text: string, most: number): string {
  let start = text.slice(0, Math.max(0, most));
  for (let bytes = bytesOf(start) - 2; bytes > Math.max(0, most); bytes = bytesOf(start) - 2)
    start = start.slice(0, Math.floor((start.length * Math.max(0, most)) / bytes));
  return start.replace(/[\uD800-\uDBFF]$/u, ""); // half a character
}

/** Where a turn had so many calls that not even their names have room: what was said in words. */
function inWords(message: Message): Message[] {
  if (message.role === "tool") return [];
  const text = message.content.flatMap((part) => (part.type === "text" ? part.text : [])).join("");
  const bare = (said: string): Message => ({ role: message.role, content: [{ type: "text", text: said }] });
  if (text === "") return [];
  const room = MOST_MESSAGE - bytesOf(bare(""));
  return [bare(bytesOf(text) - 2 <= room ? text : cutText(text, room))];
}
