// Diff. Owns: the statements that lead from one set of definitions to the next.
// D1. What could lose data or needs a value is asked, never guessed: a drop, a rename.
// D2. Rows that exist fit afterwards, or the migration fails and changes nothing.

import type { Definitions, FieldDefinition, TableDefinition } from "./definition.ts";
import { SchemaError } from "./errors.ts";
import {
  defineAnalyzerText,
  defineFieldText,
  defineIndexText,
  defineTableText,
  itemPaths,
  removeFieldTexts,
  removeIndexText,
  tableTexts,
} from "./generate-ddl.ts";
import { nameText } from "./literal.ts";

/** What a person decided, each by `table` or `table.path`. */
export interface Decisions {
  /** Tables and fields whose data may go. */
  drop?: readonly string[];
  /** Old name → new name: `{ "person.name": "person.fullName", "user": "person" }`. */
  rename?: Readonly<Record<string, string>>;
  /** A SurrealQL expression that gives rows which exist a value: `{ "person.age": "0" }`. */
  fill?: Readonly<Record<string, string>>;
}

export interface Difference {
  /** By table, or under `""` for what belongs to none. */
  sections: { title: string; statements: string[] }[];
  /** What whoever reviews it should know. */
  notes: string[];
  /** A name for a migration that does this. */
  name: string;
}

/**
 * What leads from `before` to `after`.
 *
 * @throws `schema.decision_needed` with every open question; `schema.bad_table` for a decision about nothing
 */
export function diff(before: Definitions, after: Definitions, decisions: Decisions = {}): Difference {
  const work = new Work(before, after, decisions);
  work.analyzers();
  for (const name of Object.keys(after.tables)) work.table(name);
  for (const name of Object.keys(before.tables)) if (!after.tables[name]) work.goneTable(name);
  work.goneAnalyzers();
  return work.finish();
}

/** One table's change while it is put together. */
interface Change {
  name: string;
  before: TableDefinition;
  after: TableDefinition;
  /** Definitions that go, before anything else. */
  removals: string[];
  definitions: string[];
  /** Assignments for rows that exist; none, but touched, means they are only checked. */
  assignments: string[];
  touched: boolean;
  /** Definitions for which rows had to be changed first. */
  afterwards: string[];
}

class Work {
  readonly #before: Definitions;
  readonly #after: Definitions;
  readonly #drop: Set<string>;
  readonly #rename: Map<string, string>;
  readonly #fill: Map<string, string>;
  readonly #used = new Set<string>();
  readonly #questions: string[] = [];
  readonly #sections: Difference["sections"] = [];
  readonly #notes: string[] = [];
  readonly #names: string[] = [];

  constructor(before: Definitions, after: Definitions, { drop = [], rename = {}, fill = {} }: Decisions) {
    this.#before = before;
    this.#after = after;
    this.#drop = new Set(drop);
    this.#rename = new Map(Object.entries(rename));
    this.#fill = new Map(Object.entries(fill));
  }

  analyzers(): void {
    const statements: string[] = [];
    for (const [name, clause] of Object.entries(this.#after.analyzers)) {
      const known = this.#before.analyzers[name];
      if (known !== clause)
        statements.push(defineAnalyzerText(name, clause, known === undefined ? "new" : "changed"));
      if (known !== undefined && known !== clause)
        this.#notes.push(
          `analyzer ${name} changed: full-text indexes that use it keep the old words until REBUILD INDEX`,
        );
    }
    this.#section("analyzers", statements);
  }

