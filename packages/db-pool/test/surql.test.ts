// Statements: values stay apart from the text, one statement is one statement, and what only reads is known to.

import { describe, expect, test } from "vitest";
import { type Database, ident, rawSurql, RecordId, type Statement, surql } from "../src/index.ts";
import { failureOf } from "./support/failure.ts";
import { freshDatabase } from "./support/fresh.ts";

const injections = [
  "'; REMOVE TABLE canary; --",
  '"; DELETE canary; #',
  "`; DELETE canary; //",
  "⟩; DELETE canary; /*",
  "\\'; DELETE canary; --",
  "1; DELETE canary",
  "}; DELETE canary; {",
  "$_0; DELETE canary",
  "${1}; DELETE canary",
  "NONE OR true",
  "|| true",
  "canary:1",
  "\u0000'; DELETE canary; --",
];

describe("a value", () => {
  test.each(injections)("%j is stored as it stands, and the canary lives", async (text) => {
    const db = await freshDatabase();
    await db.query(surql`CREATE canary:1`);
    await db.query(surql`CREATE note:1 SET text = ${text}, list = ${[text]}, object = ${{ [text]: text }}`);
    const found = await db.query(surql<object[]>`SELECT text, list, object FROM note WHERE text = ${text}`);
    expect(found).toStrictEqual([{ text, list: [text], object: { [text]: text } }]);
    expect(await db.query(surql`SELECT * FROM note WHERE text = ${`${text}x`}`)).toEqual([]);
    expect(await db.query(surql`SELECT VALUE id FROM canary`)).toStrictEqual([new RecordId("canary", 1)]);
  });

  test("never enters the text, neither of the statement nor of what is told to listeners", async () => {
    const db = await freshDatabase();
    const texts: string[] = [];
    db.on("query", ({ text }) => texts.push(text));
    const statement = surql`CREATE note:1 SET text = ${"top secret"}, more = ${["top secret"]}`;
    await db.query(statement);
    await db.transaction([surql`DELETE note:1`, statement]);
    expect(statement.text).toBe("CREATE note:1 SET text = $_0, more = $_1");
    expect(texts).toHaveLength(2);
    expect(texts.join()).not.toContain("secret");
  });

  test("does not make the name of a table: a bound string is text", async () => {
    const db = await freshDatabase();
    const { code } = await failureOf(() => db.query(surql`CREATE ${"canary"}`));
    expect(code).toBe("db.engine");
  });
});

describe("one statement", () => {
  test.each([
    ["two statements", () => surql`CREATE a; CREATE b`],
    ["two around a comment", () => surql`CREATE a; /* ; */ CREATE b`],
    ["a second one after a block", () => surql`{ CREATE a; }; CREATE b`],
    ["a second one hidden behind a closing brace", () => surql`RETURN 1 }; DELETE a; {`],
    ["a second one after a quoted string that ends in a backslash", () => surql`RETURN 'a\\\\'; DELETE a`],
    ["a second one on the line after a comment", () => surql`CREATE a -- ; \n; CREATE b`],
    ["a second one after an opening bracket in a string", () => surql`RETURN '{'; DELETE a`],
    ["a second one after an opening bracket in a comment", () => surql`RETURN 1 /* { */; DELETE a`],
    ["a transaction of its own", () => surql`BEGIN; CREATE a; COMMIT`],
    ["nothing", () => surql``],
    ["white space", () => surql` \n\t `],
    ["a comment", () => surql`-- CREATE a`],
    ["semicolons", () => surql`;;`],
  ])("is not %s", async (_name, make) => {
    expect((await failureOf(make)).code).toBe("db.bad_statement");
  });

  test.each([
    ["in single quotes", surql`RETURN ';'`, ";"],
    ["in double quotes", surql`RETURN ";"`, ";"],
    ["after an escaped quote", surql`RETURN 'it\\'s; so'`, "it's; so"],
    ["in backticks", surql<object>`SELECT 1 AS \`a;b\` FROM ONLY {}`, { "a;b": 1 }],
    ["in angle brackets", surql<object>`SELECT 1 AS ⟨a;b⟩ FROM ONLY {}`, { "a;b": 1 }],
    ["in a line comment", surql`RETURN 1 -- ; RETURN 2`, 1],
    ["in a hash comment", surql`RETURN 1 # ; RETURN 2`, 1],
    ["in a slash comment", surql`RETURN 1 // ; RETURN 2`, 1],
    ["in a block comment", surql`RETURN /* ; ' */ 1`, 1],
    ["in a comment before it", surql`/* ; */ -- ;\nRETURN 1`, 1],
    ["in a block", surql`{ LET $a = 1; RETURN $a }`, 1],
    ["in a block in brackets", surql`RETURN [{ LET $a = 1; $a }]`, [1]],
    ["in a closure", surql`RETURN [1].map(|$v| { LET $w = $v; $w + 1 })`, [2]],
    ["at the end", surql`RETURN 1;`, 1],
  ])("may hold a semicolon %s", async (_name, statement: Statement, answer) => {
    const db = await freshDatabase();
    expect(await db.query(statement)).toStrictEqual(answer);
  });
});

