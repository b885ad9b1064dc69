// A record may be written as often as one likes in a transaction. With a field `id` in its table it may not: the defect is
// in db-pool/test/engine-trust/fields.test.ts.

import { surql, Uuid, type Database } from "@sentient/db-pool";
import { sabotage } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineTable, generate, migrate, readMigrations, uuid } from "../src/index.ts";
import { freshDatabase, freshFolder } from "./support/migrate.ts";

const personBy = (key: z.ZodType) =>
  defineTable({ name: "person", key: "key", schema: z.object({ key, n: z.int() }) });
type Person = ReturnType<typeof personBy>;

async function migrated(engine: string, person: Person): Promise<Database> {
  const db = await freshDatabase(engine === "rocksdb" ? {} : { url: engine });
  const folder = await freshFolder();
  await generate({ folder, tables: [person] });
  await migrate(db, { migrations: await readMigrations(folder) });
  return db;
}

/** Makes a record and changes it three times, all in one transaction. */
async function writeOften(db: Database, person: Person, key: unknown): Promise<void> {
  const record = person.record(key);
  await db.transaction([
    surql`CREATE person CONTENT ${person.serialise({ key, n: 1 })}`,
    surql`UPDATE ${record} SET n = 2`,
    surql`UPDATE ${record} CONTENT ${person.serialise({ key, n: 3 })}`,
    surql`UPSERT ${record} SET n += 1`,
  ]);
}

const KEYS: [what: string, schema: z.ZodType, key: unknown][] = [
  ["text", z.string().regex(/^[a-z]+$/), "ada"],
  ["an integer", z.int().min(1), 7],
  ["a uuid", uuid(), new Uuid("0190f5a0-7d3c-7000-8000-000000000001")],
  ["a tuple", z.tuple([z.string().min(1), z.int()]), ["ada", 7]],
];

describe.each(["mem://", "rocksdb"])("on %s a record", (engine) => {
  test.each(KEYS)("whose key is %s is made and changed in one transaction", async (_what, schema, key) => {
    const person = personBy(schema);
    expect(person.gaps).toEqual([{ path: "key", what: "what the key is" }]);
    const db = await migrated(engine, person);
    await writeOften(db, person, key);
    const rows = await db.query(surql<unknown[]>`SELECT * FROM person`);
    expect(rows.map((row) => person.parse(row))).toEqual([{ key, n: 4 }]);
  });

  test("control: with its key defined it is not", async () => {
    await sabotage("a definition of the key", async () => {
      const person = personBy(z.string());
      const db = await migrated(engine, person);
      await db.query(surql`DEFINE FIELD id ON person TYPE string`);
      await writeOften(db, person, "ada");
    });
  });
});
