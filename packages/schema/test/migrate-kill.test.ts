// Migrating while processes are killed: five start at once, one of them dies at each point of the way, or the server
// under all of them does.

import { sabotage, type ServedEngine, servedEngine } from "@sentient/testkit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { defineDataMigration, defineMigration, type Migration } from "../src/migration.ts";
import { runtimeMigrations } from "../src/runtime.ts";
import { freshFolder } from "./support/migrate.ts";
import { expectKillsSurvived } from "./support/migrate-kill.ts";

const SLOW = 240_000;

// None of these is idempotent: what is done twice, or not at all, is seen in a balance.
const migrations: Migration[] = [
  defineMigration(
    1,
    "accounts",
    `DEFINE TABLE account SCHEMAFULL;
     DEFINE FIELD balance ON account TYPE int;
     FOR $i IN 0..20 { CREATE type::record("account", $i) SET balance = $i };`,
  ),
  defineMigration(
    2,
    "interest",
    `-- sentient: stepwise
     UPDATE account SET balance += 1000;
     DEFINE INDEX balances ON account FIELDS balance;
     UPDATE account SET balance = balance * 2;`,
  ),
  defineDataMigration({
    number: 3,
    name: "bonus",
    table: "account",
    batchSize: 10,
    change: (row) => ({ balance: (row.balance as number) + 7 }),
  }),
  defineMigration(
    4,
    "currency",
    `DEFINE FIELD currency ON account TYPE string DEFAULT "EUR";
     UPDATE account SET currency = "EUR", balance += 1;`,
  ),
];

let engine: ServedEngine;

beforeAll(async () => {
  const entry = new URL("./fixtures/migrate-serve.ts", import.meta.url);
  engine = await servedEngine({ entry, folder: `${await freshFolder()}/data` });
});

afterAll(() => engine.close());

test(
  "whoever is killed after whichever statement, the others finish what an undisturbed run does",
  async () => {
    await expectKillsSurvived(migrations, { engine });
  },
  SLOW,
);

test(
  "the runtime's own migrations survive it too",
  async () => {
    const most = Number(process.env.SENTIENT_KILLS ?? 8); // of more than 200; more on demand
    await expectKillsSurvived(await runtimeMigrations(), { engine, most });
  },
  SLOW,
);

test(
  "the server is killed and started again, and all five finish",
  async () => {
    await expectKillsSurvived(migrations, { engine, victim: "server", most: 4 });
  },
  SLOW,
);

test(
  "the check fails when the record is not written in the transaction of the work (control)",
  async () => {
    const failure = await sabotage("the record apart", () =>
      expectKillsSurvived(migrations, {
        engine,
        at: ({ part, after }) => part === "2:0" && after === "work",
        recordApart: true,
      }),
    );
    expect(failure).toMatchObject({ message: expect.stringMatching(/what the store contains after/) });
  },
  SLOW,
);
