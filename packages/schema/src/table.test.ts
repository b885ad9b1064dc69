import { RecordId } from "@sentient/db-pool";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineAnalyzer, defineTable, index, jsonText, link, unique, vector } from "./index.ts";

describe("what SurrealDB cannot keep is refused where it is described, with its path:", () => {
  test.each<[string, z.ZodType, string]>([
    ["a map", z.map(z.string(), z.int()), "z.map() has no SurrealQL type; give it a codec"],
    ["a symbol", z.symbol(), "z.symbol() has no SurrealQL type"],
    ["a promise", z.promise(z.string()), "z.promise() has no SurrealQL type"],
    ["a function", z.function(), "has no SurrealQL type"],
    ["a file", z.file(), "z.file() has no SurrealQL type"],
    ["never", z.never(), "z.never() has no SurrealQL type"],
    [
      "a transform",
      z.string().transform((text) => text.length),
      "cannot be taken back when the row is written; use z.codec()",
    ],
    ["a preprocess", z.preprocess(String, z.string()), "cannot be taken back"],
    [
      "a custom check",
      z.custom<string>(() => true),
      "does not say what SurrealDB should keep; wrap it: stored(schema, type)",
    ],
    ["a class", z.instanceof(Map), "does not say what SurrealDB should keep"],
    ["an intersection of scalars", z.intersection(z.string(), z.string()), "use .extend()"],
    [
      "a bigint beside a number",
      z.union([z.bigint(), z.number()]),
      "cannot be told from a number once it is stored",
    ],
  ])("%s", (_what, schema, sentence) => {
    const describing = () =>
      defineTable({ name: "t", schema: z.object({ a: z.object({ b: z.array(schema) }) }) });
    expect(describing).toThrow(
      expect.objectContaining({
        code: "schema.unsupported",
        message: expect.stringMatching(/^a\.b\.\*: /) as unknown,
        details: { path: "a.b.*" },
      }),
    );
    expect(describing).toThrow(sentence);
  });

  test.each(["", "1a", "a-b", "a b", "a;b", "ä", "x".repeat(65)])("the name %j", (name) => {
    expect(() => defineTable({ name, schema: z.object({}) })).toThrow(
      expect.objectContaining({ code: "schema.bad_table" }),
    );
  });

  test.each<[string, z.ZodObject]>([
    ["a date for a key", z.object({ id: z.date() })],
    ["a key that may be missing", z.object({ id: z.string().optional() })],
    ["a link for a key", z.object({ id: link("person") })],
    ["a field that the engine takes for code", z.object({ if: z.string() })],
    ["a field that replaces a prototype", z.object({ ["__proto__"]: z.string() })],
    [
      "two that say what a field is",
      z.object({ both: z.intersection(z.object({ x: z.int() }), z.object({ x: z.int() })) }),
    ],
  ])("%s", (_what, schema) => {
    expect(() => defineTable({ name: "t", schema })).toThrow(
      expect.objectContaining({ code: "schema.unsupported" }),
    );
  });

  test("what tells rows apart for their key", () => {
    const schema = z.discriminatedUnion("t", [
      z.object({ t: z.literal("a") }),
      z.object({ t: z.literal("b") }),
    ]);
    expect(() => defineTable({ name: "t", schema, key: "t" })).toThrow("cannot be their key");
  });

  test("a field id beside another key", () => {
    const schema = z.object({ id: z.int(), slug: z.string() });
    expect(() => defineTable({ name: "t", schema, key: "slug" })).toThrow("the key of a row is its slug");
  });

  test.each([
    ["a link", () => link("p>; REMOVE TABLE t; --")],
    ["an analyzer", () => defineAnalyzer({ name: "en\nREMOVE TABLE t;", tokenizers: ["blank"] })],
    [
      "a filter",
      () =>
        defineAnalyzer({
          name: "en",
          tokenizers: [],
          filters: [{ snowball: "english); REMOVE TABLE t; --" }],
        }),
    ],
    [
      "an end of an edge",
      () => defineTable({ name: "t", schema: z.object({}), relation: { in: "a; b", out: "c" } }),
    ],
    [
      "a changefeed",
      () => defineTable({ name: "t", schema: z.object({}), changefeed: { expiry: "3d; REMOVE TABLE t" } }),
    ],
    [
      "an index over nothing",
      () =>
        defineTable({
          name: "t",
          schema: z.object({ slug: z.string() }),
          indexes: { a: index("slug.nope") },
        }),
    ],
  ])("%s that is not what it says", (_what, describing) => {
    expect(describing).toThrow(expect.objectContaining({ code: "schema.bad_table" }));
  });

  test("a vector of no dimension", () => {
    expect(() => vector("v", { dimension: 0 })).toThrow(
      expect.objectContaining({ code: "schema.bad_table" }),
    );
  });
});

test("a default is a constant, or it is none of the database's", () => {
  const { definition, gaps } = defineTable({
    name: "t",
    schema: z.object({
      constant: z.int().default(3),
      clock: z.int().default(() => Date.now()),
      inside: z.object({ at: z.date() }).default(() => ({ at: new Date() })),
      coded: jsonText("payloadBytes").default({ b: 1, a: 2 }),
      link: link("p").default(new RecordId("p", "it's `q`⟩; --")),
    }),
  });
  const defaults = Object.entries(definition.fields).map(([path, field]) => [path, field.default]);
  expect(Object.fromEntries(defaults)).toEqual({
    constant: "3",
    coded: `'{"a":2,"b":1}'`,
    link: "type::record('p', 'it\\'s `q`⟩; --')",
  });
  expect(gaps.map(({ path }) => path)).toEqual(["clock", "inside"]);
});

