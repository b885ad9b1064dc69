// Every shape in every place where it can stand: what fits comes back equal, and what does not is refused by zod and by
// the database, or is listed as a gap.

import { openDatabase, surql, ident, type Database } from "@sentient/db-pool";
import { freshNames, sabotage } from "@sentient/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { defineTable, unique, type Table } from "../src/index.ts";
import { generatedStatements } from "../src/generate-statements.ts";
import { tableTexts } from "../src/generate-ddl.ts";
import { corpus, type Example } from "./support/corpus.ts";

let db: Database;
beforeAll(async () => {
  db = await openDatabase({ url: "mem://", ...freshNames() });
});
afterAll(() => db.close());

let tables = 0;

/** The shape in each place where one can stand. */
async function tableOf(schema: z.ZodType): Promise<Table> {
  const table = defineTable({
    name: `shape_${tables++}`,
    schema: z.object({
      field: schema,
      missing: schema.optional(),
      object: z.object({ in: schema }),
      list: z.array(z.object({ in: schema })),
      items: z.array(schema.optional()),
      record: z.record(z.string(), schema),
      nullable: z.object({ in: schema }).nullable(),
      tuple: z.tuple([z.string(), schema]).optional(),
      either: z.union([z.object({ in: schema }), z.literal("no")]),
      tagged: z.discriminatedUnion("t", [
        z.object({ t: z.literal("a"), in: schema }),
        z.object({ t: z.literal("b") }),
      ]),
    }),
  });
  await db.transaction(generatedStatements(tableTexts(table.name, table.definition)));
  return table as never;
}

const PLACES: Record<string, (value: unknown, good: unknown) => object> = {
  field: (field, good) => ({ ...everywhere(good), field }),
  missing: (missing, good) => ({ ...everywhere(good), missing }),
  object: (value, good) => ({ ...everywhere(good), object: { in: value } }),
  list: (value, good) => ({ ...everywhere(good), list: [{ in: good }, { in: value }] }),
  items: (value, good) => ({ ...everywhere(good), items: [good, value] }),
  record: (value, good) => ({ ...everywhere(good), record: { good, value } }),
  nullable: (value, good) => ({ ...everywhere(good), nullable: { in: value } }),
  tuple: (value, good) => ({ ...everywhere(good), tuple: ["x", value] }),
  either: (value, good) => ({ ...everywhere(good), either: { in: value } }),
  tagged: (value, good) => ({ ...everywhere(good), tagged: { t: "a", in: value } }),
};
const everywhere = (good: unknown) => ({
  field: good,
  object: { in: good },
  list: [],
  items: [],
  record: {},
  nullable: null,
  either: "no",
  tagged: { t: "b" },
});

async function write(table: Table, content: Record<string, unknown>): Promise<unknown> {
  return db.query(surql`CREATE ONLY ${ident(table.name)} CONTENT ${content}`);
}

/** Whether the database lets it through when nobody else has looked at it. */
async function isTaken(table: Table, content: object): Promise<boolean> {
  try {
    await write(table, content as Record<string, unknown>);
    return true;
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    const isOfAnotherType = code === "db.engine" && message.includes("Incorrect arguments for function");
    expect(isOfAnotherType || ["db.invalid_field", "db.unencodable"].includes(code), message).toBe(true);
    return false;
  }
}

/** What the database holds of a value, whatever zod thinks of the whole. */
const raw = (table: Table, place: string, value: unknown, good: unknown) => {
  const stored = (table as unknown as { serialise(value: object): Record<string, unknown> }).serialise(
    everywhere(good),
  );
  const content = PLACES[place]!(value, (stored as { field: unknown }).field);
  return content;
};

describe.each(Object.entries(corpus))("%s", (_name, { schema, valid, invalid, onParse = [] }: Example) => {
  test("keeps what fits, equal, wherever it stands", async () => {
    const table = await tableOf(schema);
    for (const value of valid) {
      for (const place of Object.keys(PLACES)) {
        if (place === "record" && [value, valid[0]].includes(undefined)) continue; // a key of nothing is no key
        const row = PLACES[place]!(value, valid[0]);
        const { id: _id, ...kept } = table.parse(await write(table, table.serialise(row))) as Row;
        const { schema: whole } = table as unknown as { schema: z.ZodType };
        const expected = z.decode(whole, z.encode(whole, row)) as Row;
        if (place !== "missing") {
          expect(typeof kept.missing).toBe(typeof expected.missing); // a default may be made anew
          expected.missing = kept.missing;
        }
        expect({ missing: undefined, ...kept }, `${place} of ${String(value)}`).toStrictEqual({
          missing: undefined,
          ...expected,
        });
      }
    }
  });

  test("lets nothing else in, or says that only zod looks", async () => {
    const table = await tableOf(schema);
    for (const value of [...invalid, ...onParse]) {
      for (const place of Object.keys(PLACES)) {
        const content = raw(table, place, value, valid[0]);
        if (!(await isTaken(table, content))) continue;
        const where = table.gaps.map(({ path }) => path);
        const listed = where.some((path) => path === place || path.startsWith(`${place}.`));
        expect(listed, `${place} took ${String(value)}; gaps: ${JSON.stringify(table.gaps)}`).toBe(true);
        if (place === "field") expect(invalid, "is said to be refused").not.toContain(value);
      }
    }
  });
});

