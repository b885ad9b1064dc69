import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { DemoResult } from "../src/demo/demo.ts";
import { jsonOf, project, run } from "./support/cli.ts";

const QUESTION = "How long does tea steep?";

/** A folder with a few notes, and what one had rather not read. */
async function notes(): Promise<string> {
  const folder = await project();
  const docs = join(folder, "docs");
  await mkdir(join(docs, "node_modules"), { recursive: true });
  await writeFile(
    join(docs, "tea.md"),
    "# Tea\n\nGreen tea is made with water of eighty degrees,\nand it steeps for two minutes.\n\nBlack tea steeps for four minutes; longer makes it bitter.\n",
  );
  await writeFile(
    join(docs, "coffee.txt"),
    "Coffee is ground before it is brewed, and it is never left to steep.\n",
  );
  await writeFile(join(docs, "node_modules/steep.md"), "This tea must never be steeped by anybody at all.\n");
  await writeFile(join(docs, "picture.md"), Buffer.from([0x50, 0, 1, 2, 3]));
  return folder;
}

async function reportIn(folder: string): Promise<string> {
  const reports = join(folder, ".sentient/reports");
  return readFile(join(reports, (await readdir(reports))[0]!), "utf8");
}

test("a question is answered from a folder, each sentence with the line where it stands", async () => {
  const cwd = await notes();
  const ended = await run(["demo", "docs", QUESTION, "--yes", "--json"], { cwd });
  const { output, crash } = jsonOf(ended) as DemoResult;

  expect(ended.code).toBe(0);
  expect(crash).toBeUndefined();
  expect(output).toMatchObject({ indexed: { files: 2, read: 2, leftOut: 1 }, removed: 0 });
  const report = await reportIn(cwd);
  expect(report).toContain(`# ${QUESTION}`);
  expect(report).toMatch(/- Black tea steeps for four minutes; longer makes it bitter\. \[\d\]/);
  expect(report).toMatch(/\[tea\.md:3-4\]\(\.\.\/\.\.\/docs\/tea\.md#L3\)/);
  expect(report).not.toContain("by anybody");
  expect(ended.stderr).toMatch(/done: read files into the index/);
  expect(ended.stderr).not.toContain("\u001B");

  const again = jsonOf(await run(["demo", "docs", QUESTION, "--yes", "--json"], { cwd })) as DemoResult;
  expect(again.output.indexed).toMatchObject({ read: 0, unchanged: 2 });
  expect(again.resumed).toBe(false);
});

test("where nobody can be asked the question stays, and the same command goes on once it is answered", async () => {
  const cwd = await notes();
  const asked = await run(["demo", "docs", QUESTION], { cwd });
  expect(asked.code).toBe(4);
  const [, id, key, url] = /questions answer (\S+) (\S+) true --url (\S+)/.exec(asked.stderr) ?? [];
  expect(id, asked.stderr).toBeDefined();

  const answered = await run(["questions", "answer", id!, key!, "true", "--url", url!], { cwd });
  expect(answered.code, answered.stderr).toBe(0);
  const gone = await run(["demo", "docs", QUESTION, "--json"], { cwd });
  expect(gone.code, gone.stderr).toBe(0);
  expect(jsonOf(gone) as DemoResult).toMatchObject({ run: id, resumed: true });
  expect(await reportIn(cwd)).toContain("Black tea");
});

test("a worker that is killed in the middle is followed by another, and nothing is done twice", async () => {
  const cwd = await notes();
  const flags = ["--crash", "--yes", "--json", "--lease", "1000", "--pace", "0"];
  const ended = await run(["demo", "docs", QUESTION, ...flags], { cwd });
  expect(ended.code, ended.stderr).toBe(0);
  const { crash, output } = jsonOf(ended) as DemoResult;

  expect(crash).toMatchObject({ signal: "SIGKILL", twice: [] });
  expect(crash!.pid).not.toBe(crash!.successor);
  expect(() => process.kill(crash!.pid, 0)).toThrow("ESRCH");
  expect(crash!.takenOver).toBeGreaterThanOrEqual(1);
  expect(crash!.again).toBeGreaterThanOrEqual(1);
  expect(output.removed).toBe(0);
  expect(await reportIn(cwd)).toContain("Black tea");
});

test("what cannot be asked is refused", async () => {
  const cwd = await notes();
  expect((await run(["demo", "./nowhere", QUESTION], { cwd })).code).toBe(2);
  expect((await run(["demo", "docs", "  "], { cwd })).code).toBe(2);
  expect((await run(["demo", "docs", QUESTION, "--crash", "--lease", "soon"], { cwd })).code).toBe(2);
});
