// Queries that answer something else than they say, or read more than they answer.

import { describe, expect, test } from "vitest";
import { defect, EVERYWHERE, type Kind, open, type RawEngine } from "./support.ts";

const WHOLE_RANGE = defect(
  "a range with LIMIT is read to its end",
  "drop the rule that ranges are read by bounded windows",
);
const EARLY_LIMIT = defect(
  "surrealdb#7028",
  "drop the rule that a query with LIMIT has no other condition than those of its index",
);
const EMPTY_RECORD = defect(
  "UPSERT and ON DUPLICATE KEY UPDATE see an empty record",
  "drop the rule that they count by += alone",
);

/** How many records the scan at the bottom of a plan brought up. */
async function scanned(engine: RawEngine, explained: string): Promise<number> {
  const plan = await engine.run<string>(explained);
  const rows = /RecordIdScan .*\{rows: (\d+)/.exec(plan)?.[1];
  if (rows === undefined) throw new Error(`there is no scan in\n${plan}`);
  return Number(rows);
}

/** 40 of one colour, 10 of them of size 3. */
async function openWithShirts(kind: Kind, indexes: string): Promise<RawEngine> {
  const engine = await open(kind);
  await engine.run(`DEFINE TABLE shirt; ${indexes}`);
  await engine.run("FOR $n IN 1..=40 { CREATE type::record('shirt', $n) SET colour = 'red', size = $n % 4 }");
  return engine;
}

const COLOUR = "DEFINE INDEX colour ON shirt FIELDS colour";
const BOTH = "DEFINE INDEX both ON shirt FIELDS colour, size";

/** What a tally of 5 comes to. */
async function counted(kind: Kind, text: string): Promise<unknown> {
  await using engine = await open(kind);
  await engine.run("CREATE tally:one SET n = 5");
  await engine.run(text);
  return await engine.run("SELECT VALUE n FROM ONLY tally:one");
}

describe.for(EVERYWHERE)("on %s", (kind) => {
  test("a bounded window of a range reads what it answers", async () => {
    await using engine = await open(kind);
    await engine.run("FOR $n IN 1..=1000 { CREATE type::record('event', $n) }");
    expect(await scanned(engine, "EXPLAIN ANALYZE SELECT * FROM event:501..=510")).toBe(10);
  });

  test.for([
    ["LIMIT", "EXPLAIN ANALYZE SELECT * FROM event:1..=1000 LIMIT 10"],
    ["LIMIT of an open range", "EXPLAIN ANALYZE SELECT * FROM event:1.. LIMIT 10"],
    ["ORDER BY id DESC LIMIT", "EXPLAIN ANALYZE SELECT * FROM event:1..=1000 ORDER BY id DESC LIMIT 1"],
  ] as const)("defect: a range with %s is read to its end", async ([, text]) => {
    await using engine = await open(kind);
    await engine.run("FOR $n IN 1..=1000 { CREATE type::record('event', $n) }");
    const read = await scanned(engine, text);
    await WHOLE_RANGE.shows(() => expect(read).toBe(1000));
  });

  test.for([
    ["its index covers one of them", COLOUR],
    ["one index covers one of them, though another covers both", `${COLOUR}; ${BOTH}`],
  ] as const)("defect: two conditions and LIMIT 5 find 1 of 10 where %s", async ([, indexes]) => {
    await using engine = await openWithShirts(kind, indexes);
    const found = await engine.run("SELECT * FROM shirt WHERE colour = 'red' AND size = 3 LIMIT 5");
    await EARLY_LIMIT.shows(() => expect(found).toHaveLength(1));
  });

  test.for([
    ["the only index covers both", BOTH, "SELECT * FROM shirt WHERE colour = 'red' AND size = 3 LIMIT 5"],
    [
      "the query names the index that covers both",
      `${COLOUR}; ${BOTH}`,
      "SELECT * FROM shirt WITH INDEX both WHERE colour = 'red' AND size = 3 LIMIT 5",
    ],
    [
      "the query leaves the index out",
      COLOUR,
      "SELECT * FROM shirt WITH NOINDEX WHERE colour = 'red' AND size = 3 LIMIT 5",
    ],
    [
      "the other condition stands outside of a subquery",
      COLOUR,
      "SELECT * FROM (SELECT * FROM shirt WHERE colour = 'red') WHERE size = 3 LIMIT 5",
    ],
    [
      "an UPDATE takes them from a subquery of ids, as a claim does",
      COLOUR,
      "UPDATE (SELECT VALUE id FROM shirt WHERE colour = 'red' AND size = 3 LIMIT 5) SET sold = true",
    ],
  ] as const)("two conditions and LIMIT 5 find 5 of 10 where %s", async ([, indexes, text]) => {
    await using engine = await openWithShirts(kind, indexes);
    expect(await engine.run(text)).toHaveLength(5);
  });

  test.for([
    ["UPSERT", "UPSERT tally:one SET n = (n ?? 0) + 1"],
    ["ON DUPLICATE KEY UPDATE", "INSERT INTO tally { id: 'one' } ON DUPLICATE KEY UPDATE n = (n ?? 0) + 1"],
  ] as const)("defect: %s does not count on, for what it sets sees an empty record", async ([, text]) => {
    const n = await counted(kind, text);
    await EMPTY_RECORD.shows(() => expect(n).toBe(1));
  });

  test.for([
    ["UPSERT with +=", "UPSERT tally:one SET n += 1"],
    ["ON DUPLICATE KEY UPDATE with +=", "INSERT INTO tally { id: 'one' } ON DUPLICATE KEY UPDATE n += 1"],
    ["UPDATE", "UPDATE tally:one SET n = (n ?? 0) + 1"],
  ] as const)("%s counts on", async ([, text]) => {
    expect(await counted(kind, text)).toBe(6);
  });
});
