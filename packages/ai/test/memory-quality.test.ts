// How well memory finds: questions about the documentation, and the sections that answer them.

import { readFile } from "node:fs/promises";
import { hashOf } from "@sentient/schema";
import { sabotage, seeded } from "@sentient/testkit";
import { beforeAll, expect, test } from "vitest";
import { localEmbedder, type Embedder, type FoundBy, type MemoryStore } from "../src/memory/index.ts";
import { freshMemory, sectionsOfDocs } from "./support/memories.ts";

interface Labelled {
  question: string;
  /** Each of them answers it, the best first. */
  answers: string[];
}

interface Quality {
  precision: number;
  /** The same, as a share of what there is to be found. */
  share: number;
  recall: number;
  /** The mean of 1 / the place of the first that answers. */
  mrr: number;
}

const file = new URL("fixtures/questions.json", import.meta.url);
let questions: Labelled[];

beforeAll(async () => {
  questions = JSON.parse(await readFile(file, "utf8")) as Labelled[];
});

test("each question is answered by sections that are there", async () => {
  const names = new Set((await sectionsOfDocs()).map(({ name }) => name));
  const gone = questions.flatMap(({ answers }) => answers).filter((name) => !names.has(name));
  expect(gone).toEqual([]);
  expect(questions.length).toBeGreaterThanOrEqual(40);
});

async function measured(
  memory: MemoryStore,
  nameOf: ReadonlyMap<string, string>,
  by: FoundBy[],
  agent?: string,
): Promise<Quality> {
  const all: Quality = { precision: 0, share: 0, recall: 0, mrr: 0 };
  for (const { question, answers } of questions) {
    const hits = await memory.search({ query: question, agent }, { by });
    const found = hits.map(({ text }) => nameOf.get(text)!);
    const right = (most: number) => found.slice(0, most).filter((name) => answers.includes(name)).length;
    const first = found.findIndex((name) => answers.includes(name));
    all.precision += right(5) / 5 / questions.length;
    all.share += right(5) / Math.min(5, answers.length) / questions.length;
    all.recall += right(10) / answers.length / questions.length;
    all.mrr += (first < 0 ? 0 : 1 / (first + 1)) / questions.length;
  }
  return all;
}

async function imported(embedder?: Embedder, agent?: string) {
  const sections = await sectionsOfDocs();
  const { memory } = await freshMemory({ embedder });
  await memory.import(sections.map((section) => ({ ...section.memory, agent })));
  return { memory, nameOf: new Map(sections.map(({ name, memory: { text } }) => [text, name])) };
}

const said = ({ share, recall }: Quality): string => `${share.toFixed(3)} and ${recall.toFixed(3)}`;

/** How much worse it may be. */
const MARGIN = 0.02;

test("words, direction and neighbourhood together find as well as the best of them alone", async () => {
  const { memory, nameOf } = await imported(localEmbedder());
  const words = await measured(memory, nameOf, ["words"]);
  const vector = await measured(memory, nameOf, ["vector"]);
  const both = await measured(memory, nameOf, ["words", "vector"]);
  const hybrid = await measured(memory, nameOf, ["words", "vector", "neighbours"]);
  const most =
    questions.reduce((sum, { answers }) => sum + Math.min(5, answers.length) / 5, 0) / questions.length;

  console.log(
    `${questions.length} questions, ${nameOf.size} sections of docs; precision@5 can be ${most.toFixed(3)} at most`,
  );
  console.table(
    Object.entries({ words, vector, "words + vector": both, hybrid }).map(([ranking, quality]) => ({
      ranking,
      "precision@5": quality.precision.toFixed(3),
      "of what can be": quality.share.toFixed(3),
      "recall@10": quality.recall.toFixed(3),
      mrr: quality.mrr.toFixed(3),
    })),
  );
  for (const one of [words, vector]) {
    expect(hybrid.share).toBeGreaterThan(one.share - MARGIN);
    expect(hybrid.recall).toBeGreaterThan(one.recall - MARGIN);
  }
  expect(words.recall).toBeGreaterThan(0.8);
  expect(vector.recall).toBeGreaterThan(0.75);
  expect(hybrid.recall).toBeGreaterThan(0.85);
});

test("the memories of one agent, which are ranked apart, are found as well as those of all", async () => {
  const all = await imported();
  const words = await measured(all.memory, all.nameOf, ["words"]);
  const one = await imported(undefined, "reader");
  const ofOne = await measured(one.memory, one.nameOf, ["words"], "reader");
  console.log(`by words: ${said(words)} of all, ${said(ofOne)} of one agent`);
  expect(ofOne.share).toBeGreaterThan(words.share - MARGIN);
  expect(ofOne.recall).toBeGreaterThan(words.recall - MARGIN);
});

test("an embedder that points anywhere finds nothing: the control of the test above", async () => {
  const anywhere: Embedder = {
    name: "anywhere",
    dimension: 64,
    embed: async (texts) =>
      texts.map((text) => {
        const random = seeded(Number.parseInt(hashOf(text).slice(0, 8), 16));
        return Array.from({ length: 64 }, () => random.next() - 0.5);
      }),
  };
  const { memory, nameOf } = await imported(anywhere);
  await sabotage("vectors of nothing", async () => {
    expect((await measured(memory, nameOf, ["vector"])).recall).toBeGreaterThan(0.75);
  });
});
