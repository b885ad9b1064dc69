import { canonicalJson, limits, type Json } from "@sentient/schema";
import { NonRetryable } from "./errors.ts";

/**
 * A value as it will be read again: a copy of its JSON; nothing is null, also as an item, and as a field it is not there; a
 * `Date` is a string.
 *
 * @throws `NonRetryable` for what is not JSON, naming the place
 */
export function asJson(value: unknown, what: string): Json {
  return asOwnJson(hasTimes(value) ? withoutTimes(value) : value, what);
}

/**
 * The same of what goes on to be used as it is: a `Date` is refused, as it would be a string only where it is read again.
 *
 * @throws `NonRetryable`
 */
export function asOwnJson(value: unknown, what: string): Json {
  if (value === undefined || value === null) return null;
  if (typeof value === "string" || typeof value === "boolean") return value;
  try {
    return JSON.parse(textOf(value as Json)) as Json;
  } catch (cause) {
    throw new NonRetryable(`${what} is not JSON: ${(cause as Error).message}`, { cause });
  }
}

function textOf(value: Json): string {
  try {
    return canonicalJson(value);
  } catch (error) {
    if (!hasHoles(value)) throw error;
    return canonicalJson(filled(value));
  }
}

// What is deeper than JSON may be is left as it is, as it may stand within itself.

function hasTimes(value: unknown, depth = 0): boolean {
  if (isTime(value)) return true;
  if (typeof value !== "object" || value === null || depth > limits.depth) return false;
  return Object.values(value).some((item) => hasTimes(item, depth + 1));
}

function withoutTimes(value: unknown, depth = 0): unknown {
  if (isTime(value)) return value.toISOString();
  if (depth > limits.depth) return value;
  if (Array.isArray(value)) return Array.from(value, (item) => withoutTimes(item, depth + 1));
  if (Object.getPrototypeOf(value ?? "") !== Object.prototype) return value;
  const fields = Object.entries(value as Record<string, unknown>);
  return Object.fromEntries(fields.map(([key, field]) => [key, withoutTimes(field, depth + 1)]));
}

function isTime(value: unknown): value is Date {
  return value instanceof Date && !Number.isNaN(value.getTime());
}

function hasHoles(value: unknown, depth = 0): boolean {
  if (typeof value !== "object" || value === null || depth > limits.depth) return false;
  const isHole = (item: unknown) => item === undefined && Array.isArray(value);
  return Object.values(value).some((item) => isHole(item) || hasHoles(item, depth + 1));
}

function filled(value: Json | undefined, depth = 0): Json {
  if (depth > limits.depth) return value ?? null;
  if (Array.isArray(value)) return Array.from(value as Json[], (item) => filled(item, depth + 1));
  if (Object.getPrototypeOf(value ?? "") !== Object.prototype) return value ?? null;
  const fields = Object.entries(value as Record<string, Json | undefined>);
  return Object.fromEntries(
    fields.map(([key, field]) => [key, field === undefined ? field : filled(field, depth + 1)]),
  );
}
