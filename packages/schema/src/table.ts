// Tables. Owns: one description of a table, from which its type, its DDL and the checks on the way in and out follow.

import { RecordId } from "@sentient/db-pool";
import { z } from "zod";
import type { TableDefinition } from "./definition.ts";
import { describe, type Described } from "./describe.ts";
import { SchemaError } from "./errors.ts";
import type { Analyzer, Index } from "./index-kinds.ts";
import { requireName } from "./literal.ts";
import type { Gap } from "./shape.ts";
import { fromStored, toStored } from "./storage.ts";

/** What a row is: an object, or a union of objects told apart by one field. */
export type RowSchema = z.ZodObject | z.ZodDiscriminatedUnion;

export interface TableOptions<
  Name extends string,
  Schema extends RowSchema,
  R extends Relation | undefined = Relation | undefined,
  K extends string = string,
> {
  /** Letters, digits and `_`, not beginning with a digit. */
  name: Name;
  /** The fields of a row. */
  schema: Schema;
  /**
   * The field that is the key of the record: values carry the key, `"ada"`, and not the record id, `person:ada`. It is the
   * field `id` if there is one; without it rows carry their record id.
   */
  key?: K & KeysOf<z.output<Schema>>;
  indexes?: Record<string, Index<Path<Schema>> & { analyzer?: Analyzer }>;
  /**
   * Whether the database asserts what zod checks besides types; true if left out. An ASSERT costs tens of
   * microseconds a row, so a table that is written thousands of times a second has its rows checked in code alone.
   */
  asserts?: boolean;
  /**
   * Whether the database knows the fields; true if left out. Types cost 40 % of an inserted row, so a table that only one
   * package writes, in large batches, may be SCHEMALESS: what a row holds is then checked in code alone.
   */
  types?: boolean;
  /** Makes it a table of edges, for `RELATE`: what the ends of an edge may be. */
  relation?: R;
  /** Who may do what beside the owner and editors of the database; nobody, if left out. */
  permissions?: "none" | "full" | Partial<Record<"select" | "create" | "update" | "delete", string>>;
  /** Keeps what changed for so long, as in `"3d"`; with `original` also what it was before. */
  changefeed?: { expiry: string; original?: boolean };
  comment?: string;
}

export interface Relation {
  in: string | readonly string[];
  out: string | readonly string[];
  /** Whether both ends must exist; true if left out. */
  enforced?: boolean;
}

/** A top-level field, or a path below one. */
type Path<Schema extends RowSchema> =
  | KeysOf<z.output<Schema>>
  | `${KeysOf<z.output<Schema>>}.${string}`
  | "in"
  | "out";
type KeysOf<T> = T extends unknown ? keyof T & string : never;

type Ends<R> = R extends { in: infer In; out: infer Out }
  ? { in: RecordId<Names<In>>; out: RecordId<Names<Out>> }
  : unknown;
type Names<T> = T extends readonly (infer Name extends string)[] ? Name : T extends string ? T : never;

/** A value with the record's id, if the schema does not carry its key. */
type Row<Name extends string, Value, R, K extends string> =
  Value extends Record<K, unknown> ? Value & Ends<R> : Value & Ends<R> & { id: RecordId<Name> };
/** The same before it is written: the id may be left to the database. */
type Draft<Name extends string, Value, R, K extends string> =
  Value extends Record<K, unknown> ? Value & Ends<R> : Value & Ends<R> & { id?: RecordId<Name> };

/** The rows of a table, as `parse` answers them. @example type Person = RowOf<typeof person>; */
export type RowOf<T extends { parse(row: unknown): unknown }> = ReturnType<T["parse"]>;

/** What a migration or a check asks of a table. */
export type AnyTable = Pick<Table, "name" | "definition" | "analyzers" | "gaps">;

/** A table, described once. Made by `defineTable`. */
export class Table<
  Name extends string = string,
  Schema extends RowSchema = RowSchema,
  R extends Relation | undefined = Relation | undefined,
  K extends string = string,
