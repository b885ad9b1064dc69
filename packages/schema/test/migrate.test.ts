// Migrating a store: what is applied, and what is refused.

import { surql } from "@sentient/db-pool";
import { describe, expect, test } from "vitest";
import { migrate, migrationStatus, type MigrateOptions } from "../src/migrate.ts";
import { defineDataMigration, defineMigration } from "../src/migration.ts";
import { all, numbersOf, once, people, visits, visitsOf } from "./fixtures/migrate-people.ts";
import { contentsOf, failureOf, freshDatabase, freshFolder } from "./support/migrate.ts";

describe.each(["rocksdb", "mem", "surrealkv"])("on %s", (engine) => {
  const fresh = async () => {
    if (engine === "rocksdb") return freshDatabase();
    return freshDatabase({ url: engine === "mem" ? "mem://" : `surrealkv://${await freshFolder()}` });
  };

  test("the migrations are applied in their order, and the report tells of each", async () => {
    const db = await fresh();
    const seen: string[] = [];
    const report = await migrate(db, {
      migrations: all,
      onProgress: ({ state, number, done, total }) => seen.push(`${number} ${state} ${done}/${total}`),
    });
    expect(report).toMatchObject({ already: 0, pending: [], notes: [] });
    expect(report.applied.map(({ number, name }) => [number, name])).toEqual([
      [1, "people"],
      [2, "visits"],
      [3, "once"],
    ]);
    expect(report.applied.every(({ took, appliedAt }) => took >= 0 && appliedAt instanceof Date)).toBe(true);
    expect(seen).toEqual([
      "1 started 0/undefined",
      "1 applied 3/3",
      "2 started 0/undefined",
      "2 applied 2/2",
      "3 started 0/undefined",
      "3 applied 1/1",
    ]);
    expect(await visitsOf(db)).toBe(1);
  });

  test("a second run does nothing", async () => {
    const db = await fresh();
    await migrate(db, { migrations: all });
    const before = await contentsOf(db);
    expect(await migrate(db, { migrations: all })).toEqual({
      applied: [],
      already: 3,
      pending: [],
      notes: [],
    });
    expect(await contentsOf(db)).toEqual(before);
  });

  test("a run up to one migration leaves those after it pending, and a later run applies them", async () => {
    const db = await fresh();
    const first = await migrate(db, { migrations: all, to: 2 });
    expect(numbersOf(first.applied)).toEqual([1, 2]);
    expect(first.pending).toEqual([{ number: 3, name: "once", kind: "surql", done: 0 }]);
    expect(numbersOf((await migrate(db, { migrations: all })).applied)).toEqual([3]);
  });

  test("of ten that start at once on one store, one applies each migration and all return", async () => {
    const db = await fresh();
    const reports = await Promise.all(
      Array.from({ length: 10 }, () => migrate(db, { migrations: all, lease: 2_000 })),
    );
    expect(reports.flatMap(({ applied }) => numbersOf(applied)).sort((a, b) => a - b)).toEqual([1, 2, 3]);
    expect(reports.every(({ applied, already }) => applied.length + already === 3)).toBe(true);
    expect(await visitsOf(db)).toBe(1);
  });

  test("a statement that fails takes its whole migration back, and says which it was", async () => {
    const db = await fresh();
    const bad = defineMigration(
      2,
      "bad",
      `DEFINE TABLE half; CREATE half:1; INSERT INTO person { id: "ada", name: "" }; CREATE half:2`,
    );
    await migrate(db, { migrations: [people] });
    const before = await contentsOf(db);
    const failure = await failureOf(() => migrate(db, { migrations: [people, bad] }));
    expect(failure).toMatchObject({
      code: "schema.migration_failed",
      outcome: "not_applied",
      message:
        "migration 0002_bad failed at statement 3, and nothing of it was applied: Database record `person:ada` already exists",
      details: {
        number: 2,
        name: "bad",
        done: 0,
        statement: { index: 2, text: `INSERT INTO person { id: "ada", name: "" }` },
      },
      cause: { code: "db.already_exists" },
    });
    expect(await contentsOf(db)).toEqual(before);
  });

  test("a dry run leaves nothing behind, not even in an empty store", async () => {
    const db = await fresh();
    const before = await contentsOf(db);
    const report = await migrate(db, { migrations: all, dryRun: true });
    expect(report).toMatchObject({ applied: [], already: 0, notes: [] });
    expect(numbersOf(report.pending)).toEqual([1, 2, 3]);
    expect(await contentsOf(db)).toEqual(before);
  });
});