const named = (name: string) => surql`name = ${name}`;

describe("parts", () => {
  test("compose, and their values are numbered anew", async () => {
    const db = await freshDatabase();
    await db.query(surql`INSERT INTO person ${[1, 2, 3, 4].map((age) => ({ id: age, age }))}`);
    const adult = surql`age >= ${2}`;
    const between = surql`${adult} AND age < ${4}`;
    const statement = surql<
      RecordId[]
    >`SELECT VALUE id FROM ${ident("person")} WHERE age != ${9} AND (${between})`;
    expect(statement.text).toBe(
      "SELECT VALUE id FROM `person` WHERE age != $_0 AND (age >= $_1 AND age < $_2)",
    );
    expect(await db.query(statement)).toStrictEqual([new RecordId("person", 2), new RecordId("person", 3)]);
  });

  test("are numbered on through a transaction", async () => {
    const db = await freshDatabase();
    await db.transaction([
      surql`CREATE person:1 SET ${named("Ada")}, age = ${36}`,
      surql`CREATE person:2 SET age = ${85}, ${named("Grace")}`,
    ]);
    expect(await db.query(surql`SELECT name, age FROM person`)).toStrictEqual([
      { name: "Ada", age: 36 },
      { name: "Grace", age: 85 },
    ]);
  });

  test("with a comment at their end do not swallow what follows them", async () => {
    const db = await freshDatabase();
    await db.query(surql`INSERT INTO person ${[{ id: 1 }, { id: 2 }]}`);
    const change = surql`seen = true -- by now`;
    await db.query(surql`UPDATE person SET ${change} WHERE id = ${new RecordId("person", 1)}`);
    expect(await db.query(surql`SELECT VALUE id FROM person WHERE seen`)).toStrictEqual([
      new RecordId("person", 1),
    ]);
  });

  test("that make two statements of one are refused", async () => {
    expect((await failureOf(() => surql`CREATE a; ${surql`CREATE b`}`)).code).toBe("db.bad_statement");
  });

  test.each(["person", "_private", "a1", "x".repeat(128)])("ident takes %s", async (name) => {
    const db = await freshDatabase();
    await db.query(surql`CREATE ${ident(name)} SET ${ident(name)} = 1`);
    expect(await db.query(surql`SELECT VALUE ${ident(name)} FROM ${ident(name)}`)).toEqual([1]);
  });

  test.each(["", "1a", "a b", "a;b", "a`b", "a⟩", "a-b", "a.b", "a:1", "é", "a\n", "a\0", "x".repeat(129)])(
    "ident refuses %j",
    async (name) => {
      expect((await failureOf(() => ident(name))).code).toBe("db.bad_statement");
    },
  );

  test.each([undefined, null, 1, ["a"], { toString: () => "a" }])(
    "ident refuses %o, which is no string",
    async (name) => {
      expect((await failureOf(() => ident(name as never))).code).toBe("db.bad_statement");
    },
  );
});

describe("raw text", () => {
  test("is split into its statements, without comments before them", () => {
    const statements = rawSurql(
      "-- one\nDEFINE TABLE a;\n/* two; */ CREATE a:1 SET x = ';'; { CREATE a:2; };;",
    );
    expect(statements.map(({ text }) => text)).toEqual([
      "DEFINE TABLE a",
      "CREATE a:1 SET x = ';'",
      "{ CREATE a:2; }",
    ]);
  });

  test("runs as one transaction", async () => {
    const db = await freshDatabase();
    await db.transaction(rawSurql("DEFINE TABLE a; CREATE a:1; CREATE a:2;"));
    expect(await db.query(surql`SELECT VALUE id.id() FROM a`)).toEqual([1, 2]);
  });

  test("without a statement in it is an empty list, which changes nothing", async () => {
    const db = await freshDatabase();
    expect(rawSurql(" -- nothing\n;")).toEqual([]);
    expect(await db.transaction([])).toEqual([]);
  });
});

