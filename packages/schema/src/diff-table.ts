// One table's change. Owns: the statements from one definition of a table to the next, its rows among them.

import { doesNotApply, type Decided } from "./decisions.ts";
import { isOfKind, own, type FieldDefinition, type TableDefinition } from "./definition.ts";
import {
  defineFieldText,
  defineIndexText,
  defineTableText,
  itemPaths,
  removeFieldTexts,
  removeIndexText,
} from "./generate-ddl.ts";
import { nameText, stringText } from "./literal.ts";

type Fields = TableDefinition["fields"];
/** What a table of edges has from the start, and no row was given by hand. */
const ENDS = new Set(["in", "out"]);

export class TableChange {
  readonly questions: string[] = [];
  readonly notes: string[] = [];
  /** Names for a migration that does this, the best first. */
  readonly names: string[] = [];
  readonly #name: string;
  readonly #before: TableDefinition;
  readonly #after: TableDefinition;
  readonly #decided: Decided;
  readonly #removals: string[] = [];
  readonly #definitions: string[] = [];
  readonly #assignments: string[] = [];
  /** Definitions for which rows have to be changed first. */
  readonly #afterwards: string[] = [];
  /** Whether rows that exist may not fit any more, and are looked at. */
  #touched = false;

  constructor(name: string, before: TableDefinition, after: TableDefinition, decided: Decided) {
    this.#name = name;
    this.#before = before;
    this.#after = after;
    this.#decided = decided;
    this.#changeTable();
    for (const path of Object.keys(before.fields)) if (!own(after.fields, path)) this.#goneField(path);
    for (const [path, field] of Object.entries(after.fields)) {
      const known = own(before.fields, path);
      if (!known) this.#newField(path, field);
      else if (!same(known, field)) this.#changedField(path, known, field);
    }
    this.#changeIndexes();
  }

