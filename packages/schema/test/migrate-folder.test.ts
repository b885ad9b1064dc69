// What a migration is, and how a folder of them is read.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { defineDataMigration, defineMigration, readMigrations, type Migration } from "../src/migration.ts";
import { failureOf, freshFolder } from "./support/migrate.ts";

describe("a folder of migrations", () => {
  const DATA = `import { defineDataMigration } from ${JSON.stringify(new URL("../src/migration.ts", import.meta.url).href)};`;
  const data = (number: number, name: string) =>
    `${DATA}\nexport default defineDataMigration({ number: ${number}, name: "${name}", table: "person", change: () => undefined });`;

  async function folderOf(files: Record<string, string>): Promise<string> {
    const folder = join(await freshFolder(), "migrations");
    await mkdir(folder);
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    return folder;
  }

  test("is read in order, whatever else lies in it", async () => {
    const folder = await folderOf({
      "0003_more.surql": "-- sentient: stepwise\nRETURN 3;",
      "0001_one.surql": "RETURN 1;",
      "0002_rows.ts": data(2, "rows"),
      "0002_rows.d.ts": "export {};",
      "snapshot.json": "{}",
      "README.md": "hello",
    });
    const fromPath = await readMigrations(folder);
    expect(fromPath).toMatchObject([
      { kind: "surql", number: 1, name: "one", text: "RETURN 1;", stepwise: false },
      { kind: "data", number: 2, name: "rows", table: "person", batchSize: 500 },
      { kind: "surql", number: 3, name: "more", stepwise: true },
    ]);
    expect(await readMigrations(pathToFileURL(folder))).toEqual(fromPath);
  });

  const one = { "0001_one.surql": "RETURN 1" };
  const bad: [string, Record<string, string>, RegExp][] = [
    [
      "a gap",
      { ...one, "0003_three.surql": "RETURN 3" },
      /^0003_three.surql does not follow 0001_one: 0002_… is missing/,
    ],
    ["a first that is not 1", { "0002_two.surql": "RETURN 2" }, /^0002_two.surql does not follow nothing/],
    [
      "a number used twice",
      { ...one, "0001_two.surql": "RETURN 2" },
      /^0001_two.surql has the number of 0001_one: make it 0002_…/,
    ],
    ["three digits", { "001_one.surql": "RETURN 1" }, /^001_one.surql is not named as a migration/],
    ["capital letters", { "0001_One.surql": "RETURN 1" }, /^0001_One.surql is not named/],
    ["another ending", { "0001_one.sql": "RETURN 1" }, /^0001_one.sql is not named/],
    ["no name", { "0001.surql": "RETURN 1" }, /^0001.surql is not named/],
    [
      "an empty file",
      { "0001_one.surql": "-- nothing\n" },
      /^migration 0001_one cannot be run: it holds no statement/,
    ],
    ["BEGIN", { "0001_one.surql": "BEGIN; RETURN 1; COMMIT" }, /0001_one .*BEGIN/],
    ["USE", { "0001_one.surql": "USE DB other" }, /0001_one .*USE/],
    [
      "an unknown directive",
      { "0001_one.surql": "-- sentient: stepwize\nRETURN 1" },
      /0001_one .*"sentient: stepwize"/,
    ],
    ["LET in a stepwise one", { "0001_one.surql": "-- sentient: stepwise\nLET $a = 1;" }, /0001_one .*LET/],
    ["a module without a migration", { "0001_one.mjs": "export default 1" }, /0001_one.mjs has no migration/],
    [
      "a module that fails",
      { "0001_one.mjs": "throw new Error('no')" },
      /0001_one cannot be imported from .*: no/,
    ],
    ["a module of another number", { "0001_one.ts": data(2, "one") }, /0001_one.ts calls itself 0002_one/],
    ["a module of another name", { "0001_one.ts": data(1, "two") }, /0001_one.ts calls itself 0001_two/],
  ];

  test.each(bad)("with %s is refused", async (_what, files, message) => {
    const folder = await folderOf(files);
    const failure = await failureOf(() => readMigrations(folder));
    expect(failure).toMatchObject({ code: "schema.bad_migration", message: expect.stringMatching(message) });
  });

  test("that is not there is refused", async () => {
    const failure = await failureOf(() => readMigrations("/nowhere/at/all"));
    expect(failure).toMatchObject({
      code: "schema.bad_migration",
      message: expect.stringMatching(/\/nowhere/),
    });
  });
});

describe("a description of a migration", () => {
  const bad: [string, () => Migration, RegExp][] = [
    ["number 0", () => defineMigration(0, "a", "RETURN 1"), /from 1 to 9999, not 0/],
    ["half a number", () => defineMigration(1.5, "a", "RETURN 1"), /not 1.5/],
    ["a name with its number", () => defineMigration(1, "0001_a", "RETURN 1"), /without its number/],
    ["a name in capitals", () => defineMigration(1, "A", "RETURN 1"), /small letters/],
    ["no rows a batch", () => rows({ batchSize: 0 }), /batchSize/],
    ["no table", () => rows({ table: "a b" }), /"a b" is not a table's name/],
  ];
  const rows = (more: object) =>
    defineDataMigration({ number: 1, name: "a", table: "t", change: () => undefined, ...more });

  test.each(bad)("with %s is refused", async (_what, define, message) => {
    const failure = await failureOf(define);
    expect(failure).toMatchObject({ code: "schema.bad_migration", message: expect.stringMatching(message) });
  });

  test("of rows is known by its name, table and version, not by its code", () => {
    const { checksum } = rows({});
    expect(rows({ change: () => ({ a: 1 }) }).checksum).toBe(checksum);
    for (const more of [{ version: 2 }, { table: "u" }, { name: "b" }])
      expect(rows(more).checksum).not.toBe(checksum);
  });
});
