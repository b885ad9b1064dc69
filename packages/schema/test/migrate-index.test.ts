// An index that a migration makes is right, though the engine makes it of what was committed before.

import { surql, type Database } from "@sentient/db-pool";
import { describe, expect, test } from "vitest";
import { migrate, migrationStatus } from "../src/migrate.ts";
import { defineMigration } from "../src/migration.ts";
import { failureOf, freshDatabase, freshFolder } from "./support/migrate.ts";

const rows = defineMigration(
  1,
  "rows",
  "DEFINE TABLE p; FOR $i IN 0..5 { CREATE type::record('p', $i) SET n = $i, body = 'engines run' };",
);
const [moved, index] = ["UPDATE p SET n += 1000;", "DEFINE INDEX byN ON p FIELDS n UNIQUE;"];

/** Whether who asks the index is told what who reads the rows is. */
async function expectSound(db: Database): Promise<void> {
  for (const n of [1, 2, 3, 1001, 1002, 1003]) {
    const asked = await db.query(surql<unknown[]>`SELECT VALUE n FROM p WHERE n = ${n}`);
    const read = await db.query(surql<unknown[]>`SELECT VALUE n FROM p WITH NOINDEX WHERE n = ${n}`);
    expect(asked, `rows with n = ${n}`).toEqual(read);
  }
}

describe.each(["mem", "surrealkv", "rocksdb"])("on %s", (engine) => {
  const open = async () =>
    freshDatabase({ url: engine === "mem" ? "mem://" : `${engine}://${await freshFolder()}/data` });

  test.each([
    ["rows change before it is made", moved + index],
    ["rows change after it was made", index + moved],
    ["rows change before and after", moved + index + "UPDATE p SET n -= 1;"],
    ["it is made again", index + moved + "REBUILD INDEX byN ON p;"],
  ])("where %s", async (_what, text) => {
    const db = await open();
    const { applied } = await migrate(db, { migrations: [rows, defineMigration(2, "change", text)] });
    expect(applied).toHaveLength(2);
    await expectSound(db);
  });

  test("defect: made in one transaction with a change of rows it is wrong, and nothing says so", async () => {
    const db = await open();
    await migrate(db, { migrations: [rows] });
    await db.transaction([surql`UPDATE p SET n += 1000`, surql`DEFINE INDEX byN ON p FIELDS n UNIQUE`]);
    await expect(expectSound(db)).rejects.toThrow("rows with n =");
  });

  test("of words, with its analyzer, on a table that has rows", async () => {
    const db = await open();
    const text = `DEFINE ANALYZER en TOKENIZERS blank FILTERS snowball(english);
      DEFINE INDEX words ON p FIELDS body FULLTEXT ANALYZER en BM25(1.2,0.75);`;
    const migrations = [rows, defineMigration(2, "words", text)];
    const { notes } = await migrate(db, { migrations, dryRun: true });
    expect(notes).toEqual([expect.stringContaining("1 of the indexes")]);
    await migrate(db, { migrations });
    expect(await db.query(surql`SELECT VALUE id FROM p WHERE body @@ "engine"`)).toHaveLength(5);
  });
});

test("what stands before an index that cannot be made is said, and the rest can be mended", async () => {
  const db = await freshDatabase();
  const broken = [rows, defineMigration(2, "same", "UPDATE p SET n = 7;" + index)];
  const failure = await failureOf(() => migrate(db, { migrations: broken }));
  expect(failure.message).toContain("its first statement stands");
  expect((await migrationStatus(db, { migrations: broken })).pending).toMatchObject([{ number: 2, done: 1 }]);
  const mended = [rows, defineMigration(2, "same", "UPDATE p SET n = 7; DEFINE INDEX byN ON p FIELDS n;")];
  expect((await migrate(db, { migrations: mended })).applied).toMatchObject([{ number: 2 }]);
});

test("a LET that an index would part from its use is refused", () => {
  const text = "LET $n = 1; UPDATE p SET n = $n;" + index + "UPDATE p SET n = $n;";
  expect(() => defineMigration(1, "let", text)).toThrow(
    expect.objectContaining({ code: "schema.bad_migration" }),
  );
});
