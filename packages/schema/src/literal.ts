// SurrealQL text for names and values, for statements that people read: DDL in a migration file.

import { Decimal, Duration, RecordId, Uuid } from "@sentient/db-pool";
import { SchemaError } from "./errors.ts";

const PLAIN = /^[A-Za-z_]\w*$/;
/** What the parser takes for the beginning of something else where a name may stand. */
const RESERVED = new Set(
  (
    "none null true false nan infinity value select create update upsert insert delete relate define remove alter " +
    "rebuild info show use live kill let return throw break continue begin commit cancel option sleep access if for " +
    "function explain overwrite table"
  ).split(" "),
);

/** A table, field or index name as SurrealQL spells it, quoted where it must be. */
export function nameText(name: string): string {
  return isPlain(name) ? name : `\`${name.replace(/[\\`]/g, "\\$&").replace(CONTROL, escaped)}\``;
}

function isPlain(name: string): boolean {
  return PLAIN.test(name) && !RESERVED.has(name.toLowerCase());
}

/** A string literal. */
export function stringText(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&").replace(CONTROL, escaped)}'`;
}

// eslint-disable-next-line no-control-regex -- they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

function escaped(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}

/** A number literal that the engine reads as the same number. */
export function numberText(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "math::inf" : "math::neg_inf";
  if (Object.is(value, -0)) return "-0f";
  return Number.isSafeInteger(value) ? String(value) : `${String(value).replace("e+", "e")}f`;
}

/**
 * The literal of a plain value: what a `DEFAULT` can hold.
 *
 * @returns undefined if there is none
 */
export function literalText(value: unknown): string | undefined {
  switch (typeof value) {
    case "string":
      return stringText(value);
    case "number":
      return numberText(value);
    case "boolean":
    case "bigint":
      return String(value);
    case "undefined":
      return "NONE";
    case "object":
      return value === null ? "NULL" : objectText(value);
    default:
      return undefined;
  }
}

function objectText(value: object): string | undefined {
  if (value instanceof Date) return `d'${value.toISOString()}'`;
  if (value instanceof Uuid) return `u'${value.toString()}'`;
  if (value instanceof Decimal) return `${value.toString()}dec`;
  if (value instanceof Duration) return value.toString();
  if (value instanceof RecordId) {
    const key = literalText(value.id);
    return key && `type::record(${stringText(value.table.name)}, ${key})`;
  }
  if (Array.isArray(value)) return listText(value, "[", "]");
  if (Object.getPrototypeOf(value) !== Object.prototype) return undefined;
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  const items = entries.map(([key, item]) => [key, literalText(item)] as const);
  if (items.some(([, text]) => text === undefined)) return undefined;
  return items.length === 0
    ? "{}"
    : `{ ${items.map(([key, text]) => `${keyText(key)}: ${text}`).join(", ")} }`;
}

function listText(items: readonly unknown[], open: string, close: string): string | undefined {
  const texts = items.map(literalText);
  return texts.includes(undefined) ? undefined : `${open}${texts.join(", ")}${close}`;
}

/** The key of an object literal or of an object type. */
export function keyText(key: string): string {
  return isPlain(key) ? key : `"${key.replace(/[\\"]/g, "\\$&").replace(CONTROL, escaped)}"`;
}

/**
 * The name of a table, an analyzer, or what a link leads to.
 *
 * @throws `schema.bad_table`
 */
export function requireName<Name extends string>(name: Name, what: string): Name {
  if (/^(?!__proto__$)[A-Za-z_]\w{0,63}$/.test(name)) return name;
  throw new SchemaError({
    code: "schema.bad_table",
    message: `${JSON.stringify(name)} is no name for ${what}: use letters, digits and _, at most 64, not beginning with a digit`,
  });
}
