// JSON. Owns: what a run takes, keeps and gives, as canonical text.
// Kept as text because the engine reads and writes a nested object of 100 KB seven times slower than its text.

import { z } from "zod";
import { limits, unitOf, type Limit } from "./limits.ts";

export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [key: string]: Json | undefined };

/** What is wrong with a value that is to be JSON. */
interface JsonFault {
  path: string;
  message: string;
  limit?: { limit: Limit; max: number; actual: number };
}

/**
 * The one text of a JSON value: keys sorted, no space, what is undefined left out. Equal values have equal texts.
 *
 * @throws TypeError for what is not JSON
 * @example canonicalJson({ b: 1, a: [true] }); // {"a":[true],"b":1}
 */
export function canonicalJson(value: Json): string {
  const fault = jsonFault(value);
  if (fault) throw new TypeError([fault.path, fault.message].filter(Boolean).join(": "));
  return textOf(value);
}

function textOf(value: Json): string {
  return JSON.stringify(isSorted(value) ? value : sorted(value));
}

function isSorted(value: Json | undefined): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (Array.isArray(value)) return value.every(isSorted);
  let last = "";
  for (const [key, item] of Object.entries(value as Record<string, Json>)) {
    if (key < last || !isSorted(item)) return false;
    last = key;
  }
  return true;
}

/** Keys like "10" stand first in any object, by number, whatever is done: so that too is one order. */
function sorted(value: Json): Json {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted);
  const entries = Object.entries(value as Record<string, Json>).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]));
}

/** What keeps a value from being JSON within the limits. */
function jsonFault(value: unknown, path = "", depth = 0): JsonFault | undefined {
  switch (typeof value) {
    case "string":
      return value.isWellFormed()
        ? undefined
        : { path, message: "a string with half a character (a lone surrogate)" };
    case "boolean":
      return undefined;
    case "number":
      return Number.isFinite(value) ? undefined : { path, message: `${value} is no JSON` };
    case "object":
      if (value === null) return undefined;
      if (depth >= limits.depth) return beyond("depth", depth + 1, path);
      return Array.isArray(value) ? itemFault(value, path, depth) : objectFault(value, path, depth);
    default:
      return { path, message: `a value of type ${typeof value} is no JSON` };
  }
}

function itemFault(items: readonly unknown[], path: string, depth: number): JsonFault | undefined {
  for (let i = 0; i < items.length; i++) {
    const fault = jsonFault(items[i], `${path}[${i}]`, depth + 1);
    if (fault) return fault;
  }
  return undefined;
}

function objectFault(value: object, path: string, depth: number): JsonFault | undefined {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null)
    return { path, message: `a ${value.constructor.name} is no JSON; write what it holds` };
  const keys = Object.keys(value);
  if (keys.length > limits.keys) return beyond("keys", keys.length, path);
  for (const key of keys) {
    const item = (value as Record<string, unknown>)[key];
    if (item === undefined) continue;
    const at = path === "" ? key : `${path}.${key}`;
    if (key === "__proto__") return { path: at, message: "a key of this name could replace a prototype" };
    const fault = key.isWellFormed()
      ? jsonFault(item, at, depth + 1)
      : { path: at, message: "a key with half a character" };
    if (fault) return fault;
  }
  return undefined;
}

function beyond(limit: Limit, actual: number, path: string): JsonFault {
  const max = limits[limit];
  return {
    path,
    message: `${actual} ${unitOf(limit)}, and ${max} are allowed`,
    limit: { limit, max, actual },
  };
}

/**
 * JSON that is kept as canonical text.
 *
 * @param limit how many bytes the text may have; asked on the way in only, so that a lower limit hides nothing
 * @example output: jsonText("payloadBytes")
 */
export function jsonText(limit: Limit) {
  return z.codec(z.string(), z.unknown() as unknown as z.ZodType<Json, Json>, {
    decode: (text, { issues }) => {
      try {
        return JSON.parse(text) as Json;
      } catch {
        issues.push({ code: "custom", input: text, message: "the stored text is no JSON" });
        return z.NEVER;
      }
    },
    encode: (value, { issues }) => {
      const fault = jsonFault(value);
      const text = fault ? "" : textOf(value);
      const bytes = Buffer.byteLength(text);
      const found = fault ?? (bytes > limits[limit] ? beyond(limit, bytes, "") : undefined);
      if (!found) return text;
      const { path, message, limit: params } = found;
      issues.push({
        code: "custom",
        input: undefined,
        message: path === "" ? message : `at ${path}: ${message}`,
        ...(params ? { params } : {}),
      });
      return z.NEVER;
    },
  });
}
