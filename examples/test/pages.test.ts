// Every page, run as a reader would run it: it prints what it says at its top.

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { spawnChild } from "@sentient/testkit";
import { expect, onTestFinished, test } from "vitest";

const folder = new URL("..", import.meta.url);
const start = fileURLToPath(new URL("start.ts", folder));
const pages = (await readdir(folder)).filter(
  (file) => file.endsWith(".ts") && !/^(start|vitest\.)/.test(file),
);

/** A child with a folder of its own to work in, as what stands on the disk may be what a page is about. */
async function run(page: string) {
  const cwd = await mkdtemp(join(tmpdir(), "sentient-page-"));
  onTestFinished(() => rm(cwd, { recursive: true, force: true }));
  const child = spawnChild(new URL("in-folder.ts", import.meta.url), {
    env: { START: start, CWD: cwd },
    args: [page],
  });
  onTestFinished(async () => void (await child.kill()));
  return { exit: await child.exited, stdout: child.stdout, stderr: child.stderr };
}

function linesOf(text: string): string[] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => line.trimEnd());
}

/** What a page says that it prints; `…` is something. */
async function promiseOf(file: string): Promise<string[]> {
  const source = await readFile(new URL(file, folder), "utf8");
  const name = file.replace(".ts", "");
  const [, said] =
    new RegExp(`^// {3}npm run example ${name}\n//\n// prints\n//\n((?:// {3}.*\n)+)`, "m").exec(source) ??
    [];
  expect(said, `${file} says how it is run and what it prints`).toBeDefined();
  return linesOf(said!.replaceAll(/^\/\/ {3}/gm, ""));
}

const literal = (text: string) => text.replaceAll(/[^\w ]/g, (char) => `\\${char}`);

const matching = (line: string) =>
  line.includes("…")
    ? (expect.stringMatching(new RegExp(`^${line.split("…").map(literal).join(".+")}$`)) as string)
    : line;

test.for(pages)("%s prints what it says", async (file) => {
  const { exit, stdout, stderr } = await run(file.replace(".ts", ""));
  expect(exit, stderr).toEqual({ code: 0, signal: null });
  expect(linesOf(stdout)).toEqual((await promiseOf(file)).map(matching));
});

test.for(pages)("%s is a page", async (file) => {
  expect(linesOf(await readFile(new URL(file, folder), "utf8")).length).toBeLessThanOrEqual(70);
});

test("a page that is not there is told, with those that are", async () => {
  const { exit, stderr } = await run("nothing");
  expect(exit.code).toBe(1);
  expect(stderr).toMatch(
    /there is no page nothing; there is assistant, cron, fan-out, .*streaming, supervisor/,
  );
});
