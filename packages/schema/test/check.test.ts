// Drift: what a database has beside, or instead of, what the tables in code say.

import { openDatabase, serve, surql } from "@sentient/db-pool";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import {
  check,
  defineAnalyzer,
  defineTable,
  fullText,
  generate,
  index,
  migrate,
  readMigrations,
  type AnyTable,
} from "../src/index.ts";
import { freshDatabase, freshFolder } from "./support/migrate.ts";

const analyzer = defineAnalyzer({ name: "words", tokenizers: ["blank"], filters: ["lowercase"] });
const tables: AnyTable[] = [
  defineTable({
    name: "person",
    schema: z.object({
      name: z.string().max(9),
      tags: z.array(z.string()),
      at: z.object({ x: z.int() }).optional(),
    }),
    indexes: { byName: index("name"), text: fullText("name", { analyzer }) },
  }),
  defineTable({
    name: "knows",
    schema: z.object({ since: z.date() }),
    relation: { in: "person", out: "person" },
  }),
];

async function migrated(options = {}) {
  const db = await freshDatabase(options);
  const folder = await freshFolder();
  await generate({ folder, tables });
  await migrate(db, { migrations: await readMigrations(folder) });
  return db;
}

describe.each([{ url: "mem://" }, { url: "rocksdb" }])("on $url", ({ url }) => {
  const open = async () =>
    migrated(url === "rocksdb" ? { url: `rocksdb://${await freshFolder()}/data` } : { url });

  test("a database that was migrated has none, however often one asks, and asking leaves nothing behind", async () => {
    const db = await open();
    const before = await db.query(surql`INFO FOR DB STRUCTURE`);
    for (let i = 0; i < 3; i++) expect(await check(db, tables)).toEqual([]);
    expect(await db.query(surql`INFO FOR DB STRUCTURE`)).toEqual(before);
  });

  test("a database without the tables has none of them, and is told so", async () => {
    const db = await freshDatabase(url === "rocksdb" ? {} : { url });
    expect((await check(db, tables)).map(({ what, kind, name }) => `${what} ${kind} ${name}`)).toEqual([
      "missing analyzer words",
      "missing table person",
      "missing table knows",
    ]);
  });
});

test.each([
  [
    "a field that was added",
    surql`DEFINE FIELD extra ON person TYPE option<int>`,
    { what: "extra", kind: "field", table: "person", name: "extra" },
  ],
  [
    "a field that was removed",
    surql`REMOVE FIELD name ON person`,
    { what: "missing", kind: "field", table: "person", name: "name" },
  ],
  [
    "a field of another type",
    surql`DEFINE FIELD OVERWRITE name ON person TYPE int`,
    { what: "different", kind: "field", table: "person", name: "name" },
  ],
  [
    "a nested field that was loosened",
    surql`DEFINE FIELD OVERWRITE at.x ON person TYPE int`,
    { what: "different", kind: "field", table: "person", name: "at.x" },
  ],
  [
    "the items of a list",
    surql`DEFINE FIELD OVERWRITE tags.* ON person TYPE any`,
    { what: "different", kind: "field", table: "person", name: "tags.*" },
  ],
  [
    "an index that was removed",
    surql`REMOVE INDEX byName ON person`,
    { what: "missing", kind: "index", table: "person", name: "byName" },
  ],
  [
    "an index over something else",
    surql`DEFINE INDEX OVERWRITE byName ON person FIELDS tags`,
    { what: "different", kind: "index", table: "person", name: "byName" },
  ],
  [
    "an index that was added",
    surql`DEFINE INDEX mine ON person FIELDS name`,
    { what: "extra", kind: "index", table: "person", name: "mine" },
  ],
  [
    "a table that was opened",
    surql`DEFINE TABLE OVERWRITE person TYPE NORMAL SCHEMAFULL PERMISSIONS FULL`,
    { what: "different", kind: "table", name: "person" },
  ],
  [
    "a relation to elsewhere",
    surql`DEFINE TABLE OVERWRITE knows TYPE RELATION IN person OUT post SCHEMAFULL`,
    { what: "different", kind: "table", name: "knows" },
  ],
  ["a table that was removed", surql`REMOVE TABLE knows`, { what: "missing", kind: "table", name: "knows" }],
  ["a table that was added", surql`DEFINE TABLE mine`, { what: "extra", kind: "table", name: "mine" }],
  [
    "an analyzer that was changed",
    surql`DEFINE ANALYZER OVERWRITE words TOKENIZERS class`,
    { what: "different", kind: "analyzer", name: "words" },
  ],
])("%s is told", async (_what, change, drift) => {
  const db = await migrated();
  await db.query(change);
  expect(await check(db, tables)).toEqual(expect.arrayContaining([expect.objectContaining(drift)]));
});

test("an expected definition is told in the engine's words", async () => {
  const db = await migrated();
  await db.query(surql`DEFINE FIELD OVERWRITE name ON person TYPE int`);
  expect(await check(db, tables)).toEqual([
    expect.objectContaining({
      expected: expect.stringContaining('"kind":"string"') as unknown,
      found: expect.stringContaining('"kind":"int"') as unknown,
    }),
  ]);
});

test("tables that belong to others are drift unless one says that there are others", async () => {
  const db = await migrated();
  await db.transaction([surql`DEFINE TABLE theirs`, surql`DEFINE ANALYZER theirs TOKENIZERS blank`]);
  expect(await check(db, tables, { others: false })).toEqual([]);
  expect((await check(db, tables)).map(({ kind, name }) => `${kind} ${name}`)).toEqual([
    "analyzer theirs",
    "table theirs",
  ]);
  await db.query(surql`DEFINE FIELD extra ON person TYPE option<int>`);
  expect(await check(db, tables, { others: false })).toMatchObject([
    { what: "extra", kind: "field", name: "extra" },
  ]);
});

test("who may not define tables is told so, and nothing is guessed", async () => {
  const owner = await migrated();
  await using served = await serve(owner, { token: "a-token-of-this-test" });
  await owner.query(surql`DEFINE USER viewer ON DATABASE PASSWORD "hunter2" ROLES VIEWER`);
  const { namespace, database } = owner;
  await using db = await openDatabase({
    url: served.url,
    user: "viewer",
    password: "hunter2",
    signInAs: "database",
    namespace,
    database,
  });
  await expect(check(db, tables)).rejects.toMatchObject({ code: "db.denied" });
});
