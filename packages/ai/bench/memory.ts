// Memory: how long it takes to recall, by words, by direction and by both, among a thousand memories and among a hundred thousand, of
// all of them and of one agent in a hundred; and how long it takes to fill. The texts are made of the words of docs, as often as they
// stand there; the vectors are those of the local embedder, of 128 numbers.

import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDatabase } from "@sentient/db-pool";
import { percentile, seeded, type BenchRow, type SeededRandom } from "@sentient/testkit";
import {
  createMemory,
  localEmbedder,
  type MemoryStore,
  type NewMemory,
  type Query,
} from "../src/memory/index.ts";

const FEW = 1_000;
const MANY = 100_000;
/** Queries a round. */
const QUERIES = 15;
const ROUNDS = 3;
const SECTIONS = new URL("../test/fixtures/sections.json", import.meta.url);
/** How many memories there are of an agent: one in so many. */
const AGENTS = 100;

export async function memoryRows(many: number = MANY): Promise<BenchRow[]> {
  const words = await wordsOfDocs();
  const rows: BenchRow[] = [];
  for (const count of [FEW, many]) {
    const folder = mkdtempSync(join(tmpdir(), "sentient-memory-bench-"));
    await using db = await openDatabase({ url: `rocksdb://${folder}/data`, timeout: 600_000 });
    const memory = createMemory(db, { embedder: localEmbedder({ dimension: 128 }) });
    await memory.migrate();
    const texts = textsOf(words, count);
    rows.push(await filled(memory, texts));
    rows.push(...(await asked(memory, texts)));
    await db.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
  }
  return rows;
}

/** In parts, so that the spread tells whether it gets slower. */
async function filled(memory: MemoryStore, texts: readonly string[]): Promise<BenchRow> {
  const PARTS = 5;
  const rates: number[] = [];
  for (let part = 0; part < PARTS; part++) {
    const [from, to] = [part, part + 1].map((n) => Math.floor((n * texts.length) / PARTS));
    const began = performance.now();
    await memory.import(memoriesOf(texts, from!, to!));
    rates.push(((to! - from!) * 1_000) / (performance.now() - began));
  }
  return rowOf(`memories imported, up to ${label(texts.length)}, with vectors of 128`, "/s", rates);
}

function* memoriesOf(texts: readonly string[], from: number, to: number): Generator<NewMemory> {
  for (let i = from; i < to; i++)
    yield { text: texts[i]!, agent: `agent-${i % AGENTS}`, sources: [`file-${Math.floor(i / 10)}`] };
}

async function asked(memory: MemoryStore, texts: readonly string[]): Promise<BenchRow[]> {
  const of = label(texts.length);
  const parts = [
    [`recall of ${of}: p50`, {}, undefined],
    [`recall of ${of}, one agent's: p50`, { agent: "agent-7" }, undefined],
    [`recall of ${of}, by words alone: p50`, {}, ["words"]],
    [`recall of ${of}, by vectors alone: p50`, {}, ["vector"]],
  ] as const;
  const rows: BenchRow[] = [];
  for (const [name, filter, by] of parts) {
    const p50: number[] = [];
    for (let round = 0; round <= ROUNDS; round++) {
      const took: number[] = [];
      for (const query of queriesOf(texts, round)) {
        const began = performance.now();
        await memory.search({ query, ...filter } satisfies Query, by ? { by } : {});
        took.push(performance.now() - began);
      }
      if (round > 0) p50.push(percentile(took, 0.5));
    }
    rows.push(rowOf(name, "ms", p50));
  }
  return rows;
}

/** Words of a memory in another order, as who remembers half of it would ask. */
function queriesOf(texts: readonly string[], round: number): string[] {
  const random = seeded(1_000 + round);
  return Array.from({ length: QUERIES }, () => {
    const words = random.pick(texts).split(" ");
    return Array.from({ length: 5 }, () => random.pick(words)).join(" ");
  });
}

function textsOf(words: readonly string[], count: number): string[] {
  const random = seeded(7);
  return Array.from({ length: count }, (_, i) => `${sentenceOf(words, random)} ${i}`);
}

function sentenceOf(words: readonly string[], random: SeededRandom): string {
  return Array.from({ length: 12 + random.int(18) }, () => random.pick(words)).join(" ");
}

/** As often as they are there. */
async function wordsOfDocs(): Promise<string[]> {
  const sections = JSON.parse(await readFile(SECTIONS, "utf8")) as Record<string, string>;
  return (
    Object.values(sections)
      .join("\n")
      .match(/\p{L}{2,}/gu) ?? []
  );
}

const label = (count: number): string => (count % 1_000 === 0 ? `${count / 1_000}k` : `${count}`);

function rowOf(name: string, unit: string, values: readonly number[]): BenchRow {
  return { name, unit, median: percentile(values, 0.5), min: Math.min(...values), max: Math.max(...values) };
}
