// BEGIN … COMMIT: what ends it early, what it leaves out, and where it says why it failed.

import { describe, expect, test } from "vitest";
import { classify, type EngineFailure, isBystander } from "../../src/classify.ts";
import { renderTransaction, surql } from "../../src/surql.ts";
import { defect, EVERYWHERE, open, type RawEngine } from "./support.ts";

const EARLY_END = defect(
  "a RETURN between BEGIN and COMMIT commits there, and what follows is never run",
  "remove contained() from src/surql.ts",
);
const STRAY_BREAK = defect(
  "a BREAK in no loop fails alone, and the transaction commits without it",
  "remove `committed` from src/queryable.ts",
);
const LATE_CAUSE = defect(
  "the first error of a failed transaction is not the one that failed it",
  "remove isBystander() from src/classify.ts",
);

/** A RETURN that SurrealDB takes for the end of the transaction. */
const ENDS_IT: [where: string, text: string][] = [
  ["as a statement", "RETURN 1"],
  ["in a block", "{ RETURN 1 }"],
  ["in an IF", "IF true { RETURN 1 }"],
  ["in a FOR", "FOR $i IN [1] { RETURN 1 }"],
  ["in a LET", "LET $x = { RETURN 1 }"],
  ["in brackets", "(RETURN 1)"],
  ["in a list", "[{ RETURN 1 }]"],
  ["in a THROW", "THROW { RETURN 1 }"],
  ["in what a SELECT reads", "SELECT * FROM { RETURN 1 }"],
  ["in the condition of a SELECT", "SELECT * FROM note WHERE { RETURN true }"],
];

/** One that SurrealDB contains by itself, so that nothing of ours has to. */
const STAYS_INSIDE: [where: string, text: string][] = [
  ["what a CREATE sets", "CREATE other SET x = { RETURN 1 }"],
  ["what an UPDATE sets and tests", "UPDATE note SET x = { RETURN 1 } WHERE { RETURN true }"],
  ["what an INSERT is given", "INSERT INTO other { RETURN { x: 1 } }"],
  ["what a RELATE joins", "RELATE ({ RETURN note:before })->edge->({ RETURN note:before })"],
  ["a function", "fn::one()"],
  ["a closure", "[1].map(|$x| { RETURN $x })"],
];

/** `text` between two writes of one transaction. */
const transaction = (text: string) => `BEGIN; CREATE note:before; ${text}; CREATE note:then; COMMIT`;

const notes = (engine: RawEngine) => engine.run<string[]>("RETURN (SELECT VALUE record::id(id) FROM note)");