describe("a row that is one of several", () => {
  const run = defineTable({
    name: "several",
    schema: z.discriminatedUnion("status", [
      z.object({ status: z.literal("open"), note: z.string().max(3).optional() }),
      z.object({ status: z.enum(["done", "won"]), output: z.int(), note: z.string().max(5) }),
    ]),
  });
  beforeAll(() => db.transaction(generatedStatements(tableTexts(run.name, run.definition))));

  test.each([
    { status: "open" },
    { status: "open", note: "abc" },
    { status: "won", output: 1, note: "abcde" },
  ] as const)("may be %j", async (value) => {
    const { id: _id, ...kept } = run.parse(
      await db.query(surql`CREATE ONLY several CONTENT ${run.serialise(value)}`),
    );
    expect(kept).toStrictEqual(value);
  });

  test.each([
    { status: "open", output: 1 },
    { status: "open", note: "abcde" },
    { status: "done", note: "abc" },
    { status: "done", output: 1 },
    { status: "done", output: 1, note: "abcdef" },
    { status: "lost" },
    {},
  ])("is never %j, whoever writes it", async (value) => {
    expect(await isTaken(run as never, value)).toBe(false);
  });
});

describe("rows of which some variants are looser than others", () => {
  const loose = defineTable({
    name: "looser",
    schema: z.discriminatedUnion("t", [
      z.object({ t: z.literal("defaults"), note: z.string().default("x"), any: z.unknown() }),
      z.looseObject({ t: z.literal("open") }),
      z.object({ t: z.literal("bare"), n: z.bigint() }),
      z.object({ t: z.literal("list"), any: z.array(z.unknown()), n: z.int() }),
    ]),
  });
  beforeAll(() => db.transaction(generatedStatements(tableTexts(loose.name, loose.definition))));

  test.each([
    { t: "defaults", note: "y", any: undefined },
    { t: "defaults", note: "y", any: { a: [1] } },
    { t: "open", n: "of any kind", note: 1, more: [{ x: 1 }] },
    { t: "bare", n: 5n },
    { t: "list", any: [{ a: 1 }], n: 5 },
  ] as const)("take %o and give it back", async (value) => {
    const row = await db.query(surql`CREATE ONLY looser CONTENT ${loose.serialise(value as never)}`);
    const { id: _id, ...kept } = loose.parse(row);
    expect(kept).toStrictEqual(value);
  });
});

type Row = Record<string, unknown>;

test("there are at least 60 shapes", () => {
  expect(Object.keys(corpus).length).toBeGreaterThanOrEqual(60);
});

test("a table without types has none in the database, and an index over its key is one over the id", async () => {
  const table = defineTable({
    name: "hot",
    schema: z.object({ place: z.int(), group: z.string().optional(), note: z.string() }),
    key: "place",
    types: false,
    indexes: { byGroup: unique("group", "place") },
  });
  expect(table.gaps).toEqual([{ path: "", what: "everything" }]);
  expect(table.definition).toMatchObject({
    clause: expect.stringContaining("SCHEMALESS") as unknown,
    fields: {},
    indexes: { byGroup: { fields: ["group", "id"], clause: "UNIQUE" } },
  });
  await db.transaction(generatedStatements(tableTexts("hot", table.definition)));
  const rows = [1, 2, 3].map((place) => table.serialise({ place, group: "a", note: "x" }));
  await db.query(surql`INSERT INTO hot ${rows}`);
  const [row] = await db.query(surql<unknown[]>`SELECT * FROM hot WHERE group = "a" AND id > hot:1 LIMIT 1`);
  expect(table.parse(row)).toEqual({ place: 2, group: "a", note: "x" });
  expect(() => table.serialise({ place: 4, note: 5 as never })).toThrow("note");
});

test("an index over what is no field is refused in a table without types too", () => {
  expect(() =>
    defineTable({
      name: "hot",
      schema: z.object({ a: z.string() }),
      types: false,
      indexes: { wrong: unique("b" as never) },
    }),
  ).toThrow(expect.objectContaining({ code: "schema.bad_table" }));
});

test("control: without asserts the database takes what it should not", async () => {
  await sabotage("a table without asserts", async () => {
    const table = defineTable({ name: "bare", asserts: false, schema: z.object({ n: z.int().min(1) }) });
    await db.transaction(generatedStatements(tableTexts(table.name, table.definition)));
    expect(await isTaken(table as never, { n: 0 })).toBe(false);
  });
});
