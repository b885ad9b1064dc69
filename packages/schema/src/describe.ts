// Describing. Owns: what a database is told of one table.

import {
  fieldDefinitions,
  type FieldDefinition,
  type IndexDefinition,
  type TableDefinition,
} from "./definition.ts";
import { SchemaError } from "./errors.ts";
import { indexDefinition, type Index } from "./index-kinds.ts";
import { requireName, stringText } from "./literal.ts";
import { rowShape } from "./row.ts";
import type { Gap, Shape } from "./shape.ts";
import type { RowSchema, TableOptions } from "./table.ts";

type Options = Omit<TableOptions<string, RowSchema>, "key" | "indexes"> & {
  key?: string;
  indexes?: Record<string, Index>;
};

export interface Described {
  definition: TableDefinition;
  gaps: readonly Gap[];
  /** Whether one of the fields is the key of the record. */
  hasKey: boolean;
}

/**
 * @param full whether conditions and defaults are looked for, which takes milliseconds, or types alone
 * @throws `schema.unsupported`, `schema.bad_table`
 */
export function describe(options: Options, full: boolean): Described {
  const { schema, indexes = {}, relation, types = true, asserts = types, key = "id" } = options;
  const gaps: Gap[] = [];
  const { fields, open } = rowShape(schema, gaps, full);
  const id = fields.get(key);
  if (id && schema._zod.def.type === "union" && schema._zod.def.discriminator === key)
    throw unsupported(
      key,
      "what tells the rows apart cannot be their key, which the conditions of a row do not see",
    );
  fields.delete(key);
  requireNames(fields.keys(), key);
  if (id) requireKey(key, id, gaps);
  const described = {
    ...(relation ? { in: endDefinition(relation.in), out: endDefinition(relation.out) } : {}),
    ...fieldDefinitions(fields, gaps),
  };
  const definition: TableDefinition = {
    clause: clauseOf(options, open || !types),
    fields: !types ? {} : asserts ? described : withoutAsserts(described),
    indexes: Object.fromEntries(
      Object.entries(indexes).map(([name, each]) => [name, indexDefinition(id ? onKey(each, key) : each)]),
    ),
  };
  for (const [name, index] of Object.entries(definition.indexes)) requireFields(name, index, described, open);
  const unsaid = [{ path: "", what: types ? "everything that a type does not say" : "everything" }];
  return { definition, gaps: asserts ? gaps : unsaid, hasKey: id !== undefined };
}

/** As the name of a field at the top, though quoted, SurrealDB 3.0 takes these for code when a row is written. */
const UNUSABLE = new Set(
  (
    "none null true false select create update upsert insert delete relate define remove alter rebuild info let return " +
    "throw break continue sleep if for function explain __proto__"
  ).split(" "),
);

function requireNames(names: Iterable<string>, key: string): void {
  for (const name of names) {
    if (name === "id")
      throw unsupported("id", `the key of a row is its ${key}, and the record's id has that name already`);
    if (UNUSABLE.has(name.toLowerCase()))
      throw unsupported(
        name,
        "SurrealDB cannot write a field of this name; put it into an object, or rename it",
      );
  }
}

/** What SurrealDB takes for the key of a record. */
const KEY = /^(?:string|int|uuid|array\b.*|object|[[{'].*|-?\d+)$/;

/**
 * What a key is, is left to zod: in a table with a field `id` SurrealDB 3.0 refuses to write a record twice in one
 * transaction, because its id would have changed.
 */
function requireKey(key: string, { kinds }: Shape, gaps: Gap[]): void {
  const wrong = kinds.find((kind) => !KEY.test(kind));
  if (wrong !== undefined)
    throw unsupported(
      key,
      `a ${wrong} cannot be the key of a record; text, an integer, a uuid or a tuple can`,
    );
  gaps.push({ path: key, what: "what the key is" });
}

function endDefinition(tables: string | readonly string[]): FieldDefinition {
  return { type: [`record<${either(tables)}>`] };
}

function withoutAsserts(fields: TableDefinition["fields"]): TableDefinition["fields"] {
  return Object.fromEntries(
    Object.entries(fields).map(([path, { assert: _assert, ...rest }]) => [path, rest]),
  );
}

/** The key of a row is the id of its record. */
function onKey({ fields, clause }: Index, key: string): Index {
  return { fields: fields.map((field) => (field === key ? "id" : field)), clause };
}

/** @throws `schema.bad_table` for an index over what is no field */
function requireFields(
  name: string,
  { fields }: IndexDefinition,
  known: TableDefinition["fields"],
  open: boolean,
): void {
  for (const path of fields) {
    if (path === "id") continue;
    const above = Object.keys(known).findLast((each) => path === each || path.startsWith(`${each}.`));
    const field = above === undefined ? undefined : known[above]!;
    const isClosed = field?.type.every((kind) => kind === "none" || kind === "object") && !field.flexible;
    const isScalar = field?.type.every((kind) => SCALAR.test(kind));
    if (path === above || (field ? !isClosed && !isScalar : open)) continue;
    throw new SchemaError({
      code: "schema.bad_table",
      message: `the index ${name} is over ${path}, and there is no such field`,
    });
  }
}

const SCALAR = /^(?:none|null|string|int|float|bool|datetime|duration|decimal|uuid|bytes|'.*)$/;

function unsupported(path: string, why: string): SchemaError {
  return new SchemaError({ code: "schema.unsupported", message: `${path}: ${why}`, details: { path } });
}

function either(tables: string | readonly string[]): string {
  return [tables]
    .flat()
    .map((name) => requireName(name, "the end of an edge"))
    .join(" | ");
}

function clauseOf({ relation, permissions = "none", changefeed, comment }: Options, open: boolean): string {
  const kind = relation
    ? `RELATION IN ${either(relation.in)} OUT ${either(relation.out)}${relation.enforced === false ? "" : " ENFORCED"}`
    : "NORMAL";
  return [
    `TYPE ${kind} ${open ? "SCHEMALESS" : "SCHEMAFULL"}`,
    changefeed &&
      `CHANGEFEED ${requireDuration(changefeed.expiry)}${changefeed.original ? " INCLUDE ORIGINAL" : ""}`,
    `PERMISSIONS ${permissionsText(permissions)}`,
    comment !== undefined && `COMMENT ${stringText(comment)}`,
  ]
    .filter(Boolean)
    .join(" ");
}

function permissionsText(permissions: NonNullable<Options["permissions"]>): string {
  if (typeof permissions === "string") return permissions.toUpperCase();
  return (["select", "create", "update", "delete"] as const)
    .map((verb) => `FOR ${verb} ${permissions[verb] === undefined ? "NONE" : `WHERE ${permissions[verb]}`}`)
    .join(", ");
}

function requireDuration(text: string): string {
  if (/^(?:\d+(?:ns|us|µs|ms|s|m|h|d|w|y))+$/.test(text)) return text;
  throw new SchemaError({
    code: "schema.bad_table",
    message: `${JSON.stringify(text)} is no duration: write it as in 3d or 12h`,
  });
}
