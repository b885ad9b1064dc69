// Storage. Owns: what SurrealDB keeps of a value, where that is not the value itself.
// A bigint that a number can hold is kept as the same integer, and becomes a bigint again by the schema; a key that is
// undefined is left out.

import type { z } from "zod";
import { safeParse } from "zod/v4/core";
import type * as core from "zod/v4/core";

const MAX_INT = 2n ** 63n - 1n;

/**
 * What is written of a value that zod has encoded. Copies only what changes.
 *
 * @throws RangeError for a bigint that SurrealDB has no integer for
 */
export function toStored(value: unknown): unknown {
  if (typeof value === "bigint") return storedInteger(value);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return changedItems(value) ?? value;
  if (value instanceof Set) {
    const items = changedItems([...value]);
    return items ? new Set(items) : value;
  }
  return Object.getPrototypeOf(value) === Object.prototype
    ? storedObject(value as Record<string, unknown>)
    : value;
}

function storedInteger(value: bigint): number | bigint {
  if (value > MAX_INT || value < -MAX_INT - 1n)
    throw new RangeError(
      "an integer beyond 64 bits has no place in SurrealDB; keep it as text or as a decimal",
    );
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function changedItems(items: readonly unknown[]): unknown[] | undefined {
  const stored = items.map(toStored);
  return stored.some((item, i) => !Object.is(item, items[i])) ? stored : undefined;
}

function storedObject(value: Record<string, unknown>): Record<string, unknown> {
  let copy: Record<string, unknown> | undefined;
  for (const key of Object.keys(value)) {
    const item = value[key];
    const stored = toStored(item);
    if (stored === item && stored !== undefined) continue;
    copy ??= { ...value };
    if (stored === undefined) delete copy[key];
    else copy[key] = stored;
  }
  return copy ?? value;
}

/** Brings back what the schema says; undefined where what is stored is the value itself. */
export type FromStored = ((value: unknown) => unknown) | undefined;

/** How a value of this schema is read; built once a table. */
export function fromStored(schema: z.core.$ZodType): FromStored {
  return reader(schema as core.$ZodTypes, new Map());
}

/** @param begun what is being built: a schema within itself is read by what it will have become */
function reader(schema: core.$ZodTypes, begun: Map<core.$ZodTypes, { read: FromStored }>): FromStored {
  const known = begun.get(schema);
  if (known) return (value) => (known.read ? known.read(value) : value);
  const mine: { read: FromStored } = { read: undefined };
  begun.set(schema, mine);
  mine.read = build(schema, (each) => reader(each as core.$ZodTypes, begun));
  begun.delete(schema);
  return mine.read;
}

function build(schema: core.$ZodTypes, inner: (each: z.core.$ZodType) => FromStored): FromStored {
  const { def } = schema._zod;
  switch (def.type) {
    case "bigint":
      return (value) => (typeof value === "number" ? BigInt(value) : value);
    case "literal":
    case "enum":
      return bigLiterals(schema._zod.values!);
    case "optional":
    case "nullable":
    case "nonoptional":
    case "default":
    case "prefault":
    case "catch":
    case "readonly":
      return inner(def.innerType);
    case "lazy":
      return inner(def.getter());
    case "pipe":
      return inner(def.in);
    case "array":
      return ofArray(inner(def.element));
    case "set":
      return ofSet(inner(def.valueType));
    case "record":
      return ofRecord(inner(def.valueType));
    case "tuple":
      return ofTuple(def.items.map(inner), def.rest ? inner(def.rest) : undefined);
    case "object":
      return ofObject(def, inner);
    case "intersection":
      return ofBoth(inner(def.left), inner(def.right));
    case "union":
      return ofUnion(def, inner);
    default:
      return undefined;
  }
}

function bigLiterals(values: ReadonlySet<unknown>): FromStored {
  const big = new Set([...values].filter((value) => typeof value === "bigint"));
  return big.size === 0
    ? undefined
    : (value) => (typeof value === "number" && big.has(BigInt(value)) ? BigInt(value) : value);
}

function ofArray(item: FromStored): FromStored {
  return item && ((value) => (Array.isArray(value) ? value.map(item) : value));
}

function ofSet(item: FromStored): FromStored {
  return item && ((value) => (value instanceof Set ? new Set([...value].map(item)) : value));
}

function ofRecord(item: FromStored): FromStored {
  return (
    item &&
    ((value) =>
      isObject(value)
        ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, item(each)]))
        : value)
  );
}

