// A transaction is all of its statements or none, whatever they are: SurrealDB ends one early at a RETURN, commits,
// and says nothing of what it left out.

import { describe, expect, test } from "vitest";
import { type Database, RecordId, type Statement, surql } from "../src/index.ts";
import { askEngine } from "./support/engine.ts";
import { failureOf } from "./support/failure.ts";
import { freshDatabase } from "./support/fresh.ts";

const first = surql`CREATE kept:first`;
const last = surql`CREATE kept:last`;

async function database(): Promise<Database> {
  const db = await freshDatabase();
  await db.query(surql`DEFINE TABLE kept`);
  return db;
}

const kept = (db: Database) => db.query(surql<string[]>`SELECT VALUE id.id() FROM kept`);

describe("a statement that returns early does not end the transaction:", () => {
  const contained: [Statement, unknown][] = [
    [surql`RETURN 5`, 5],
    [surql`RETURN ${{ a: [1] }}`, { a: [1] }],
    [surql`{ RETURN 1; CREATE kept:never }`, 1],
    [surql`{ LET $a = 2; RETURN $a }`, 2],
    [surql`{ IF true { RETURN 3 }; CREATE kept:never }`, 3],
    [surql`{ FOR $i IN [4] { RETURN $i }; CREATE kept:never }`, 4],
    [surql`IF true { RETURN 4 }`, 4],
    [surql`IF false { RETURN 4 } ELSE { RETURN 5 }`, 5],
    [surql`IF true THEN RETURN 6 END`, 6],
    [surql`FOR $i IN [6, 7] { RETURN $i }`, 6],
    [surql`FOR $i IN [6, 7] { BREAK }`, undefined],
    [surql`UPDATE ONLY kept:first SET a = { RETURN 15 } RETURN VALUE a`, 15],
    [surql`LET $after = (UPDATE kept:first SET a = { b: 1 } RETURN AFTER)`, undefined],
    [surql`LET $text = '{ RETURN 1 }' -- { RETURN 2 }`, undefined],
    [surql`RETURN -- with a comment\n 17 -- at its end`, 17],
    [surql`DEFINE FUNCTION fn::early($n: int) { IF $n = 0 { RETURN 0 }; RETURN $n }`, undefined],
    [surql`DEFINE PARAM $early VALUE { RETURN 1 }`, undefined],
    [surql`return 18 # a hash`, 18],
    [surql`/* first */ { RETURN 19 } // slashes`, 19],
  ];

  test.each(contained)("$text", async (statement, answer) => {
    const db = await database();
    const answers = await db.transaction([first, statement, last]);
    expect(answers[1]).toEqual(answer);
    expect(await kept(db)).toEqual(["first", "last"]);
  });

  test.each([
    surql`(RETURN 1)`,
    surql`({ RETURN 1 })`,
    surql`[{ RETURN 1 }]`,
    surql`SELECT { RETURN 1 } AS one FROM ONLY kept:first`,
    surql`SELECT * FROM { RETURN [1] }`,
    surql`SELECT * FROM kept WHERE { RETURN true }`,
    surql`SELECT * FROM RETURN 1`,
    surql`SELECT * FROM kept WHERE RETURN true`,
    surql`THROW RETURN 1`,
    surql`LET $early = 1 + RETURN 1`,
    surql`LET $early = { RETURN 1 }`,
    surql`LET $early = (RETURN 1)`,
    surql`LET $early = IF true { RETURN 1 }`,
    surql`LET $early = IF true THEN RETURN 1 ELSE 2 END`,
    surql`LET $early = (/* now */ RETURN 1)`,
    surql`LET $early = { BREAK }`,
    surql`BREAK`,
    surql`CONTINUE`,
  ])("$text, which cannot be contained, is refused", async (statement) => {
    const db = await database();
    const failure = await failureOf(() => db.transaction([first, statement, last]));
    expect(failure).toMatchObject({ code: "db.bad_statement", outcome: "not_applied" });
    expect(await kept(db)).toEqual([]);
  });

  test("as the first statement", async () => {
    const db = await database();
    const answers = await db.transaction([surql`{ CREATE kept:block; RETURN 1 }`, last]);
    expect(answers).toStrictEqual([1, [{ id: new RecordId("kept", "last") }]]);
    expect(await kept(db)).toEqual(["block", "last"]);
  });

  test("where the engine, given the same text bare, drops the rest without a word (control)", async () => {
    const db = await database();
    const text = "BEGIN; { CREATE kept:block; RETURN 1 }; CREATE kept:last; COMMIT";
    const answers = await askEngine(db, text);
    expect(answers.map(({ status }) => status)).not.toContain("ERR");
    expect(await kept(db)).toEqual(["block"]);
  });
});

test("where the engine, given a BREAK bare, fails it and commits the others (control)", async () => {
  const db = await database();
  const answers = await askEngine(db, "BEGIN; CREATE kept:first; BREAK; CREATE kept:last; COMMIT");
  expect(answers.map(({ status }) => status)).toContain("ERR");
  expect(await kept(db)).toEqual(["first", "last"]);
});

