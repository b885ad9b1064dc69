// T13: several processes and one folder. The second is told at once who holds it, the first notices nothing, and what a
// dead one left behind stands in nobody's way.

import { readdir, readFile, writeFile, mkdir } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { type Child, spawnChild, until } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { type Database, openDatabase, surql } from "../src/index.ts";
import { failureOf } from "./support/failure.ts";
import { freshFolder } from "./support/fresh.ts";

const child = (url: string, ...steps: string[]): Child =>
  spawnChild(new URL("./fixtures/folder-child.ts", import.meta.url), { args: [url, ...steps] });

const opened = (process: Child) => process.message(({ opened }) => opened === true);
const written = (process: Child) => process.message(({ written }) => written === true);

const count = (db: Database) => db.query(surql<number>`RETURN count((SELECT * FROM kept))`);
const lockOf = (folder: string) => join(folder, "sentient.lock");

describe.each(["rocksdb", "surrealkv"])("%s", (kind) => {
  const fresh = async () => {
    const folder = join(await freshFolder(), "data");
    return { folder, url: `${kind}://${folder}` };
  };

  test("refuses a second process soon, naming the first, which goes on", async () => {
    const { folder, url } = await fresh();
    await using db = await openDatabase({ url });
    await db.query(surql`CREATE kept`);
    await using second = child(url, "write");
    expect(await second.exited).toEqual({ code: 1, signal: null });
    const [message, ...more] = second.messages as { failed: Record<string, unknown>; took: number }[];
    expect(more).toEqual([]);
    expect(message).toMatchObject({
      failed: { code: "db.locked", retryable: true, details: { folder, holder: { pid: process.pid } } },
    });
    expect(message!.failed.message).toMatch(new RegExp(`process ${process.pid} on .*serve\\(\\)`));
    expect(message!.took).toBeLessThan(30_000);
    await db.query(surql`CREATE kept`);
    expect(await count(db)).toBe(2);
    expect(JSON.parse(await readFile(lockOf(folder), "utf8"))).toMatchObject({ pid: process.pid });
  });

  test("is ours once its owner was killed, with every row the owner had told of", async () => {
    const { url } = await fresh();
    await using owner = child(url, "write", "write", "stay");
    await written(owner);
    await written(owner);
    const refused = await failureOf(() => openDatabase({ url }));
    expect(refused).toMatchObject({ code: "db.locked", details: { holder: { pid: owner.pid } } });
    expect(await owner.kill("SIGKILL")).toEqual({ code: null, signal: "SIGKILL" });
    await using db = await openDatabase({ url });
    expect(await count(db)).toBe(2);
    expect(db.predecessor).toEqual({ pid: owner.pid, host: hostname() });
  });

  test("has no predecessor where it is new, or was closed", async () => {
    const { url } = await fresh();
    await using owner = child(url, "write");
    expect(await owner.exited).toEqual({ code: 0, signal: null });
    await using db = await openDatabase({ url });
    expect(db.predecessor).toBeUndefined();
    await using other = await openDatabase({ url: (await fresh()).url });
    expect(other.predecessor).toBeUndefined();
  });

  test("is ours once its owner has ended without closing it, which it does by itself", async () => {
    const { folder, url } = await fresh();
    await using owner = child(url, "write");
    expect(await owner.exited).toEqual({ code: 0, signal: null });
    expect(await readdir(folder)).not.toContain("sentient.lock");
    await using db = await openDatabase({ url });
    expect(await count(db)).toBe(1);
  });

  test("does not end before a call in flight is answered, and then does", async () => {
    const { url } = await fresh();
    await using owner = child(url, "leave-a-call");
    expect(await owner.exited).toEqual({ code: 0, signal: null });
    expect(owner.messages).toContainEqual({ written: true });
    await using db = await openDatabase({ url });
    expect(await count(db)).toBe(1);
  });

  test("closed with 200 calls in flight settles them all, does not abort, and is ours then", async () => {
    const { folder, url } = await fresh();
    await using owner = child(url, "write", "write-and-close");
    expect(await owner.exited).toEqual({ code: 0, signal: null });
    expect(owner.messages).toContainEqual({ settled: 200, written: 200 });
    expect(await readdir(folder)).not.toContain("sentient.lock");
    await using db = await openDatabase({ url });
    expect(await count(db)).toBe(201);
  });

  test("of four processes that start at once, one gets it and the others are told", async () => {
    const { folder, url } = await fresh();
    const started = Array.from({ length: 4 }, () => child(url, "write", "stay"));
    try {
      const messages = () => started.map(({ messages }) => messages.at(-1));
      await until(() => messages().every((message) => message?.written ?? message?.failed), {
        deadline: 60_000,
      });
      const winner = started.filter(({ messages }) => messages.at(-1)?.written);
      expect(winner).toHaveLength(1);
      const codes = messages().map((message) => (message?.failed as { code?: string } | undefined)?.code);
      expect(codes.filter((code) => code === "db.locked")).toHaveLength(3);
      expect(JSON.parse(await readFile(lockOf(folder), "utf8"))).toMatchObject({ pid: winner[0]!.pid });
    } finally {
      await Promise.all(started.map((process) => process.kill()));
    }
  });
});

