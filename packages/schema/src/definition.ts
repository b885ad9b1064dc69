// Definitions. Owns: a table as SurrealDB is told of it, as plain data that a snapshot keeps and a diff compares.

import { nameText } from "./literal.ts";
import { all, holdsRecord, typeText, without, type Gap, type Shape } from "./shape.ts";

export interface FieldDefinition {
  /** The alternatives of its TYPE. */
  type: string[];
  flexible?: true;
  default?: string;
  readonly?: true;
  assert?: string;
  comment?: string;
}

export interface IndexDefinition {
  fields: string[];
  /** What follows the fields: `UNIQUE`, `FULLTEXT …`, `HNSW …`; empty for a plain index. */
  clause: string;
}

export interface TableDefinition {
  /** What follows the table's name. */
  clause: string;
  /** By path, as in `address.city` and `scores.*`, in the order they are defined in. */
  fields: Record<string, FieldDefinition>;
  indexes: Record<string, IndexDefinition>;
}

/** Everything a set of tables asks of a database. */
export interface Definitions {
  tables: Record<string, TableDefinition>;
  /** What follows the name of each analyzer. */
  analyzers: Record<string, string>;
}

/** The fields of a row, each nested object taken apart. What has to be left to zod is handed to `gap`. */
export function fieldDefinitions(
  fields: ReadonlyMap<string, Shape>,
  gaps: Gap[],
): Record<string, FieldDefinition> {
  const definitions: Record<string, FieldDefinition> = {};
  for (const [key, shape] of fields) addField(definitions, nameText(key), shape, gaps);
  return definitions;
}

function addField(
  definitions: Record<string, FieldDefinition>,
  path: string,
  shape: Shape,
  gaps: Gap[],
): void {
  const apart = isOneObject(shape) && (shape.open || !path.endsWith("*")); // below * only literals are exact
  const kinds = apart ? shape.kinds.map((kind) => (kind === "none" ? kind : "object")) : shape.kinds;
  const isAny = kinds.some(isOpenList);
  if (isAny && kinds.some((kind) => /<.*>/.test(kind)))
    gaps.push({ path, what: "what is in the lists of the list" });
  if (!apart && holdsRecord(shape))
    gaps.push({ path, what: "what is in the records and open objects in it" });
  const isFlexible = !isAny && (apart ? shape.open : kinds.includes("object"));
  const assert = assertOf(apart ? { ...shape, fields: new Map() } : shape, isAny ? kinds : []);
  definitions[path] = {
    type: isAny ? ["any"] : kinds,
    ...(isFlexible ? { flexible: true as const } : {}),
    ...(shape.defaultText === undefined ? {} : { default: shape.defaultText }),
    ...(shape.readonly ? { readonly: true as const } : {}),
    ...(assert === "" ? {} : { assert }),
    ...(shape.comment === undefined ? {} : { comment: shape.comment }),
  };
  if (!apart) return;
  for (const [key, field] of shape.fields!) addField(definitions, `${path}.${nameText(key)}`, field, gaps);
  if (shape.values && typeText(shape.values.kinds) !== "any")
    addField(definitions, `${path}.*`, shape.values, gaps);
}

/** @param kinds what it has to be one of, where its TYPE cannot say so */
function assertOf(shape: Shape, kinds: readonly string[]): string {
  const some = without(kinds, "none");
  const isOne = some.length > 0 && !some.includes("any") ? isOneOf(some, "$value") : undefined;
  return [isOne, all(shape)?.("$value", "item")].filter(Boolean).join(" AND ");
}

/** Whether nothing else can stand there, so that its fields can be fields of their own. */
function isOneObject({ kinds, fields }: Shape): boolean {
  return fields !== undefined && without(kinds, "none").length === 1 && !kinds.includes("{}");
}

/**
 * Whether it is a list that may hold objects of any kind. In a SCHEMAFULL table the engine then asks for each of their
 * fields to be defined, unless the type is `any`; inside the literal of an object or a tuple it does not.
 */
function isOpenList(kind: string): boolean {
  let flat = kind.replace(/'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/g, "text");
  for (let before = ""; before !== flat;)
    [before, flat] = [flat, flat.replace(/\{[^{}]*\}|\[[^[\]]*\]/g, "literal")];
  return /^(?:array|set)/.test(flat) && /\b(?:object|any)\b|\b(?:array|set)\b(?!<)/.test(flat);
}

/** Whether the value that `value` stands for is of one of these alternatives of a TYPE. */
export function isOneOf(kinds: readonly string[], value: string): string {
  return `(${kinds.map((kind) => isOfKind(kind, value)).join(" OR ")})`;
}

function isOfKind(kind: string, value: string): string {
  if (kind === "null") return `${value} = NULL`;
  if (kind === "float") return `type::is_number(${value})`; // where nothing makes a float of it, 3 is an int
  if (kind.startsWith("{")) return `type::is_object(${value})`;
  if (kind.startsWith("[")) return `type::is_array(${value})`;
  const name = /^[a-z]+/.exec(kind)?.[0];
  return name === undefined || name === "true" || name === "false"
    ? `${value} = ${kind}`
    : `type::is_${name}(${value})`;
}

/** What a record has under a name of its own, and not from its prototype. */
export function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
