// Shape. Owns: what a zod schema is in SurrealQL: a TYPE, conditions for ASSERT, nested fields.
// Does not own: writing it down (definition.ts), or the checks of strings, numbers and lists (checks.ts).
// S1. The database never refuses what zod lets through.
// S2. What SurrealQL cannot say is a gap, listed with its path; what cannot be kept at all is refused, with its path.

import { Decimal, Duration, RecordId, Uuid } from "@sentient/db-pool";
import type { z } from "zod";
import { safeEncode } from "zod/v4/core";
import type * as core from "zod/v4/core";
import { checkConditions, patternConditions, type Condition } from "./checks.ts";
import { SchemaError } from "./errors.ts";
import { keyText, literalText, nameText } from "./literal.ts";
import { holdsBigint, toStored } from "./storage.ts";

/** Something zod checks and the database does not. */
export interface Gap {
  /** Where, as in `address.city` or `tags.*`; empty for the whole row. */
  path: string;
  what: string;
}

export interface Shape {
  /** The alternatives of its TYPE, as in `["none", "string"]`. */
  kinds: string[];
  /** What must hold besides, for the value itself. */
  conditions: Condition[];
  /** Of an object: its fields, which may stand as fields of their own. */
  fields?: Map<string, Shape>;
  /** Of an object: whether it may have other fields too. */
  open?: boolean;
  /** Of an open object: what each of its values is. */
  values?: Shape;
  /** Whether a record is in it whose values have no place to be checked in. */
  holdsRecord?: boolean;
  /** The literal of its default. */
  defaultText?: string;
  readonly?: boolean;
  comment?: string | undefined;
}

/** What the walk carries along: where it is, what it is inside of, and what it could not say. */
interface Walk {
  path: readonly string[];
  within: readonly z.core.$ZodType[];
  gaps: Gap[];
  /** Whether conditions and defaults are asked for, which takes milliseconds, or types alone. */
  full: boolean;
}

/**
 * What `schema` is in SurrealQL.
 *
 * @param full whether conditions and defaults are looked for, or types alone
 * @throws `schema.unsupported`, naming the path
 */
export function shapeOf(schema: z.core.$ZodType, gaps: Gap[], full: boolean): Shape {
  return walk(schema, { path: [], within: [], gaps, full });
}

function walk(schema: z.core.$ZodType, at: Walk): Shape {
  if (at.within.includes(schema)) {
    gap(at, "a schema within itself");
    return simple("any");
  }
  const inside = { ...at, within: [...at.within, schema] };
  const shape = describe(schema as core.$ZodTypes, inside);
  if (!SAYS_CHECKS.has(schema._zod.def.type)) conditionsOf(schema, at); // refinements, which are gaps
  const comment = (schema as z.ZodType).description;
  return comment === undefined ? shape : { ...shape, comment };
}

/** What has conditions for its own checks; of all else a check can only be a refinement. */
const SAYS_CHECKS = new Set(
  "string number bigint boolean date any unknown object record array set tuple union custom".split(" "),
);

function describe(schema: core.$ZodTypes, at: Walk): Shape {
  const { def } = schema._zod;
  switch (def.type) {
    case "string":
      return checked("string", schema, at);
    case "number":
      return checked(isInteger(def) ? "int" : "float", schema, at);
    case "bigint":
      return checked("int", schema, at);
    case "nan":
      return { kinds: ["float"], conditions: [(value) => `${value} = NaN`] };
    case "boolean":
      return checked("bool", schema, at);
    case "date":
      return checked("datetime", schema, at);
    case "null":
      return simple("null");
    case "undefined":
    case "void":
      return simple("none");
    case "any":
    case "unknown":
      return checked("any", schema, at);
    case "literal":
    case "enum":
      return simple(...[...schema._zod.values!].map((value) => kindOfLiteral(value, at)));
    case "template_literal":
      return ofPattern(schema._zod.pattern!, at);
    case "optional":
      return optional(walk(def.innerType, at));
    case "nullable":
      return nullable(walk(def.innerType, at));
    case "nonoptional":
      return required(walk(def.innerType, at));
    case "default":
      return withDefault(walk(def.innerType, at), schema as core.$ZodDefault, at);
    case "prefault":
      gap(at, "a value to parse instead of nothing");
      return walk(def.innerType, at);
    case "catch":
      gap(at, "a value instead of what does not fit");
      return walk(def.innerType, at);
    case "readonly":
      return { ...walk(def.innerType, at), readonly: true };
    case "lazy":
      return walk(def.getter(), at);
    case "pipe":
      return pipe(schema as core.$ZodPipe, at);
    case "object":
      return object(schema as core.$ZodObject, at);
    case "record":
      return record(schema as core.$ZodRecord, at);
    case "array":
    case "set":
      return list(schema as core.$ZodArray | core.$ZodSet, at);
    case "tuple":
      return tuple(schema as core.$ZodTuple, at);
    case "union":
      return union(schema as core.$ZodUnion, at);
    case "intersection":
      return intersection(walk(def.left, at), walk(def.right, at), at);
    case "custom":
      return custom(schema as core.$ZodCustom, at);
    default:
      throw unsupported(at, `z.${def.type}() has no SurrealQL type`, "give it a codec to one that has");
  }
}

