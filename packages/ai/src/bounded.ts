// What a tool gives, no larger than it may be.

import { canonicalJson, failureOf, limits, type Json } from "@sentient/schema";
import { z } from "zod";
import { AiError } from "./errors.ts";
import { shortened } from "./mcp/shortened.ts";

/**
 * A text that is too long is cut, and says so; anything else that is too large is an error, as half of it would be another thing.
 *
 * @param most bytes of JSON
 * @throws `ai.output_too_large`
 */
export function boundedJson(value: unknown, most: number, what: string): Json {
  if (typeof value === "string") return boundedText(value, most);
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) return null;
  const bytes = Buffer.byteLength(text);
  if (bytes <= most) return value as Json;
  throw new AiError({
    code: "ai.output_too_large",
    message: `${what} gave ${bytes} bytes, and ${most} is the most; ask it for less`,
    retryable: false,
    details: { bytes, most },
  });
}

/** What something gave that was done: as much of it as can be kept, and what is wrong with it if something is. */
export interface Given {
  output: Json;
  problem?: string;
}

/**
 * Never throws, whatever it is: an error would say that it was not done, and have it done again.
 *
 * @param most bytes of JSON
 */
export function givenByDone(gave: () => unknown, most: number): Given {
  const room = Math.min(most, limits.payloadBytes);
  try {
    const value = gave();
    if (typeof value === "string") return { output: boundedText(value.toWellFormed(), room) };
    const output = wellFormed(value);
    canonicalJson(output); // throws for what could not be kept
    const bytes = bytesOf(output);
    return bytes <= room ? { output } : tooLarge(output, bytes, room);
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : failureOf(error).message;
    return notShown(`what it gave cannot be shown: ${why.slice(0, 1_024).toWellFormed()}`);
  }
}

function notShown(problem: string): Given {
  return { output: { done: true, note: `it was done; ${problem}` }, problem };
}

/** What has more names and items than there is room for is not shown at all. */
function tooLarge(output: Json, bytes: number, most: number): Given {
  const problem = `what it gave has ${bytes} bytes, and ${most} is the most`;
  for (let room = Math.floor(most / 2); room >= 64; room = Math.floor(room / 2)) {
    const short = shortened(output, room);
    if (bytesOf(short) > most / 2) continue;
    const told = {
      done: true,
      note: `it was done; ${problem}: this is shortened`,
      output: wellFormed(short),
    };
    return { output: told, problem };
  }
  return notShown(`${problem}; it cannot be shown`);
}

const bytesOf = (value: Json) => Buffer.byteLength(JSON.stringify(value));

/** As JSON has it, without halves of characters, with which what was cut may end. */
function wellFormed(value: unknown): Json {
  return JSON.parse(JSON.stringify(value ?? null), (_, item: Json) =>
    typeof item === "string" ? item.toWellFormed() : item,
  ) as Json;
}

function boundedText(text: string, most: number): string {
  if (text.length <= most && bytesOf(text) <= most) return text;
  const note = `\n[cut: ${text.length} characters in all]`;
  for (let kept = most - note.length; kept > 0;) {
    const short = text.slice(0, kept).toWellFormed() + note;
    const bytes = bytesOf(short);
    if (bytes <= most) return short;
    kept = Math.min(kept - 1, Math.floor((kept * most) / bytes));
  }
  return note;
}