describe("two programs in one database", () => {
  test("have a history each, and never mistake one for the other", async () => {
    const db = await freshDatabase();
    const theirs = [defineMigration(1, "theirs", "DEFINE TABLE theirs;")];
    await migrate(db, { migrations: all });
    expect((await migrate(db, { migrations: theirs, history: "theirs" })).applied).toMatchObject([
      { name: "theirs" },
    ]);
    expect((await migrate(db, { migrations: all })).already).toBe(all.length);
    expect((await migrationStatus(db, { migrations: theirs, history: "theirs" })).pending).toEqual([]);
    const older = await failureOf(() => migrate(db, { migrations: [], history: "theirs" }));
    expect(older.code).toBe("schema.store_newer");
    const nameless = await failureOf(() => migrate(db, { migrations: [], history: "" }));
    expect(nameless.code).toBe("schema.bad_migration");
  });
});

describe("the fast path", () => {
  test("asks once and writes nothing when nothing is pending (M5)", async () => {
    const db = await freshDatabase();
    await migrate(db, { migrations: all });
    const asked: string[] = [];
    db.on("query", ({ text }) => asked.push(text));
    await migrate(db, { migrations: all });
    expect(asked).toEqual(["SELECT * FROM $_0"]);
  });

  test("an empty list of migrations is nothing to do", async () => {
    const db = await freshDatabase();
    expect(await migrate(db, { migrations: [] })).toEqual({
      applied: [],
      already: 0,
      pending: [],
      notes: [],
    });
  });
});

describe("the status", () => {
  test("tells what is applied and what is pending, and writes nothing", async () => {
    const db = await freshDatabase();
    const empty = await contentsOf(db);
    expect(await migrationStatus(db, { migrations: all })).toMatchObject({
      applied: [],
      pending: [{}, {}, {}],
    });
    expect(await contentsOf(db)).toEqual(empty);
    await migrate(db, { migrations: all, to: 1 });
    const status = await migrationStatus(db, { migrations: all });
    expect(numbersOf(status.applied)).toEqual([1]);
    expect(numbersOf(status.pending)).toEqual([2, 3]);
  });
});