describe("within a transaction", () => {
  test("answers come in the order of the statements, each as its own type", async () => {
    const db = await database();
    const [created, count, nothing, list] = await db.transaction([
      surql<{ id: RecordId; n: number }>`CREATE ONLY kept:1 SET n = ${2}`,
      surql<number>`RETURN count((SELECT * FROM kept))`,
      surql<undefined>`DEFINE TABLE other`,
      surql<number[]>`SELECT VALUE n * 2 FROM kept`,
    ]);
    expect(created.n + count).toBe(3);
    expect(nothing).toBeUndefined();
    expect(list.map((n) => n + 1)).toEqual([5]);
  });

  test("a LET is seen by the statements after it", async () => {
    const db = await database();
    const answers = await db.transaction([
      surql`LET $name = ${"Ada"}`,
      surql`LET $made = (CREATE ONLY kept:1 SET name = $name)`,
      surql`RETURN $made.name + $name`,
      surql`FOR $i IN [1, 2] { CREATE kept SET name = $name, i = $i }`,
      surql`SELECT VALUE name FROM kept WHERE i`,
    ]);
    expect(answers[2]).toBe("AdaAda");
    expect(answers[4]).toEqual(["Ada", "Ada"]);
  });

  test("a statement sees what those before it did, and nobody else does until the end", async () => {
    const db = await database();
    const [, seen] = await db.transaction([first, surql`SELECT VALUE id.id() FROM kept`]);
    expect(seen).toEqual(["first"]);
    const failure = failureOf(() => db.transaction([last, surql`THROW 'stop'`]));
    await failure;
    expect(await kept(db)).toEqual(["first"]);
  });

  test("a statement may end in a comment, or in a semicolon", async () => {
    const db = await database();
    await db.transaction([
      surql`CREATE kept:1 -- one`,
      surql`CREATE kept:2; # two`,
      surql`CREATE kept:3 /* three */`,
    ]);
    expect(await kept(db)).toEqual([1, 2, 3]);
  });

  test("one statement may stand several times", async () => {
    const db = await database();
    const add = surql`CREATE kept SET n = ${1}`;
    await db.transaction([add, add, add]);
    expect(await kept(db)).toHaveLength(3);
  });

  test("500 statements commit together", async () => {
    const db = await database();
    await db.transaction(Array.from({ length: 500 }, (_, i) => surql`CREATE kept SET n = ${i}`));
    expect(await kept(db)).toHaveLength(500);
  });
});

describe("when a statement fails", () => {
  const failing: [string, Statement[], number, string][] = [
    ["the first", [surql`CREATE kept:there`, last], 0, "db.already_exists"],
    ["one in the middle", [first, surql`THROW ${"stop"}`, last], 1, "db.thrown"],
    ["the last", [first, last, surql`CREATE kept:there`], 2, "db.already_exists"],
    ["one in a block", [first, surql`{ CREATE kept:there; RETURN 1 }`, last], 1, "db.already_exists"],
    ["one in a loop", [first, surql`FOR $i IN [1, 2] { CREATE kept:there }`, last], 1, "db.already_exists"],
    ["one that reads", [first, surql`SELECT * FROM nowhere`, last], 1, "db.not_found"],
    ["a LET", [first, surql`LET $a = (CREATE kept:there)`, last], 1, "db.already_exists"],
    ["one after a LET", [surql`LET $a = 1`, first, surql`CREATE kept:there`], 2, "db.already_exists"],
  ];

  test.each(failing)(
    "%s, it is named by its place and text, and nothing is changed",
    async (_name, list, index, code) => {
      const db = await database();
      await db.query(surql`CREATE kept:there`);
      const failure = await failureOf(() => db.transaction(list));
      expect(failure).toMatchObject({ code, outcome: "not_applied", retryable: false });
      expect(failure.statement).toEqual({ index, text: list[index]!.text });
      expect(failure.message).toMatch(new RegExp(`^statement ${index + 1} of ${list.length} failed`));
      expect(await kept(db)).toEqual(["there"]);
    },
  );

  test("text that the engine cannot read is db.syntax, and nothing is changed", async () => {
    const db = await database();
    const failure = await failureOf(() => db.transaction([first, surql`SELEC 1`]));
    expect(failure).toMatchObject({ code: "db.syntax", outcome: "not_applied" });
    expect(await kept(db)).toEqual([]);
  });

  test("a text that is thrown does not hide which statement threw it", async () => {
    const db = await database();
    const bystander = "The query was not executed due to a failed transaction";
    const failure = await failureOf(() => db.transaction([first, surql`THROW ${bystander}`, last]));
    expect(failure).toMatchObject({
      code: "db.thrown",
      statement: { index: 1 },
      details: { thrown: bystander },
    });
  });
});
