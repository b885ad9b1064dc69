// E1 and E3 in one process: a folder has one engine however it is named, and a bad one is told of at once.

import { chmod, cp, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { spawnChild } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { type Database, openDatabase, RecordId, surql } from "../src/index.ts";
import { failureOf } from "./support/failure.ts";
import { freshFolder } from "./support/fresh.ts";

const child = new URL("./fixtures/folder-child.ts", import.meta.url);
const kinds = ["rocksdb", "surrealkv"] as const;

const write = (db: Database, id: number) => db.query(surql`CREATE ${new RecordId("kept", id)}`);
const kept = (db: Database) => db.query(surql<number[]>`SELECT VALUE id.id() FROM kept`);
const modeOf = async (path: string) => (await stat(path)).mode & 0o777;

/** A folder that a process wrote a row to, and left in good order. */
async function leftBehind(kind: string): Promise<string> {
  const folder = join(await freshFolder(), "data");
  await using owner = spawnChild(child, { args: [`${kind}://${folder}`, "write", "close"] });
  expect(await owner.exited).toEqual({ code: 0, signal: null });
  return folder;
}

describe.each(kinds)("%s in one process", (kind) => {
  test("two opens share one engine; closing one leaves the other", async () => {
    const url = `${kind}://${await freshFolder()}/data`;
    const one = await openDatabase({ url });
    await using other = await openDatabase({ url });
    await write(one, 1);
    expect(await kept(other)).toEqual([1]);
    await one.close();
    await write(other, 2);
    expect(await kept(other)).toEqual([1, 2]);
    expect((await failureOf(() => kept(one))).code).toBe("db.closed");
  });

  test("opens of other namespaces share the engine, not the data", async () => {
    const url = `${kind}://${await freshFolder()}/data`;
    await using one = await openDatabase({ url, namespace: "one" });
    await using other = await openDatabase({ url, namespace: "other" });
    await write(one, 1);
    await write(other, 2);
    expect(await kept(one)).toEqual([1]);
    expect(await kept(other)).toEqual([2]);
  });

  test("twenty opens at once of a namespace that is not there yet all succeed", async () => {
    const url = `${kind}://${await freshFolder()}/data`;
    const opening = Array.from({ length: 20 }, () =>
      openDatabase({ url, namespace: "new", database: "new" }),
    );
    const opened = await Promise.allSettled(opening);
    for (const result of opened) if (result.status === "fulfilled") await result.value.close();
    expect(opened.filter(({ status }) => status === "rejected")).toEqual([]);
  });

  test("closed and opened again, at once and again and again, it has everything", async () => {
    const url = `${kind}://${await freshFolder()}/data`;
    const ids = Array.from({ length: 10 }, (_, i) => i);
    for (const id of ids) {
      await using db = await openDatabase({ url });
      await write(db, id);
    }
    await using db = await openDatabase({ url });
    expect(await kept(db)).toEqual(ids);
  });

  test("closed while somebody watched a record, it opens again", async () => {
    const url = `${kind}://${await freshFolder()}/data`;
    for (const id of [1, 2]) {
      await using db = await openDatabase({ url });
      await db.query(surql`DEFINE TABLE IF NOT EXISTS bell`);
      const bell = db.watch(new RecordId("bell", 1), { every: 60_000 });
      expect(await bell.next()).toBe("gap"); // it listens now
      await write(db, id);
    }
    await using db = await openDatabase({ url });
    expect(await kept(db)).toEqual([1, 2]);
  });

  test.each([
    ["a trailing slash", (folder: string) => `${folder}/`],
    ["two slashes", (folder: string) => folder.replace(/\/(\w+)$/, "//$1")],
    ["a dot", (folder: string) => folder.replace(/\/(\w+)$/, "/./$1")],
    ["two dots", (folder: string) => `${folder}/../data`],
  ])("a name with %s finds the same engine, even of a folder that was not there", async (_name, rename) => {
    const folder = `${await freshFolder()}/data`;
    await using one = await openDatabase({ url: `${kind}://${rename(folder)}` });
    await using two = await openDatabase({ url: `${kind}://${folder}` });
    await using three = await openDatabase({ url: `${kind}://${rename(folder)}` });
    await write(one, 1);
    expect([await kept(two), await kept(three)]).toEqual([[1], [1]]);
  });

  test("a symbolic link finds the same engine", async () => {
    const folder = await freshFolder();
    await mkdir(`${folder}/data`);
    await symlink(`${folder}/data`, `${folder}/link`);
    await using one = await openDatabase({ url: `${kind}://${folder}/link` });
    await using two = await openDatabase({ url: `${kind}://${folder}/data` });
    await write(one, 1);
    expect(await kept(two)).toEqual([1]);
  });

  test("a symbolic link above a folder that was not there finds the same engine", async () => {
    const folder = await freshFolder();
    await mkdir(`${folder}/real`);
    await symlink(`${folder}/real`, `${folder}/link`);
    await using one = await openDatabase({ url: `${kind}://${folder}/link/data` });
    await using two = await openDatabase({ url: `${kind}://${folder}/real/data` });
    await using three = await openDatabase({ url: `${kind}://${folder}/link/data` });
    await write(one, 1);
    expect([await kept(two), await kept(three)]).toEqual([[1], [1]]);
  });

  test("asked for again with another sync, it refuses to pretend", async () => {
    const folder = `${await freshFolder()}/data`;
    await using db = await openDatabase({ url: `${kind}://${folder}?sync=never` });
    const failure = await failureOf(() => openDatabase({ url: `${kind}://${folder}?sync=every` }));
    expect(failure.message).toMatch(/sync/);
    await write(db, 1);
    await using same = await openDatabase({ url: `${kind}://${folder}?sync=never` });
    expect(await kept(same)).toEqual([1]);
  });

  test("its folder is for nobody else to read, its lock file neither", async () => {
    const folder = `${await freshFolder()}/deep/data`;
    await using db = await openDatabase({ url: `${kind}://${folder}` });
    await write(db, 1);
    expect(await modeOf(folder)).toBe(0o700);
    expect(await modeOf(`${folder}/sentient.lock`)).toBe(0o600);
  });
});

test.each([...kinds, "mem"])("%s is taken from nobody by a table that cannot be watched", async (kind) => {
  const url = kind === "mem" ? "mem://" : `${kind}://${await freshFolder()}/data`;
  await using db = await openDatabase({ url });
  const bell = db.watch(new RecordId("a`b", 1), { every: 20 });
  for (let ring = 0; ring < 3; ring++) await bell.next();
  await write(db, 1);
  await bell.close();
  await write(db, 2);
  expect(await kept(db)).toEqual([1, 2]);
});

test("two mem:// are two databases", async () => {
  await using one = await openDatabase({ url: "mem://" });
  await using other = await openDatabase({ url: "mem://" });
  await write(one, 1);
  await other.query(surql`DEFINE TABLE kept`);
  expect([await kept(one), await kept(other)]).toEqual([[1], []]);
});

describe.each(kinds)("%s refuses soon, naming the folder:", (kind) => {
  const refusal = async (folder: string) => {
    const began = performance.now();
    const failure = await failureOf(() => openDatabase({ url: `${kind}://${folder}` }));
    expect(performance.now() - began).toBeLessThan(30_000);
    expect(failure).toMatchObject({ outcome: "not_applied", retryable: false });
    expect(failure.message).toContain(folder);
    return failure;
  };

  test("a file where the folder should be", async () => {
    const file = `${await freshFolder()}/data`;
    await writeFile(file, "mine");
    const { code, message } = await refusal(file);
    expect(code).toBe("db.open_failed");
    expect(message).toMatch(/there is a file/);
    expect(await readFile(file, "utf8")).toBe("mine");
  });

  test("a file above the folder", async () => {
    const file = `${await freshFolder()}/data`;
    await writeFile(file, "mine");
    const { code, message } = await refusal(`${file}/below`);
    expect(code).toBe("db.open_failed");
    expect(message).toMatch(/there is a file/);
  });

  test("a manifest that is garbage, and leaves no lock file behind", async () => {
    const good = await leftBehind(kind);
    const bad = `${good}-copy`;
    await cp(good, bad, { recursive: true });
    const inside = (await readdir(bad, { recursive: true })).filter((name) => /manifest[-\w]*$/i.test(name));
    const files = (await Promise.all(inside.map((name) => filesAt(join(bad, name))))).flat();
    expect(files).not.toEqual([]);
    for (const file of files) await writeFile(file, new Uint8Array(500).fill(7));
    expect((await refusal(bad)).code).toBe(kind === "rocksdb" ? "db.corrupt" : "db.open_failed");
    expect(await readdir(bad)).not.toContain("sentient.lock");
    // The copy opens where it is whole (control), and this process is none the worse.
    await using db = await openDatabase({ url: `${kind}://${good}` });
    expect(await kept(db)).toHaveLength(1);
  });

  test("a folder that this user may not write", async () => {
    const folder = await freshFolder();
    await mkdir(`${folder}/data`);
    await chmod(`${folder}/data`, 0o500);
    await chmod(folder, 0o755);
    for (const path of [`${folder}/data`, `${folder}/data/below`]) {
      const asNobody = process.getuid?.() === 0 ? { RUN_AS_NOBODY: "yes" } : {};
      await using refused = spawnChild(child, { args: [`${kind}://${path}`, "write"], env: asNobody });
      expect(await refused.exited).toEqual({ code: 1, signal: null });
      expect(refused.messages).toEqual([
        {
          failed: expect.objectContaining({ code: "db.open_failed", retryable: false }),
          took: expect.any(Number),
        },
      ]);
      expect(refused.stdout).toContain("may not write there");
    }
  });
});

test("rocksdb refuses a CURRENT file that is garbage, or points nowhere", async () => {
  const good = await leftBehind("rocksdb");
  for (const [content, code] of [
    ["garbage", "db.corrupt"],
    ["", "db.corrupt"],
    ["MANIFEST-999999\n", "db.open_failed"],
  ] as const) {
    const bad = `${good}-${content.length}`;
    await cp(good, bad, { recursive: true });
    await writeFile(`${bad}/CURRENT`, content);
    const failure = await failureOf(() => openDatabase({ url: `rocksdb://${bad}` }));
    expect(failure).toMatchObject({ code, outcome: "not_applied", retryable: false });
  }
});

async function filesAt(path: string): Promise<string[]> {
  if ((await stat(path)).isFile()) return [path];
  return (await readdir(path)).map((name) => join(path, name));
}