describe("what is refused before anything is changed (M2)", () => {
  const renamed = defineMigration(2, "callers", visits.text);
  const edited = defineMigration(2, "visits", `${visits.text} DELETE person;`);
  const refusals: [string, MigrateOptions, string, RegExp][] = [
    [
      "an edited past",
      { migrations: [people, edited, once] },
      "schema.migration_diverged",
      /0002_visits .*put it back/,
    ],
    [
      "a renamed past",
      { migrations: [people, renamed, once] },
      "schema.migration_diverged",
      /0002_callers .*0002_visits/,
    ],
    ["a store of a newer program", { migrations: [people] }, "schema.store_newer", /0002_visits .*knows 1/],
    [
      "a gap",
      { migrations: [people, once] },
      "schema.bad_migration",
      /0003_once does not follow 0001_people/,
    ],
    [
      "a wrong order",
      { migrations: [visits, people] },
      "schema.bad_migration",
      /0002_visits does not follow nothing/,
    ],
    ["an unknown target", { migrations: all, to: 4 }, "schema.bad_migration", /no migration 4/],
    ["a target below the first", { migrations: all, to: 0 }, "schema.bad_migration", /no migration 0/],
  ];

  test.each(refusals)("%s", async (_what, options, code, message) => {
    const db = await freshDatabase();
    await migrate(db, { migrations: [people, visits] });
    const before = await contentsOf(db);
    for (const dryRun of [false, true]) {
      const failure = await failureOf(() => migrate(db, { ...options, dryRun }));
      expect(failure).toMatchObject({
        code,
        message: expect.stringMatching(message),
        outcome: "not_applied",
      });
    }
    expect(await contentsOf(db)).toEqual(before);
  });

  test("the status refuses the same", async () => {
    const db = await freshDatabase();
    await migrate(db, { migrations: [people, visits] });
    const codes = [];
    for (const migrations of [[people, edited], [people], [people, once]])
      codes.push((await failureOf(() => migrationStatus(db, { migrations }))).code);
    expect(codes).toEqual(["schema.migration_diverged", "schema.store_newer", "schema.bad_migration"]);
  });

  test("a record that is missing between others", async () => {
    const db = await freshDatabase();
    await migrate(db, { migrations: all });
    await db.query(surql`DELETE schema_migration:["default", 2]`);
    const failure = await failureOf(() => migrate(db, { migrations: all }));
    expect(failure).toMatchObject({ code: "schema.migration_diverged", details: { number: 2 } });
    expect(await visitsOf(db)).toBe(1);
  });

  test("other line ends and other space at the end are no difference", async () => {
    const db = await freshDatabase();
    await migrate(db, { migrations: [people] });
    const checkedOut = defineMigration(1, "people", `${people.text.replaceAll("\n", "\r\n")}\r\n\r\n`);
    expect(await migrate(db, { migrations: [checkedOut] })).toMatchObject({ already: 1 });
  });
});

describe("a stepwise migration", () => {
  const text = (third: string) =>
    `-- A large one.\n-- sentient: stepwise\nUPDATE person SET visits += 10;\nUPDATE person SET visits += 100;\n${third}`;
  const stepwise = (third: string) => [people, visits, defineMigration(3, "large", text(third))];

  test("commits each statement, and goes on from the one that failed", async () => {
    const db = await freshDatabase();
    const failing = stepwise(`IF !(SELECT * FROM ONLY flag:up) { THROW "no flag" };`);
    await db.query(surql`DEFINE TABLE flag`);
    const failure = await failureOf(() => migrate(db, { migrations: failing }));
    expect(failure).toMatchObject({
      message: "migration 0003_large failed at statement 3, and its first 2 statements stand: no flag",
      details: { number: 3, done: 2, statement: { index: 2 } },
    });
    expect(await visitsOf(db)).toBe(110);
    expect((await migrationStatus(db, { migrations: failing })).pending).toMatchObject([
      { number: 3, done: 2 },
    ]);
    await db.query(surql`CREATE flag:up`);
    expect(numbersOf((await migrate(db, { migrations: failing })).applied)).toEqual([3]);
    expect(await visitsOf(db)).toBe(110);
  });

  test("may be mended where it has not run yet, and nowhere else", async () => {
    const db = await freshDatabase();
    await failureOf(() => migrate(db, { migrations: stepwise("CREATE person:ada;") }));
    const rewritten = defineMigration(3, "large", text("RETURN 1;").replace("+= 10;", "+= 20;"));
    const failure = await failureOf(() => migrate(db, { migrations: [people, visits, rewritten] }));
    expect(failure).toMatchObject({
      code: "schema.migration_diverged",
      message: expect.stringMatching(/its first 2 statements stand already/),
    });
    await migrate(db, { migrations: stepwise("UPDATE person SET visits += 1000;") });
    expect(await visitsOf(db)).toBe(1110);
    expect((await failureOf(() => migrate(db, { migrations: stepwise("RETURN 1;") }))).code).toBe(
      "schema.migration_diverged",
    );
  });

  test("may lose the statement that failed, and is applied then", async () => {
    const db = await freshDatabase();
    await failureOf(() => migrate(db, { migrations: stepwise("CREATE person:ada;") }));
    expect(numbersOf((await migrate(db, { migrations: stepwise("") })).applied)).toEqual([3]);
    expect(await visitsOf(db)).toBe(110);
  });

  test("ends between two statements when it is cancelled, and goes on with the next run", async () => {
    const db = await freshDatabase();
    const stop = new AbortController();
    const migrations = stepwise("UPDATE person SET visits += 1000;");
    const failure = await failureOf(() =>
      migrate(db, {
        migrations,
        signal: stop.signal,
        onProgress: ({ number, done }) => number === 3 && done === 1 && stop.abort(new Error("enough")),
      }),
    );
    expect(failure).toMatchObject({ code: "schema.cancelled", cause: { message: "enough" } });
    expect(await visitsOf(db)).toBe(10);
    await migrate(db, { migrations });
    expect(await visitsOf(db)).toBe(1110);
  });
});

