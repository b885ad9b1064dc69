// From one set of tables to the next: what is written, what is asked, and that rows come along.

import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ident, surql, type Database } from "@sentient/db-pool";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import type { Definitions } from "../src/definition.ts";
import { defineFieldText } from "../src/generate-ddl.ts";
import { generatedStatements } from "../src/generate-statements.ts";
import {
  check,
  defineAnalyzer,
  defineTable,
  fullText,
  generate,
  generateEmpty,
  index,
  isGenerated,
  link,
  migrate,
  readMigrations,
  unique,
  vector,
  type AnyTable,
  type Decisions,
} from "../src/index.ts";
import { freshDatabase, freshFolder } from "./support/migrate.ts";

/** A folder and a database that follow the tables. */
async function following() {
  const folder = await freshFolder();
  const db = await freshDatabase();
  return {
    folder,
    db,
    /** Generates, migrates, and asks whether the database is what the tables say. */
    to: async (tables: AnyTable[], decisions?: Decisions): Promise<string> => {
      const made = await generate({ folder, tables, ...(decisions ? { decisions } : {}) });
      await migrate(db, { migrations: await readMigrations(folder) });
      expect(await check(db, tables)).toEqual([]);
      expect(await isGenerated({ folder, tables })).toBe(true);
      return made?.text ?? "";
    },
  };
}

/** Makes it what an earlier version may have left. */
async function editSnapshot(folder: string, edit: (definitions: Definitions) => void): Promise<void> {
  const file = join(folder, "snapshot.json");
  const snapshot = JSON.parse(await readFile(file, "utf8")) as { definitions: Definitions };
  edit(snapshot.definitions);
  await writeFile(file, JSON.stringify(snapshot));
}

const person = <Fields extends z.ZodRawShape>(fields: Fields) =>
  defineTable({ name: "person", schema: z.object(fields) });
const rows = (db: Database, table = "person") =>
  db.query(surql<Record<string, unknown>[]>`SELECT * FROM ${ident(table)}`);
const statementsOf = (text: string) =>
  text.split("\n").filter((line) => line !== "" && !line.startsWith("--"));

describe("the first migration", () => {
  test("defines every table with its fields, indexes and analyzers, and the second finds nothing to do", async () => {
    const english = defineAnalyzer({
      name: "english",
      tokenizers: ["blank", "class"],
      filters: ["lowercase", { snowball: "english" }],
    });
    const tables = [
      defineTable({
        name: "person",
        schema: z.object({ name: z.string(), email: z.email() }),
        indexes: { byEmail: unique("email"), byName: index("name") },
      }),
      defineTable({
        name: "post",
        schema: z.object({
          author: link("person"),
          body: z.string(),
          near: z.array(z.number()).length(3),
          at: z.date(),
        }),
        indexes: {
          text: fullText("body", { analyzer: english, highlights: true }),
          near: vector("near", { dimension: 3 }),
          byAuthor: index("author", "at"),
        },
        permissions: { select: "true", create: "$auth != NONE" },
        changefeed: { expiry: "3d", original: true },
        comment: "it's a post",
      }),
      defineTable({
        name: "wrote",
        schema: z.object({ since: z.date() }),
        relation: { in: "person", out: ["post"] },
      }),
    ];
    const { folder, db, to } = await following();
    const text = await to(tables);
    expect(text.match(/^DEFINE \w+/gm)).toEqual([
      "DEFINE ANALYZER",
      ...["TABLE", "FIELD", "FIELD", "INDEX", "INDEX"].map((what) => `DEFINE ${what}`),
      ...["TABLE", "FIELD", "FIELD", "FIELD", "FIELD", "INDEX", "INDEX", "INDEX"].map(
        (what) => `DEFINE ${what}`,
      ),
      ...["TABLE", "FIELD", "FIELD", "FIELD"].map((what) => `DEFINE ${what}`),
    ]);
    expect(await generate({ folder, tables })).toBeUndefined();
    await db.query(surql`CREATE person:ada CONTENT { name: "Ada", email: "ada@x.org" }`);
    await db.query(
      surql`CREATE post:1 CONTENT { author: person:ada, body: "running engines", near: [1, 0, 0], at: time::now() }`,
    );
    await db.query(surql`RELATE person:ada->wrote->post:1 SET since = time::now()`);
    expect(await db.query(surql`SELECT VALUE id FROM post WHERE body @@ "engine"`)).toHaveLength(1);
    expect(await db.query(surql`SELECT VALUE id FROM post WHERE near <|1,40|> [1, 0.1, 0]`)).toHaveLength(1);
    await expect(db.query(surql`RELATE person:ada->wrote->post:2 SET since = time::now()`)).rejects.toThrow(
      "does not exist",
    );
    await expect(
      db.query(surql`CREATE person CONTENT { name: "A", email: "ada@x.org" }`),
    ).rejects.toMatchObject({ code: "db.unique" });
  });

  test("lists what only zod checks beside the table it belongs to", async () => {
    const { to } = await following();
    const text = await to([
      person({
        nick: z
          .string()
          .trim()
          .refine((name) => name !== "root"),
      }),
    ]);
    expect(text).toContain("-- on parse only: nick: a refinement");
    expect(text).toContain("-- on parse only: nick: a change made on parse, such as trim()");
  });
});

