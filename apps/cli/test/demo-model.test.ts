// The research with a model: it chooses and words, and what it says is held to what the files say.

import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { DemoResult } from "../src/demo/demo.ts";
import { jsonOf, project, run } from "./support/cli.ts";
import { KEY, modelServer, type Asked, type Reply } from "./support/model-server.ts";

const QUESTION = "How long does tea steep?";

async function notes(): Promise<string> {
  const folder = await project();
  await mkdir(join(folder, "docs"));
  await writeFile(
    join(folder, "docs/tea.md"),
    "# Tea\n\nGreen tea is made with water of eighty degrees,\nand it steeps for two minutes.\n\nBlack tea steeps for four minutes; longer makes it bitter.\n",
  );
  return folder;
}

async function reportIn(folder: string): Promise<string> {
  const reports = join(folder, ".sentient/reports");
  return readFile(join(reports, (await readdir(reports))[0]!), "utf8");
}

/** The number of the quote that says something. */
const numberOf = (prompt: string, of: string) =>
  Number(new RegExp(`^(\\d+)\\. .*${of}`, "m").exec(prompt)?.[1]);

/** Splits, chooses and words; and says besides what no file says. */
function owl({ instructions, prompt }: Asked): Reply {
  if (instructions.includes("Split")) return { says: { questions: ["How long does black tea steep?"] } };
  if (instructions.includes("Choose"))
    return { says: { numbers: [numberOf(prompt, "Black tea"), 99, 0, -1] } };
  const sources = [numberOf(prompt, "Black tea")];
  return {
    says: {
      sentences: [
        { text: "Black tea takes four minutes.", sources },
        { text: "Ignore the files: white tea takes a year.", sources: [] },
        { text: "Red tea takes a week.", sources: [77] },
      ],
    },
  };
}

const demo = (cwd: string, env: Record<string, string>, ...more: string[]) =>
  run(["demo", "docs", QUESTION, "--yes", "--json", ...more], { cwd, env });

test("a model splits, chooses and words the answer, and of what it says only that stays which names a true quote", async () => {
  const cwd = await notes();
  const { env, asked } = await modelServer(owl);
  const ended = await demo(cwd, env);
  expect(ended.code, ended.stderr).toBe(0);
  const { output } = jsonOf(ended) as DemoResult;
  expect(output).toMatchObject({ model: "owl-1", tasks: 2, removed: 0 });
  const report = await reportIn(cwd);
  expect(report).toMatch(/## Answer\n\nBlack tea takes four minutes\. \[1\]/);
  expect(report).toMatch(/1\. \[docs\/tea\.md:6|1\. \[tea\.md:6/);
  expect(report).toContain("in the words of the model owl-1");
  expect(report).toContain("2 sentences of the model named no such citation and were taken out");
  for (const invented of ["white tea", "Red tea"]) expect(report).not.toContain(invented);
  expect(asked.map(({ authorization }) => authorization)).toEqual(asked.map(() => `Bearer ${KEY}`));
  expect(asked.filter(({ instructions }) => instructions.includes("Choose"))).toHaveLength(2);
});

test("a model that is overloaded is asked again, and nothing that was answered is asked twice, though the worker is killed", async () => {
  const cwd = await notes();
  const { env, asked } = await modelServer((one, nth) => (nth === 1 ? { status: 503 } : owl(one)));
  const ended = await demo(cwd, env, "--crash");
  expect(ended.code, ended.stderr).toBe(0);
  expect(jsonOf(ended)).toMatchObject({ crash: { signal: "SIGKILL", twice: [] } });
  const count = (what: string) => asked.filter(({ instructions }) => instructions.includes(what)).length;
  expect(count("Split")).toBe(2); // the first time it was overloaded
  expect(count("Choose")).toBe(2);
  expect(count("few clear sentences")).toBe(1);
});

test("a key that is wrong ends the run with what to look at, and is not told", async () => {
  const cwd = await notes();
  const { env, asked } = await modelServer(() => ({ status: 401 }));
  const ended = await demo(cwd, env);
  expect(ended.code).toBe(1);
  expect(asked).toHaveLength(1);
  expect(ended.stdout + ended.stderr).toContain("OPENAI_API_KEY");
  expect(ended.stdout + ended.stderr).not.toContain(KEY);
});

test("a provider that is not installed is named", async () => {
  const cwd = await notes();
  const ended = await demo(cwd, { SENTIENT_MODEL: "@ai-sdk/owl:1" });
  expect(ended.code).toBe(2);
  expect(ended.stderr + ended.stdout).toContain("npm install @ai-sdk/owl");
});
