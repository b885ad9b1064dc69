// One table's change. Owns: the statements from one definition of a table to the next, its rows among them.

import { doesNotApply, type Decided } from "./decisions.ts";
import { isOneOf, own, type FieldDefinition, type TableDefinition } from "./definition.ts";
import {
  defineFieldText,
  defineIndexText,
  defineTableText,
  itemPaths,
  removeFieldTexts,
  removeIndexText,
} from "./generate-ddl.ts";
import { nameText } from "./literal.ts";
import { without } from "./shape.ts";

type Fields = TableDefinition["fields"];
/** What a table of edges has from the start, and no row was given by hand. */
const ENDS = new Set(["in", "out"]);

interface Assignment {
  path: string;
  value: string;
}

// SET looks at each row as it was, and assigns in the order it is written in: what a thing stands in comes first, and
// what is taken away comes last.
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
  readonly #assignments: Assignment[] = [];
  readonly #clears: string[] = [];
  /** Definitions for which rows have to be changed first. */
  readonly #afterwards: string[] = [];
  /** What is READONLY only afterwards. */
  readonly #loosened = new Set<string>();
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
    this.#loosenParents();
    this.#changeIndexes();
  }

  /** In the order they have to run in. */
  get statements(): string[] {
    const assignments = this.#assignments.toSorted((a, b) => depthOf(a.path) - depthOf(b.path));
    const sets = [
      ...assignments.map(({ path, value }) => `${path} = ${value}`),
      ...this.#clears.map((path) => `${path} = NONE`),
    ];
    const set = sets.length > 0 ? ` SET ${sets.join(", ")}` : "";
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
    if (path === "id" || path.endsWith("*")) return; // tables used to define the key, which every row keeps
    const place = this.#placeNow(path);
    const to = this.#decided.renamed(full);
    if (to !== undefined) {
      this.#requireNew(path, to);
      this.names.push(`rename_${this.#name}_${path}`);
      if (place !== undefined) this.#clear(place);
    } else if (this.#decided.mayDrop(full)) {
      this.names.push(`drop_${this.#name}_${path}`);
      if (place !== undefined) this.#clear(place);
    } else if (place !== undefined && !this.#mayStay(place)) {
      this.questions.push(
        `${full} is gone: --drop ${full}, or --rename ${full}=${this.#name}.<its new name>`,
      );
    }
  }

  #clear(path: string): void {
    this.#clears.push(path);
    this.#touched = true;
  }

  /** Where it is when all is moved, unless somebody says otherwise; undefined if it goes with what it stood in. */
  #placeNow(path: string): string | undefined {
    for (const parent of parentsOf(path, this.#before.fields).toReversed()) {
      if (own(this.#after.fields, parent)) break;
      const moved = this.#decided.renames.get(`${this.#name}.${parent}`);
      return moved && moved.slice(this.#name.length + 1) + path.slice(parent.length);
    }
    return path;
  }

  /** Whether it has a definition there, or what it stands in may hold it without one. */
  #mayStay(place: string): boolean {
    if (own(this.#after.fields, place)) return true;
    const parent = parentOf(place, this.#after.fields);
    return parent === undefined ? isOpen(this.#after) : !isClosedObject(this.#after.fields[parent]!);
  }

  #requireNew(path: string, target: string): void {
    const to = target.slice(this.#name.length + 1);
    const isNew = own(this.#after.fields, to) && !own(this.#before.fields, to);
    if (target.startsWith(`${this.#name}.`) && isNew) return;
    throw doesNotApply(
      `--rename ${this.#name}.${path}=${target}`,
      `the new name is that of a new field of ${this.#name}, and begins with ${this.#name}.`,
    );
  }

  #newField(path: string, field: FieldDefinition): void {
    this.names.push(`add_${this.#name}_${path}`);
    const source = this.#sourceOf(path);
    const known = source === path ? undefined : own(this.#before.fields, source);
    const given = this.#decided.fillOf(`${this.#name}.${path}`);
    const asked = !isOptional(field) && !path.includes("*") && (!known || isOptional(known));
    const fill = given ?? (asked ? defaultOf(field) : undefined);
    const isMoved = this.#decided.nameBefore(`${this.#name}.${path}`) !== undefined;
    if (fill !== undefined) this.#fillMissing(path, fill);
    else if (isMoved) this.#assignments.push({ path, value: source });
    const needsRows = isMoved || known !== undefined || fill !== undefined;
    this.#define(path, field, needsRows, this.#isBorn(path) ? "changed" : "new");
    if (!isOptional(field) || this.#mayBeThere(path)) this.#touched = true;
    if (asked && fill === undefined && !this.#mayBeAbsent(path))
      this.notes.push(
        `${this.#name}.${path} is new and required: rows that exist need a value (--fill ${this.#name}.${path}=<expression>), or this fails where there are any`,
      );
  }

  /** What it was called, or stood in: the row as it was has it there. */
  #sourceOf(path: string): string {
    for (const part of [path, ...parentsOf(path, this.#after.fields).toReversed()]) {
      const before = this.#decided.nameBefore(`${this.#name}.${part}`);
      if (before?.startsWith(`${this.#name}.`))
        return before.slice(this.#name.length + 1) + path.slice(part.length);
    }
    return path;
  }

  /** Whether rows may have something there that was never defined. */
  #mayBeThere(path: string): boolean {
    const parent = parentOf(path, this.#before.fields);
    return parent === undefined ? isOpen(this.#before) : !isClosedObject(this.#before.fields[parent]!);
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
    const given = this.#decided.fillOf(`${this.#name}.${path}`);
    const missing = isOptional(known) && !isOptional(field) ? field.default : undefined;
    if (given !== undefined) this.#fillUnfit(path, given, known, field);
    else if (missing !== undefined) this.#fillMissing(path, missing);
    this.#define(path, field, given !== undefined || missing !== undefined, "changed");
    const items = itemPaths(path, field);
    for (const item of itemPaths(path, known))
      if (!items.includes(item) && !own(this.#after.fields, item))
        this.#definitions.push(`REMOVE FIELD IF EXISTS ${item} ON ${nameText(this.#name)};`);
    const isNarrower = !isWithin(known.type, field.type) || (known.flexible && !field.flexible);
    const asksMore = field.assert !== undefined && field.assert !== known.assert;
    if (isNarrower || asksMore) this.#touched = true;
  }

  /** Rows that have a value keep it, and what is not there is not made for the sake of a field in it. */
  #fillMissing(path: string, value: string): void {
    const source = this.#sourceOf(path);
    const parents = parentsOf(path, this.#after.fields).filter((parent) =>
      isOptional(this.#after.fields[parent]!),
    );
    const guards = [...parents.map((parent) => `${this.#sourceOf(parent)} != NONE`), `${source} = NONE`];
    this.#assignments.push({ path, value: `IF ${guards.join(" AND ")} { ${value} } ELSE { ${source} }` });
  }

  /** Rows whose value fits keep it, if that can be told; where another type is asked for, all get a new one. */
  #fillUnfit(path: string, value: string, known: FieldDefinition, field: FieldDefinition): void {
    const kinds = without(field.type, "none");
    const isSame = same(without(known.type, "none"), kinds);
    if (isSame && field.assert === known.assert) return this.#fillMissing(path, value);
    const canTell = isSame || (kinds.every((kind) => SIMPLE.test(kind)) && sharesKind(known.type, kinds));
    if (!canTell) return void this.#assignments.push({ path, value });
    const types = isSame ? `${path} != NONE` : isOneOf(kinds, path);
    const fits = [types, field.assert?.replaceAll("$value", () => path)].filter((part) => part !== undefined);
    this.#assignments.push({ path, value: `IF ${fits.join(" AND ")} { ${path} } ELSE { ${value} }` });
  }

  /** What is READONLY lets nothing in it change either. */
  #loosenParents(): void {
    const changed = [...this.#assignments.map(({ path }) => path), ...this.#clears];
    const parents = new Set(changed.flatMap((path) => parentsOf(path, this.#after.fields)));
    for (const parent of parents) {
      const field = this.#after.fields[parent]!;
      if (field.readonly && own(this.#before.fields, parent) && !this.#loosened.has(parent))
        this.#loosen(parent, field, "changed");
    }
  }

  /** A READONLY field takes no value on rows that exist, so it becomes one when they have theirs. */
  #define(path: string, field: FieldDefinition, needsRows: boolean, how: "new" | "changed"): void {
    if (needsRows) this.#touched = true;
    if (field.readonly && needsRows) this.#loosen(path, field, how);
    else this.#definitions.push(defineFieldText(this.#name, path, field, how));
  }

  #loosen(path: string, field: FieldDefinition, how: "new" | "changed"): void {
    const { readonly: _readonly, ...open } = field;
    this.#definitions.push(defineFieldText(this.#name, path, open, how));
    this.#afterwards.push(defineFieldText(this.#name, path, field, "changed"));
    this.#loosened.add(path);
  }
}

/** Kinds that a test tells apart for certain. */
const SIMPLE = /^(?:null|string|int|float|bool|datetime|duration|decimal|uuid|bytes|true|false|'.*|-?\d.*)$/;

/** Whether a row may have a value that fits already: of the same kind, or of a kind that a literal is of. */
function sharesKind(known: readonly string[], kinds: readonly string[]): boolean {
  return (
    known.includes("any") ||
    kinds.some((kind) => known.includes(kind) || (kind.startsWith("'") && known.includes("string")))
  );
}

function depthOf(path: string): number {
  return path.split(".").length;
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

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
