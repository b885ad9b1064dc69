// The README, run as a stranger would run it: what may be killed is killed, tests are run, and the check is made.

import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { spawnChild, until } from "@sentient/testkit";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";

const README = await readFile(new URL("../README.md", import.meta.url), "utf8");
const blocks = new Map(
  [...README.matchAll(/^```ts\n\/\/ (\S+)\n([^]*?)^```$/gm)].map(([, file, text]) => [file!, text!]),
);
const packages = fileURLToPath(new URL("../..", import.meta.url));
const folders: string[] = [];
let project: string;

afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

async function freshFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sentient-readme-"));
  folders.push(folder);
  return folder;
}

beforeAll(async () => {
  project = await freshFolder();
  await mkdir(join(project, "node_modules", "@sentient"), { recursive: true });
  for (const name of ["db-pool", "agent-core"])
    await symlink(join(packages, name), join(project, "node_modules", "@sentient", name));
  await symlink(join(packages, "agent-core", "node_modules", "zod"), join(project, "node_modules", "zod"));
  for (const [file, text] of blocks) await writeFile(join(project, file), text);
  await writeFile(join(project, "package.json"), `{ "type": "module" }`);
  await writeFile(
    join(project, "start.ts"),
    "process.chdir(process.env.FOLDER!);\nawait import(`./${process.env.START}`);\n",
  );
});

function start(file: string, folder: string) {
  const child = spawnChild(join(project, "start.ts"), { env: { START: file, FOLDER: folder } });
  onTestFinished(async () => void (await child.kill()));
  return child;
}

async function run(file: string, folder: string): Promise<string> {
  const child = start(file, folder);
  expect(await child.exited, `${child.stdout}\n${child.stderr}`).toEqual({ code: 0, signal: null });
  return child.stdout;
}

test("the agent that is killed again and again counts to thirty, and a number twice at most where it was killed", async () => {
  const folder = await freshFolder();
  const counted: number[] = [];
  const read = (text: string) => [...text.matchAll(/^counted (\d+)$/gm)].map(([, number]) => Number(number));
  for (const kills of [1, 2]) {
    const child = start("count.ts", folder);
    await until(() => read(child.stdout).length >= 5 * kills, { deadline: 90_000 });
    await child.kill();
    counted.push(...read(child.stdout));
  }
  const said = await run("count.ts", folder);
  counted.push(...read(said));
  expect(said).toMatch(/^done$/m);
  expect(counted).toEqual(counted.toSorted((a, b) => a - b));
  expect(new Set(counted).size).toBe(30);
  expect(counted.length).toBeLessThanOrEqual(32);
}, 300_000);

test("its tests pass", async () => {
  expect(await run("order.test.ts", project)).toMatch(/pass 4$/m);
}, 240_000);

test("what is recorded is checked, and code that goes another way is found", async () => {
  const folder = await freshFolder();
  await mkdir(join(folder, "runs"));
  await run("record.ts", folder);
  expect(await run("replay-check.ts", folder)).toBe("order ok \ncashier ok \n");
  const other = blocks.get("order.ts")!.replace(`ctx.ask("approve"`, `ctx.ask("agree"`);
  const check = blocks.get("replay-check.ts")!.replace("./order.ts", "./other-order.ts");
  await writeFile(join(project, "other-order.ts"), other);
  await writeFile(join(project, "other-check.ts"), check);
  const child = start("other-check.ts", folder);
  expect(await child.exited, child.stderr).toEqual({ code: 1, signal: null });
  expect(child.stdout).toMatch(
    /^order diverged .*remembers main\/approve#1, and the handler asked for main\/agree#1/,
  );
}, 240_000);

test("a worker that is asked to stop does, and says nothing of an error", async () => {
  const worker = start("worker.ts", await freshFolder());
  await until(() => worker.stdout.includes("at work"), { deadline: 90_000 });
  expect(await worker.kill("SIGTERM"), worker.stderr).toEqual({ code: 0, signal: null });
  expect(worker.stderr).toBe("");
}, 180_000);
