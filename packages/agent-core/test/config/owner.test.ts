import { type Database, type DbError, openDatabase, surql } from "@sentient/db-pool";
import { spawnChild, until, VirtualClock } from "@sentient/testkit";
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
const OWNED = /is in use by process \d+ .* sentient serve/;
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
  const error = await openOrReach({ url }, { patience: 0 }).catch((thrown: unknown) => thrown);
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

test("a folder that somebody has for a moment is waited for, and that is said once", async () => {
  const url = `rocksdb://${await freshFolder()}`;
  await using owner = spawnChild(OWNER, { env: { OWNER_URL: url, OWNER_SILENT: "1" } });
  await owner.message(({ serves }) => serves === false, 60_000);
  const waits: number[] = [];
  const onWait = ({ details }: DbError) => waits.push((details!.holder as { pid: number }).pid);
  const opening = openOrReach({ url }, { onWait, patience: 600_000 });
  await until(() => waits.length > 0);
  await owner.kill("SIGTERM");
  await using db = await opening;
  expect(db.url).toBe(url);
  expect(waits).toEqual([owner.pid]);
});

test("a folder is waited for until its owner has begun to serve it", async () => {
  const url = `rocksdb://${await freshFolder()}`;
  await using owner = spawnChild(OWNER, { env: { OWNER_URL: url, OWNER_SILENT: "1" } });
  await owner.message(({ serves }) => serves === false, 60_000);
  let opening: Promise<Database>;
  await new Promise<void>((resolve) => {
    opening = openOrReach({ url }, { onWait: () => resolve(), patience: 600_000 });
  });
  process.kill(owner.pid, "SIGUSR2");
  await using db = await opening!;
  expect(db.url).toMatch(/^ws:/);
});

test("nobody waits longer than they said, or than they are let", async () => {
  const url = `rocksdb://${await freshFolder()}`;
  await using owner = spawnChild(OWNER, { env: { OWNER_URL: url, OWNER_SILENT: "1" } });
  await owner.message(({ serves }) => serves === false, 60_000);
  const clock = new VirtualClock();
  const began = Promise.withResolvers<void>();
  let refusal: unknown;
  const opening = openOrReach({ url, clock }, { patience: 1_000, onWait: () => began.resolve() });
  opening.catch((error: unknown) => (refusal = error));
  await began.promise;
  await until(() => clock.pending > 0);
  await clock.advance(900);
  expect(refusal).toBeUndefined();
  await until(async () => clock.advance(100).then(() => refusal));
  expect(refusal).toMatchObject({ code: "db.locked", message: expect.stringMatching(OWNED) });
  const stop = AbortSignal.abort();
  await expect(openOrReach({ url }, { patience: 600_000, signal: stop })).rejects.toThrow(OWNED);
});

test("who stays does not rely on an owner that is about to end, and who does not may ask it", async () => {
  const url = `rocksdb://${await freshFolder()}`;
  await using owner = spawnChild(OWNER, { env: { OWNER_URL: url, OWNER_BRIEF: "1" } });
  await owner.message(({ serves }) => serves === true, 60_000);
  await using asking = await openOrReach({ url });
  expect(asking.url).toMatch(/^ws:/);
  await expect(openOrReach({ url }, { lasting: true, patience: 0 })).rejects.toThrow(OWNED);
  const staying = openOrReach({ url }, { lasting: true, patience: 600_000 });
  await asking.close();
  await owner.kill("SIGTERM");
  await using own = await staying;
  expect(own.url).toBe(url);
});
