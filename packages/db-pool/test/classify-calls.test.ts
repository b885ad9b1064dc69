// D2 and D3 of a call that is cut short, meets another, or comes too late.

import { describe, expect, test } from "vitest";
import { type Database, type DatabaseEvents, type DbError, RecordId, surql } from "../src/index.ts";
import { classify } from "../src/classify.ts";
import { askEngine } from "./support/engine.ts";
import { failureOf } from "./support/failure.ts";
import { freshDatabase } from "./support/fresh.ts";

/** Takes half a second or so, and changes nothing. */
const slowRead = surql`SELECT VALUE crypto::argon2::generate('x') FROM array::range(0, 15)`;
const slowWrite = surql`{ SLEEP 1s; CREATE kept:slow }`;

async function database(): Promise<Database> {
  const db = await freshDatabase();
  await db.query(surql`DEFINE TABLE kept`);
  return db;
}

const kept = (db: Database) => db.query(surql<string[]>`SELECT VALUE id.id() FROM kept`);

describe("a call that takes longer than its timeout", () => {
  test("may have written what it was to write: here it has, a moment later", async () => {
    const db = await database();
    const failure = await failureOf(() => db.query(slowWrite, { timeout: 50 }));
    expect(failure).toMatchObject({ code: "db.timeout", outcome: "unknown", retryable: false });
    expect(failure.message).toMatch(/50 ms.*re-read before you repeat/);
    await db.close(); // waits for what is still running
    const again = await freshDatabase({ namespace: db.namespace, database: db.database });
    expect(await kept(again)).toEqual(["slow"]);
  });

  test("has changed nothing if it was to read, and may be made again", async () => {
    const db = await database();
    const failure = await failureOf(() => db.query(slowRead, { timeout: 20 }));
    expect(failure).toMatchObject({ code: "db.timeout", outcome: "not_applied", retryable: true });
    expect(failure.message).toMatch(/20 ms.*nothing was changed/);
  });

  test("has changed nothing if it still waited for another write", async () => {
    const db = await freshDatabase({ url: "mem://" });
    await db.query(surql`DEFINE TABLE kept`);
    const ahead = db.query(slowWrite);
    const failure = await failureOf(() => db.query(surql`CREATE kept:late`, { timeout: 20 }));
    expect(failure).toMatchObject({ code: "db.timeout", outcome: "not_applied", retryable: true });
    await ahead;
    expect(await kept(db)).toEqual(["slow"]);
  });

  test("takes the timeout of the database if it has none of its own", async () => {
    const db = await freshDatabase({ timeout: 40 });
    expect((await failureOf(() => db.query(slowWrite))).message).toMatch(/40 ms/);
    expect(await db.query(surql`SLEEP 80ms`, { timeout: 30_000 })).toBeUndefined();
  });

  test.each([Infinity, Number.NaN, 0, -1, 2 ** 31, "50" as never])(
    "a timeout of %o, which no timer keeps, is refused and not taken for no time at all",
    async (timeout) => {
      const db = await database();
      const failure = await failureOf(() => db.query(surql`CREATE kept:1`, { timeout }));
      expect(failure).toMatchObject({ code: "db.bad_option", outcome: "not_applied" });
      expect(await kept(db)).toEqual([]);
    },
  );
});

describe("a call that is cancelled", () => {
  test("before it is sent changes nothing", async () => {
    const db = await database();
    const reason = new Error("the user left");
    const failure = await failureOf(() =>
      db.query(surql`CREATE kept:1`, { signal: AbortSignal.abort(reason) }),
    );
    expect(failure).toMatchObject({
      code: "db.cancelled",
      outcome: "not_applied",
      retryable: false,
      cause: reason,
    });
    expect(await kept(db)).toEqual([]);
  });

  test("while it is out may have written", async () => {
    const db = await database();
    const end = new AbortController();
    const failing = failureOf(() => db.query(slowWrite, { signal: end.signal }));
    end.abort();
    expect(await failing).toMatchObject({ code: "db.cancelled", outcome: "unknown", retryable: false });
  });

  test("while it reads has changed nothing", async () => {
    const db = await database();
    const end = new AbortController();
    const failing = failureOf(() => db.query(slowRead, { signal: end.signal }));
    end.abort();
    expect(await failing).toMatchObject({ code: "db.cancelled", outcome: "not_applied", retryable: false });
  });

  test("after it has ended does no harm", async () => {
    const db = await database();
    const end = new AbortController();
    await db.query(surql`CREATE kept:1`, { signal: end.signal });
    end.abort();
    expect(await kept(db)).toEqual([1]);
  });
});

/** Time enough for others to read the row before it is written. */
const increment = surql`{ LET $n = counter:hot.n; SLEEP 20ms; UPDATE counter:hot SET n = $n + 1 }`;

