// The package as a stranger gets it: packed, installed into an empty folder, imported by its name.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const run = promisify(execFile);
const packageFolder = fileURLToPath(new URL("../..", import.meta.url));
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sentient-installed-"));
  await run("pnpm", ["pack", "--pack-destination", folder], { cwd: packageFolder });
  const tarball = (await readdir(folder)).find((file) => file.endsWith(".tgz"))!;
  await writeFile(
    join(folder, "package.json"),
    JSON.stringify({ name: "stranger", private: true, type: "module" }),
  );
  // A download that stalls is tried again long before the hook gives up.
  const patience = ["--fetch-timeout=20000", "--fetch-retries=5", "--fetch-retry-mintimeout=1000"];
  await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", ...patience, `./${tarball}`], {
    cwd: folder,
  });
}, 420_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

test("a write that was acknowledged is there after the process was killed", async () => {
  const writer = script(`
    import { openDatabase, surql } from "@sentient/db-pool";
    const db = await openDatabase({ url: "rocksdb://./x" });
    await db.query(surql\`CREATE note:1 SET text = \${"still here"}\`);
    console.log("acknowledged");
    setInterval(() => {}, 1000);
  `);
  await once(writer.stdout, "data");
  writer.kill("SIGKILL");
  await once(writer, "exit");

  const { stdout } = await evaluate(`
    import { openDatabase, surql } from "@sentient/db-pool";
    await using db = await openDatabase({ url: "rocksdb://./x" });
    console.log(await db.query(surql\`RETURN note:1.text\`));
  `);
  expect(stdout.trim()).toBe("still here");
});

describe("bad input ends with one clear sentence, a code, and none of our insides", () => {
  test.each([
    ["a bad URL", `{ url: "sqlite://x" }`, "is not a database URL"],
    ["a misspelt option", `{ pool: 5 }`, "there is no option pool"],
    [
      "a path that is a file",
      `{ url: "rocksdb://./package.json" }`,
      "there is a file where the folder should be",
    ],
    [
      "a server that is not there",
      `{ url: "ws://127.0.0.1:1", anonymous: true, connectTimeout: 300 }`,
      "does not answer",
    ],
    ["a server without credentials", `{ url: "ws://127.0.0.1:1" }`, "needs credentials"],
  ])("%s", async (_name, options, sentence) => {
    expectOneSentence(await failing(`await openDatabase(${options});`), sentence);
  });

  test("a folder that another process holds", async () => {
    await mkdir(join(folder, "held"), { recursive: true });
    const holder = script(`
      import { openDatabase } from "@sentient/db-pool";
      await openDatabase({ url: "rocksdb://./held" });
      console.log("open");
      setInterval(() => {}, 1000);
    `);
    await once(holder.stdout, "data");
    expectOneSentence(
      await failing(`await openDatabase({ url: "rocksdb://./held" });`),
      `in use by process ${holder.pid}`,
    );
    holder.kill("SIGKILL");
    await once(holder, "exit");
  });

  test("a wrong password", async () => {
    const failure = await failing(`
      const db = await openDatabase({ url: "mem://" });
      const served = await serve(db, { token: "0123456789abcdef" });
      await openDatabase({ url: served.url, user: "ada", password: "hunter2" });
    `);
    expectOneSentence(failure, "the server refused the sign-in");
    expect(failure.stderr).not.toContain("hunter2");
  });
});

function script(code: string) {
  return spawn(process.execPath, ["--input-type=module", "-e", code], { cwd: folder });
}

function evaluate(code: string) {
  return run(process.execPath, ["--input-type=module", "-e", code], { cwd: folder, timeout: 20_000 });
}

async function failing(code: string): Promise<{ code: number; stderr: string }> {
  try {
    await evaluate(`import { openDatabase, serve } from "@sentient/db-pool";\n${code}`);
  } catch (error) {
    return error as { code: number; stderr: string };
  }
  throw new Error("it did not fail");
}

function expectOneSentence({ code, stderr }: { code: number; stderr: string }, sentence: string): void {
  expect(code).toBe(1);
  expect(stderr.split("\n").filter((line) => line.startsWith("DbError: "))).toHaveLength(1);
  expect(stderr).toContain(sentence);
  expect(stderr).not.toContain("node_modules/@sentient");
}
