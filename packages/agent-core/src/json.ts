import { canonicalJson, type Json } from "@sentient/schema";
import { NonRetryable } from "./errors.ts";

/**
 * A value as it will be read again: a copy of its JSON; nothing is null.
 *
 * @throws `NonRetryable` for what is not JSON, naming the place
 */
export function asJson(value: unknown, what: string): Json {
  if (value === undefined || value === null) return null;
  if (typeof value === "string" || typeof value === "boolean") return value;
  try {
    return JSON.parse(canonicalJson(value as Json)) as Json;
  } catch (cause) {
    throw new NonRetryable(`${what} is not JSON: ${(cause as Error).message}`, { cause });
  }
}
