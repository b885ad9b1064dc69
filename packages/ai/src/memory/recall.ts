// Recall. Owns: what is found for some words, and in which order.
// Q1. Three rankings are fused: by words (BM25), by direction (vectors, if there is an embedder), and by what is tied to the best
//     of both. What time has left of a memory, and how much it matters, is multiplied in at the end.
// Q2. Of one agent or thread its memories alone are looked at, where they are few. Of all of them, words that stand in very many
//     are left out where others do not.

import { surql, type Database, type RecordId, type Statement } from "@sentient/db-pool";
import { filterOf } from "./filter.ts";
import { byScore, freshness, fused, type Fused, type Ranking } from "./fusion.ts";
import { keyIn, memoryId, whoseOf } from "./ids.ts";
import { neighboursOf } from "./neighbourhood.ts";
import type { CheckedQuery } from "./options.ts";
import type { Rarity } from "./rarity.ts";
import { scopeOf, spokenIn, type Scope } from "./scope.ts";
import type { Vectors } from "./vectors.ts";
import { termsOf, wordsOf } from "./words.ts";

/** What it was found by. */
export type FoundBy = "words" | "vector" | "neighbours";

/** A memory that was found; JSON. */
export interface Hit {
  id: string;
  text: string;
  /** To be compared within one answer alone. */
  score: number;
  /** Why it was found: its place in each of the rankings it is in, from 1 on. */
  ranks: Partial<Record<FoundBy, number>>;
  /** What time has left of it, from 1 down to 0. */
  freshness: number;
  importance: number;
  agent?: string;
  thread?: string;
  tags: string[];
  /** What it stands on. */
  sources: string[];
  /** When it was first said, as ISO 8601. */
  at: string;
}

/** So many words of a query are looked for. */
const MOST_WORDS = 24;
/** Where each of the words stands in very many memories, so many of those with all of them are looked at. */
const MOST_MATCHES = 2_000;
/** Of the best, whose neighbours are looked for. */
const SEEDS = 5;
/** Who is tied to what was found may be right; who was found is more likely to be. */
const WEIGHTS = { neighbours: 0.2 };

export interface Recalling {
  db: Database;
  vectors: Vectors | undefined;
  rarity: Rarity;
  /** In milliseconds. */
  halfLife: number;
  now: Date;
  signal: AbortSignal;
  /** Those that are asked, if not all. */
  by?: readonly FoundBy[] | undefined;
}

/** Q1. @throws what the embedder throws, `ai.bad_embedding` */
export async function recalled(query: CheckedQuery, recalling: Recalling): Promise<Hit[]> {
  const { db, vectors, rarity, by = ["words", "vector", "neighbours"], signal } = recalling;
  const scope = await scopeOf(db, query);
  const [words, vector] = await Promise.all([
    by.includes("words") ? spoken(db, scope, rarity, query) : [],
    vectors && by.includes("vector") ? vectors.near(db, scope, query, signal) : [],
  ]);
  const seeds = fused({ words, vector }).slice(0, SEEDS);
  const neighbours = by.includes("neighbours")
    ? await neighboursOf(
        db,
        seeds.map(({ id }) => id),
      )
    : [];
  return hitsOf(fused<FoundBy>({ words, vector, neighbours }, WEIGHTS), query, recalling);
}

/** By words. Q2. */
async function spoken(
  db: Database,
  scope: Scope | undefined,
  rarity: Rarity,
  query: CheckedQuery,
): Promise<Ranking> {
  const terms = termsOf(query.query);
  const words = (terms.length > 0 ? terms : [...new Set(wordsOf(query.query))]).slice(0, MOST_WORDS);
  if (words.length === 0) return [];
  if (scope?.isSmall) return spokenIn(db, scope, words, query);
  const rare = await rarity.rareOf(db, words);
  const found = await idsOf(db, rare.length > 0 ? anyOf(rare, query) : allOf(words, query));
  const isEnough = !scope || found.length >= query.limit; // what is rare elsewhere may be missing here
  return isEnough || rare.length === words.length ? found : idsOf(db, anyOf(words, query));
}

async function idsOf(db: Database, statement: Scored): Promise<Ranking> {
  return (await db.query(statement)).map(({ id }) => keyIn(id));
}

type Scored = Statement<{ id: RecordId }[]>;

function anyOf(words: readonly string[], query: CheckedQuery): Scored {
  return surql`SELECT id, search::score(1) AS score FROM memory
    WHERE text @1,OR@ ${words.join(" ")} AND ${filterOf(query)} ORDER BY score DESC LIMIT 60`;
}

/** Where each of them stands in very many: those with all of them. */
function allOf(words: readonly string[], query: CheckedQuery): Scored {
  return surql`SELECT id, score FROM (SELECT *, search::score(1) AS score FROM memory
    WHERE text @1,AND@ ${words.join(" ")} LIMIT ${MOST_MATCHES}) WHERE ${filterOf(query)} ORDER BY score DESC LIMIT 60`;
}

interface Weighed {
  id: RecordId;
  usedAt: Date;
  said: number;
  recalled: number;
  importance: number;
}

async function hitsOf(
  found: readonly Fused<FoundBy>[],
  query: CheckedQuery,
  { db, now, halfLife }: Recalling,
): Promise<Hit[]> {
  if (found.length === 0) return [];
  const byId = new Map(found.map((one) => [one.id, one]));
  const rows = await db.query(surql<Weighed[]>`SELECT id, usedAt, said, recalled, importance
    FROM ${found.map(({ id }) => memoryId(id))} WHERE said > 0 AND ${filterOf(query)}`);
  const best = rows
    .map((row) => {
      const { id, score, ranks } = byId.get(keyIn(row.id))!;
      const left = freshness(row, now, halfLife);
      return { id, ranks, freshness: left, score: score * left * (0.5 + row.importance) };
    })
    .toSorted(byScore)
    .slice(0, query.limit);
  return textsOf(db, best);
}

type Best = Pick<Hit, "id" | "ranks" | "freshness" | "score">;
type TextRow = Pick<Hit, "text" | "agent" | "thread" | "tags" | "importance" | "sources"> & {
  id: RecordId;
  at: Date;
};

async function textsOf(db: Database, best: readonly Best[]): Promise<Hit[]> {
  if (best.length === 0) return [];
  const rows = await db.query(surql<TextRow[]>`SELECT id, text, agent, thread, tags, importance, at,
    array::distinct(->memory_from->memory_source.name) AS sources FROM ${best.map(({ id }) => memoryId(id))} WHERE said > 0`);
  const byId = new Map(rows.map((row) => [keyIn(row.id), row]));
  return best.flatMap((one) => {
    const row = byId.get(one.id); // gone by now, if it was forgotten meanwhile
    if (!row) return [];
    const { text, tags, importance, sources, at } = row;
    const said = { ...whoseOf(row), tags, sources: sources.toSorted(), at: new Date(at).toISOString() };
    return [{ ...one, text, importance, ...said }];
  });
}

/** That a run was told of memories: they are used, and last the longer; what is gone by now stays gone. */
export function used(ids: readonly string[], run: RecordId, at: Date): Statement {
  return surql`{
    LET $there = (UPDATE ${ids.map(memoryId)} SET recalled += 1, usedAt = time::max([usedAt, ${at}]) RETURN VALUE id);
    LET $edges = (SELECT type::record('memory_recalled', [record::id($this), ${run.id}]) AS id, $this AS in, ${run} AS out, ${at} AS at FROM $there);
    INSERT RELATION IGNORE INTO memory_recalled $edges RETURN NONE;
  }`;
}
