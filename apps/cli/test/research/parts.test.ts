import { sabotage } from "@sentient/testkit";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { draftOf, markdownOf } from "../../src/research/answer.ts";
import { listCorpus } from "../../src/research/corpus.ts";
import { count } from "../../src/research/ledger.ts";
import { cut } from "../../src/research/passages.ts";
import { clausesOf, termsOf } from "../../src/research/question.ts";
import type { Finding } from "../../src/research/reading.ts";
import { whyWrong, without } from "../../src/research/review.ts";
import { sentencesOf } from "../../src/research/sentences.ts";

async function folderWith(files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sentient-research-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}

const finding = (more: Partial<Finding> = {}): Finding => ({
  file: "a.md",
  from: 3,
  to: 4,
  heading: "A",
  quote: "The lease of a worker ends after fifteen seconds.",
  score: 1,
  ...more,
});

test("a passage knows its lines and the headings above it, and code that is fenced stays whole", () => {
  const text = [
    "# One",
    "",
    "first",
    "## Two",
    "```sh",
    ...Array.from({ length: 30 }, () => ""),
    "# no heading",
    "```",
    "last",
  ];
  const cuts = cut("a.md", text.join("\n"), "whole");
  expect(cuts.map(({ from, to, heading }) => [from, to, heading])).toEqual([
    [3, 3, "One"],
    [5, text.length, "One › Two"],
  ]);
  for (const { from, to, lines } of cuts) expect(lines).toEqual(text.slice(from - 1, to));
});

test("of code only its header is read, where that is asked for", () => {
  const text =
    "#!/usr/bin/env node\n// Owns: the lease of a run, and nothing else.\n\nconst a = 1; // not this\n";
  const [{ lines, from } = { lines: [], from: 0 }] = cut("a.ts", text, "headers");
  expect(sentencesOf(lines, from, true)).toEqual([
    { text: "Owns: the lease of a run, and nothing else.", from: 2, to: 2 },
  ]);
  expect(cut("a.ts", "const a = 1;\n", "headers")).toEqual([]);
});

test("sentences stand word for word on the lines that they name", async () => {
  const text =
    "# A\n\nThe lease of a worker\nends after fifteen seconds. **Fast.** Another takes over then, within one more second.\n\n| P1 | what is said is on disk first, always |\n";
  const folder = await folderWith({ "a.md": text });
  const [{ lines, from } = { lines: [], from: 0 }] = cut("a.md", text, "whole");
  const sentences = sentencesOf(lines, from, false);
  expect(sentences.map(({ text, from, to }) => [text, from, to])).toEqual([
    ["The lease of a worker ends after fifteen seconds.", 3, 4],
    ["**Fast.** Another takes over then, within one more second.", 4, 4],
    ["P1 | what is said is on disk first, always", 6, 6],
  ]);
  for (const { text: quote, from, to } of sentences)
    expect(await whyWrong(folder, finding({ quote, from, to }))).toBeUndefined();
});

test("a citation that is wrong is taken out, and the report says so", async () => {
  const folder = await folderWith({ "a.md": "# A\n\nThe lease of a worker\nends after a minute.\n" });
  const gone = finding({ file: "gone.md", quote: "Nobody wrote this sentence anywhere in here." });
  const draft = draftOf("?", [{ title: "?", findings: [finding(), gone] }], []);
  const removed = await Promise.all(
    [finding(), gone].map(async (each) => ({ ...each, why: (await whyWrong(folder, each))! })),
  );
  expect(removed.map(({ why }) => why)).toEqual([
    "these lines say something else",
    "the file is not there any more, or is no text",
  ]);
  const imprint = {
    files: 1,
    passages: 1,
    checked: 2,
    removed,
    unfounded: 0,
    link: (file: string) => ({ name: file, href: file }),
  };
  const report = markdownOf(without(draft, removed), imprint);
  expect(report).not.toContain("fifteen");
  expect(report).toContain("0 stand there word for word, 2 did not and were taken out");
  await sabotage("nobody looked them up", () => {
    expect(markdownOf(draft, imprint)).not.toContain("fifteen");
  });
});

test("what was begun again after it was remembered counts as done twice, and what was cut off does not", () => {
  const entry = (step: string, at: number) => ({ what: "began" as const, step, pid: 1, at });
  const entries = [entry("a", 1), entry("b", 2), entry("b", 9), entry("c", 3), entry("c", 9)];
  expect(
    count(
      entries,
      new Map([
        ["a", 2],
        ["b", 12],
        ["c", 5],
      ]),
    ),
  ).toEqual({ steps: 3, again: 1, twice: ["c"] });
});

test("only the words that say something are looked for, and a question falls into its parts", () => {
  expect(termsOf("How does a run survive the crash of its worker?")).toEqual([
    "run",
    "survive",
    "crash",
    "worker",
  ]);
  expect(clausesOf("How is a lease renewed, and what does a crash cost?")).toEqual([
    "How is a lease renewed",
    "what does a crash cost",
  ]);
  expect(clausesOf("How is a lease renewed?")).toEqual([]);
});

test("what is no text, hidden, or of others is not read", async () => {
  const folder = await folderWith({
    "a.md": "text",
    ".env": "SECRET=1",
    "pnpm-lock.yaml": "lock",
    "b.bin": "\u0000",
  });
  const { files, leftOut } = await listCorpus(folder, "whole");
  expect(files.map(({ file }) => file)).toEqual(["a.md"]);
  expect(leftOut).toBe(1);
});