describe("a failing text", () => {
  test("that SurrealDB cannot parse is found, and none of the migration was run", async () => {
    const db = await freshDatabase();
    const bad = defineMigration(4, "bad", "CREATE half; CREATE person SET name = ; CREATE half");
    for (const dryRun of [true, false]) {
      const failure = await failureOf(() => migrate(db, { migrations: [...all, bad], dryRun }));
      expect(failure).toMatchObject({
        code: "schema.migration_failed",
        message: expect.stringMatching(
          /^migration 0004_bad failed at statement 2, and nothing .*: Parse error/,
        ),
        details: { number: 4, statement: { index: 1, text: "CREATE person SET name =" } },
      });
    }
    expect((await migrationStatus(db, { migrations: all })).pending).toEqual([]);
  });

  test("is found by a dry run, with the numbers of its own file", async () => {
    const db = await freshDatabase();
    const bad = defineMigration(4, "bad", "RETURN 1; CREATE person:ada");
    const failure = await failureOf(() => migrate(db, { migrations: [...all, bad], dryRun: true }));
    expect(failure).toMatchObject({
      message: expect.stringMatching(/^migration 0004_bad failed at statement 2, and nothing of it/),
      details: { number: 4, statement: { index: 1 } },
    });
  });

  test("after a data migration that a dry run leaves out is told of as one that may depend on it", async () => {
    const db = await freshDatabase();
    const change = () => ({ name: "Ida" });
    const names = defineDataMigration({ number: 2, name: "names", table: "person", change });
    const later = defineMigration(
      3,
      "later",
      `IF (SELECT VALUE name FROM ONLY person:ada) != "Ida" { THROW "not Ida" }`,
    );
    const harmless = defineMigration(3, "later", "RETURN 1");
    const note = "0002_names changes rows and was not tried, and 0003_later may depend on it";
    const report = await migrate(db, { migrations: [people, names, harmless], dryRun: true });
    expect(report.notes).toEqual([note]);
    const failure = await failureOf(() => migrate(db, { migrations: [people, names, later], dryRun: true }));
    expect(failure.message).toBe(
      `migration 0003_later failed at statement 1, and nothing of it was applied: not Ida (${note})`,
    );
    expect(await migrate(db, { migrations: [people, names, later] })).toMatchObject({
      notes: [],
      pending: [],
    });
  });
});

test("a function whose body returns is defined as it is written", async () => {
  const db = await freshDatabase();
  const text =
    "DEFINE FUNCTION fn::twice($n: int) { IF $n = 0 { RETURN 0 }; RETURN $n * 2; }; CREATE made:it;";
  await migrate(db, { migrations: [defineMigration(1, "twice", text)] });
  expect(await db.query(surql`RETURN fn::twice(4)`)).toBe(8);
  expect(await db.query(surql`SELECT VALUE id FROM made`)).toHaveLength(1);
});