function simple(...kinds: string[]): Shape {
  return { kinds, conditions: [] };
}

function checked(kind: string, schema: z.core.$ZodType, at: Walk): Shape {
  return { kinds: [kind], conditions: conditionsOf(schema, at) };
}

function conditionsOf(schema: z.core.$ZodType, at: Walk): Condition[] {
  return at.full ? checkConditions(schema, (what) => gap(at, what)) : [];
}

function ofPattern(pattern: RegExp, at: Walk): Shape {
  return {
    kinds: ["string"],
    conditions: at.full ? patternConditions(pattern, (what) => gap(at, what)) : [],
  };
}

function isInteger(def: core.$ZodNumberDef): boolean {
  const formats = [def, ...(def.checks ?? []).map((check) => check._zod.def)].map(
    (part) => (part as Partial<core.$ZodNumberFormatDef>).format,
  );
  return formats.some((format) => format === "safeint" || format === "int32" || format === "uint32");
}

function kindOfLiteral(value: unknown, at: Walk): string {
  if (value === undefined) return "none";
  if (value === null) return "null";
  const text = literalText(value);
  if (text === undefined) throw unsupported(at, "this literal has no SurrealQL type", "use another value");
  return text;
}

function optional(shape: Shape): Shape {
  // ASSERT does not look at NONE, so at a field of its own nothing has to be guarded; inside another, all() does it.
  return { ...shape, kinds: ["none", ...without(shape.kinds, "none")] };
}

function required(shape: Shape): Shape {
  return { ...shape, kinds: without(shape.kinds, "none") };
}

function nullable(shape: Shape): Shape {
  const { fields: _fields, values: _values, open: _open, ...rest } = shape;
  const whole = all(shape);
  return {
    ...rest,
    kinds: [...without(shape.kinds, "null"), "null"],
    conditions: whole ? [(value, depth) => `(${value} = NULL OR ${whole(value, depth)})`] : [],
    holdsRecord: holdsRecord(shape),
  };
}

function withDefault(shape: Shape, schema: core.$ZodDefault, at: Walk): Shape {
  const kinds = without(shape.kinds, "none");
  const text = at.full ? constantText(schema) : undefined;
  if (text !== undefined) return { ...shape, kinds, defaultText: text };
  gap(at, "its default, which is no constant that SurrealQL can write");
  return { ...shape, kinds };
}

/** zod does not tell a constant from a function: it is asked at two instants, and what holds a date is never one. */
function constantText(schema: core.$ZodDefault): string | undefined {
  const { def } = schema._zod;
  const read = () => {
    const stored = safeEncode(def.innerType, def.defaultValue as never);
    return stored.success && !holdsDate(stored.data) ? literalText(toStored(stored.data)) : undefined;
  };
  const text = read();
  if (text === undefined) return undefined;
  for (const now = Date.now(); Date.now() === now;);
  return read() === text ? text : undefined;
}

function holdsDate(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return value instanceof Date || Object.values(value).some(holdsDate);
}

/** What is stored is what goes into a codec; a transform alone could not be taken back. */
function pipe(schema: core.$ZodPipe, at: Walk): Shape {
  const def = schema._zod.def as core.$ZodPipeDef & Partial<core.$ZodCodecDef>;
  if (def.in._zod.def.type === "transform" || def.out._zod.def.type === "transform") {
    throw unsupported(at, "a transform cannot be taken back when the row is written", "use z.codec()");
  }
  const stored = walk(def.in, at);
  if (def.reverseTransform) return stored;
  const refined = walk(def.out, at);
  if (refined.kinds.join() === stored.kinds.join())
    return { ...stored, conditions: [...stored.conditions, ...refined.conditions] };
  gap(at, "what it is piped into");
  return stored;
}

function object(schema: core.$ZodObject, at: Walk): Shape {
  const { shape, catchall } = schema._zod.def;
  const rest = catchall?._zod.def.type;
  const open = rest !== undefined && rest !== "never";
  if (open && rest !== "unknown" && rest !== "any") gap(at, "the catchall");
  const fields = new Map(
    Object.entries(shape).map(([key, field]) => [key, walk(field, { ...at, path: [...at.path, key] })]),
  );
  const conditions = conditionsOf(schema, at);
  return { kinds: [open ? "object" : objectKind(fields)], conditions, fields, open };
}