  /** In the order they have to run in. */
  get statements(): string[] {
    const set = this.#assignments.length > 0 ? ` SET ${this.#assignments.join(", ")}` : "";
    // One statement for all rows: it changes them where it must, and checks them all.
    const rows = this.#touched ? [`UPDATE ${nameText(this.#name)}${set} RETURN NONE;`] : [];
    return [...this.#removals, ...this.#definitions, ...rows, ...this.#afterwards];
  }

  #changeTable(): void {
    if (this.#before.clause === this.#after.clause) return;
    this.#definitions.push(defineTableText(this.#name, this.#after, "changed"));
    if (isOpen(this.#before) && !isOpen(this.#after)) this.#touched = true;
  }

  #changeIndexes(): void {
    for (const [name, index] of Object.entries(this.#before.indexes))
      if (!same(index, own(this.#after.indexes, name)))
        this.#removals.unshift(removeIndexText(this.#name, name));
    for (const [name, index] of Object.entries(this.#after.indexes))
      if (!same(index, own(this.#before.indexes, name)))
        this.#afterwards.push(defineIndexText(this.#name, name, index, "new"));
  }

  #goneField(path: string): void {
    const full = `${this.#name}.${path}`;
    this.#removals.push(...removeFieldTexts(this.#name, path, this.#before.fields[path]!));
    if (path === "id" || path.endsWith("*") || this.#stays(path)) return;
    const to = this.#decided.renamed(full);
    if (to !== undefined) this.#moveField(path, to);
    else if (this.#decided.mayDrop(full)) {
      this.#assignments.push(`${path} = NONE`);
      this.#touched = true;
      this.names.push(`drop_${this.#name}_${path}`);
    } else {
      this.questions.push(
        `${full} is gone: --drop ${full}, or --rename ${full}=${this.#name}.<its new name>`,
      );
    }
  }

  /** Whether what it stood in is gone or renamed itself, or may hold it without a definition of its own. */
  #stays(path: string): boolean {
    const parent = parentOf(path, this.#before.fields);
    if (parent === undefined) return isOpen(this.#after);
    const now = own(this.#after.fields, parent);
    return !now || !isClosedObject(now);
  }

  #moveField(path: string, target: string): void {
    const to = target.slice(this.#name.length + 1);
    if (
      !target.startsWith(`${this.#name}.`) ||
      !own(this.#after.fields, to) ||
      own(this.#before.fields, to)
    ) {
      throw doesNotApply(
        `--rename ${this.#name}.${path}=${target}`,
        `the new name is that of a new field of ${this.#name}, and begins with ${this.#name}.`,
      );
    }
    this.#assignments.push(`${to} = ${path}`, `${path} = NONE`);
    this.#touched = true;
    this.names.push(`rename_${this.#name}_${path}`);
  }

  #newField(path: string, field: FieldDefinition): void {
    this.names.push(`add_${this.#name}_${path}`);
    if (path === "id") return this.#keyField(field, "new");
    const comes = this.#comesFrom(path);
    const given = this.#decided.fillOf(`${this.#name}.${path}`);
    const fill = given ?? (comes || isOptional(field) || path.includes("*") ? undefined : defaultOf(field));
    if (fill !== undefined) this.#fillMissing(path, fill);
    this.#define(path, field, comes || fill !== undefined, this.#isBorn(path) ? "changed" : "new");
    if (isOptional(field)) return;
    this.#touched = true;
    if (!comes && fill === undefined && !this.#mayBeAbsent(path))
      this.notes.push(
        `${this.#name}.${path} is new and required: rows that exist need a value (--fill ${this.#name}.${path}=<expression>), or this fails where there are any`,
      );
  }

  /** Whether it was there under another name, or in what has another name now. (SET looks at each row as it was.) */
  #comesFrom(path: string): boolean {
    return [path, ...parentsOf(path, this.#after.fields)].some((part) => {
      const before = this.#decided.nameBefore(`${this.#name}.${part}`)?.slice(this.#name.length + 1);
      return before !== undefined && own(this.#before.fields, before + path.slice(part.length)) !== undefined;
    });
  }

  /** Whether the engine has defined it already. */
  #isBorn(path: string): boolean {
    const parent = parentOf(path, this.#before.fields);
    const isItem = parent !== undefined && itemPaths(parent, this.#before.fields[parent]!).includes(path);
    return isItem || (ENDS.has(path) && this.#after.clause.includes("TYPE RELATION"));
  }

  /** Whether something it stands in is new and may be missing, so that no row needs it. */
  #mayBeAbsent(path: string): boolean {
    return parentsOf(path, this.#after.fields).some(
      (parent) => isOptional(this.#after.fields[parent]!) && !own(this.#before.fields, parent),
    );
  }

  #changedField(path: string, known: FieldDefinition, field: FieldDefinition): void {
    if (path === "id") return this.#keyField(field, "changed");
    const fill = this.#decided.fillOf(`${this.#name}.${path}`);
    const onlyRequires = isWithin(without(known.type, "none"), field.type);
    const missing = fill ?? (isOptional(known) && !isOptional(field) ? field.default : undefined);
    if (onlyRequires && missing !== undefined) this.#fillMissing(path, missing);
    else if (fill !== undefined) this.#assignments.push(`${path} = ${fill}`);
    const needsRows = fill !== undefined || missing !== undefined;
    this.#define(path, field, needsRows, "changed");
    const items = itemPaths(path, field);
    for (const item of itemPaths(path, known))
      if (!items.includes(item) && !own(this.#after.fields, item))
        this.#definitions.push(`REMOVE FIELD IF EXISTS ${item} ON ${nameText(this.#name)};`);
    const isNarrower = !isWithin(known.type, field.type) || (known.flexible && !field.flexible);
    const asksMore = field.assert !== undefined && field.assert !== known.assert;
    if (needsRows || isNarrower || asksMore) this.#touched = true;
  }

  /** Rows that have a value keep it, and what is not there is not made for the sake of a field in it. */
  #fillMissing(path: string, value: string): void {
    const parents = parentsOf(path, this.#after.fields).filter((parent) =>
      isOptional(this.#after.fields[parent]!),
    );
    const guards = [...parents.map((parent) => `${parent} != NONE`), `${path} = NONE`];
    this.#assignments.push(`${path} = IF ${guards.join(" AND ")} { ${value} } ELSE { ${path} }`);
  }

  /** The key of a record never changes, and an UPDATE does not look at it. */
  #keyField(field: FieldDefinition, how: "new" | "changed"): void {
    this.#definitions.push(defineFieldText(this.#name, "id", field, how));
    const key = "record::id(id)";
    const kinds = field.type.filter((kind) => kind !== "any").map((kind) => isOfKind(kind, key));
    const rules = [
      kinds.length > 0 ? `(${kinds.join(" OR ")})` : undefined,
      field.assert?.replaceAll("$value", () => "id"),
    ].filter((rule) => rule !== undefined);
    if (rules.length === 0) return;
    const table = nameText(this.#name);
    const said = stringText(`${this.#name} has records whose keys do not fit`);
    this.#definitions.push(
      `IF count((SELECT VALUE id FROM ${table} WHERE !(${rules.join(" AND ")}))) > 0 { THROW ${said} };`,
    );
  }

  /** A READONLY field takes no value on rows that exist, so it becomes one when they have theirs. */
  #define(path: string, field: FieldDefinition, needsRows: boolean, how: "new" | "changed"): void {
    if (needsRows) this.#touched = true;
    if (!field.readonly || !needsRows)
      return void this.#definitions.push(defineFieldText(this.#name, path, field, how));
    const { readonly: _readonly, ...open } = field;
    this.#definitions.push(defineFieldText(this.#name, path, open, how));
    this.#afterwards.push(defineFieldText(this.#name, path, field, "changed"));
  }
}

function parentOf(path: string, fields: Fields): string | undefined {
  return Object.keys(fields).findLast((each) => path.startsWith(`${each}.`));
}

function parentsOf(path: string, fields: Fields): string[] {
  return Object.keys(fields).filter((each) => path.startsWith(`${each}.`));
}

/** Of an object nothing but its parts can say whether it is there, so it begins empty. */
function defaultOf(field: FieldDefinition): string | undefined {
  return field.default ?? (same(field.type, ["object"]) ? "{}" : undefined);
}

function isOpen({ clause }: TableDefinition): boolean {
  return clause.includes("SCHEMALESS");
}

/** Whether it holds what has a definition of its own, and nothing else. */
function isClosedObject({ type, flexible }: FieldDefinition): boolean {
  return same(without(type, "none"), ["object"]) && !flexible;
}

function isOptional({ type }: FieldDefinition): boolean {
  return type.includes("none") || type.includes("any");
}

function isWithin(kinds: readonly string[], others: readonly string[]): boolean {
  return others.includes("any") || kinds.every((kind) => others.includes(kind));
}

function without(kinds: readonly string[], kind: string): string[] {
  return kinds.filter((each) => each !== kind);
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
