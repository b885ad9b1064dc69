// Diff. Owns: the statements that lead from one set of definitions to the next.
// D1. What could lose data or needs a value is asked, never guessed: a drop, a rename.
// D2. Rows that exist fit afterwards, or the migration fails and changes nothing.

import { Decided, type Decisions } from "./decisions.ts";
import { own, type Definitions, type TableDefinition } from "./definition.ts";
import { TableChange } from "./diff-table.ts";
import { SchemaError } from "./errors.ts";
import { defineAnalyzerText, tableTexts } from "./generate-ddl.ts";
import { nameText, stringText } from "./literal.ts";

export interface Difference {
  /** By table, or under another title for what belongs to none. */
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
  const work = new Work(before, after, new Decided(decisions));
  work.analyzers();
  for (const name of Object.keys(after.tables)) work.table(name);
  for (const name of Object.keys(before.tables)) if (!own(after.tables, name)) work.goneTable(name);
  work.goneAnalyzers();
  return work.finish();
}

class Work {
  readonly #before: Definitions;
  readonly #after: Definitions;
  readonly #decided: Decided;
  readonly #moved = new Set<string>();
  readonly #questions: string[] = [];
  readonly #sections: Difference["sections"] = [];
  readonly #notes: string[] = [];
  readonly #names: string[] = [];

  constructor(before: Definitions, after: Definitions, decided: Decided) {
    this.#before = before;
    this.#after = after;
    this.#decided = decided;
  }

  analyzers(): void {
    const statements: string[] = [];
    for (const [name, clause] of Object.entries(this.#after.analyzers)) {
      const known = own(this.#before.analyzers, name);
      if (known === clause) continue;
      statements.push(defineAnalyzerText(name, clause, known === undefined ? "new" : "changed"));
      if (known !== undefined)
        this.#notes.push(
          `analyzer ${name} changed: full-text indexes that use it keep the old words until REBUILD INDEX`,
        );
    }
    this.#section("analyzers", statements);
  }

  goneAnalyzers(): void {
    const gone = Object.keys(this.#before.analyzers).filter(
      (name) => own(this.#after.analyzers, name) === undefined,
    );
    this.#section(
      "analyzers that nothing uses",
      gone.map((name) => `REMOVE ANALYZER ${nameText(name)};`),
    );
  }

  table(name: string): void {
    const after = own(this.#after.tables, name)!;
    const before = own(this.#before.tables, name);
    if (before) return this.#changedTable(name, before, after);
    const old = this.#decided.nameBefore(name);
    if (old !== undefined && own(this.#before.tables, old))
      return this.#section(name, [...tableTexts(name, after), ...this.#move(old, name, after)]);
    this.#names.push(`create_${name}`);
    this.#section(name, tableTexts(name, after));
  }

  #changedTable(name: string, before: TableDefinition, after: TableDefinition): void {
    const change = new TableChange(name, before, after, this.#decided);
    this.#questions.push(...change.questions);
    this.#notes.push(...change.notes);
    this.#names.push(...change.names);
    if (change.statements.length > 0) this.#names.push(`change_${name}`);
    this.#section(name, change.statements);
  }

  /** SurrealDB renames no table: a record's id holds its name. So the rows are copied, if nothing links to them. */
  #move(old: string, name: string, after: TableDefinition): string[] {
    this.#moved.add(this.#decided.renamed(old) === undefined ? "" : old);
    const link = new RegExp(`record<[^>]*\\b${old}\\b`);
    const linking = [this.#before, this.#after]
      .flatMap(({ tables }) => Object.entries(tables))
      .find(([, { fields }]) =>
        Object.values(fields).some(({ type }) => type.some((kind) => link.test(kind))),
      );
    if (linking) {
      throw new SchemaError({
        code: "schema.decision_needed",
        message: `${old} cannot be renamed to ${name}: ${linking[0]} links to its records, whose ids would change; copy it with a migration of your own, then --drop ${old}`,
      });
    }
    this.#names.push(`rename_${old}_${name}`);
    const insert = after.clause.includes("TYPE RELATION") ? "INSERT RELATION INTO" : "INSERT INTO";
    const rows = `SELECT *, type::record(${stringText(name)}, record::id(id)) AS id FROM ${nameText(old)}`;
    return [`${insert} ${nameText(name)} (${rows}) RETURN NONE;`, `REMOVE TABLE ${nameText(old)};`];
  }

  goneTable(name: string): void {
    if (this.#moved.has(name)) return;
    if (!this.#decided.mayDrop(name))
      return void this.#questions.push(
        `table ${name} is gone: --drop ${name}, or --rename ${name}=<its new name>`,
      );
    this.#names.push(`drop_${name}`);
    this.#section(name, [`REMOVE TABLE ${nameText(name)};`]);
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
    this.#decided.requireUsed();
    const name = (this.#names[0] ?? "change")
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, "_")
      .replace(/^_|_$/g, "");
    return { sections: this.#sections, notes: this.#notes, name };
  }
}