function objectKind(fields: Map<string, Shape>): string {
  const entries = [...fields].map(([key, { kinds }]) => `${keyText(key)}: ${typeText(kinds)}`);
  return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
}

function record(schema: core.$ZodRecord, at: Walk): Shape {
  const { keyType, valueType, partial, mode } = schema._zod.def as core.$ZodRecordDef & { partial?: boolean };
  const conditions = conditionsOf(schema, at);
  const values = walk(valueType, { ...at, path: [...at.path, "*"] });
  const keys = keyType._zod.values;
  if (keys) {
    const value = partial ? optional(values) : values;
    const fields = new Map([...keys].map((key) => [String(key), value]));
    return { kinds: [objectKind(fields)], conditions, fields, open: false };
  }
  const { checks, pattern } = keyType._zod.def as { checks?: unknown[]; pattern?: RegExp };
  if (checks?.length || pattern || keyType._zod.def.type !== "string") gap(at, "what its keys are");
  if (mode === "loose") gap(at, "the values of the keys that it is about");
  return {
    kinds: ["object"],
    conditions,
    fields: new Map(),
    open: true,
    values: mode === "loose" ? simple("any") : values,
  };
}

function list(schema: core.$ZodArray | core.$ZodSet, at: Walk): Shape {
  const { def } = schema._zod;
  const item = walk(def.type === "array" ? def.element : def.valueType, { ...at, path: [...at.path, "*"] });
  const conditions = conditionsOf(schema, at);
  const each = unlessNone(item, all(item));
  const items = (value: string) => (def.type === "array" ? value : `<array>${value}`);
  if (each)
    conditions.push(
      (value, depth) => `array::all(${items(value)}, |$${depth}| ${each(`$${depth}`, `${depth}_`)})`,
    );
  const type = typeText(item.kinds);
  const kinds = [type === "any" ? def.type : `${def.type}<${type}>`];
  return { kinds, conditions, holdsRecord: holdsRecord(item) };
}

/** Whether a record or an open object is in it: what these hold can be checked only where they are fields of their own. */
export function holdsRecord({ holdsRecord: known, values, fields = new Map(), open }: Shape): boolean {
  const isRecord = values !== undefined && typeText(values.kinds) !== "any";
  const isOpen = open === true && fields.size > 0;
  return known || isRecord || isOpen || [...fields.values()].some(holdsRecord);
}

function tuple(schema: core.$ZodTuple, at: Walk): Shape {
  const { items, rest } = schema._zod.def;
  const shapes = items.map((item, i) => walk(item, { ...at, path: [...at.path, String(i)] }));
  const conditions = conditionsOf(schema, at);
  if (rest || shapes.some(({ kinds }) => kinds.includes("none"))) {
    if (rest) walk(rest, { ...at, path: [...at.path, "*"] }); // refuses what cannot be kept
    gap(at, "what its items are, as their number varies");
    return { kinds: ["array"], conditions };
  }
  shapes.forEach((item, i) => {
    const whole = all(item);
    if (whole) conditions.push((value, depth) => whole(`${value}[${i}]`, depth));
  });
  const kinds = [`[${shapes.map((item) => typeText(item.kinds)).join(", ")}]`];
  return { kinds, conditions, holdsRecord: shapes.some(holdsRecord) };
}

function union(schema: core.$ZodUnion, at: Walk): Shape {
  const def = schema._zod.def as core.$ZodUnionDef & { discriminator?: string };
  const options = def.options.map((option) => walk(option, at));
  if (options.length === 1) return options[0]!;
  const kinds = [...new Set(options.flatMap((option) => option.kinds))];
  const conditions = conditionsOf(schema, at);
  for (const [i, option] of options.entries()) {
    const base = baseTest(option, options.toSpliced(i, 1));
    if (!base && !def.discriminator && holdsBigint(def.options[i]!))
      throw unsupported(
        at,
        "a bigint cannot be told from a number once it is stored",
        "add a tag, or use text",
      );
    const whole = all(option);
    if (!whole) continue;
    const is = def.discriminator ? tagTest(def.discriminator, option) : base;
    if (is) conditions.push((value, depth) => `(!${is(value, depth)} OR ${whole(value, depth)})`);
    else gap(at, "what an alternative asks besides its type");
  }
  return { kinds, conditions, holdsRecord: options.some(holdsRecord) };
}

