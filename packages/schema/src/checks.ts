// What zod's checks are in SurrealQL. A check it cannot say is handed to `gap`.

import type { z } from "zod";
import { literalText, numberText, stringText } from "./literal.ts";
import { matches } from "./pattern.ts";

/**
 * A condition, given the SurrealQL expression that stands for the value.
 *
 * @param depth names the variable of the next closure inside it
 */
export type Condition = (value: string, depth: string) => string;

type CheckDef = Record<string, unknown>;

/** Formats that zod checks by more than their pattern. */
const MORE_THAN_A_PATTERN = new Set(["ipv6", "cidrv6", "base64", "base64url", "jwt", "json_string"]);
/** What the URL parser of the web lets stand before the colon: it drops spaces around and line breaks within. */
const HAS_SCHEME = String.raw`^[\x00-\x20\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}]*[A-Za-z][A-Za-z0-9+.\t\n\r-]*:`;
const NUMBER_LIMITS: Record<string, [least: string, most: string]> = {
  int32: ["-2147483648", "2147483647"],
  uint32: ["0", "4294967295"],
  float32: [numberText(-3.4028234663852886e38), numberText(3.4028234663852886e38)],
};

/** SurrealDB's instants end before JavaScript's do, in milliseconds from 1970. */
const FARTHEST_DATE = 8.2e15;

/** The conditions of a schema's checks. */
export function checkConditions(schema: z.core.$ZodType, gap: (what: string) => void): Condition[] {
  const { def } = schema._zod;
  const own = "check" in def ? [def as unknown as CheckDef] : []; // z.email() is a check itself
  const checks = [...own, ...(def.checks ?? []).map((check) => check._zod.def as unknown as CheckDef)];
  const conditions = checks.flatMap((check) => conditionsOf(check, def.type, gap));
  return def.type === "number" ? [...unbounded(checks), ...conditions] : conditions;
}

function conditionsOf(check: CheckDef, type: string, gap: (what: string) => void): Condition[] {
  if (check.when && !/_(?:length|size|equals)$/.test(String(check.check))) {
    // zod gives those one of its own
    gap("a check under a condition");
    return [];
  }
  switch (check.check) {
    case "greater_than":
    case "less_than":
      return compare(check);
    case "multiple_of":
      return multipleOf(check.value as number | bigint, gap);
    case "number_format":
      return numberFormat(check.format as string, gap);
    case "bigint_format":
      if (check.format === "uint64") gap("numbers from 2^63 on, which SurrealDB has no integer for");
      return check.format === "uint64" ? [(value) => `${value} >= 0`] : [];
    case "min_length":
    case "min_size":
      return [atLeast(type, check.minimum as number)];
    case "max_length":
    case "max_size":
      return [atMost(type, check.maximum as number)];
    case "length_equals":
    case "size_equals": {
      const length = (check.length ?? check.size) as number;
      return [atLeast(type, length), atMost(type, length)];
    }
    case "string_format":
      return format(check, gap);
    case "overwrite":
      gap("a change made on parse, such as trim()");
      return [];
    case "custom":
      if (type !== "custom") gap("a refinement");
      return [];
    default:
      gap(`the check ${String(check.check)}`);
      return [];
  }
}

/** A bound that SurrealDB has no literal for is beyond all that it holds. */
function compare(check: CheckDef): Condition[] {
  const bound = check.value;
  const isBeyond =
    bound instanceof Date
      ? !(Math.abs(bound.getTime()) < FARTHEST_DATE)
      : typeof bound === "bigint" && BigInt.asIntN(64, bound) !== bound;
  if (isBeyond) return [];
  const sign = `${check.check === "greater_than" ? ">" : "<"}${check.inclusive ? "=" : ""}`;
  return [(value) => `${value} ${sign} ${literalText(bound)}`];
}

function multipleOf(divisor: number | bigint, gap: (what: string) => void): Condition[] {
  if (typeof divisor === "bigint" || Number.isSafeInteger(divisor))
    return [(value) => `${value} % ${divisor} = 0`];
  gap("a multiple of a fraction");
  return [];
}

/** Bounds that a number has by what it is, where it has none of its own. */
function unbounded(checks: readonly CheckDef[]): Condition[] {
  const has = (name: string) => checks.some(({ check }) => check === name);
  const isInt = checks.some(
    ({ format }) => format === "safeint" || format === "int32" || format === "uint32",
  );
  const [least, most] = isInt ? ["-9007199254740991", "9007199254740991"] : ["math::neg_inf", "math::inf"];
  const or = isInt ? "=" : ""; // zod takes no infinity, and no NaN, which sorts above all numbers
  const narrow = checks.some(
    ({ format }) => format === "int32" || format === "uint32" || format === "float32",
  );
  return [
    ...(narrow || has("greater_than") ? [] : [(value: string) => `${value} >${or} ${least}`]),
    ...(narrow || has("less_than") ? [] : [(value: string) => `${value} <${or} ${most}`]),
  ];
}

function numberFormat(format: string, gap: (what: string) => void): Condition[] {
  if (format === "float32") gap("that a float fits in 32 bits");
  const [least, most] = NUMBER_LIMITS[format] ?? [];
  if (least === undefined) return [];
  return [(value) => `${value} >= ${least}`, (value) => `${value} <= ${most}`];
}

function lengthOf(type: string, value: string): string {
  const kind =
    type === "string" || type === "set" ? type : type === "record" || type === "object" ? "object" : "array";
  return `${kind}::len(${value})`;
}

/** zod counts the characters of a string as SurrealDB does: by code points. */
function atLeast(type: string, least: number): Condition {
  return (value) => `${lengthOf(type, value)} >= ${least}`;
}

function atMost(type: string, most: number): Condition {
  return (value) => `${lengthOf(type, value)} <= ${most}`;
}

function format(check: CheckDef, gap: (what: string) => void): Condition[] {
  const { format: name, pattern } = check as { format: string; pattern?: RegExp };
  switch (name) {
    case "starts_with":
      return [(value) => `string::starts_with(${value}, ${stringText(check.prefix as string)})`];
    case "ends_with":
      return [(value) => `string::ends_with(${value}, ${stringText(check.suffix as string)})`];
    case "includes":
      if (check.position) gap(`includes() from a position on`);
      return [(value) => `string::contains(${value}, ${stringText(check.includes as string)})`];
    case "url":
      gap("all of a URL but its scheme");
      return [(value) => `string::matches(${value}, ${stringText(HAS_SCHEME)})`];
  }
  if (pattern && !MORE_THAN_A_PATTERN.has(name)) return patternConditions(pattern, gap);
  gap(`the format ${name}`);
  return [];
}

/** That a string matches; what the engine sees otherwise, or cannot look for, is a gap. */
export function patternConditions(pattern: RegExp, gap: (what: string) => void): Condition[] {
  const said = matches(pattern, VALUE);
  if (!said) gap(`the pattern ${String(pattern)}`);
  else if (!said.exact) gap(`the pattern ${String(pattern)}, for characters that the engine sees otherwise`);
  return said ? [(value) => said.expression.replaceAll(VALUE, () => value)] : [];
}

/** Stands for the value in what was translated once; no pattern holds it, as they are quoted. */
const VALUE = "$\u0000";
