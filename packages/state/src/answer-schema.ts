// What a question may be answered with: JSON Schema, read by zod. What zod would pass over in silence is refused when it is
// asked, and not found out when somebody answers.

import type { Json } from "@sentient/schema";
import { z } from "zod";

type Fields = Readonly<Record<string, Json | undefined>>;

/** Assertions that zod looks at only where the type is said. */
const OF_A_TYPE = new Set([
  "properties",
  "patternProperties",
  "additionalProperties",
  "propertyNames",
  "required",
  "minProperties",
  "maxProperties",
  "items",
  "prefixItems",
  "additionalItems",
  "contains",
  "minItems",
  "maxItems",
  "uniqueItems",
  "minLength",
  "maxLength",
  "pattern",
  "format",
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "multipleOf",
]);
/** Where schemas stand in a schema: one, a list, or by name. */
const HOLD_SCHEMAS = new Set([
  "properties",
  "patternProperties",
  "$defs",
  "definitions",
  "additionalProperties",
  "propertyNames",
  "items",
  "prefixItems",
  "additionalItems",
  "contains",
  "anyOf",
  "oneOf",
  "allOf",
  "not",
]);
const NAMED = new Set(["properties", "patternProperties", "$defs", "definitions"]);

/**
 * @throws Error saying what cannot be read
 * @example readAnswerSchema({ type: "string", enum: ["yes", "no"] }).safeParse("yes").success
 */
export function readAnswerSchema(schema: Json): z.ZodType {
  requireReadable(schema, "#");
  return z.fromJSONSchema(schema as z.core.JSONSchema.JSONSchema);
}

function requireReadable(schema: Json | undefined, at: string): void {
  if (typeof schema === "boolean") return;
  if (typeof schema !== "object" || schema === null || Array.isArray(schema))
    throw new Error(`${at} is no schema: an object, true or false is`);
  const fields = schema as Fields;
  const loose = Object.keys(fields).find((key) => OF_A_TYPE.has(key));
  if (loose !== undefined && fields.type === undefined)
    throw new Error(`${at} says ${loose} and no type, so nothing would be checked; say its type`);
  if (loose !== undefined && fields.$ref !== undefined)
    throw new Error(`${at} says ${loose} beside a $ref, which alone would count; put both into allOf`);
  const unknown = strings(fields.required).find(
    (name) => !Object.hasOwn(Object(fields.properties) as object, name),
  );
  if (unknown !== undefined)
    throw new Error(`${at} requires ${unknown}, which is none of its properties; name it there`);
  const { const: constant, enum: choices } = fields;
  const fixed = [...(constant === undefined ? [] : [constant]), ...(Array.isArray(choices) ? choices : [])];
  if (fixed.some((value) => typeof value === "object" && value !== null))
    throw new Error(
      `${at} allows objects or lists by const or enum, which are not compared; say their properties`,
    );
  for (const [key, held] of Object.entries(fields))
    if (HOLD_SCHEMAS.has(key))
      for (const [path, inner] of schemasIn(key, held, at)) requireReadable(inner, path);
}

function strings(list: Json | undefined): string[] {
  return Array.isArray(list) ? list.filter((item) => typeof item === "string") : [];
}

function schemasIn(key: string, held: Json | undefined, at: string): [string, Json | undefined][] {
  if (Array.isArray(held)) return held.map((inner: Json, i) => [`${at}/${key}/${i}`, inner]);
  if (!NAMED.has(key)) return [[`${at}/${key}`, held]];
  return Object.entries(Object(held) as Fields).map(([name, inner]) => [`${at}/${key}/${name}`, inner]);
}