describe("a change keeps the rows that are there", () => {
  test("a new optional field, a new index, a wider type touch no row", async () => {
    const { db, to } = await following();
    await to([person({ name: z.string(), age: z.int() })]);
    await db.query(surql`CREATE person CONTENT { name: "Ada", age: 36 }`);
    const text = await to([
      defineTable({
        name: "person",
        schema: z.object({ name: z.string().nullable(), age: z.int(), nick: z.string().optional() }),
        indexes: { byName: index("name") },
      }),
    ]);
    expect(text).not.toContain("UPDATE");
    expect(await rows(db)).toMatchObject([{ name: "Ada", age: 36 }]);
  });

  test("a new required field takes its default, or the value one gives", async () => {
    const { db, to } = await following();
    await to([person({ name: z.string() })]);
    await db.query(surql`CREATE person CONTENT { name: "Ada" }`);
    await to([person({ name: z.string(), role: z.string().default("guest"), length: z.int().readonly() })], {
      fill: { "person.length": "string::len(name)" },
    });
    expect(await rows(db)).toMatchObject([{ name: "Ada", role: "guest", length: 3 }]);
    await expect(db.query(surql`UPDATE person SET length = 4`)).rejects.toMatchObject({
      code: "db.invalid_field",
    });
  });

  test("a new required field without either is noted, works on an empty table, and elsewhere fails and changes nothing", async () => {
    const { db, folder, to } = await following();
    await to([person({ name: z.string() })]);
    await db.query(surql`CREATE person CONTENT { name: "Ada" }`);
    const made = await generate({ folder, tables: [person({ name: z.string(), age: z.int() })] });
    expect(made?.notes).toEqual([expect.stringContaining("person.age is new and required")]);
    const migrations = await readMigrations(folder);
    await expect(migrate(db, { migrations })).rejects.toMatchObject({ code: "schema.migration_failed" });
    expect(await check(db, [person({ name: z.string() })])).toEqual([]);
    const empty = await freshDatabase();
    expect((await migrate(empty, { migrations })).applied).toHaveLength(2);
  });

  test("a field is renamed with its values, an object too, and a readonly one stays so", async () => {
    const { db, to } = await following();
    await to([person({ name: z.string().readonly(), address: z.object({ city: z.string() }) })]);
    await db.query(surql`CREATE person CONTENT { name: "Ada", address: { city: "London" } }`);
    await to([person({ fullName: z.string().readonly(), home: z.object({ city: z.string() }) })], {
      rename: { "person.name": "person.fullName", "person.address": "person.home" },
    });
    const [row] = await rows(db);
    expect(row).toEqual({ id: expect.anything() as unknown, fullName: "Ada", home: { city: "London" } });
  });

  test("a field is dropped with its values, below another too", async () => {
    const { db, to } = await following();
    await to([
      person({ name: z.string(), tags: z.array(z.string()), at: z.object({ x: z.int(), y: z.int() }) }),
    ]);
    await db.query(surql`CREATE person CONTENT { name: "Ada", tags: ["a"], at: { x: 1, y: 2 } }`);
    await to([person({ name: z.string(), at: z.object({ x: z.int() }) })], {
      drop: ["person.tags", "person.at.y"],
    });
    expect(await rows(db)).toMatchObject([{ name: "Ada", at: { x: 1 } }]);
    await db.query(surql`UPDATE person SET name = "Ada L."`); // nothing left behind is in the way
  });

  test("another type takes the value one computes, and a list that is none any more leaves nothing behind", async () => {
    const { db, to } = await following();
    await to([person({ age: z.string(), tags: z.array(z.array(z.string())), at: z.object({ x: z.int() }) })]);
    await db.query(surql`CREATE person CONTENT { age: "36", tags: [["a", "b"]], at: { x: 1 } }`);
    await to([person({ age: z.int(), tags: z.string(), at: z.int() })], {
      fill: { "person.age": "<int>age", "person.tags": "tags[0][0]", "person.at": "at.x" },
    });
    expect(await rows(db)).toMatchObject([{ age: 36, tags: "a", at: 1 }]);
  });

  test("what no longer fits stops the migration, and nothing is changed", async () => {
    const { db, folder, to } = await following();
    const before = person({ age: z.int() });
    await to([before]);
    await db.query(surql`CREATE person CONTENT { age: -1 }`);
    await generate({ folder, tables: [person({ age: z.int().min(0) })] });
    const failed = migrate(db, { migrations: await readMigrations(folder) });
    await expect(failed).rejects.toMatchObject({
      code: "schema.migration_failed",
      message: expect.stringContaining("Found -1 for field `age`") as unknown,
    });
    expect(await check(db, [before])).toEqual([]);
  });

  const home = z.object({ city: z.string().default("Rome") });
  test.each<[string, z.ZodRawShape, z.ZodRawShape, object, object, Decisions?]>([
    [
      "an object is renamed that has defaults in it",
      { a: home },
      { b: home },
      { a: { city: "Paris" } },
      { b: { city: "Paris" } },
      { rename: { "person.a": "person.b" } },
    ],
    [
      "an object can no longer be null",
      { a: home.nullable() },
      { a: home },
      { a: { city: "Paris" } },
      { a: { city: "Paris" } },
    ],
    [
      "an object can be null",
      { a: home },
      { a: home.nullable() },
      { a: { city: "Paris" } },
      { a: { city: "Paris" } },
    ],
    [
      "a record becomes an object",
      { a: z.record(z.string(), z.string()) },
      { a: home },
      { a: { city: "Paris" } },
      { a: { city: "Paris" } },
    ],
    [
      "an object becomes a record",
      { a: home },
      { a: z.record(z.string(), z.string()) },
      { a: { city: "Paris" } },
      { a: { city: "Paris" } },
    ],
    [
      "an open object becomes one that can be null",
      { a: z.looseObject({ city: z.string() }) },
      { a: z.looseObject({ city: z.string() }).nullable() },
      { a: { city: "Paris", x: 1 } },
      { a: { city: "Paris", x: 1 } },
    ],
    [
      "a filled field has a value",
      { a: z.string().optional() },
      { a: z.string() },
      { a: "kept" },
      { a: "kept" },
      { fill: { "person.a": "'x'" } },
    ],
    [
      "a field that may be missing gets a default",
      { a: z.string().optional() },
      { a: z.string().default("x") },
      {},
      { a: "x" },
    ],
    [
      "what may be null gets a default",
      { a: z.string().nullish() },
      { a: z.string().nullable().default("x") },
      { a: null },
      { a: null },
    ],
    ["a new object has only what has defaults", {}, { a: home }, {}, { a: { city: "Rome" } }],
    [
      "a new field stands in what may be missing",
      { o: z.object({ c: z.int() }).optional() },
      { o: z.object({ c: z.int(), d: z.int().default(7) }).optional() },
      { o: { c: 1 } },
      { o: { c: 1, d: 7 } },
    ],
    [
      "nothing is made for the sake of a field in it",
      { o: z.object({ c: z.int() }).optional() },
      { o: z.object({ c: z.int(), d: z.int() }).optional() },
      {},
      {},
      { fill: { "person.o.d": "7" } },
    ],
    [
      "a field is moved out of an object",
      { o: z.object({ c: z.int(), d: z.int() }) },
      { o: z.object({ c: z.int() }), d: z.int() },
      { o: { c: 1, d: 2 } },
      { o: { c: 1 }, d: 2 },
      { rename: { "person.o.d": "person.d" } },
    ],
    [
      "a renamed field has a value, and a fill",
      { a: z.string().optional() },
      { b: z.string() },
      { a: "kept" },
      { b: "kept" },
      { rename: { "person.a": "person.b" }, fill: { "person.b": "'filled'" } },
    ],
    [
      "a renamed field has none, and a fill",
      { a: z.string().optional() },
      { b: z.string() },
      {},
      { b: "filled" },
      { rename: { "person.a": "person.b" }, fill: { "person.b": "'filled'" } },
    ],
    [
      "a renamed field has none, and a default",
      { a: z.string().optional() },
      { b: z.string().default("d") },
      {},
      { b: "d" },
      { rename: { "person.a": "person.b" } },
    ],
    [
      "a field in a renamed object has a fill",
      { a: z.object({ x: z.string().optional() }) },
      { b: z.object({ x: z.string() }) },
      { a: { x: "kept" } },
      { b: { x: "kept" } },
      { rename: { "person.a": "person.b" }, fill: { "person.b.x": "'filled'" } },
    ],
    [
      "a field is moved into a new object",
      { y: z.string().optional() },
      { a: z.object({ y: z.string().optional() }) },
      { y: "s" },
      { a: { y: "s" } },
      { rename: { "person.y": "person.a.y" } },
    ],
    [
      "a required field is moved into a new object",
      { y: z.string() },
      { a: z.object({ x: z.int().default(1), y: z.string() }) },
      { y: "s" },
      { a: { x: 1, y: "s" } },
      { rename: { "person.y": "person.a.y" } },
    ],
    [
      "an enum has fewer values",
      { a: z.enum(["x", "y", "z"]) },
      { a: z.enum(["x", "y"]) },
      { a: "y" },
      { a: "y" },
      { fill: { "person.a": "'x'" } },
    ],
    [
      "an enum has lost the value",
      { a: z.enum(["x", "y", "z"]) },
      { a: z.enum(["x", "y"]) },
      { a: "z" },
      { a: "x" },
      { fill: { "person.a": "'x'" } },
    ],
    [
      "a number has to be larger, and is",
      { a: z.int() },
      { a: z.int().min(3) },
      { a: 5 },
      { a: 5 },
      { fill: { "person.a": "3" } },
    ],
    [
      "a number has to be larger, and is not",
      { a: z.int() },
      { a: z.int().min(3) },
      { a: 1 },
      { a: 3 },
      { fill: { "person.a": "3" } },
    ],
    [
      "a text becomes one of some, and is",
      { a: z.string() },
      { a: z.enum(["x", "y"]) },
      { a: "y" },
      { a: "y" },
      { fill: { "person.a": "'x'" } },
    ],
    [
      "an object that may be missing is renamed and grows",
      { a: z.object({ x: z.int() }).optional() },
      { b: z.object({ x: z.int(), z: z.int().default(1) }).optional() },
      { a: { x: 5 } },
      { b: { x: 5, z: 1 } },
      { rename: { "person.a": "person.b" } },
    ],
    [
      "a readonly object grows",
      { a: z.object({ x: z.int() }).readonly() },
      { a: z.object({ x: z.int(), y: z.int().default(4) }).readonly() },
      { a: { x: 1 } },
      { a: { x: 1, y: 4 } },
    ],
    [
      "a readonly object shrinks",
      { a: z.object({ x: z.int(), y: z.int() }).readonly() },
      { a: z.object({ x: z.int() }).readonly() },
      { a: { x: 1, y: 4 } },
      { a: { x: 1 } },
      { drop: ["person.a.y"] },
    ],
    [
      "a renamed object loses a field",
      { a: z.object({ x: z.int(), y: z.int() }) },
      { b: z.object({ x: z.int() }) },
      { a: { x: 1, y: 2 } },
      { b: { x: 1 } },
      { rename: { "person.a": "person.b" }, drop: ["person.a.y"] },
    ],
    [
      "a field of a renamed object is renamed",
      { a: z.object({ x: z.int(), y: z.int() }) },
      { b: z.object({ x: z.int(), q: z.int() }) },
      { a: { x: 1, y: 2 } },
      { b: { x: 1, q: 2 } },
      { rename: { "person.a": "person.b", "person.a.y": "person.b.q" } },
    ],
    [
      "a field is saved from a dropped object",
      { a: z.object({ x: z.int(), y: z.int() }) },
      { y: z.int() },
      { a: { x: 1, y: 2 } },
      { y: 2 },
      { drop: ["person.a"], rename: { "person.a.y": "person.y" } },
    ],
  ])("where %s", async (_what, before, after, row, then, decisions) => {
    const { db, to } = await following();
    await to([person(before)]);
    await db.query(surql`CREATE person:1 CONTENT ${row}`);
    await to([person(after)], decisions);
    const [{ id: _id, ...kept }] = (await rows(db)) as [Record<string, unknown>];
    expect(kept).toEqual(then);
  });

  test("a table that is opened keeps what it has, and one that is closed asks each row", async () => {
    const { db, folder, to } = await following();
    const open = defineTable({
      name: "person",
      schema: z.looseObject({ a: z.string(), lang: z.string().default("en") }),
    });
    await to([person({ a: z.string(), b: z.int() })]);
    await db.query(surql`CREATE person CONTENT { a: "x", b: 1 }`);
    await to([open]);
    await db.query(surql`CREATE person CONTENT { a: "y", c: 1, lang: "de" }`);
    expect((await rows(db)).map(({ lang }) => String(lang)).toSorted()).toEqual(["de", "en"]);
    await generate({ folder, tables: [person({ a: z.string(), lang: z.string() })], decisions: {} });
    await expect(migrate(db, { migrations: await readMigrations(folder) })).rejects.toMatchObject({
      code: "schema.migration_failed",
    });
  });

  test.each<[string, z.ZodRawShape, z.ZodRawShape, object]>([
    [
      "an open object",
      { o: z.looseObject({ a: z.int() }) },
      { o: z.looseObject({ a: z.int(), b: z.string().optional() }) },
      { o: { a: 1, b: 5 } },
    ],
    [
      "a record",
      { r: z.record(z.string(), z.unknown()) },
      { r: z.record(z.string(), z.int().optional()) },
      { r: { m: "s" } },
    ],
  ])("a field that is named at last is asked of what was in %s", async (_what, before, after, row) => {
    const { db, folder, to } = await following();
    await to([person(before)]);
    await db.query(surql`CREATE person CONTENT ${row}`);
    await generate({ folder, tables: [person(after)] });
    await expect(migrate(db, { migrations: await readMigrations(folder) })).rejects.toMatchObject({
      code: "schema.migration_failed",
    });
  });

  test("a field that leaves a renamed object is asked for", async () => {
    const { folder, to } = await following();
    await to([person({ a: z.object({ x: z.int(), y: z.int() }) })]);
    const tables = [person({ b: z.object({ x: z.int() }) })];
    await expect(
      generate({ folder, tables, decisions: { rename: { "person.a": "person.b" } } }),
    ).rejects.toMatchObject({
      details: { questions: [expect.stringContaining("person.a.y is gone") as unknown] },
    });
  });

  test("a key of another type is no change, as what a key is, is left to zod", async () => {
    const { db, folder, to } = await following();
    await to([person({ id: z.string().max(3), n: z.int() })]);
    await db.query(surql`CREATE person:abc SET n = 1`);
    const after = person({ id: z.int(), n: z.int() });
    expect(await generate({ folder, tables: [after] })).toBeUndefined();
    const [row] = await rows(db);
    expect(() => after.parse(row)).toThrow("person:abc");
  });

  test.each<[what: string, id: z.ZodType, type: string, assert: string, key: unknown]>([
    ["text", z.string().max(9), "string", "string::len(record::id($value)) <= 9", "a"],
    ["a tuple", z.tuple([z.string(), z.int()]), "[string, int]", "record::id($value)[1] > 0", ["a", 1]],
  ])(
    "a key that an earlier version defined, %s, is so no more: rows stay, and take two writes in a transaction",
    async (_what, id, type, assert, key) => {
      const { db, folder, to } = await following();
      const before = person({ id, n: z.int() });
      await to([before]);
      const defined = { type: [type], assert };
      await db.transaction(generatedStatements([defineFieldText("person", "id", defined, "new")]));
      await editSnapshot(folder, ({ tables: { person: table } }) => (table!.fields.id = defined));
      const record = before.record(key);
      await db.query(surql`CREATE ${record} SET n = 1`);
      const twice = [surql`UPDATE ${record} SET n += 1`, surql`UPDATE ${record} SET n += 1`];
      await expect(db.transaction(twice)).rejects.toThrow("readonly");

      const after = person({ id, n: z.int().max(99) });
      expect(statementsOf(await to([after]))).toContain("REMOVE FIELD IF EXISTS id ON person;");
      await db.transaction(twice);
      expect((await rows(db)).map((row) => after.parse(row))).toEqual([{ id: key, n: 3 }]);
    },
  );

  test("an empty table may become one of edges", async () => {
    const { db, to } = await following();
    const node = defineTable({ name: "node", schema: z.object({}) });
    await to([node, defineTable({ name: "likes", schema: z.object({ at: z.date() }) })]);
    await to([
      node,
      defineTable({
        name: "likes",
        schema: z.object({ at: z.date() }),
        relation: { in: "node", out: "node" },
      }),
    ]);
    const id = await db.query(
      surql`RELATE (CREATE ONLY node)->likes->(CREATE ONLY node) SET at = time::now() RETURN VALUE id`,
    );
    expect(id).toHaveLength(1);
  });

  test("a table is dropped when one says so, and renamed by copying unless something links to it", async () => {
    const { db, folder, to } = await following();
    const note = (name: string) => defineTable({ name, schema: z.object({ text: z.string() }) });
    const linking = defineTable({ name: "fan", schema: z.object({ of: link("person") }) });
    await to([note("memo"), person({ name: z.string() }), linking]);
    await db.query(surql`CREATE memo:one CONTENT { text: "x" }`);
    const human = defineTable({ name: "human", schema: z.object({ name: z.string() }) });
    const linkingToHuman = defineTable({ name: "fan", schema: z.object({ of: link("human") }) });
    await expect(
      generate({
        folder,
        tables: [note("memo"), human, linkingToHuman],
        decisions: { rename: { person: "human" } },
      }),
    ).rejects.toMatchObject({
      code: "schema.decision_needed",
      message: expect.stringContaining("fan links to its records") as unknown,
    });
    await to([note("note"), person({ name: z.string() })], { rename: { memo: "note" }, drop: ["fan"] });
    expect(await rows(db, "note")).toMatchObject([{ text: "x" }]);
    expect(String((await rows(db, "note"))[0]!.id)).toBe("note:one");
  });

  test("an analyzer that changes is told of, and one that nothing uses goes", async () => {
    const { to } = await following();
    const doc = (stem: string) => {
      const analyzer = defineAnalyzer({
        name: "words",
        tokenizers: ["blank"],
        filters: [{ snowball: stem }],
      });
      return defineTable({
        name: "doc",
        schema: z.object({ body: z.string() }),
        indexes: { text: fullText("body", { analyzer }) },
      });
    };
    await to([doc("english")]);
    expect(await to([doc("german")])).toContain("note: analyzer words changed");
    expect(await to([defineTable({ name: "doc", schema: z.object({ body: z.string() }) })])).toContain(
      "REMOVE ANALYZER words;",
    );
  });

  test("from every state before, a store with rows reaches the last", async () => {
    const { folder, to } = await following();
    const history: { fields: z.ZodRawShape; decisions?: Decisions; row: object }[] = [
      { fields: { name: z.string() }, row: { name: "Ada" } },
      { fields: { name: z.string(), age: z.int().optional() }, row: { name: "Ada", age: 3 } },
      {
        fields: { name: z.string(), age: z.int().default(1) },
        row: { name: "Ada", age: 3 },
        decisions: { fill: { "person.age": "age ?? 1" } },
      },
      {
        fields: { title: z.string().max(10), age: z.int().default(1) },
        row: { title: "Ada", age: 3 },
        decisions: { rename: { "person.name": "person.title" } },
      },
      { fields: { title: z.string().max(10) }, row: { title: "Ada" }, decisions: { drop: ["person.age"] } },
    ];
    for (const { fields, decisions } of history) await to([person(fields)], decisions);
    const migrations = await readMigrations(folder);
    for (const [i, { row }] of history.entries()) {
      const db = await freshDatabase();
      await migrate(db, { migrations, to: i + 1 });
      await db.query(surql`CREATE person CONTENT ${row}`);
      await migrate(db, { migrations });
      expect(await check(db, [person(history.at(-1)!.fields)])).toEqual([]);
      expect((await rows(db)).map(person(history.at(-1)!.fields).parse)).toMatchObject([{ title: "Ada" }]);
    }
  });
});