describe.for(EVERYWHERE)("on %s a transaction", (kind) => {
  async function openWithNotes(): Promise<RawEngine> {
    const engine = await open(kind);
    await engine.run("DEFINE TABLE note; DEFINE FUNCTION fn::one() { RETURN 1 }");
    return engine;
  }

  test.for(ENDS_IT)("defect: commits and ends at a RETURN %s", async ([, text]) => {
    await using engine = await openWithNotes();
    const answers = await engine.query(transaction(text));
    const found = await notes(engine);
    await EARLY_END.shows(() => expect(found).toEqual(["before"]));
    expect(answers.filter(({ status }) => status === "ERR")).toEqual([]);
  });

  test.for(STAYS_INSIDE)("goes on after a RETURN in %s", async ([, text]) => {
    await using engine = await openWithNotes();
    await engine.run(transaction(text));
    expect(await notes(engine)).toEqual(["before", "then"]);
  });

  const before = surql`CREATE note:before`;
  const then = surql`CREATE note:then`;

  test.for([
    ["RETURN", surql`RETURN 1`],
    ["a block", surql`{ RETURN 1 }`],
    ["an IF", surql`IF true { RETURN 1 }`],
    ["a FOR", surql`FOR $i IN [1] { RETURN 1 }`],
  ] as const)(
    "goes on after %s that stands in a block of its own, as contained() puts it",
    async ([, statement]) => {
      await using engine = await openWithNotes();
      const { text } = renderTransaction([before, statement, then]);
      expect(text).toContain(`{LET $_r={${statement.text}\n};$_r}`);
      await engine.run(text);
      expect(await notes(engine)).toEqual(["before", "then"]);
    },
  );

  test("fails in the words of a block that stands in one, and takes back what was before", async () => {
    await using engine = await openWithNotes();
    const { text } = renderTransaction([before, surql`{ THROW 'stale'; RETURN 1 }`, then]);
    await expect(engine.run(text)).rejects.toThrow("An error occurred: stale");
    expect(await notes(engine)).toEqual([]);
  });

  test("defect: commits without a BREAK that stands in no loop", async () => {
    await using engine = await openWithNotes();
    const answers = await engine.query(transaction("BREAK"));
    const statuses = answers.map(({ status }) => status);
    await STRAY_BREAK.shows(() => expect(statuses).toEqual(["OK", "OK", "ERR", "OK", "OK"]));
    expect(await notes(engine)).toEqual(["before", "then"]);
  });

  test("answers BEGIN and COMMIT too, so that a statement's answer is one further", async () => {
    await using engine = await openWithNotes();
    const answers = await engine.query("BEGIN; CREATE note:a; CREATE note:b; COMMIT");
    expect(answers.map(({ result }) => Array.isArray(result))).toEqual([false, true, true, false]);
  });

  test.for([
    ["a THROW", "THROW 'stale'", "An error occurred: stale"],
    ["a record that exists", "CREATE note:before", "Database record `note:before` already exists"],
    ["a missing table", "SELECT * FROM nowhere", "The table 'nowhere' does not exist"],
  ] as const)(
    "defect: blames its first statement for %s, and names the cause later",
    async ([, text, cause]) => {
      await using engine = await openWithNotes();
      const answers = await engine.query(transaction(text));
      const failures = answers
        .filter(({ status }) => status === "ERR")
        .map(({ result, ...more }): EngineFailure => ({ ...more, message: String(result) }));
      const first = "The query was not executed due to a failed transaction";
      await LATE_CAUSE.shows(() => expect(failures[0]).toHaveProperty("message", first));
      expect(failures.filter((failure) => !isBystander(failure))).toMatchObject([{ message: cause }]);
      expect(await notes(engine)).toEqual([]);
    },
  );

  test("takes back definitions too, so that a migration is all or nothing", async () => {
    await using engine = await open(kind);
    await engine.query("BEGIN; DEFINE TABLE made; DEFINE FIELD n ON made TYPE int; THROW 'no'; COMMIT");
    expect(await engine.run("INFO FOR DB")).toHaveProperty("tables", {});
  });
});

describe.for(EVERYWHERE)("on %s the engine names", (kind) => {
  test.for([
    ["a record that exists", "CREATE note:one; CREATE note:one", "db.already_exists"],
    ["a table that exists", "DEFINE TABLE note; DEFINE TABLE note", "db.already_exists"],
    [
      "a broken UNIQUE",
      "DEFINE INDEX only ON note FIELDS n UNIQUE; CREATE note, note SET n = 1",
      "db.unique",
    ],
    ["a THROW", "THROW 'stale'", "db.thrown"],
    ["a THROW in a block", "{ { THROW 'stale' } }", "db.thrown"],
    ["a TIMEOUT", "CREATE note; SELECT sleep(1s) FROM note TIMEOUT 10ms", "db.timeout"],
    [
      "a failed ASSERT",
      "DEFINE FIELD n ON note ASSERT $value > 1; CREATE note SET n = 1",
      "db.invalid_field",
    ],
    ["a wrong type", "DEFINE FIELD n ON note TYPE int; CREATE note SET n = 'x'", "db.invalid_field"],
    ["an unknown field", "DEFINE TABLE note SCHEMAFULL; CREATE note SET n = 1", "db.invalid_field"],
    ["a missing table", "SELECT * FROM nowhere", "db.not_found"],
    ["a host that is not allowed", "http::get('http://127.0.0.1:1')", "db.denied"],
    ["what is no SurrealQL", "SELECT FROM WHERE", "db.syntax"],
  ] as const)("%s in words that src/classify.ts knows", async ([, text, code]) => {
    await using engine = await open(kind);
    const failure = await engine.failureOf(text);
    expect(classify(failure)).toHaveProperty("code", code);
  });
});
