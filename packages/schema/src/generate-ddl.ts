// DDL. Owns: the text of the statements that define tables, fields, indexes and analyzers, each with its semicolon.

import type { FieldDefinition, IndexDefinition, TableDefinition } from "./definition.ts";
import { nameText, stringText } from "./literal.ts";
import { typeText } from "./shape.ts";

type How = "new" | "changed";
const OVERWRITE: Record<How, string> = { new: "", changed: "OVERWRITE " };

export function defineTableText(name: string, { clause }: TableDefinition, how: How): string {
  return `DEFINE TABLE ${OVERWRITE[how]}${nameText(name)} ${clause};`;
}

export function defineFieldText(table: string, path: string, field: FieldDefinition, how: How): string {
  return `DEFINE FIELD ${OVERWRITE[how]}${path} ON ${nameText(table)} ${fieldClauses(field)};`;
}

export function defineIndexText(table: string, name: string, index: IndexDefinition, how: How): string {
  const fields = index.fields.join(", ");
  const clause = index.clause && ` ${index.clause}`;
  return `DEFINE INDEX ${OVERWRITE[how]}${nameText(name)} ON ${nameText(table)} FIELDS ${fields}${clause};`;
}

export function defineAnalyzerText(name: string, clause: string, how: How): string {
  return `DEFINE ANALYZER ${OVERWRITE[how]}${nameText(name)} ${clause};`;
}

export function removeFieldTexts(table: string, path: string, field: FieldDefinition): string[] {
  // What a list holds was defined along with it, and stays behind when it is removed.
  return [path, ...itemPaths(path, field)].map(
    (each) => `REMOVE FIELD IF EXISTS ${each} ON ${nameText(table)};`,
  );
}

/** The paths that the engine defines by itself for the items of a list. */
export function itemPaths(path: string, { type }: FieldDefinition): string[] {
  const depth = Math.max(
    ...type.map(
      (kind) => /^(?:(?:array|set)<)*(?:array|set|\[)?/.exec(kind)![0].match(/array|set|\[/g)?.length ?? 0,
    ),
  );
  return Array.from({ length: depth }, (_, i) => `${path}${".*".repeat(i + 1)}`);
}

export function removeIndexText(table: string, name: string): string {
  return `REMOVE INDEX ${nameText(name)} ON ${nameText(table)};`;
}

/** Fields that a table of edges has from the start. */
const BORN_WITH = new Set(["in", "out"]);

/** All statements that make a table from nothing. */
export function tableTexts(name: string, definition: TableDefinition): string[] {
  return [
    defineTableText(name, definition, "new"),
    ...Object.entries(definition.fields).map(([path, field]) =>
      defineFieldText(name, path, field, BORN_WITH.has(path) ? "changed" : "new"),
    ),
    ...Object.entries(definition.indexes).map(([key, index]) => defineIndexText(name, key, index, "new")),
  ];
}

function fieldClauses({
  type,
  flexible,
  default: value,
  readonly,
  assert,
  comment,
}: FieldDefinition): string {
  const clauses = [
    `TYPE ${typeText(type)}`,
    flexible && "FLEXIBLE",
    value !== undefined && `DEFAULT ${value}`,
    readonly && "READONLY",
    assert && `ASSERT ${assert}`,
    comment !== undefined && `COMMENT ${stringText(comment)}`,
  ];
  return clauses.filter(Boolean).join(" ");
}