function ofTuple(items: FromStored[], rest: FromStored): FromStored {
  if (!rest && !items.some(Boolean)) return undefined;
  return (value) =>
    Array.isArray(value)
      ? value.map((each: unknown, i) => {
          const read = i < items.length ? items[i] : rest;
          return read ? read(each) : each;
        })
      : value;
}

function ofObject(
  { shape, catchall }: core.$ZodObjectDef,
  inner: (each: z.core.$ZodType) => FromStored,
): FromStored {
  const fields = new Map(Object.entries(shape).map(([key, field]) => [key, inner(field)]));
  const rest = catchall && inner(catchall);
  const undefinable = Object.keys(shape).filter((key) => mayBeUndefined(shape[key]!));
  if (!rest && undefinable.length === 0 && ![...fields.values()].some(Boolean)) return undefined;
  return (value) => {
    if (!isObject(value)) return value;
    const copy = { ...value };
    for (const key of Object.keys(copy)) {
      const read = fields.has(key) ? fields.get(key) : rest;
      if (read) copy[key] = read(copy[key]);
    }
    for (const key of undefinable) if (!(key in copy)) copy[key] = undefined; // left out when it was written
    return copy;
  };
}

/** Whether zod asks for the key, though what stands there may be undefined. */
function mayBeUndefined(field: z.core.$ZodType): boolean {
  if (field._zod.optin === "optional") return false;
  try {
    return safeParse(field, undefined).success;
  } catch {
    return false; // an asynchronous check, which no row is read with
  }
}

function ofBoth(left: FromStored, right: FromStored): FromStored {
  if (!left || !right) return left ?? right;
  return (value) => right(left(value));
}

/** With a tag the option is known; without one it is the first that takes the value, as it is or as it would be read. */
function ofUnion(
  { options, discriminator }: core.$ZodUnionDef & { discriminator?: string },
  inner: (schema: z.core.$ZodType) => FromStored,
): FromStored {
  const readers = options.map(inner);
  if (!readers.some(Boolean)) return undefined;
  if (discriminator !== undefined) {
    const byTag = new Map<unknown, FromStored>();
    options.forEach((option, i) => {
      for (const tag of option._zod.propValues?.[discriminator] ?? [])
        byTag.set(typeof tag === "bigint" ? storedInteger(tag) : tag, readers[i]);
    });
    return (value) => (isObject(value) ? (byTag.get(value[discriminator])?.(value) ?? value) : value);
  }
  return (value) => {
    if (options.some((option) => safeParse(option, value).success)) return value;
    const reads = readers.map((read) => (read ? read(value) : value));
    return reads.find((read, i) => safeParse(options[i]!, read).success) ?? value;
  };
}

/** Whether a bigint stands anywhere in it, which is a number once it is stored. */
export function holdsBigint(schema: z.core.$ZodType, seen = new Set<z.core.$ZodType>()): boolean {
  if (seen.has(schema)) return false;
  seen.add(schema);
  const { def } = schema._zod as core.$ZodTypes["_zod"];
  const parts = partsOf(def as unknown as Record<string, unknown>);
  return def.type === "bigint" || parts.some((part) => holdsBigint(part, seen));
}

/** The schemas that a schema is made of, wherever its definition keeps them. */
function partsOf(def: Record<string, unknown>): z.core.$ZodType[] {
  const { shape, getter, items, options, ...rest } = def;
  const many = [
    ...Object.values(shape ?? {}),
    ...((items ?? []) as unknown[]),
    ...((options ?? []) as unknown[]),
    ...Object.entries(rest).flatMap(([name, value]) =>
      name === "defaultValue" || name === "catchValue" ? [] : [value],
    ),
    typeof getter === "function" ? (getter as () => unknown)() : undefined,
  ];
  return many.filter(
    (each): each is z.core.$ZodType =>
      typeof each === "object" && each !== null && "_zod" in each && "def" in (each._zod as object),
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