/** Whether a value is the option with this tag. */
function tagTest(discriminator: string, option: Shape): Condition | undefined {
  const tags = option.fields?.get(discriminator)?.kinds;
  return tags && ((value) => `(${value}.${nameText(discriminator)} IN [${tags.join(", ")}])`);
}

/** Whether a value is of the one type that this option has and no other. */
function baseTest(option: Shape, others: readonly Shape[]): Condition | undefined {
  const basesOf = ({ kinds }: Shape) => without(without(kinds, "none"), "null").map(baseOf);
  const bases = new Set(basesOf(option));
  const taken = others.flatMap(basesOf);
  const [base] = bases;
  if (base === undefined || bases.size > 1 || base === "any") return undefined;
  if (taken.includes(base) || taken.includes("any")) return undefined;
  return (value) => `type::is_${base}(${value})`;
}

function baseOf(kind: string): string {
  if (kind.startsWith("'")) return "string";
  if (kind.startsWith("{")) return "object";
  if (kind.startsWith("[")) return "array";
  if (/^-?\d/.test(kind) || /^(?:int|float|decimal|NaN)$/.test(kind)) return "number";
  if (kind === "true" || kind === "false") return "bool";
  return /^[a-z]+/.exec(kind)![0];
}

function intersection(left: Shape, right: Shape, at: Walk): Shape {
  if (!left.fields || !right.fields || left.values || right.values) {
    throw unsupported(
      at,
      "an intersection of what is not two objects has no SurrealQL type",
      "use .extend()",
    );
  }
  const both = [...left.fields.keys()].find((key) => right.fields!.has(key));
  if (both !== undefined)
    throw unsupported(at, `both sides of the intersection say what ${both} is`, "use .extend()");
  const fields = new Map([...left.fields, ...right.fields]);
  const open = left.open || right.open || false;
  const conditions = [...left.conditions, ...right.conditions];
  return { kinds: [open ? "object" : objectKind(fields)], conditions, fields, open };
}

const CLASSES = new Map<unknown, string>([
  [Uint8Array, "bytes"],
  [Date, "datetime"],
  [RecordId, "record"],
  [Decimal, "decimal"],
  [Duration, "duration"],
  [Uuid, "uuid"],
]);

function custom(schema: core.$ZodCustom, at: Walk): Shape {
  const { def, bag } = schema._zod;
  const kind = def.surrealType ?? CLASSES.get(bag.Class);
  if (kind === undefined)
    throw unsupported(
      at,
      "z.custom() does not say what SurrealDB should keep",
      "wrap it: stored(schema, type)",
    );
  const conditions = (def.checks ?? []).length > 0 ? conditionsOf(schema, at) : [];
  if (def.surrealType !== undefined && !KNOWN_TYPES.test(def.surrealType)) gap(at, "a check of its own");
  return {
    kinds: kind.split(" | ").length > 1 && !kind.includes("<") ? kind.split(" | ") : [kind],
    conditions,
  };
}

/** Types whose custom check asks for no more than the type does. */
const KNOWN_TYPES = /^(?:bytes|decimal|duration|uuid|record<.*>)$/;

/** All that must hold for a value inside another, its fields included. */
export function all(shape: Shape): Condition | undefined {
  const parts = [...shape.conditions];
  for (const [key, field] of shape.fields ?? []) {
    const whole = unlessNone(field, all(field));
    if (whole) parts.push((value, depth) => whole(`${value}.${nameText(key)}`, depth));
  }
  if (parts.length === 0) return undefined;
  return (value, depth) => parts.map((part) => part(value, depth)).join(" AND ");
}

/** Inside another value NONE is looked at too. */
function unlessNone({ kinds }: Shape, condition: Condition | undefined): Condition | undefined {
  if (!condition || !kinds.includes("none")) return condition;
  return (value, depth) => `(${value} = NONE OR ${condition(value, depth)})`;
}

/** A TYPE clause's text. */
export function typeText(kinds: readonly string[]): string {
  if (kinds.includes("any")) return "any";
  const rest = without(kinds, "none");
  if (rest.length === kinds.length) return kinds.join(" | ");
  return rest.length === 0 ? "none" : `option<${rest.join(" | ")}>`;
}

export function without(kinds: readonly string[], kind: string): string[] {
  return kinds.filter((each) => each !== kind);
}

function gap(at: Walk, what: string): void {
  const path = at.path.join(".");
  if (!at.gaps.some((known) => known.path === path && known.what === what)) at.gaps.push({ path, what });
}

function unsupported(at: Walk, why: string, instead: string): SchemaError {
  const path = at.path.join(".") || "the row itself";
  return new SchemaError({
    code: "schema.unsupported",
    message: `${path}: ${why}; ${instead}`,
    details: { path },
  });
}