describe("what must not run on a connection that others use", () => {
  const refused: [string, Statement][] = [
    ["BEGIN", surql`BEGIN`],
    ["BEGIN TRANSACTION", surql`BEGIN TRANSACTION`],
    ["COMMIT", surql`commit`],
    ["CANCEL", surql`Cancel`],
    ["USE", surql`USE NS other DB other`],
    ["USE behind a comment", surql`/* hello */ USE DB other`],
    ["LIVE", surql`LIVE SELECT * FROM a`],
  ];
  const ways: [string, (db: Database, statement: Statement) => Promise<unknown>][] = [
    ["query", (db, statement) => db.query(statement)],
    ["transaction", (db, statement) => db.transaction([surql`CREATE a:1`, statement])],
  ];

  test.each(
    ways.flatMap(([way, run]) => refused.map(([name, statement]) => ({ way, run, name, statement }))),
  )("$name is refused by $way", async ({ run, statement }) => {
    const db = await freshDatabase();
    await db.query(surql`DEFINE TABLE a`);
    expect((await failureOf(() => run(db, statement))).code).toBe("db.bad_statement");
    expect(await db.query(surql`SELECT * FROM a`)).toEqual([]);
    expect(await db.query(surql`RETURN [session::ns(), session::db()]`)).toEqual([db.namespace, db.database]);
  });

  test.each(ways)("a plain string is refused by %s", async (_way, run) => {
    const db = await freshDatabase();
    const text = "CREATE a" as unknown as Statement;
    expect((await failureOf(() => run(db, text))).code).toBe("db.bad_statement");
    expect((await failureOf(() => run(db, { text: "CREATE a" } as Statement))).code).toBe("db.bad_statement");
  });

  test("a LET of its own is forgotten with its call", async () => {
    const db = await freshDatabase();
    await db.query(surql`LET $left_behind = 5`);
    expect(await db.query(surql`RETURN $left_behind`)).toBeUndefined();
  });
});

describe("readOnly", () => {
  test.each([
    surql`SELECT * FROM person`,
    surql`  select name from person where age > ${18}`,
    surql`/* first */ SELECT count() FROM person GROUP ALL`,
    surql`SELECT ->knows->person FROM person:1 TIMEOUT 5s`,
    surql`SELECT * FROM (SELECT * FROM person)`,
    surql`RETURN 1`,
    surql`RETURN time::now()`,
    surql`RETURN { LET $a = (SELECT * FROM person); RETURN $a }`,
    surql`{ SELECT * FROM person }`,
    surql`{ LET $a = (SELECT * FROM person); IF $a = [] { RETURN NONE }; RETURN { a: $a } }`,
    surql`RETURN array::len((SELECT * FROM person))`,
    surql`array::len((SELECT * FROM person))`,
    surql`count(SELECT * FROM person)`,
    surql`(SELECT * FROM person)[0]`,
    surql`SELECT created_at, updates, deleted FROM person`,
    surql`INFO FOR DB`,
    surql`INFO FOR TABLE person`,
    surql`SHOW CHANGES FOR TABLE person SINCE 1`,
  ])("is true of $text", ({ readOnly }) => expect(readOnly).toBe(true));

  test.each([
    surql`CREATE person`,
    surql`INSERT INTO person {}`,
    surql`UPDATE person SET a = 1`,
    surql`UPSERT person:1`,
    surql`DELETE person`,
    surql`RELATE a:1->knows->a:2`,
    surql`DEFINE TABLE person`,
    surql`REMOVE TABLE person`,
    surql`LET $a = 1`,
    surql`{ CREATE person }`,
    surql`{ LET $a = (SELECT * FROM person); UPDATE person SET n = $a; RETURN $a }`,
    surql`{ IF true { DELETE person } }`,
    surql`{ fn::register() }`,
    surql`IF true { CREATE person }`,
    surql`FOR $i IN [1] { CREATE person }`,
    surql`SELECT * FROM (CREATE person)`,
    surql`SELECT * FROM (cReAtE person)`,
    surql`SELECT (DELETE person:1) FROM person`,
    surql`SELECT * FROM person WHERE (UPDATE person:1 SET a = 1)`,
    surql`RETURN { CREATE person }`,
    surql`RETURN (UPSERT person:1)`,
    surql`RETURN [1].map(|$v| { CREATE person })`,
    surql`RETURN fn::register()`,
    surql`SELECT fn::register(id) FROM person`,
    surql`SELECT fn :: register(id) FROM person`,
    surql`RETURN sequence::nextval('ids')`,
    surql`RETURN http::post('http://127.0.0.1', {})`,
    surql`RETURN ${surql`(CREATE person)`}`,
    surql`fn::register()`,
    surql`(CREATE person)`,
    surql`array::len((CREATE person))`,
    surql`sleep(1s)`,
    surql`http::get('http://127.0.0.1')`,
    surql`KILL $id`,
    surql`ACCESS a GRANT FOR USER b`,
    surql`REBUILD INDEX a ON person`,
  ])("is not true of $text", ({ readOnly }) => expect(readOnly).toBe(false));
});