async function counter(): Promise<Database> {
  const db = await freshDatabase();
  await db.transaction([surql`CREATE counter:hot SET n = 0`, surql`DEFINE TABLE step`]);
  return db;
}

const count = (db: Database) => db.query(surql<number>`SELECT VALUE n FROM ONLY counter:hot`);

describe("calls that write one row at the same time", () => {
  const WRITERS = 8;
  const numbers = Array.from({ length: WRITERS }, (_, i) => i + 1);

  test("conflict, are tried again, and all take effect once", async () => {
    const db = await counter();
    const retries: DatabaseEvents["retry"][] = [];
    const ended: DatabaseEvents["query"][] = [];
    db.on("retry", (event) => retries.push(event));
    db.on("query", (event) => ended.push(event));
    await Promise.all(numbers.map(() => db.query(increment)));
    expect(retries.length).toBeGreaterThan(0);
    expect(new Set(retries.map(({ error }) => error))).toEqual(new Set(["db.conflict"]));
    expect(retries.every(({ delay }) => delay >= 0 && delay <= 50)).toBe(true);
    // What went well in the end is not told as an error.
    expect(ended.map(({ error }) => error)).toEqual(numbers.map(() => undefined));
    expect(ended.reduce((sum, { attempts }) => sum + attempts, 0)).toBe(WRITERS + retries.length);
    expect(await count(db)).toBe(WRITERS);
  });

  test("conflict in transactions, too, which are tried again whole", async () => {
    const db = await counter();
    let retries = 0;
    db.on("retry", () => retries++);
    const add = [increment, surql`CREATE step SET of = counter:hot.n`];
    await Promise.all(numbers.map(() => db.transaction(add)));
    expect(retries).toBeGreaterThan(0);
    expect(await db.query(surql`SELECT VALUE of FROM (SELECT of FROM step ORDER BY of)`)).toEqual(numbers);
  });

  test("are told so by the engine in words that mean: nothing happened, do it again", async () => {
    const db = await counter();
    const answers = await Promise.all(numbers.map(() => askEngine(db, increment.text)));
    const failed = answers.flat().filter(({ status }) => status !== "OK");
    expect(failed.length).toBeGreaterThan(0);
    for (const { result } of failed) {
      const failure = classify({ message: String(result) });
      expect(failure).toMatchObject({ code: "db.conflict", outcome: "not_applied", retryable: true });
    }
    expect(await count(db)).toBe(WRITERS - failed.length);
  });

  test("end at their deadline if the row never rests, and then say truly what they did", async () => {
    const db = await counter();
    const results = await Promise.all(
      numbers.map(() =>
        db.query(increment, { timeout: 70 }).then(
          () => "applied",
          (error: DbError) => `${error.code} ${error.outcome}`,
        ),
      ),
    );
    const times = (what: string) => results.filter((result) => result === what).length;
    expect(times("applied") + times("db.timeout unknown") + times("db.timeout not_applied")).toBe(WRITERS);
    expect(times("applied")).toBeLessThan(WRITERS);
    await db.close(); // waits for what is still running
    const again = await freshDatabase({ namespace: db.namespace, database: db.database });
    expect(await count(again)).toBeGreaterThanOrEqual(times("applied"));
    expect(await count(again)).toBeLessThanOrEqual(times("applied") + times("db.timeout unknown"));
  });
});

test("close waits for calls that are being tried again, too", async () => {
  const db = await counter();
  let retries = 0;
  db.on("retry", () => retries++);
  const calls = Promise.allSettled(Array.from({ length: 5 }, () => db.query(increment)));
  await db.close();
  expect((await calls).map(({ status }) => status)).toEqual(Array.from({ length: 5 }, () => "fulfilled"));
  expect(retries).toBeGreaterThan(0);
  const again = await freshDatabase({ namespace: db.namespace, database: db.database });
  expect(await count(again)).toBe(5);
});

describe("after close", () => {
  test.each([
    ["query", (db: Database) => db.query(surql`CREATE kept:1`)],
    ["transaction", (db: Database) => db.transaction([surql`CREATE kept:1`])],
    ["acquire", (db: Database) => db.acquire()],
    ["session", (db: Database) => db.session(async () => 1)],
  ])("%s is refused with db.closed", async (_name, call) => {
    const db = await database();
    await db.close();
    const failure = await failureOf(() => call(db));
    expect(failure).toMatchObject({ code: "db.closed", outcome: "not_applied", retryable: false });
    const again = await freshDatabase({ namespace: db.namespace, database: db.database });
    expect(await kept(again)).toEqual([]);
  });
});

test("a session that is given back twice is told so", async () => {
  const db = await freshDatabase();
  const session = await db.acquire();
  expect(await session.query(surql`RETURN ${new RecordId("a", 1)}`)).toStrictEqual(new RecordId("a", 1));
  await session.release();
  expect((await failureOf(() => session.release())).code).toBe("db.double_release");
});
