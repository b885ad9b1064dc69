// What a tool gives, no larger than it may be.

import type { Json } from "@sentient/schema";
import { AiError } from "./errors.ts";

/**
 * A text that is too long is cut, and says so; anything else that is too large is an error, as half of it would be another thing.
 *
 * @param most bytes of JSON
 * @throws `ai.output_too_large`
 */
export function boundedJson(value: unknown, most: number, what: string): Json {
  if (typeof value === "string" && value.length > most) return cut(value, most);
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) return null;
  const bytes = Buffer.byteLength(text);
  if (bytes <= most) return value as Json;
  if (typeof value === "string") return cut(value, Math.floor((value.length * most) / bytes));
  throw new AiError({
    code: "ai.output_too_large",
    message: `${what} gave ${bytes} bytes, and ${most} is the most; ask it for less`,
    retryable: false,
    details: { bytes, most },
  });
}

function cut(text: string, characters: number): string {
  const note = `\n[cut: ${text.length} characters in all]`;
  return text.slice(0, Math.max(0, characters - note.length)) + note;
}