  goneAnalyzers(): void {
    const gone = Object.keys(this.#before.analyzers).filter(
      (name) => this.#after.analyzers[name] === undefined,
    );
    this.#section(
      "analyzers that nothing uses",
      gone.map((name) => `REMOVE ANALYZER ${nameText(name)};`),
    );
  }

  table(name: string): void {
    const after = this.#after.tables[name]!;
    const before = this.#before.tables[name];
    if (before) return this.#changedTable(name, before, after);
    const old = [...this.#rename].find(([from, to]) => to === name && this.#before.tables[from])?.[0];
    const statements = tableTexts(name, after);
    if (old !== undefined) statements.push(...this.#moved(old, name, after));
    else this.#names.push(`create_${name}`);
    this.#section(name, statements);
  }

  /** SurrealDB renames no table: a record's id holds its name. So the rows are copied, if nothing links to them. */
  #moved(old: string, name: string, after: TableDefinition): string[] {
    this.#used.add(old);
    const link = new RegExp(`record<[^>]*\\b${old}\\b`);
    const linking = [this.#before, this.#after]
      .flatMap(({ tables }) => Object.entries(tables))
      .find(
        ([table, { fields }]) =>
          table !== old && Object.values(fields).some(({ type }) => type.some((kind) => link.test(kind))),
      );
    if (linking) {
      throw new SchemaError({
        code: "schema.decision_needed",
        message: `${old} cannot be renamed to ${name}: ${linking[0]} links to its records, whose ids would change; copy it with a migration of your own, then --drop ${old}`,
      });
    }
    this.#names.push(`rename_${old}_${name}`);
    const insert = after.clause.includes("RELATION") ? "INSERT RELATION INTO" : "INSERT INTO";
    return [
      `${insert} ${nameText(name)} (SELECT *, type::record('${name}', record::id(id)) AS id FROM ${nameText(old)}) RETURN NONE;`,
      `REMOVE TABLE ${nameText(old)};`,
    ];
  }

  goneTable(name: string): void {
    if (this.#used.has(name)) return; // renamed
    if (this.#drop.has(name)) {
      this.#used.add(name);
      this.#names.push(`drop_${name}`);
      return this.#section(name, [`REMOVE TABLE ${nameText(name)};`]);
    }
    this.#questions.push(`table ${name} is gone: --drop ${name}, or --rename ${name}=<its new name>`);
  }

  #changedTable(name: string, before: TableDefinition, after: TableDefinition): void {
    const change: Change = {
      name,
      before,
      after,
      removals: [],
      definitions: [],
      assignments: [],
      touched: false,
      afterwards: [],
    };
    if (before.clause !== after.clause) change.definitions.push(defineTableText(name, after, "changed"));
    for (const [index, definition] of Object.entries(before.indexes))
      if (!after.indexes[index] || !same(definition, after.indexes[index]))
        change.removals.push(removeIndexText(name, index));
    for (const path of Object.keys(before.fields)) if (!after.fields[path]) this.#goneField(change, path);
    for (const [path, field] of Object.entries(after.fields)) {
      const known = before.fields[path];
      if (!known) this.#newField(change, path, field);
      else if (!same(known, field)) this.#changedField(change, path, known, field);
    }
    const indexes = Object.entries(after.indexes)
      .filter(([index, definition]) => !before.indexes[index] || !same(before.indexes[index], definition))
      .map(([index, definition]) => defineIndexText(name, index, definition, "new"));
    const statements = [
      ...change.removals,
      ...change.definitions,
      ...touching(change),
      ...change.afterwards,
      ...indexes,
    ];
    if (statements.length > 0 && this.#names.length === 0) this.#names.push(`change_${name}`);
    this.#section(name, statements);
  }

  #goneField(change: Change, path: string): void {
    const { name, before, after, removals, assignments } = change;
    const full = `${name}.${path}`;
    const parent = parentOf(path, before.fields);
    removals.push(...removeFieldTexts(name, path, before.fields[path]!));
    if (
      path.endsWith("*") ||
      (parent !== undefined && !after.fields[parent]) ||
      changesKind(parent, before, after)
    )
      return; // it goes with what it is in
    if (this.#rename.has(full)) {
      this.#used.add(full);
      const to = this.#rename.get(full)!.slice(name.length + 1);
      if (!after.fields[to] || before.fields[to])
        throw nothing(
          `--rename ${full}=${this.#rename.get(full)}`,
          "the new name is no new field of the table",
        );
      assignments.push(`${to} = ${path}`, `${path} = NONE`);
      change.touched = true;
      this.#names.push(`rename_${name}_${path}`);
    } else if (this.#drop.has(full)) {
      this.#used.add(full);
      assignments.push(`${path} = NONE`);
      change.touched = true;
      this.#names.push(`drop_${name}_${path}`);
    } else {
      this.#questions.push(`${full} is gone: --drop ${full}, or --rename ${full}=${name}.<its new name>`);
    }
  }

  #newField(change: Change, path: string, field: FieldDefinition): void {
    const { name, before } = change;
    this.#names.push(`add_${name}_${path}`);
    const renamed = [...this.#rename.values()].includes(`${name}.${path}`);
    const fill =
      this.#fillOf(name, path) ??
      (renamed || mayBeMissing(path, field, change.after) ? undefined : field.default);
    const needsRows = renamed || fill !== undefined;
    this.#define(change, path, field, needsRows, itemOf(path, before) ? "changed" : "new");
    if (fill !== undefined) change.assignments.push(`${path} = ${fill}`);
    if (needsRows || !isOptional(field)) change.touched = true;
    if (!needsRows && !isOptional(field) && !mayBeMissing(path, field, change.after))
      this.#notes.push(
        `${name}.${path} is new and required: rows that exist need a value (--fill ${name}.${path}=<expression>), or this fails where there are any`,
      );
  }

  #changedField(change: Change, path: string, known: FieldDefinition, field: FieldDefinition): void {
    const fill = this.#fillOf(change.name, path);
    const items = itemPaths(path, known).filter(
      (item) => !itemPaths(path, field).includes(item) && !change.after.fields[item],
    );
    this.#define(change, path, field, fill !== undefined, "changed");
    change.definitions.push(
      ...items.map((item) => `REMOVE FIELD IF EXISTS ${item} ON ${nameText(change.name)};`),
    );
    if (fill !== undefined) change.assignments.push(`${path} = ${fill}`);
    const widened = known.type.every((kind) => field.type.includes(kind)) || field.type.includes("any");
    if (fill !== undefined || !widened || (field.assert && field.assert !== known.assert))
      change.touched = true;
  }

  /** A READONLY field takes no value on rows that exist, so it becomes one when they have theirs. */
  #define(
    change: Change,
    path: string,
    field: FieldDefinition,
    needsRows: boolean,
    how: "new" | "changed",
  ): void {
    const { name } = change;
    if (!field.readonly || !needsRows)
      return void change.definitions.push(defineFieldText(name, path, field, how));
    const { readonly: _readonly, ...open } = field;
    change.definitions.push(defineFieldText(name, path, open, how));
    change.afterwards.push(defineFieldText(name, path, field, "changed"));
  }

  #fillOf(table: string, path: string): string | undefined {
    const full = `${table}.${path}`;
    if (this.#fill.has(full)) this.#used.add(full);
    return this.#fill.get(full);
  }

  #section(title: string, statements: string[]): void {
    if (statements.length > 0) this.#sections.push({ title, statements });
  }

  finish(): Difference {
    if (this.#questions.length > 0) {
      throw new SchemaError({
        code: "schema.decision_needed",
        message: `${this.#questions.length === 1 ? "one thing needs" : "some things need"} a decision: ${this.#questions.join("; ")}`,
        details: { questions: this.#questions },
      });
    }
    const decided = [...this.#drop, ...this.#rename.keys(), ...this.#fill.keys()];
    const unused = decided.find((each) => !this.#used.has(each));
    if (unused !== undefined)
      throw nothing(`the decision about ${unused}`, "nothing of that name is gone, new or changed");
    const name = (this.#names[0] ?? "change")
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "_")
      .replace(/^_|_$/g, "");
    return { sections: this.#sections, notes: this.#notes, name };
  }
}

/** One statement for all rows of a table: it changes them where it must, and checks them all (D2). */
function touching({ name, assignments, touched }: Change): string[] {
  if (!touched) return [];
  const set = assignments.length > 0 ? ` SET ${assignments.join(", ")}` : "";
  return [`UPDATE ${nameText(name)}${set} RETURN NONE;`];
}

function parentOf(path: string, fields: Record<string, FieldDefinition>): string | undefined {
  return Object.keys(fields).findLast((each) => path.startsWith(`${each}.`));
}

function changesKind(path: string | undefined, before: TableDefinition, after: TableDefinition): boolean {
  if (path === undefined) return false;
  return before.fields[path]!.type.includes("object") && !after.fields[path]!.type.includes("object");
}

/** Whether the engine defined it already, as the items of a list. */
function itemOf(path: string, { fields }: TableDefinition): boolean {
  const parent = parentOf(path, fields);
  return parent !== undefined && itemPaths(parent, fields[parent]!).includes(path);
}

function isOptional({ type }: FieldDefinition): boolean {
  return type.includes("none") || type.includes("any");
}

/** Whether what it stands in need not be there, so that no row is wrong without it. */
function mayBeMissing(path: string, field: FieldDefinition, { fields }: TableDefinition): boolean {
  if (isOptional(field) || path.includes("*")) return true;
  const parent = parentOf(path, fields);
  return parent !== undefined && mayBeMissing(parent, fields[parent]!, { clause: "", fields, indexes: {} });
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function nothing(what: string, why: string): SchemaError {
  return new SchemaError({ code: "schema.bad_table", message: `${what} does not apply: ${why}` });
}
