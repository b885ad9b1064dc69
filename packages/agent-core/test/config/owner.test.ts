import { type DbError, openDatabase, surql } from "@sentient/db-pool";
import { spawnChild } from "@sentient/testkit";
import { existsSync, statSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openOrReach } from "../../src/config/index.ts";

async function freshFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sentient-owner-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }));
  return join(folder, "data");
}

const codeOf = (error: unknown) => (error as DbError).code;
const OWNER = new URL("./owner-process.ts", import.meta.url);

test("a folder is reached through the process that owns and serves it, and by nobody who may not read it", async () => {
  const folder = await freshFolder();
  const url = `rocksdb://${folder}`;
  await using owner = spawnChild(OWNER, { env: { OWNER_URL: url } });
  await owner.message(({ serves }) => serves === true, 60_000);
  const note = join(folder, "sentient.served.json");
  expect(statSync(note).mode & 0o077).toBe(0);
  await using db = await openOrReach({ url });
  expect(db.url).toMatch(/^ws:\/\/127\.0\.0\.1:/);
  expect(await db.query(surql`RETURN 2`)).toBe(2);
  await db.close();
  await owner.kill("SIGTERM");
  expect(existsSync(note)).toBe(false);
});

test("a note that outlived its owner leads nowhere: the answer is who holds the folder", async () => {
  const folder = await freshFolder();
  const url = `rocksdb://${folder}`;
  await using owner = spawnChild(OWNER, { env: { OWNER_URL: url, OWNER_SILENT: "1" } });
  await owner.message(({ serves }) => serves === false, 60_000);
  await writeFile(
    join(folder, "sentient.served.json"),
    JSON.stringify({ url: "ws://127.0.0.1:9/rpc", token: "x".repeat(32), pid: 1 }),
  );
  const error = await openOrReach({ url, connectTimeout: 10_000 }).catch((thrown: unknown) => thrown);
  expect(codeOf(error)).toBe("db.locked");
  expect((error as Error).message).toContain(`process ${owner.pid} `);
});

test("who may open the folder opens it, whatever a note says", async () => {
  const folder = await freshFolder();
  const url = `rocksdb://${folder}`;
  const first = await openDatabase({ url });
  await writeFile(
    join(folder, "sentient.served.json"),
    JSON.stringify({ url: "ws://127.0.0.1:9/rpc", token: "x".repeat(32), pid: 1 }),
  );
  await using db = await openOrReach({ url });
  expect(db.url).toBe(url);
  await first.close();
});