> {
  readonly name: Name;
  readonly schema: Schema;
  readonly analyzers: readonly Analyzer[];
  readonly #options: TableOptions<Name, Schema, R, K>;
  #described: Described | undefined;
  readonly #read: (value: unknown) => unknown;
  readonly #key: string | undefined;
  readonly #isRelation: boolean;
  /** What a row has beside its schema, where the schema would not let it pass. */
  readonly #beside: readonly string[];
  readonly #variants: Variants | undefined;

  /** @internal */
  constructor(options: TableOptions<Name, Schema, R, K>) {
    const { name, schema, indexes = {}, relation, key = "id" } = options;
    this.name = requireName(name, "a table");
    this.schema = schema;
    this.analyzers = Object.values(indexes).flatMap(({ analyzer }) => analyzer ?? []);
    this.#options = options;
    this.#key = describe(options, false).hasKey ? key : undefined; // refuses what cannot be kept
    this.#isRelation = relation !== undefined;
    this.#beside = besideSchema(schema, [
      ...(this.#key === "id" ? [] : ["id"]),
      ...(relation ? ["in", "out"] : []),
    ]);
    this.#variants = schema instanceof z.ZodDiscriminatedUnion ? new Variants(schema) : undefined;
    this.#read = fromStored(schema) ?? ((value) => value);
  }

  /** What the database is told of it. Made when it is first asked for: a program that only runs never does. */
  get definition(): TableDefinition {
    return (this.#described ??= describe(this.#options, true)).definition;
  }

  /** What zod checks and the database does not. */
  get gaps(): readonly Gap[] {
    return (this.#described ??= describe(this.#options, true)).gaps;
  }

  /**
   * The id of the record with this key.
   *
   * @throws `schema.invalid_value` if the schema says what a key is and this is none
   * @example await db.query(surql`SELECT * FROM ONLY ${person.record("ada")}`);
   */
  record(key: KeyOf<z.output<Schema>, K>): RecordId<Name> {
    return new RecordId(this.name, this.#storedKey(key) as never);
  }

  #storedKey(key: unknown): unknown {
    const schema = this.#key === undefined ? undefined : keySchema(this.schema, this.#key);
    if (!schema) return toStored(key);
    const encoded = z.safeEncode(schema, key);
    if (!encoded.success) throw this.#invalid("schema.invalid_value", "the key", encoded.error);
    return toStored(encoded.data);
  }

  /**
   * The row that the database answered, checked.
   *
   * @throws `schema.invalid_row`, naming the record and the fields that do not fit
   * @example const people = (await db.query(surql<unknown[]>`SELECT * FROM person`)).map(person.parse);
   */
  readonly parse = (row: unknown): Row<Name, z.output<Schema>, R, K> => {
    const { id } = Object(row) as { id?: unknown };
    const parsed = this.schema.safeParse(this.#read(this.#inSchema(row, id)));
    if (!parsed.success)
      throw this.#invalid(
        "schema.invalid_row",
        id instanceof RecordId ? id.toString() : "a row",
        parsed.error,
      );
    if (this.#key !== undefined && !this.#isRelation) return parsed.data as never;
    return {
      ...(this.#key === undefined ? { id } : {}),
      ...this.#ends(row),
      ...(parsed.data as object),
    } as never;
  };

  #inSchema(row: unknown, id: unknown): unknown {
    const bare = withoutKeys(row, this.#beside);
    if (this.#key === undefined || !(id instanceof RecordId)) return bare;
    return { ...(bare as object), [this.#key]: id.id as unknown };
  }

  #ends(value: unknown): Partial<Edge> {
    return this.#isRelation ? { in: (value as Edge).in, out: (value as Edge).out } : {};
  }

  /**
   * What to write for a value: `CONTENT` of a record.
   *
   * @throws `schema.invalid_value`, naming the fields that do not fit; `schema.limit` for what is too large
   * @example await db.query(surql`CREATE person CONTENT ${person.serialise({ name: "Ada" })}`);
   */
  readonly serialise = (value: Draft<Name, z.output<Schema>, R, K>): Record<string, unknown> => {
    const bare = withoutKeys(value, this.#beside);
    const encoded = z.safeEncode(this.#variants?.of(value) ?? this.schema, bare);
    if (!encoded.success) throw this.#invalid("schema.invalid_value", "the value", encoded.error);
    const stored = this.#stored(encoded.data);
    if (this.#key !== undefined) {
      const { [this.#key]: key, ...rest } = stored;
      return { id: new RecordId(this.name, key as never), ...this.#ends(value), ...rest };
    }
    const { id } = value as { id?: unknown };
    return { ...(id === undefined ? {} : { id }), ...this.#ends(value), ...stored };
  };

  #stored(encoded: unknown): Record<string, unknown> {
    try {
      return toStored(encoded) as Record<string, unknown>;
    } catch (cause) {
      const message = `${this.name}: ${(cause as Error).message}`;
      throw new SchemaError({ code: "schema.invalid_value", message, cause });
    }
  }

  #invalid(
    code: "schema.invalid_row" | "schema.invalid_value",
    what: string,
    error: z.core.$ZodError,
  ): SchemaError {
    const issues = error.issues.map(({ path, message }) => ({ path: path.map(String).join("."), message }));
    const said = issues.slice(0, 3).map(({ path, message }) => (path ? `${path}: ${message}` : message));
    const more = issues.length > 3 ? `, and ${issues.length - 3} more` : "";
    const limit = error.issues
      .map((issue) => (issue as { params?: { limit?: string } }).params)
      .find((params) => params?.limit);
    return new SchemaError({
      code: limit ? "schema.limit" : code,
      message: `${what} does not fit the table ${this.name}: ${said.join("; ")}${more}`,
      details: { table: this.name, issues, ...limit },
    });
  }
}

/** Those of `names` that a strict schema, or one with a catchall, would refuse or take for its own. */
function besideSchema(schema: RowSchema, names: readonly string[]): readonly string[] {
  const options = (schema instanceof z.ZodObject ? [schema] : schema.options) as z.ZodObject[];
  if (options.every(({ def }) => def.catchall === undefined)) return [];
  return names.filter((name) => !options.some(({ shape }) => name in shape));
}

function withoutKeys(value: unknown, keys: readonly string[]): unknown {
  if (keys.length === 0 || typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)));
}

/** The options of a union by their tag. On the way back zod tries them all, and of none says why. */
class Variants {
  readonly #tag: string;
  readonly #byTag = new Map<unknown, z.ZodType>();

  constructor({ def }: z.ZodDiscriminatedUnion) {
    this.#tag = def.discriminator;
    for (const option of def.options)
      for (const tag of option._zod.propValues?.[def.discriminator] ?? [])
        this.#byTag.set(tag, option as z.ZodType);
  }

  /** The option for a value; for one of no option, what asks for a tag. */
  of(value: unknown): z.ZodType {
    const tag = (Object(value) as Record<string, unknown>)[this.#tag];
    return this.#byTag.get(tag) ?? z.object({ [this.#tag]: z.literal([...this.#byTag.keys()] as string[]) });
  }
}

interface Edge {
  in: RecordId;
  out: RecordId;
}

type KeyOf<Value, K extends string> =
  Value extends Record<K, infer Key> ? Key : string | number | bigint | readonly unknown[] | object;

/**
 * Describes a table: its type, its DDL and the checks of its rows follow from one zod schema.
 *
 * @throws `schema.unsupported` for what SurrealDB cannot keep, naming the path; `schema.bad_table` for a bad name
 * @example const person = defineTable({ name: "person", schema: z.object({ name: z.string(), email: z.email() }), indexes: { byEmail: unique("email") } });
 */
export function defineTable<
  const Name extends string,
  Schema extends RowSchema,
  const R extends Relation | undefined = undefined,
  const K extends string = "id",
>(options: TableOptions<Name, Schema, R, K>): Table<Name, Schema, R, K> {
  return new Table(options);
}

/** Undefined where the options of a union each have one of their own, and it is asked of the whole value only. */
function keySchema(schema: RowSchema, key: string): z.ZodType | undefined {
  if (schema instanceof z.ZodObject) return schema.shape[key] as z.ZodType;
  const keys = new Set(schema.options.map((option) => (option as z.ZodObject).shape[key] as z.ZodType));
  return keys.size === 1 ? [...keys][0] : undefined;
}
