// Scope. Owns: ranking the memories of one agent or thread, where they are few among many others: the indexes of words and of
// directions know nothing of agents, and would go through everybody's.

import { surql, type Database, type RecordId, type Statement } from "@sentient/db-pool";
import { filterOf, whose } from "./filter.ts";
import { byScore } from "./fusion.ts";
import { keyIn } from "./ids.ts";
import type { CheckedQuery } from "./options.ts";

/** So many memories are gone through one by one, if they have no more than so many letters together. */
const FEW = 2_000;
const MOST_LETTERS = 1_000_000;
/** Of how many vectors the distances are taken one by one. */
const FEW_VECTORS = 10_000;
/** As the index of all memories has it. */
const K1 = 1.2;
const B = 0.75;

export interface Scope {
  /** By one of the indexes, whichever is likely to hold fewer. */
  condition: Statement;
  /** Whether each of its memories can be looked at, and whether each of their vectors can. */
  isSmall: boolean;
  hasFewVectors: boolean;
}

/** Undefined for all memories. */
export async function scopeOf(db: Database, query: CheckedQuery): Promise<Scope | undefined> {
  const [first, second] = [whose("thread", query), whose("agent", query)];
  const [condition] = query.thread === null ? [...second, ...first] : [...first, ...second];
  if (!condition) return undefined;
  const size = await db.query(surql<Omit<Scope, "condition">>`{
    LET $lengths = (SELECT VALUE string::len(text) FROM memory WHERE ${condition} LIMIT ${FEW + 1});
    IF array::len($lengths) <= ${FEW} {
      RETURN { isSmall: math::sum($lengths) <= ${MOST_LETTERS}, hasFewVectors: true };
    };
    LET $count = count(SELECT VALUE said FROM memory WHERE ${condition} LIMIT ${FEW_VECTORS + 1});
    RETURN { isSmall: false, hasFewVectors: $count <= ${FEW_VECTORS} };
  }`);
  return { condition, ...size };
}

interface Cut {
  asked: string[];
  rows: { id: RecordId; words: string[] }[];
}

/** The keys of the memories of a small scope that speak of some words most. */
export async function spokenIn(
  db: Database,
  { condition }: Scope,
  words: readonly string[],
  query: CheckedQuery,
): Promise<string[]> {
  return ranked(
    await db.query(surql<Cut>`RETURN {
      asked: search::analyze("memory_words", ${words.join(" ")}),
      rows: (SELECT id, search::analyze("memory_words", text) AS words FROM memory
        WHERE ${condition} AND ${filterOf(query)})
    }`),
  );
}

/** BM25: "The Probabilistic Relevance Framework: BM25 and Beyond" (Robertson and Zaragoza, 2009). */
function ranked({ asked, rows }: Cut): string[] {
  const mean = rows.reduce((sum, { words }) => sum + words.length, 0) / rows.length;
  const scores = new Map<string, number>();
  for (const word of new Set(asked)) {
    const found = rows.flatMap(({ id, words }) => {
      const times = words.reduce((sum, each) => (each === word ? sum + 1 : sum), 0);
      return times > 0 ? [{ id: keyIn(id), times, length: words.length }] : [];
    });
    const rarity = Math.log(1 + (rows.length - found.length + 0.5) / (found.length + 0.5));
    for (const { id, times, length } of found) {
      const weight = (times * (K1 + 1)) / (times + K1 * (1 - B + (B * length) / mean));
      scores.set(id, (scores.get(id) ?? 0) + rarity * weight);
    }
  }
  return [...scores]
    .map(([id, score]) => ({ id, score }))
    .toSorted(byScore)
    .slice(0, 60)
    .map(({ id }) => id);
}