describe("what could lose data is asked", () => {
  test.each([
    [
      "a field that is gone",
      [person({})],
      "person.name is gone: --drop person.name, or --rename person.name=person.<its new name>",
    ],
    ["a table that is gone", [], "table person is gone: --drop person, or --rename person=<its new name>"],
  ])("%s", async (_what, tables, question) => {
    const { folder, to } = await following();
    await to([person({ name: z.string() })]);
    const before = await readdir(folder);
    await expect(generate({ folder, tables })).rejects.toMatchObject({
      code: "schema.decision_needed",
      details: { questions: [question] },
    });
    expect(await readdir(folder)).toEqual(before);
  });

  test.each<[string, Decisions]>([
    ["drops what is there", { drop: ["person.name", "person.old"] }],
    ["renames to what is there already", { rename: { "person.old": "person.name" } }],
    ["renames into another table", { rename: { "person.old": "other.new" } }],
    ["gives two things one name", { rename: { "person.old": "person.x", "person.name": "person.x" } }],
    ["fills what did not change", { drop: ["person.old"], fill: { "person.name": "'x'" } }],
  ])("a decision that %s is refused", async (_what, decisions) => {
    const { folder, to } = await following();
    await to([person({ name: z.string(), old: z.string() })]);
    await expect(
      generate({ folder, tables: [person({ name: z.string() })], decisions }),
    ).rejects.toMatchObject({
      code: "schema.bad_table",
    });
  });
});

