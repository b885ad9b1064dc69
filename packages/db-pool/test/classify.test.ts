// D3: what the engine says becomes one code, with what may have happened and whether to try again. Every error here was
// provoked on a real engine, in its own words.

import { inspect } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import {
  type Database,
  type DbError,
  type DbErrorCode,
  openDatabase,
  type Statement,
  surql,
} from "../src/index.ts";
import { failureOf } from "./support/failure.ts";
import { freshDatabase } from "./support/fresh.ts";

type Shape = [statement: Statement, says: RegExp, details?: Record<string, unknown>];

const shapes: Partial<Record<DbErrorCode, Shape[]>> = {
  "db.already_exists": [
    [surql`CREATE shop:1`, /shop:1/, { id: "shop:1" }],
    [surql`INSERT INTO shop ${[{ id: 2 }, { id: 1 }]}`, /shop:1/, { id: "shop:1" }],
    [surql`{ LET $made = (CREATE shop:1); RETURN $made }`, /shop:1/, { id: "shop:1" }],
    [surql`DEFINE TABLE shop`, /shop/, { name: "shop" }],
    [surql`DEFINE FIELD code ON item`, /code/, { name: "code" }],
    [surql`DEFINE INDEX item_code ON item FIELDS code`, /item_code/, { name: "item_code" }],
    [surql`DEFINE FUNCTION fn::refuse() {}`, /fn::refuse/, { name: "fn::refuse" }],
  ],
  "db.unique": [
    [surql`CREATE item:2 SET code = ${7}`, /item_code.*7.*item:1/, { index: "item_code" }],
    [surql`{ LET $made = (CREATE item:2 SET code = 7); RETURN $made }`, /item_code/, { index: "item_code" }],
  ],
  "db.thrown": [
    [surql`THROW ${"no"}`, /^no$/, { thrown: "no" }],
    [surql`THROW ${{ code: 7, why: "no" }}`, /code: 7/, { thrown: "{ code: 7, why: 'no' }" }],
    [surql`THROW ''`, /./, { thrown: "" }],
    [surql`THROW 'two\nlines'`, /^two\nlines$/, { thrown: "two\nlines" }],
    [surql`{ LET $a = 1; THROW 'no' }`, /^no$/, { thrown: "no" }],
    [surql`{ LET $a = { THROW 'no' }; RETURN $a }`, /^no$/, { thrown: "no" }],
    [surql`FOR $i IN [1] { THROW 'no' }`, /^no$/, { thrown: "no" }],
    [surql`RETURN fn::refuse()`, /^no$/, { thrown: "no" }],
    [surql`CREATE guarded:1`, /no/, { thrown: "no" }], // by the table's event
  ],
  "db.invalid_field": [
    [surql`CREATE item:2 SET code = 0`, /`code`.*> 0/],
    [surql`CREATE item:2 SET code = ${"x"}`, /'x'/],
    [surql`CREATE item:2 SET code = ${null}`, /code/],
    [surql`CREATE item:2 SET colour = 1`, /colour/],
    [surql`UPDATE item:1 SET made = 2`, /readonly/],
  ],
  "db.not_found": [
    [surql`SELECT * FROM nowhere`, /nowhere/],
    [surql`{ LET $rows = (SELECT * FROM nowhere); RETURN $rows }`, /nowhere/],
    [surql`RETURN fn::nowhere()`, /fn::nowhere/],
    [surql`RETURN sequence::nextval('nowhere')`, /nowhere/],
    [surql`REMOVE INDEX nowhere ON shop`, /nowhere/],
    [surql`REBUILD INDEX nowhere ON shop`, /nowhere/],
    [surql`RELATE shop:9->sells->item:1`, /shop:9/],
  ],
  "db.syntax": [
    [surql`SELEC 1`, /Parse error/],
    [surql`SELECT * FROM shop WHERE`, /Parse error/],
    [surql`RETURN nowhere::nothing()`, /Parse error/],
    [surql`DEFINE FIELD x ON shop TYPE nonsense`, /Parse error/],
  ],
  "db.too_deep": [[surql`RETURN ((((((((((((((((((((1))))))))))))))))))))`, /depth/]],
  "db.timeout": [[surql`SELECT VALUE SLEEP(1s) FROM [1] TIMEOUT 1ms`, /1ms/]],
  "db.denied": [[surql`RETURN http::get('http://127.0.0.1:1')`, /127\.0\.0\.1:1/]],
  "db.engine": [
    [surql`RETURN 1 + 'a'`, /addition/],
    [surql`CREATE shop SET n = 1 + ${"a"}`, /addition/],
    [surql`RETURN 1 % 0`, /remainder/],
    [surql`RETURN 9223372036854775807 + 1`, /addition/],
    [surql`RETURN <int>'abc'`, /'abc'/],
    [surql`RETURN math::sqrt('x')`, /math::sqrt/],
    [surql`RETURN string::len()`, /string::len/],
    [surql`RETURN function() { return 1 }`, /not enabled/],
    [surql`SELECT * FROM ONLY [1, 2]`, /ONLY/],
    [surql`CREATE sells:1`, /RELATION/],
    [surql`UPDATE shop:1 PATCH [{ op: 'test', path: '/a', value: 5 }]`, /Patch/],
  ],
};

const rows = Object.entries(shapes).flatMap(([code, list]) =>
  list.map(([statement, says, details]) => ({
    code,
    statement,
    text: statement.text,
    says,
    details: details ? { details } : {},
  })),
);

