// No secret is ever printed, by whatever holds it or goes wrong with it.

import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import { openDatabase, Secret, serve, surql } from "../src/index.ts";
import { settingsFrom } from "../src/options.ts";
import { failureOf } from "./support/failure.ts";
import { freshDatabase } from "./support/fresh.ts";

/** All the ways a value gets printed. */
const prints = (value: unknown): string[] => [
  inspect(value, { depth: Infinity, showHidden: true, getters: true }),
  JSON.stringify(value) ?? "",
  String(value),
  Object.entries(value as object).join(),
];

describe("a secret is never printed", () => {
  test("by itself, however it is asked, and is still known to who needs it", () => {
    const secret = new Secret("s3cret");
    for (const print of prints({ deep: [{ secret }] })) expect(print).not.toContain("s3cret");
    expect([inspect(secret), JSON.stringify(secret), String(secret)]).toEqual([
      "[secret]",
      '"[secret]"',
      "[secret]",
    ]);
    expect(secret.reveal()).toBe("s3cret");
  });

  test("by the settings made of it", () => {
    for (const options of [{ user: "ada", password: "s3cret" }, { token: "s3cret" }]) {
      const settings = settingsFrom({ url: "wss://db.example", ...options });
      for (const print of prints(settings)) expect(print).not.toContain("s3cret");
    }
  });

  test("by a database opened with it, nor by what goes wrong there", async () => {
    const token = "s3cret-of-sixteen";
    await using served = await serve(await freshDatabase(), { token });
    await using db = await openDatabase({ url: served.url, token });
    const failure = await failureOf(() => db.query(surql`THROW ${"no"}`));
    for (const value of [db, failure, served, await db.acquire().then((s) => s.release().then(() => s))]) {
      for (const print of prints(value)) expect(print).not.toContain("s3cret");
    }
  });

  test("by the refusal of a wrong one", async () => {
    await using served = await serve(await freshDatabase(), { token: "right-right-right" });
    const failure = await failureOf(() => openDatabase({ url: served.url, token: "s3cret-s3cret-s3cret" }));
    expect(failure).toMatchObject({ code: "db.auth_failed", outcome: "not_applied" });
    for (const print of [...prints(failure), failure.stack]) expect(print).not.toMatch(/s3cret|right-right/);
  });

  test.each([
    "ws://root:s3cret@127.0.0.1:8000",
    "wss://root:s3cret@db.example",
    "https://root:s3c%72et@db.example",
    "ws://root:s3cret/m0re@127.0.0.1:8000",
    "ws://root:s3cret@m0re@db.example:99999",
    "ws://root:s3cret?m0re@db.example:99999",
    "WS://root:s3cret@db.example",
    "surreal://root:s3cret@db.example",
    "surreal://root:s3cret/m0re@db.example",
    "root:s3cret@db.example:8000",
    "mem://root:s3cret@db.example",
    "rocksdb://root:s3cret@db.example?colour=1",
  ])("by the refusal of a URL that holds it: %s", async (url) => {
    const failure = await failureOf(() => openDatabase({ url, anonymous: true }));
    expect(failure.code).toBe("db.bad_url");
    for (const print of [...prints(failure), failure.stack]) expect(print).not.toMatch(/s3c|m0re/);
  });
});