describe("the folder", () => {
  test("takes an empty migration for statements of one's own, and the next follows it", async () => {
    const { folder, db, to } = await following();
    await to([person({ name: z.string() })]);
    const { file } = await generateEmpty({ folder, name: "seed" });
    await writeFile(join(folder, file), 'CREATE person:ada CONTENT { name: "Ada" };\n', { flag: "a" });
    await to([person({ name: z.string(), age: z.int().optional() })]);
    expect((await readdir(folder)).sort()).toEqual([
      "0001_create_person.surql",
      "0002_seed.surql",
      "0003_add_person_age.surql",
      "snapshot.json",
    ]);
    expect(await rows(db)).toMatchObject([{ name: "Ada" }]);
  });

  test("whose snapshot is gone, broken, or of another state is refused", async () => {
    const { folder, to } = await following();
    const tables = [person({ name: z.string() })];
    await to(tables);
    const snapshot = join(folder, "snapshot.json");
    const text = await readFile(snapshot, "utf8");
    const again = () => generate({ folder, tables: [person({ name: z.int() })] });
    await writeFile(snapshot, "{ oh");
    await expect(again()).rejects.toMatchObject({ code: "schema.bad_snapshot" });
    await rm(snapshot);
    await expect(again()).rejects.toMatchObject({ code: "schema.bad_snapshot" });
    await writeFile(snapshot, text);
    await writeFile(join(folder, "0002_other.surql"), "RETURN 1;");
    await expect(again()).rejects.toMatchObject({ code: "schema.bad_snapshot" });
  });

  test("whose last migration was deleted generates it again, from what was before", async () => {
    const { folder, to } = await following();
    const [first, second] = [person({ a: z.string() }), person({ a: z.string(), b: z.int().optional() })];
    await to([first]);
    const mistaken = await generate({ folder, tables: [person({ a: z.string(), c: z.int().optional() })] });
    await rm(join(folder, mistaken!.file));
    expect(await isGenerated({ folder, tables: [first] })).toBe(true);
    expect((await generate({ folder, tables: [second] }))!.text).toContain("DEFINE FIELD b ON person");
    await rm(join(folder, "0001_create_person.surql"));
    await rm(join(folder, "0002_add_person_b.surql"));
    await expect(generate({ folder, tables: [second] })).rejects.toMatchObject({
      code: "schema.bad_snapshot",
    });
  });

  test("that is a file is refused in one sentence", async () => {
    const folder = join(await freshFolder(), "surql");
    await writeFile(folder, "");
    await expect(generate({ folder, tables: [] })).rejects.toMatchObject({
      code: "schema.bad_folder",
      message: `the folder of migrations ${folder} cannot be used: not a directory`,
    });
  });

  test("with a hole is refused, and says which", async () => {
    const { folder, to } = await following();
    await to([person({ a: z.int() })]);
    await to([person({ a: z.int(), b: z.int().optional() })]);
    await writeFile(join(folder, "0003_seed.ts"), "");
    await rm(join(folder, "0002_add_person_b.surql"));
    await expect(isGenerated({ folder, tables: [] })).rejects.toThrow("has no migration 2 and later ones");
  });

  test("does not mind in which order things are described", async () => {
    const { folder, to } = await following();
    const other = defineTable({ name: "other", schema: z.object({}) });
    await to([person({ a: z.string(), b: z.int() }), other]);
    const turned = [other, person({ b: z.int(), a: z.string() })];
    expect(await isGenerated({ folder, tables: turned })).toBe(true);
    expect(await generate({ folder, tables: turned })).toBeUndefined();
  });

  test("takes no name that it could not read again", async () => {
    const { folder } = await following();
    await expect(generate({ folder, tables: [person({})], name: "2024_x" })).rejects.toMatchObject({
      code: "schema.bad_migration",
    });
    expect(await readdir(folder)).toEqual([]);
  });

  test("holds nothing but what it says, whatever things are called", async () => {
    const { folder, db, to } = await following();
    const nasty = 'it\'s; "q" `b`\n--x\u2028\u0085{ } $v \\ ⟨⟩ /* //';
    const table = defineTable({
      name: "constructor",
      schema: z.object({
        [nasty]: z
          .enum([nasty, "none"])
          .default(nasty as never)
          .describe(nasty),
        toString: z.literal(nasty),
        o: z.object({ [nasty]: z.string().startsWith(nasty).optional() }).refine(() => true),
      }),
      comment: nasty,
    });
    await to([defineTable({ name: "toString", schema: z.object({}) }), table]);
    const value = { [nasty]: nasty, toString: nasty, o: { [nasty]: `${nasty}!` } };
    const row = await db.query(surql`CREATE ONLY constructor CONTENT ${table.serialise(value as never)}`);
    expect(table.parse(row)).toMatchObject(value);
    expect(await isGenerated({ folder, tables: [table] })).toBe(false);
  });

  test("writes the same text for the same tables", async () => {
    const texts = await Promise.all(
      [1, 2].map(async () => {
        const folder = await freshFolder();
        return (await generate({ folder, tables: [person({ a: z.string(), b: z.object({ c: z.int() }) })] }))!
          .text;
      }),
    );
    expect(texts[0]).toBe(texts[1]);
    expect(statementsOf(texts[0]!)).toEqual([
      "DEFINE TABLE person TYPE NORMAL SCHEMAFULL PERMISSIONS NONE;",
      "DEFINE FIELD a ON person TYPE string;",
      "DEFINE FIELD b ON person TYPE object;",
      "DEFINE FIELD b.c ON person TYPE int ASSERT $value >= -9007199254740991 AND $value <= 9007199254740991;",
    ]);
  });
});