test("mem:// keeps no process alive that has not closed it", async () => {
  await using process = child("mem://", "write");
  expect(await process.exited).toEqual({ code: 0, signal: null });
  expect(process.messages).toContainEqual({ written: true });
});

test("mem:// closed with 200 calls in flight settles them all and does not abort", async () => {
  await using process = child("mem://", "write", "write-and-close");
  expect(await process.exited).toEqual({ code: 0, signal: null });
  expect(process.messages).toContainEqual({ settled: 200, written: 200 });
});

test("twelve folders in one process make no warning", async () => {
  await using owner = child(`rocksdb://${await freshFolder()}/data`, "open-many");
  expect(await owner.exited).toEqual({ code: 0, signal: null });
  expect(owner.messages).toEqual([{ opened: true }]);
});

type Holder = Record<string, unknown>;

/** As this process writes it, who is alive. */
async function ownLock(): Promise<Holder> {
  const folder = join(await freshFolder(), "data");
  const db = await openDatabase({ url: `surrealkv://${folder}` });
  const lock = JSON.parse(await readFile(lockOf(folder), "utf8")) as Holder;
  await db.close();
  return lock;
}

/** What of it tells this process from others. */
async function identity(): Promise<Holder> {
  const { pid, host, bootId, namespace, startedAt } = await ownLock();
  return { pid, host, bootId, namespace, startedAt };
}

async function folderWith(lock: string): Promise<string> {
  const folder = join(await freshFolder(), "data");
  await mkdir(folder);
  await writeFile(lockOf(folder), lock);
  return folder;
}

async function pidOfTheDead(): Promise<number> {
  await using process = child("mem://");
  await process.exited;
  return process.pid;
}

describe("a lock file", () => {
  test("of somebody alive is respected (control)", async () => {
    const folder = await folderWith(JSON.stringify(await ownLock()));
    const failure = await failureOf(() => openDatabase({ url: `rocksdb://${folder}` }));
    expect(failure).toMatchObject({ code: "db.locked", details: { holder: { pid: process.pid } } });
  });

  const stale: [string, (lock: Holder) => Holder | Promise<Holder>][] = [
    ["a process that is gone", async (lock) => ({ ...lock, pid: await pidOfTheDead() })],
    ["our pid, when somebody else had it", (lock) => ({ ...lock, startedAt: "1" })],
    ["a process of an earlier boot", (lock) => ({ ...lock, bootId: "00000000-0000-0000-0000-000000000000" })],
    ["a process of another container, whose engine is gone", (lock) => ({ ...lock, namespace: "pid:[1]" })],
    ["a process of another host, whose engine is gone", (lock) => ({ ...lock, host: "elsewhere" })],
  ];

  test.each(stale)("of %s is taken over", async (_name, change) => {
    const folder = await folderWith(JSON.stringify(await change(await ownLock())));
    await using db = await openDatabase({ url: `rocksdb://${folder}` });
    await db.query(surql`CREATE kept`);
    expect(await count(db)).toBe(1);
    expect(JSON.parse(await readFile(lockOf(folder), "utf8"))).toMatchObject(await identity());
  });

  const garbage = [
    ["nothing", ""],
    ["half an object", '{"pid":1'],
    ["null", "null"],
    ["an empty list", "[]"],
    ["an empty object", "{}"],
    ["a pid that is text", '{"pid":"1","host":"a"}'],
    ["NUL bytes, as a crash leaves them", "\0\0\0"],
    ["100,000 characters", "x".repeat(100_000)],
  ];

  test.each(garbage)("of %s is taken over", async (_name, content) => {
    const folder = await folderWith(content);
    await using db = await openDatabase({ url: `rocksdb://${folder}` });
    await db.query(surql`CREATE kept`);
    expect(await count(db)).toBe(1);
    expect(JSON.parse(await readFile(lockOf(folder), "utf8"))).toMatchObject(await identity());
  });

  test("that is wrong about a holder who lives gives way to the engine's own, and is put back", async () => {
    const folder = join(await freshFolder(), "data");
    const url = `rocksdb://${folder}`;
    await using owner = child(url, "write", "stay");
    await written(owner);
    const lock = { ...(JSON.parse(await readFile(lockOf(folder), "utf8")) as Holder), host: "elsewhere" };
    await writeFile(lockOf(folder), JSON.stringify(lock));
    const failure = await failureOf(() => openDatabase({ url }));
    expect(failure).toMatchObject({
      code: "db.locked",
      details: { holder: { pid: owner.pid, host: "elsewhere" } },
    });
    expect(JSON.parse(await readFile(lockOf(folder), "utf8"))).toEqual(lock);
  });

  test("that was removed under its holder leaves the folder locked all the same", async () => {
    const folder = join(await freshFolder(), "data");
    const url = `rocksdb://${folder}`;
    await using owner = child(url, "write", "stay");
    await opened(owner);
    await written(owner);
    await writeFile(lockOf(folder), "{}");
    expect((await failureOf(() => openDatabase({ url }))).code).toBe("db.locked");
  });
});
