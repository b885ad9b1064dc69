// Changing the rows of a table: each once, whatever comes between.

import { RecordId, surql, Uuid, type Database } from "@sentient/db-pool";
import { sabotage } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { migrate, migrationStatus } from "../src/migrate.ts";
import type { MigrationProgress } from "../src/migrate-apply.ts";
import type { Queries } from "../src/migrate-history.ts";
import {
  defineDataMigration,
  defineMigration,
  type DataMigration,
  type RowChange,
} from "../src/migration.ts";
import { failureOf, freshDatabase, intercepted } from "./support/migrate.ts";
import { isPart } from "./support/migrate-part.ts";

type Key = string | number | Uuid | unknown[] | Record<string, unknown>;

const ROWS = 10;
const numbers = Array.from({ length: ROWS }, (_, i) => i);

/** Not idempotent: a row that is changed twice is found out. */
const addOne: RowChange = (row) => ({ n: (row.n as number) + 1 });

function counting(change: RowChange = addOne, batchSize = 4): DataMigration {
  return defineDataMigration({ number: 1, name: "counting", table: "thing", batchSize, change });
}

async function thingsWith(keys: readonly Key[]): Promise<Database> {
  const db = await freshDatabase();
  const rows = keys.map((key) => ({ id: new RecordId("thing", key as never), n: 0, kept: "as it is" }));
  await db.query(surql`DEFINE TABLE thing`);
  await db.query(surql`INSERT INTO thing ${rows}`);
  return db;
}

const countsOf = (db: Queries) => db.query(surql<number[]>`SELECT VALUE n FROM thing`);
const recordOf = (db: Queries) => db.query(surql<object>`SELECT * FROM ONLY schema_migration:["default", 1]`);
const allOnce = numbers.map(() => 1);

test("rows are changed batch by batch, other fields are kept, and each batch is told of", async () => {
  const db = await thingsWith(numbers);
  const progress: MigrationProgress[] = [];
  const report = await migrate(db, { migrations: [counting()], onProgress: (step) => progress.push(step) });
  expect(report.applied).toMatchObject([{ number: 1, name: "counting", rows: ROWS }]);
  expect(await countsOf(db)).toEqual(allOnce);
  expect(await db.query(surql`SELECT VALUE kept FROM thing GROUP BY kept`)).toEqual(["as it is"]);
  const named = { number: 1, name: "counting" };
  expect(progress).toEqual([
    { ...named, state: "started", done: 0 },
    { ...named, state: "under_way", done: 4, total: ROWS },
    { ...named, state: "under_way", done: 8, total: ROWS },
    { ...named, state: "applied", done: ROWS, total: ROWS },
  ]);
  expect(await recordOf(db)).toMatchObject({ state: "applied", done: ROWS });
  expect(await recordOf(db)).not.toHaveProperty("cursor");
});

test("a table without rows is done at once, a table that is not there is told of", async () => {
  const db = await thingsWith([]);
  const report = await migrate(db, { migrations: [counting()] });
  expect(report.applied).toMatchObject([{ number: 1, rows: 0 }]);
  const lost = defineDataMigration({ number: 2, name: "lost", table: "nowhere", change: addOne });
  const failure = await failureOf(() => migrate(db, { migrations: [counting(), lost] }));
  expect(failure).toMatchObject({
    code: "schema.migration_failed",
    message: "migration 0002_lost failed, and nothing of it was applied: The table 'nowhere' does not exist",
  });
});

test("rows are left alone for which the change is undefined", async () => {
  const db = await thingsWith(numbers);
  await migrate(db, {
    migrations: [counting((row) => ((row.id as RecordId).id === 7 ? { n: 70 } : undefined))],
  });
  expect(await countsOf(db)).toEqual(numbers.map((i) => (i === 7 ? 70 : 0)));
});

test("a schema that changes before and after it is seen by it", async () => {
  const db = await freshDatabase();
  const migrations = [
    defineMigration(
      1,
      "people",
      `DEFINE TABLE person SCHEMAFULL; DEFINE FIELD first ON person TYPE string; DEFINE FIELD last ON person TYPE string;
       CREATE person:1 SET first = "Ada", last = "Lovelace"; CREATE person:2 SET first = "Alan", last = "Turing"`,
    ),
    defineMigration(2, "name", "DEFINE FIELD name ON person TYPE option<string>"),
    defineDataMigration({
      number: 3,
      name: "full_names",
      table: "person",
      change: ({ first, last }) => ({ name: `${first} ${last}` }),
    }),
    defineMigration(
      4,
      "one_name",
      `REMOVE FIELD first ON person; REMOVE FIELD last ON person; UPDATE person UNSET first, last;
       DEFINE FIELD OVERWRITE name ON person TYPE string`,
    ),
  ];
  await migrate(db, { migrations });
  expect(await db.query(surql`SELECT * OMIT id FROM person`)).toEqual([
    { name: "Ada Lovelace" },
    { name: "Alan Turing" },
  ]);
});

