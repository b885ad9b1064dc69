import { SchemaError } from "./errors.ts";

/** What a person decided, each by `table` or `table.path`. */
export interface Decisions {
  /** Tables and fields whose data may go. */
  drop?: readonly string[];
  /** Old name → new name: `{ "person.name": "person.fullName", "user": "person" }`. */
  rename?: Readonly<Record<string, string>>;
  /** A SurrealQL expression for rows that exist and have no value, or one of another type: `{ "person.age": "0" }`. */
  fill?: Readonly<Record<string, string>>;
}

/** Decisions, and which of them were asked for. */
export class Decided {
  readonly renames: ReadonlyMap<string, string>;
  readonly #drop: ReadonlySet<string>;
  readonly #fill: ReadonlyMap<string, string>;
  readonly #used = new Set<string>();

  /** @throws `schema.bad_table` for two renames to one name */
  constructor({ drop = [], rename = {}, fill = {} }: Decisions) {
    this.#drop = new Set(drop);
    this.renames = new Map(Object.entries(rename));
    this.#fill = new Map(Object.entries(fill));
    const targets = [...this.renames.values()];
    const twice = targets.find((target, i) => targets.indexOf(target) !== i);
    if (twice !== undefined) throw doesNotApply(`--rename …=${twice}`, "two things cannot take one name");
  }

  mayDrop(name: string): boolean {
    return this.#take(name, this.#drop.has(name));
  }

  /** What it is called now. */
  renamed(name: string): string | undefined {
    this.#take(name, this.renames.has(name));
    return this.renames.get(name);
  }

  /** What it was called before. */
  nameBefore(name: string): string | undefined {
    return [...this.renames].find(([, to]) => to === name)?.[0];
  }

  fillOf(name: string): string | undefined {
    this.#take(name, this.#fill.has(name));
    return this.#fill.get(name);
  }

  /** @throws `schema.bad_table` for a decision that nobody asked for */
  requireUsed(): void {
    const decided = [...this.#drop, ...this.renames.keys(), ...this.#fill.keys()];
    const unused = decided.find((each) => !this.#used.has(each));
    if (unused === undefined) return;
    const table = unused.split(".")[0]!;
    const moved = this.renames.has(table) || this.nameBefore(table) !== undefined;
    throw doesNotApply(
      `the decision about ${unused}`,
      moved && unused !== table
        ? `${table} is renamed; change its fields in the next migration`
        : "nothing of that name is gone, new or changed",
    );
  }

  #take(name: string, is: boolean): boolean {
    if (is) this.#used.add(name);
    return is;
  }
}

export function doesNotApply(what: string, why: string): SchemaError {
  return new SchemaError({ code: "schema.bad_table", message: `${what} does not apply: ${why}` });
}
