import { RecordId } from "@sentient/db-pool";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineTable, unique, vector } from "./index.ts";

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

  test("a vector of no dimension", () => {
    expect(() => vector("v", { dimension: 0 })).toThrow(
      expect.objectContaining({ code: "schema.bad_table" }),
    );
  });
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
    // @ts-expect-error an index over a field that is not there
    defineTable({ name: "x", schema: z.object({ a: z.string() }), indexes: { byB: unique("b") } });
    // @ts-expect-error a value of another type
    expect(() => person.serialise({ name: 1, age: 1 })).toThrow("name");
  });
});
