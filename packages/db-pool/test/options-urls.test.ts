// URLs: which are understood, and as what; which are refused, and why.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openDatabase, surql } from "../src/index.ts";
import { settingsFrom } from "../src/options.ts";
import { failureOf } from "./support/failure.ts";
import { freshFolder } from "./support/fresh.ts";

describe("a URL", () => {
  const known = { insecure: false, anonymous: true };

  test.each([
    ["mem://", { kind: "mem" }],
    ["rocksdb:///srv/data", { kind: "rocksdb", folder: "/srv/data" }],
    ["rocksdb://data", { kind: "rocksdb", folder: join(process.cwd(), "data") }],
    ["rocksdb://./data", { kind: "rocksdb", folder: join(process.cwd(), "data") }],
    ["rocksdb:///srv/data/", { kind: "rocksdb", folder: "/srv/data" }],
    ["rocksdb:///srv/other/../data", { kind: "rocksdb", folder: "/srv/data" }],
    ["rocksdb:///srv/data?sync=every", { folder: "/srv/data", sync: "every" }],
    ["rocksdb:///srv/data?sync=never", { folder: "/srv/data", sync: "never" }],
    ["surrealkv:///srv/data", { kind: "surrealkv", folder: "/srv/data" }],
    ["surrealkv:///srv/data?sync=1s", { sync: "1s" }],
    ["surrealkv:///srv/data?sync=500ms", { sync: "500ms" }],
    ["ws://127.0.0.1:8000", { kind: "ws", url: "ws://127.0.0.1:8000/rpc" }],
    ["ws://127.0.0.1:8000/", { kind: "ws", url: "ws://127.0.0.1:8000/rpc" }],
    ["ws://localhost/rpc", { kind: "ws", url: "ws://localhost/rpc" }],
    ["ws://localhost/rpc/", { kind: "ws", url: "ws://localhost/rpc" }],
    ["ws://localhost/db", { kind: "ws", url: "ws://localhost/db/rpc" }],
    ["ws://localhost/db/", { kind: "ws", url: "ws://localhost/db/rpc" }],
    ["ws://[::1]:8000", { kind: "ws", url: "ws://[::1]:8000/rpc" }],
    ["wss://db.example", { kind: "ws", url: "wss://db.example/rpc" }],
    ["http://127.0.0.1:8000", { kind: "http", url: "http://127.0.0.1:8000/rpc" }],
    ["https://db.example/rpc", { kind: "http", url: "https://db.example/rpc" }],
  ])("%s is understood", (url, location) => {
    expect(settingsFrom({ url, ...known }).location).toMatchObject(location);
  });

  test.each([
    ["mem://data", /takes no path.*rocksdb:\/\//],
    ["rocksdb://", /needs a folder/],
    ["surrealkv://", /needs a folder/],
    ["rocksdb://?sync=every", /needs a folder/],
    ["rocksdb:///srv/data?snyc=never", /no option snyc/],
    ["rocksdb:///srv/data?sync=often", /sync=often is not known/],
    ["rocksdb:///srv/data?sync=1s", /loses acknowledged writes/],
    ["surrealkv:///srv/data?sync=1h", /sync=1h is not known/],
    ["surrealkv:///srv/data?versioned=true", /no option versioned/],
    ["file:///srv/data", /not a database URL/],
    ["/srv/data", /not a database URL/],
    ["memory", /not a database URL/],
    ["ws://", /not a URL/],
    ["ws://db.example", /in the clear.*wss:\/\//],
    ["http://db.example", /in the clear.*https:\/\//],
    ["ws://10.0.0.1", /in the clear/],
    ["ws://0.0.0.0", /in the clear/],
    ["ws://localhost.evil.example", /in the clear/],
    ["ws://127.0.0.1.evil.example", /in the clear/],
    ["ws://ada@127.0.0.1", /credentials do not belong/],
    ["ws://ada:p@127.0.0.1", /credentials do not belong/],
  ])("%s is refused", async (url, why) => {
    const failure = await failureOf(() => openDatabase({ url, ...known }));
    expect(failure).toMatchObject({ code: "db.bad_url", outcome: "not_applied", retryable: false });
    expect(failure.message).toMatch(why);
  });

  test("to another machine in the clear must be asked for by name", () => {
    const { location } = settingsFrom({ url: "ws://db.example", anonymous: true, insecure: true });
    expect(location).toEqual({ kind: "ws", url: "ws://db.example/rpc" });
  });

  test.each(["rocksdb", "surrealkv"])(
    "%s:// takes a folder as it is written: spaces, percent signs and all",
    async (kind) => {
      const folder = await freshFolder();
      const name = "a b%20c #é";
      await using db = await openDatabase({ url: `${kind}://${folder}/${name}` });
      await db.query(surql`CREATE kept`);
      expect(await readdir(folder)).toEqual([name]);
      expect(await readdir(join(folder, name))).toContain("sentient.lock");
    },
  );
});
