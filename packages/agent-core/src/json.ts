import { canonicalJson, limits, type Json } from "@sentient/schema";
import { NonRetryable } from "./errors.ts";

/**
 * A value as it will be read again: a copy of its JSON; nothing is null, also as an item, and as a field it is not there; a
 * `Date` is a string.
 *
 * @throws `NonRetryable` for what is not JSON, naming the place
 */
export function asJson(value: unknown, what: string): Json {
  return jsonOf(value, what, true);
}

/**
 * The same of what goes on to be used as it is: a `Date` is refused, as it would be a string only where it is read again.
 *
 * @throws `NonRetryable`
 */
export function asOwnJson(value: unknown, what: string): Json {
  return jsonOf(value, what, false);
}

function jsonOf(value: unknown, what: string, withTimes: boolean): Json {
  if (value === undefined || value === null) return null;
  if (typeof value === "string" || typeof value === "boolean") return value;
  try {
    return JSON.parse(textOf(value as Json, withTimes)) as Json;
  } catch (cause) {
    throw new NonRetryable(`${what} is not JSON: ${(cause as Error).message}`, { cause });
  }
}

/** Most is JSON already, and is gone through once. */
function textOf(value: Json, withTimes: boolean): string {
  try {
    return canonicalJson(value);
  } catch (error) {
    if (!hasOtherForm(value, withTimes)) throw error;
    return canonicalJson(inOtherForm(value, withTimes));
  }
}

// What is deeper than JSON may be is left as it is, as it may stand within itself.

/** Whether something in it is no JSON and has a form there: an item that is nothing, a time. */
function hasOtherForm(value: unknown, withTimes: boolean, depth = 0): boolean {
  if (withTimes && isTime(value)) return true;
  if (typeof value !== "object" || value === null || depth > limits.depth) return false;
  const isHole = (item: unknown) => item === undefined && Array.isArray(value);
  return Object.values(value).some((item) => isHole(item) || hasOtherForm(item, withTimes, depth + 1));
}

function inOtherForm(value: Json | undefined, withTimes: boolean, depth = 0): Json {
  if (withTimes && isTime(value)) return value.toISOString();
  if (depth > limits.depth) return value ?? null;
  if (Array.isArray(value))
    return Array.from(value as Json[], (item) => inOtherForm(item, withTimes, depth + 1));
  if (Object.getPrototypeOf(value ?? "") !== Object.prototype) return value ?? null;
  const fields = Object.entries(value as Record<string, Json | undefined>);
  return Object.fromEntries(
    fields.map(([key, field]) => [
      key,
      field === undefined ? field : inOtherForm(field, withTimes, depth + 1),
    ]),
  );
}

function isTime(value: unknown): value is Date {
  return value instanceof Date && !Number.isNaN(value.getTime());
}
