import { sabotage } from "@sentient/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Database, openDatabase, serve, surql } from "../src/index.ts";
import { failureOf } from "./support/failure.ts";
import { freshDatabase } from "./support/fresh.ts";

const TOKEN = "a-token-of-this-test-file";

/** A database that its own process serves, as another one has it. */
async function remote(): Promise<Database> {
  const db = await freshDatabase();
  const served = await serve(db, { token: TOKEN });
  onTestFinished(() => served.close());
  const { url } = served;
  const client = await openDatabase({ url, token: TOKEN, namespace: db.namespace, database: db.database });
  onTestFinished(() => client.close());
  return client;
}

const count = surql<number>`RETURN array::len((SELECT VALUE id FROM item))`;
const total = surql<number>`RETURN math::sum((SELECT VALUE n FROM item))`;

async function ten(db: Database): Promise<void> {
  await db.query(surql`DEFINE TABLE item`);
  await db.query(surql`INSERT INTO item ${Array.from({ length: 10 }, () => ({ n: 1 }))} RETURN NONE`);
}

const KINDS: [name: string, open: () => Promise<Database>][] = [
  ["an embedded engine", freshDatabase],
  ["a memory engine", () => freshDatabase({ url: "mem://" })],
  ["a server", remote],
];

describe.each(KINDS)("a snapshot of %s", (_, open) => {
  test("is of one moment, however much is written while it is read", async () => {
    const db = await open();
    await ten(db);
    const writeMore = () => db.query(surql`{ CREATE item SET n = 5; UPDATE item SET n += 1 WHERE n = 1 }`);
    const readTwice = async (then: Pick<Database, "query">, between: () => Promise<unknown>) => {
      const first = [await then.query(count), await then.query(total)];
      await between();
      return [first, [await then.query(count), await then.query(total)]];
    };
    const seen = await db.snapshot((then) => readTwice(then, writeMore));
    expect(seen).toEqual([
      [10, 10],
      [10, 10],
    ]);
    expect(await db.query(count)).toBe(11);
    await sabotage("without a snapshot", async () => {
      const [one, other] = await readTwice(db, writeMore);
      expect(one).toEqual(other);
    });
  });

  test("changes nothing, and is over with what it was taken for", async () => {
    const db = await open();
    await ten(db);
    const refused = await failureOf(() => db.snapshot((then) => then.query(surql`DELETE item`)));
    expect(refused).toMatchObject({ code: "db.bad_statement" });
    const failed = await failureOf(() => db.snapshot((then) => then.query(surql`SELECT * FROM nowhere`)));
    expect(failed).toMatchObject({ code: "db.not_found" });
    await expect(db.snapshot(() => Promise.reject(new Error("mine")))).rejects.toThrow("mine");
    expect(await db.query(count)).toBe(10);
    await db.query(surql`DELETE item`);
    expect(await db.snapshot((then) => then.query(count))).toBe(0);
  });
});
