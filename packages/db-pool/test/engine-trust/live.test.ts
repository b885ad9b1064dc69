// LIVE: which writes it hears. A statement that fails or only reads silences those that follow it in the same text, and
// client transactions are never heard. So one write is one statement, and what waits for one also looks by the clock.

import { until } from "@sentient/testkit";
import { Duration, type Uuid } from "surrealdb";
import { describe, expect, test } from "vitest";
import { atOnce, defect, EVERYWHERE, open, type RawEngine } from "./support.ts";

const SILENCED = defect("surrealdb#4277, #7331, #7514", "drop the rule that one write is one statement");

const HEARD: [form: string, text: string][] = [
  ["a statement", "CREATE bell:one"],
  ["several writes", "CREATE other; CREATE bell:one"],
  ["a block", "{ LET $n = 1; CREATE bell:one SET n = $n; RETURN $n }"],
  ["an IF", "IF true { CREATE bell:one }"],
  ["a FOR", "FOR $n IN [1] { CREATE bell:one }"],
  ["a LET of one write", "LET $made = (CREATE bell:one)"],
  ["a function", "fn::ring()"],
  ["BEGIN … COMMIT that comes first", "BEGIN; LET $n = 1; CREATE bell:one SET n = $n; COMMIT"],
  [
    "a block of BEGIN … COMMIT, wrapped as transaction() does",
    "BEGIN; {LET $_r={CREATE bell:one; RETURN 1};$_r}; COMMIT",
  ],
];

const NOT_HEARD: [form: string, text: string][] = [
  ["LET, then a write", "LET $n = 1; CREATE bell:one SET n = $n"],
  ["SELECT, then a write", "SELECT * FROM other; CREATE bell:one"],
  ["RETURN, then a write", "RETURN 1; CREATE bell:one"],
  ["INFO, then a write", "INFO FOR DB; CREATE bell:one"],
  ["a failure, then a write", "THROW 'no'; CREATE bell:one"],
  ["LET, then BEGIN … COMMIT", "LET $n = 1; BEGIN; CREATE bell:one SET n = $n; COMMIT"],
];

async function listeningTo(engine: RawEngine): Promise<Uuid> {
  await engine.run(
    "DEFINE TABLE bell; DEFINE TABLE other; DEFINE TABLE last; DEFINE FUNCTION fn::ring() { CREATE bell:one; RETURN 1 }",
  );
  await engine.listen("last");
  return engine.listen("bell");
}

const heard = (engine: RawEngine, table: string) =>
  engine.heard
    .filter(({ record }) => record?.table.name === table)
    .map(({ action, record }) => `${action} ${record}`);

const created = (count: number) => Array.from({ length: count }, (_, i) => `CREATE bell:${i + 1}`);

/** Three writes heard one after the other: by then the notifications of earlier ones have come, if there are any. */
async function heardTheRest(engine: RawEngine): Promise<void> {
  for (let count = 1; count <= 3; count++) {
    await engine.run("CREATE last");
    await until(() => heard(engine, "last").length === count, { what: "a LIVE notification" });
  }
}

describe.for(EVERYWHERE)("on %s LIVE", (kind) => {
  test.for(HEARD)("hears %s", async ([, text]) => {
    await using engine = await open(kind);
    await listeningTo(engine);
    await engine.run(text);
    await until(() => heard(engine, "bell").length > 0, { what: "a LIVE notification" });
    await heardTheRest(engine);
    expect(heard(engine, "bell")).toEqual(["CREATE bell:one"]);
  });

  test.for(NOT_HEARD)("defect: does not hear %s", async ([, text]) => {
    await using engine = await open(kind);
    await listeningTo(engine);
    await engine.query(text);
    await heardTheRest(engine);
    await SILENCED.shows(() => expect(heard(engine, "bell")).toEqual([]));
    expect(await engine.run("SELECT VALUE id FROM bell")).toHaveLength(1);
  });

  test("defect: does not hear a client transaction", async () => {
    await using engine = await open(kind);
    await listeningTo(engine);
    const txn = await engine.rpc<Uuid>("begin");
    await engine.run("CREATE bell:one", {}, { txn });
    await engine.rpc("commit", [txn]);
    await heardTheRest(engine);
    await SILENCED.shows(() => expect(heard(engine, "bell")).toEqual([]));
    expect(await engine.run("SELECT VALUE id FROM bell")).toHaveLength(1);
  });

  test("does not hear a write that had begun before it, and commits after it", async () => {
    let told: { seen: unknown[]; heard: unknown[]; written: unknown[] } | undefined;
    // Longer each time: on a slow machine it may not have begun by then, or have committed already.
    for (const ms of [50, 250, 1_250]) {
      await using engine = await open(kind);
      await engine.run("DEFINE TABLE bell; DEFINE TABLE last");
      await engine.listen("last");
      const all = () => engine.run<unknown[]>("SELECT VALUE id FROM bell");
      const write = engine.run("{ CREATE bell:one; sleep($hold) }", { hold: new Duration(`${4 * ms}ms`) });
      await engine.run("sleep($begun)", { begun: new Duration(`${ms}ms`) }); // by then it has begun
      await engine.listen("bell");
      const seen = await all(); // nor does who looks now see it
      await write;
      await heardTheRest(engine);
      told = { seen, heard: heard(engine, "bell"), written: await all() };
      if (told.seen.length + told.heard.length === 0) break;
    }
    expect(told).toEqual({ seen: [], heard: [], written: [expect.anything()] });
  });

  test("hears nothing of what is rolled back", async () => {
    await using engine = await open(kind);
    await listeningTo(engine);
    await engine.query("BEGIN; CREATE bell:one; THROW 'no'; COMMIT");
    await engine.query("{ CREATE bell:one; THROW 'no' }");
    await heardTheRest(engine);
    expect(heard(engine, "bell")).toEqual([]);
  });

  test("hears every write of 16 writers, if not in their order", async () => {
    await using engine = await open(kind);
    await listeningTo(engine);
    await atOnce(16, async (writer) => {
      for (let n = 1; n <= 25; n++)
        await engine.insist("CREATE type::record('bell', $id)", { id: writer * 25 + n });
    });
    await until(() => heard(engine, "bell").length >= 400, { what: "400 LIVE notifications" });
    expect(heard(engine, "bell").sort()).toEqual(created(400).sort());
  });

  test("hears the writes of one transaction in their order", async () => {
    await using engine = await open(kind);
    await listeningTo(engine);
    await engine.run("FOR $n IN 1..=200 { CREATE type::record('bell', $n) }");
    await until(() => heard(engine, "bell").length >= 200, { what: "200 LIVE notifications" });
    expect(heard(engine, "bell")).toEqual(created(200));
  });

  test.for([
    ["KILL", (engine: RawEngine, id: Uuid) => engine.run("KILL $id", { id })],
    ["REMOVE TABLE", (engine: RawEngine) => engine.run("REMOVE TABLE bell")],
  ] as const)("is told of its end by %s, and so the last read of an engine ends", async ([, end]) => {
    await using engine = await open(kind);
    const id = await listeningTo(engine);
    await end(engine, id);
    await until(() => engine.heard.length > 0, { what: "a LIVE notification" });
    expect(engine.heard).toMatchObject([{ action: "KILLED" }]);
  });

  test("is refused on a table that does not exist, in words that a doorbell waits on", async () => {
    await using engine = await open(kind);
    const [answer] = await engine.query("LIVE SELECT * FROM nowhere");
    expect(answer).toMatchObject({ status: "ERR", result: "The table 'nowhere' does not exist" });
  });
});