describe("a migration that stops after the first batch goes on from there, with keys that are", () => {
  const uuids = numbers.map((i) => new Uuid(`0199a4f0-0000-7000-8000-00000000000${i}`));
  const keys: [string, Key[]][] = [
    ["integers", [-3, -1, 0, 1, 2, 10, 100, 2 ** 40, 2 ** 50, Number.MAX_SAFE_INTEGER]],
    ["strings", ["", "0", "10", "9", "A", "a", "a b", "é", "⟩", "\u{1F600}"]],
    ["uuids", uuids],
    ["arrays", numbers.map((i) => [i % 2 ? "odd" : "even", i])],
    ["objects", numbers.map((i) => ({ at: i, of: "it" }))],
    ["of every kind", [1, 2, "a", "b", uuids[0]!, uuids[1]!, ["a"], ["a", 1], { a: 1 }, { b: 1 }]],
  ];

  test.each(keys)("%s", async (_kind, keys) => {
    const db = await thingsWith(keys);
    const stop = new AbortController();
    const cancelled = migrate(db, {
      migrations: [counting()],
      signal: stop.signal,
      onProgress: ({ done }) => done === 4 && stop.abort(),
    });
    expect((await failureOf(() => cancelled)).code).toBe("schema.cancelled");
    expect(await countsOf(db)).toEqual([1, 1, 1, 1, 0, 0, 0, 0, 0, 0]);
    const { pending } = await migrationStatus(db, { migrations: [counting()] });
    expect(pending).toEqual([{ number: 1, name: "counting", kind: "data", done: 4 }]);
    const progress: string[] = [];
    await migrate(db, {
      migrations: [counting()],
      onProgress: ({ done, total }) => progress.push(`${done}/${total}`),
    });
    expect(progress).toEqual(["4/undefined", "8/10", "10/10"]);
    expect(await countsOf(db)).toEqual(allOnce);
  });
});

test("a change that throws names its row, and may be mended: the batches before it stand", async () => {
  const db = await thingsWith(numbers);
  const touchy: RowChange = (row) => {
    if ((row.id as RecordId).id === 6) throw new Error("six is odd");
    return addOne(row);
  };
  const failure = await failureOf(() => migrate(db, { migrations: [counting(touchy)] }));
  expect(failure).toMatchObject({
    code: "schema.migration_failed",
    outcome: "not_applied",
    message: "migration 0001_counting failed at thing:6, and its first 4 rows stand: six is odd",
    details: { number: 1, done: 4, row: "thing:6" },
    cause: { message: "six is odd" },
  });
  expect(await countsOf(db)).toEqual(numbers.map((i) => (i < 4 ? 1 : 0)));
  await migrate(db, { migrations: [counting(addOne)] });
  expect(await countsOf(db)).toEqual(allOnce);
});

test("a change that the schema refuses takes its whole batch back", async () => {
  const db = await thingsWith(numbers);
  await db.query(surql`DEFINE FIELD n ON thing TYPE int ASSERT $value < 5`);
  const tooMuch: RowChange = (row) => ({ n: (row.id as RecordId).id === 6 ? 50 : 1 });
  const failure = await failureOf(() => migrate(db, { migrations: [counting(tooMuch)] }));
  expect(failure).toMatchObject({
    message: expect.stringMatching(
      /^migration 0001_counting failed, and its first 4 rows stand: Found 50 for field/,
    ),
    cause: { code: "db.invalid_field" },
  });
  expect(await countsOf(db)).toEqual(numbers.map((i) => (i < 4 ? 1 : 0)));
});

test("a change that cannot be stored is refused, naming what", async () => {
  const db = await thingsWith(numbers);
  const failure = await failureOf(() => migrate(db, { migrations: [counting(() => ({ n: () => 1 }))] }));
  expect(failure).toMatchObject({ code: "schema.migration_failed", cause: { code: "db.unencodable" } });
});

test("rows that vanish meanwhile are passed over, and do not come back", async () => {
  const db = await thingsWith(numbers);
  const vanishing = intercepted(db, async (statements, send) => {
    // The row 1 was read for this batch; the row 9 was not, but its id was.
    if (isPart(statements)) await db.query(surql`DELETE thing:1, thing:9`);
    return send(statements);
  });
  const report = await migrate(vanishing, { migrations: [counting()] });
  expect(report.applied).toMatchObject([{ rows: ROWS }]);
  expect(await countsOf(db)).toEqual(numbers.slice(2).map(() => 1));
});

describe("a batch that did not commit", () => {
  type Lose = (db: Database) => Queries;

  /** The second batch is lost on its way, the program with it; the next one goes on. */
  const atOnce: Lose = (db) => {
    let parts = 0;
    return intercepted(db, (statements, send) => {
      if (isPart(statements) && ++parts === 2) throw new Error("killed");
      return send(statements);
    });
  };

  /** As it would be if the place were written after the rows, in a transaction of its own. */
  const betweenRowsAndPlace: Lose = (db) => {
    let parts = 0;
    return intercepted(db, async (statements, send) => {
      if (isPart(statements) && ++parts === 2) {
        await send(statements.slice(0, -1));
        throw new Error("killed");
      }
      return send(statements);
    });
  };

  async function expectOnceThrough(lose: Lose): Promise<void> {
    const db = await thingsWith(numbers);
    const calls = new Map<string, number>();
    const counted = counting((row) => {
      calls.set(String(row.id), (calls.get(String(row.id)) ?? 0) + 1);
      return addOne(row);
    });
    await expect(migrate(lose(db), { migrations: [counted] })).rejects.toThrow("killed");
    await migrate(db, { migrations: [counted] });
    expect(await countsOf(db)).toEqual(allOnce);
    // Asked again for the batch that was lost, never for one that committed.
    expect([...calls.values()]).toEqual([1, 1, 1, 1, 2, 2, 2, 2, 1, 1]);
  }

  test("is changed once by the next run (B2)", async () => {
    await expectOnceThrough(atOnce);
  });

  test("the check fails when rows and place do not commit together (control)", async () => {
    const failure = await sabotage("two transactions", () => expectOnceThrough(betweenRowsAndPlace));
    expect(failure).toMatchObject({ name: "AssertionError", actual: [1, 1, 1, 1, 2, 2, 2, 2, 1, 1] });
  });
});