describe("a table", () => {
  const person = defineTable({
    name: "person",
    schema: z.object({ name: z.string().min(1), age: z.int().default(0), nick: z.string().optional() }),
    indexes: { byName: unique("name") },
  });

  test("whose rows carry no key gives them their record id", () => {
    const id = new RecordId("person", "ada");
    expect(person.parse({ id, name: "Ada" })).toEqual({ id, name: "Ada", age: 0 });
    expect(person.serialise({ id, name: "Ada", age: 1, nick: undefined })).toEqual({
      id,
      name: "Ada",
      age: 1,
    });
    expect(person.serialise({ name: "Ada", age: 1 })).toEqual({ name: "Ada", age: 1 });
  });

  test("whose schema says what the key is checks it", () => {
    const entry = defineTable({
      name: "entry",
      schema: z.object({ place: z.tuple([z.string(), z.bigint()]), n: z.int() }),
      key: "place",
    });
    const row = { id: new RecordId("entry", ["a", 1]), n: 2 };
    expect(entry.parse(row)).toEqual({ place: ["a", 1n], n: 2 });
    expect(entry.serialise({ place: ["a", 1n], n: 2 })).toEqual(row);
    expect(entry.record(["a", 1n])).toEqual(row.id);
    expect(() => entry.record(["a"] as never)).toThrow(
      expect.objectContaining({ code: "schema.invalid_value" }),
    );
    expect(() => entry.parse({ id: new RecordId("entry", "a"), n: 2 })).toThrow(
      "entry:a does not fit the table entry",
    );
  });

  test("names the row and the fields that do not fit, and no value", () => {
    const row = { id: new RecordId("person", "ada"), name: "", age: "hunter2" };
    const parsing = () => person.parse(row);
    expect(parsing).toThrow(
      expect.objectContaining({
        code: "schema.invalid_row",
        message: expect.stringMatching(
          /^person:ada does not fit the table person: name: .*; age: /,
        ) as unknown,
      }),
    );
    expect(parsing).not.toThrow("hunter2");
    expect(() => person.serialise({ name: 3 } as never)).toThrow(
      expect.objectContaining({ code: "schema.invalid_value" }),
    );
  });

  test("of edges has ends", () => {
    const likes = defineTable({
      name: "likes",
      schema: z.object({ since: z.date() }),
      relation: { in: "person", out: "person" },
    });
    const edge = { in: new RecordId("person", 1), out: new RecordId("person", 2), since: new Date(0) };
    expect(likes.serialise(edge)).toEqual(edge);
    expect(likes.parse({ id: new RecordId("likes", 1), ...edge })).toEqual({
      id: new RecordId("likes", 1),
      ...edge,
    });
  });

  test("of edges with a key has both", () => {
    const schema = z.object({ id: z.string(), w: z.int() });
    const likes = defineTable({ name: "likes", schema, relation: { in: "person", out: "person" } });
    const edge = { in: new RecordId("person", 1), out: new RecordId("person", 2), id: "a", w: 1 };
    const row = { ...edge, id: new RecordId("likes", "a") };
    expect(likes.serialise(edge)).toEqual(row);
    expect(likes.parse(row)).toEqual(edge);
  });

  test.each([z.strictObject({ a: z.string() }), z.object({ a: z.string() }).catchall(z.string())])(
    "whose schema is exact is not disturbed by the record's id",
    (schema) => {
      const table = defineTable({ name: "exact", schema });
      const row = { id: new RecordId("exact", 1), a: "x" };
      expect(table.parse(row)).toEqual(row);
      expect(table.serialise(row)).toEqual(row);
      expect(() => table.parse({ ...row, b: 1 })).toThrow(
        expect.objectContaining({ code: "schema.invalid_row" }),
      );
    },
  );

  test("refuses an integer that SurrealDB has no place for", () => {
    const table = defineTable({ name: "t", schema: z.object({ n: z.bigint() }) });
    expect(() => table.serialise({ n: 2n ** 63n })).toThrow(
      expect.objectContaining({
        code: "schema.invalid_value",
        message: expect.stringContaining("beyond 64 bits") as unknown,
      }),
    );
  });

  test("has types that follow from its schema", () => {
    const row: { id: RecordId<"person">; name: string; age: number; nick?: string | undefined } =
      person.parse({ id: new RecordId("person", 1), name: "A", age: 1 });
    expect(row.name).toBe("A");
    // @ts-expect-error a field that is not there
    void row.surname;
    expect(() =>
      // @ts-expect-error an index over a field that is not there
      defineTable({ name: "x", schema: z.object({ a: z.string() }), indexes: { byB: unique("b") } }),
    ).toThrow("the index byB is over b, and there is no such field");
    // @ts-expect-error a value of another type
    expect(() => person.serialise({ name: 1, age: 1 })).toThrow("name");
  });
});