// What is refused changes nothing, so all of them may be refused by one database.
let db: Database;
beforeAll(async () => {
  // Not `freshDatabase`, which lives as long as one test. The write lane of mem changes no error.
  db = await openDatabase({ url: "mem://" });
  await db.transaction([
    surql`DEFINE TABLE item SCHEMAFULL`,
    surql`DEFINE FIELD code ON item TYPE option<int> ASSERT $value > 0`,
    surql`DEFINE FIELD made ON item TYPE option<int> READONLY`,
    surql`DEFINE INDEX item_code ON item FIELDS code UNIQUE`,
    surql`DEFINE TABLE sells TYPE RELATION IN shop OUT item ENFORCED`,
    surql`DEFINE TABLE guarded`,
    surql`DEFINE EVENT refuse ON guarded THEN { THROW 'no' }`,
    surql`DEFINE FUNCTION fn::refuse() { THROW 'no' }`,
    surql`CREATE shop:1`,
    surql`CREATE item:1 SET code = 7, made = 1`,
  ]);
  return () => db.close();
});

function expectWords({ message, stack }: DbError): void {
  expect(message).not.toBe("");
  expect(message).not.toMatch(/\n\s+at |\.ts:\d/);
  expect(stack).toContain(message);
}

describe("a statement that fails changed nothing, and need not be tried again:", () => {
  test.each(rows)("$text is $code", async ({ statement, code, says, details }) => {
    const failure = await failureOf(() => db.query(statement));
    expect(failure).toMatchObject({ code, outcome: "not_applied", retryable: false, ...details });
    expect(failure.message).toMatch(says);
    expectWords(failure);
  });
});

describe("in a transaction it has the same code, and is named:", () => {
  test.each(rows)("$text is $code", async ({ statement, text, code, says, details }) => {
    const failure = await failureOf(() =>
      db.transaction([surql`CREATE shop`, statement, surql`CREATE shop`]),
    );
    expect(failure).toMatchObject({ code, outcome: "not_applied", retryable: false, ...details });
    // A text that cannot be read is the transaction's, which is one text.
    const whole = failure.message.startsWith("Parse error");
    expect(failure.statement).toEqual(whole ? undefined : { index: 1, text });
    expect(failure.message).toMatch(new RegExp(says.source.replaceAll(/^\^/g, ": "), says.flags));
    expectWords(failure);
  });
});

test("of all those nothing was written", async () => {
  expect(await db.query(surql`SELECT VALUE id.id() FROM shop`)).toEqual([1]);
  expect(await db.query(surql`SELECT VALUE id.id() FROM item`)).toEqual([1]);
});

test("a division by zero is no error: it is NaN", async () => {
  expect(await db.query(surql`RETURN 1 / 0`)).toBeNaN();
});

describe("the words of one error inside the value of another do not change its code:", () => {
  const words = [
    "Transaction conflict: busy. This transaction can be retried",
    "this can be retried",
    "No space left on device",
    "Corruption: of minors",
    "IO error",
    "The query was not executed because it exceeded the timeout: 1ms",
    "it timed out",
    "Not enough permissions",
    "is not allowed",
    "The table 'x' does not exist",
    "not found",
    "There was a problem with authentication",
    "the token has expired",
    "recursion",
    "already locked by another process",
    "Unsupported value type",
  ];

  test.each(words)("%s", async (text) => {
    const own = await freshDatabase();
    await own.transaction([
      surql`DEFINE INDEX one ON note FIELDS text UNIQUE`,
      surql`DEFINE FIELD short ON note TYPE option<string> ASSERT string::len($value) < 3`,
      surql`CREATE type::record('note', ${text}) SET text = ${text}`,
    ]);
    const codeOf = async (statement: Statement) => (await failureOf(() => own.query(statement))).code;
    expect(await codeOf(surql`CREATE type::record('note', ${text})`)).toBe("db.already_exists");
    expect(await codeOf(surql`CREATE note SET text = ${text}`)).toBe("db.unique");
    expect(await codeOf(surql`CREATE note SET short = ${text}`)).toBe("db.invalid_field");
    expect(await codeOf(surql`SELECT * FROM type::table(${text})`)).toBe("db.not_found");
    expect(await codeOf(surql`RETURN 1 + ${text}`)).toBe("db.engine");
    expect(await codeOf(surql`RETURN <int> ${text}`)).toBe("db.engine");
  });

  // Not the whole sentences of the engine: what a LET in a block fails with looks thrown, word for word.
  const phrases = words.filter((text) => !/^(The |Transaction|There was|Unsupported)/.test(text));

  test.each(phrases)("THROW '%s'", async (text) => {
    const failure = await failureOf(() => db.query(surql`THROW ${text}`));
    expect(failure).toMatchObject({ code: "db.thrown", details: { thrown: text }, retryable: false });
  });

  test("a text that cannot be read, and quotes them", async () => {
    const { code, retryable } = await failureOf(() =>
      db.query(surql`SELEC 'this can be retried', 'it timed out'`),
    );
    expect({ code, retryable }).toEqual({ code: "db.syntax", retryable: false });
  });
});

test("as JSON an error is its code, its message and what to do, and nothing else", async () => {
  const failure = await failureOf(() => db.query(surql`CREATE shop:1 SET secret = ${"s3cret-value"}`));
  expect(JSON.parse(JSON.stringify(failure))).toEqual({
    name: "DbError",
    code: "db.already_exists",
    message: "Database record `shop:1` already exists",
    retryable: false,
    outcome: "not_applied",
  });
  expect(inspect(failure, { depth: Infinity, showHidden: true })).not.toContain("s3cret-value");
});
