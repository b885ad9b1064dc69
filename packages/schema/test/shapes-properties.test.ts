// Whatever is described: the engine takes the definitions, and a value that fits comes back equal.

import { openDatabase, RecordId, surql, type Database } from "@sentient/db-pool";
import { freshNames, sabotage } from "@sentient/testkit";
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { bytes, defineTable, link, type Table } from "../src/index.ts";
import { generatedStatements } from "../src/generate-statements.ts";
import { tableTexts } from "../src/generate-ddl.ts";

/** A schema, how it was made, and values that fit it. */
interface Shape {
  schema: z.ZodType;
  text: string;
  values: fc.Arbitrary<unknown>;
}

const key = fc
  .oneof(
    fc.constantFrom("a", "b", "c", "order", "value", "select"),
    fc.string({ minLength: 1, maxLength: 4 }),
  )
  .filter((name) => !["__proto__", "id", "in", "out"].includes(name));
const text = fc.string({ unit: "grapheme", maxLength: 6 });
const number = fc
  .double({ noNaN: true, noDefaultInfinity: true })
  .filter((n) => !Number.isInteger(n) || Number.isSafeInteger(n));

const leaf: fc.Arbitrary<Shape> = fc.oneof(
  fc.tuple(fc.nat(3), fc.nat(5)).map(([min, more]) => ({
    schema: z
      .string()
      .min(min)
      .max(min + more),
    text: `string(${min}..${min + more})`,
    values: fc
      .array(fc.string({ unit: "binary", minLength: 1, maxLength: 1 }), {
        minLength: min,
        maxLength: min + more,
      })
      .map((c) => c.join("")),
  })),
  fc.tuple(fc.integer(), fc.nat()).map(([min, more]) => ({
    schema: z
      .int()
      .min(min)
      .max(min + more),
    text: `int(${min}..${min + more})`,
    values: fc.integer({ min, max: Math.min(min + more, Number.MAX_SAFE_INTEGER) }).map((n) => n + 0),
  })),
  fc.constant({ schema: z.number(), text: "number", values: number }),
  fc.constant({ schema: z.boolean(), text: "boolean", values: fc.boolean() }),
  fc.constant({
    schema: z.int64(),
    text: "int64",
    values: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  }),
  fc.constant({
    schema: z.date(),
    text: "date",
    values: fc.date({ noInvalidDate: true, min: new Date("0001-01-01"), max: new Date("9999-12-31") }),
  }),
  fc.constant({
    schema: bytes(),
    text: "bytes",
    values: fc.uint8Array({ maxLength: 8 }).map((b) => new Uint8Array(b)),
  }),
  fc.constant({
    schema: link("person"),
    text: "link",
    values: fc.nat().map((n) => new RecordId("person", n)),
  }),
  fc.uniqueArray(text, { minLength: 1, maxLength: 4 }).map((values) => ({
    schema: z.enum(values as [string]),
    text: `enum(${JSON.stringify(values)})`,
    values: fc.constantFrom(...values),
  })),
  fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null)).map((value) => ({
    schema: z.literal(value),
    text: `literal(${JSON.stringify(value)})`,
    values: fc.constant(value),
  })),
);

const { shape } = fc.letrec<{ shape: Shape; object: Shape }>((tie) => ({
  shape: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    tie("object"),
    tie("shape").map(({ schema, text: inner, values }) => ({
      schema: schema.nullable(),
      text: `nullable(${inner})`,
      values: fc.option(values),
    })),
    tie("shape").map(({ schema, text: inner, values }) => ({
      schema: z.array(schema).max(3),
      text: `array(${inner})`,
      values: fc.array(values, { maxLength: 3 }),
    })),
    fc.array(tie("shape"), { minLength: 1, maxLength: 3 }).map((items) => ({
      schema: z.tuple(items.map(({ schema }) => schema) as [z.ZodType]),
      text: `tuple(${items.map((item) => item.text).join(", ")})`,
      values: fc.tuple(...items.map(({ values }) => values)),
    })),
    tie("shape").map(({ schema, text: inner, values }) => ({
      schema: z.record(z.string(), schema),
      text: `record(${inner})`,
      values: fc.dictionary(key, values, { maxKeys: 3, noNullPrototype: true }),
    })),
    fc.array(tie("object"), { minLength: 2, maxLength: 3 }).map((options) => ({
      schema: z.discriminatedUnion(
        "tag",
        options.map(({ schema }, i) => (schema as z.ZodObject).extend({ tag: z.literal(`t${i}`) })) as never,
      ),
      text: `tagged(${options.map((option) => option.text).join(" | ")})`,
      values: fc.oneof(
        ...options.map(({ values }, i) => values.map((value) => ({ ...(value as object), tag: `t${i}` }))),
      ),
    })),
  ),
  object: fc
    .uniqueArray(fc.tuple(key, tie("shape"), fc.boolean()), { maxLength: 4, selector: ([name]) => name })
    .map((fields) => ({
      schema: z.object(
        Object.fromEntries(
          fields.map(([name, { schema }, optional]) => [name, optional ? schema.optional() : schema]),
        ),
      ),
      text: `{ ${fields.map(([name, { text: inner }, optional]) => `${JSON.stringify(name)}${optional ? "?" : ""}: ${inner}`).join(", ")} }`,
      values: fc.record(Object.fromEntries(fields.map(([name, { values }]) => [name, values])), {
        requiredKeys: fields.filter(([, , optional]) => !optional).map(([name]) => name),
        noNullPrototype: true,
      }),
    })),
}));

let db: Database;
beforeAll(async () => {
  db = await openDatabase({ url: "mem://", ...freshNames() });
});
afterAll(() => db.close());

test("control: values that were changed on the way are noticed", async () => {
  await sabotage("a field that loses its fraction", async () => {
    const table = defineTable({ name: "lossy", schema: z.object({ v: z.number() }) });
    await db.transaction(
      generatedStatements([
        "DEFINE TABLE lossy SCHEMAFULL",
        "DEFINE FIELD v ON lossy TYPE int VALUE math::floor($value)",
      ]),
    );
    const row = await db.query(surql`CREATE ONLY lossy CONTENT ${table.serialise({ v: 1.5 })}`);
    expect(table.parse(row).v).toStrictEqual(1.5);
  });
});

test("any shape is defined, and any value of it comes back equal", { timeout: 120_000 }, async () => {
  let tables = 0;
  const seen = new Set<string>();
  const examples = shape.chain((made) =>
    fc.tuple(fc.constant(made), fc.array(made.values, { minLength: 1, maxLength: 4 })),
  );
  await fc.assert(
    fc.asyncProperty(examples, async ([{ schema, text: made }, values]) => {
      for (const [word] of made.matchAll(/[a-z]+\(|\{/g)) seen.add(word);
      const table = defineTable({
        name: `any_${tables++}`,
        schema: z.object({ v: schema }),
      }) as unknown as Table;
      await db.transaction(generatedStatements(tableTexts(table.name, table.definition)));
      const record = new RecordId(table.name, 1);
      for (const v of values) {
        const content = table.serialise({ v } as never);
        const row = await db.query(surql`UPSERT ONLY ${record} CONTENT ${content}`);
        expect((table.parse(row) as unknown as { v: unknown }).v).toStrictEqual(v);
      }
    }),
    { numRuns: Number(process.env.SENTIENT_RUNS ?? 200), verbose: fc.VerbosityLevel.Verbose },
  );
  expect([...seen].sort()).toEqual(
    expect.arrayContaining(["array(", "nullable(", "record(", "tagged(", "tuple(", "{"]),
  );
});
