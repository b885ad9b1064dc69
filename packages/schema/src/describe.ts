// Describing. Owns: what a database is told of one table.

import { fieldDefinitions, type FieldDefinition, type TableDefinition } from "./definition.ts";
import { indexDefinition, type Index } from "./index-kinds.ts";
import { stringText } from "./literal.ts";
import { rowShape } from "./row.ts";
import { all, typeText, type Gap, type Shape } from "./shape.ts";
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

/** @throws `schema.unsupported` */
export function describe(options: Options): Described {
  const { schema, indexes = {}, relation, asserts = true, key = "id" } = options;
  const gaps: Gap[] = [];
  const { fields, open } = rowShape(schema, gaps, asserts);
  const id = fields.get(key);
  fields.delete(key);
  const definition: TableDefinition = {
    clause: clauseOf(options, open),
    fields: {
      ...(id ? { id: keyDefinition(id) } : {}),
      ...(relation ? { in: endDefinition(relation.in), out: endDefinition(relation.out) } : {}),
      ...fieldDefinitions(fields, gaps),
    },
    indexes: Object.fromEntries(Object.entries(indexes).map(([name, each]) => [name, indexDefinition(each)])),
  };
  const unsaid = [{ path: "", what: "everything that a type does not say" }];
  return { definition, gaps: asserts ? gaps : unsaid, hasKey: id !== undefined };
}

/** The conditions on an id are on its key, while `$value` is the whole id. */
function keyDefinition(id: Shape): FieldDefinition {
  const whole = all(id);
  const type = typeText(id.kinds);
  return {
    type: [type.startsWith("record<") ? "any" : type],
    ...(whole && !type.startsWith("record<") ? { assert: whole("record::id($value)", "item") } : {}),
  };
}

function endDefinition(tables: string | readonly string[]): FieldDefinition {
  return { type: [`record<${either(tables)}>`] };
}

function either(tables: string | readonly string[]): string {
  return [tables].flat().join(" | ");
}

function clauseOf({ relation, permissions = "none", changefeed, comment }: Options, open: boolean): string {
  const kind = relation
    ? `RELATION IN ${either(relation.in)} OUT ${either(relation.out)}${relation.enforced === false ? "" : " ENFORCED"}`
    : "NORMAL";
  return [
    `TYPE ${kind} ${open ? "SCHEMALESS" : "SCHEMAFULL"}`,
    changefeed && `CHANGEFEED ${changefeed.expiry}${changefeed.original ? " INCLUDE ORIGINAL" : ""}`,
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
