// Library. Owns: the index of what was read: files by their hash, passages by their words.
// L1. A file and its passages change together.
// L2. What is written again is the same: a step that is done twice leaves nothing twice.

import { createHash } from "node:crypto";
import { RecordId, surql, type Database } from "@sentient/db-pool";
import { migrate, readMigrations } from "@sentient/schema";
import { MIGRATIONS } from "../places.ts";
import { embed } from "./embedding.ts";
import type { Cut } from "./passages.ts";
import type { Passage } from "./library-tables.ts";

export interface Found extends Omit<Passage, "library" | "text" | "embedding"> {
  lines: string[];
  score: number;
}

export interface ReadFile {
  file: string;
  hash: string;
  cuts: Cut[];
}

const HISTORY = "research";
/** How little it matters who of the first is the very first. */
const RRF = 20;

export class Library {
  readonly #db: Database;
  /** Of the folder: one database may hold several. */
  readonly #name: string;

  constructor(db: Database, folder: string) {
    this.#db = db;
    this.#name = folder;
  }

  /** Makes its tables, if they are not there. @throws what `migrate` throws */
  static async prepare(db: Database): Promise<void> {
    const migrations = await readMigrations(MIGRATIONS);
    await migrate(db, { migrations, history: HISTORY });
  }

  /** The hash of each file that was read. */
  async hashes(): Promise<Map<string, string>> {
    const rows = await this.#db.query(
      surql<
        { file: string; hash: string }[]
      >`SELECT file, hash FROM research_source WHERE library = ${this.#name}`,
    );
    return new Map(rows.map(({ file, hash }) => [file, hash]));
  }

  /** How many passages there are of some files. */
  async size(): Promise<number> {
    const [row] = await this.#db.query(
      surql<
        { total: number }[]
      >`SELECT math::sum(passages) AS total FROM research_source WHERE library = ${this.#name} GROUP ALL`,
    );
    return row?.total ?? 0;
  }

  /** L1, L2. @returns how many passages they have */
  async put(files: readonly ReadFile[]): Promise<number> {
    const library = this.#name;
    const sources = files.map(({ file, hash, cuts }) => ({
      id: this.#sourceId(file),
      library,
      file,
      hash,
      passages: cuts.length,
    }));
    const passages = files.flatMap(({ file, cuts }) =>
      cuts.map(({ lines, from, to, heading }) => {
        const id = new RecordId("research_passage", [hashOf(library), file, from]);
        const text = [heading, ...lines].join("\n");
        const embedding = embed(text);
        return { id, library, file, from, to, heading, text, ...(embedding ? { embedding } : {}) };
      }),
    );
    await this.#db.transaction([
      ...files.map(({ file }) => this.#forgetPassages(file)),
      surql`INSERT INTO research_source ${sources} ON DUPLICATE KEY UPDATE hash = $input.hash, passages = $input.passages RETURN NONE`,
      ...(passages.length > 0 ? [surql`INSERT INTO research_passage ${passages} RETURN NONE`] : []),
    ]);
    return passages.length;
  }

  /** Files that are not there any more. */
  async forget(files: readonly string[]): Promise<void> {
    for (const file of files)
      await this.#db.transaction([
        this.#forgetPassages(file),
        surql`DELETE ${this.#sourceId(file)} RETURN NONE`,
      ]);
  }

  #forgetPassages(file: string) {
    return surql`DELETE research_passage WHERE library = ${this.#name} AND file = ${file} RETURN NONE`;
  }

  #sourceId(file: string): RecordId {
    return new RecordId("research_source", [hashOf(this.#name), file]);
  }

  /**
   * The passages that speak of some words most; of those under a heading, if one is given. By the words themselves (BM25) and by
   * what they are near to, which also finds them spelled otherwise; whoever is among the first of both comes first.
   */
  async search(words: string, most: number, under?: string): Promise<Found[]> {
    const embedding = embed(words);
    const [spoken, near] = await Promise.all([
      this.#speaking(words, most, under),
      embedding ? this.#near(embedding, most, under) : [],
    ]);
    return fused([spoken, near]).slice(0, most);
  }

  async #speaking(words: string, most: number, under: string | undefined): Promise<Found[]> {
    const rows = await this.#db.query(
      surql<(Passage & { score: number })[]>`SELECT file, from, to, heading, text, search::score(1) AS score
        FROM research_passage WHERE text @1,OR@ ${words} AND library = ${this.#name} AND ${isUnder(under)} ORDER BY score DESC LIMIT ${most}`,
    );
    return rows.map(foundOf);
  }

  /** The index knows nothing of libraries and headings: it is asked for more than are wanted. */
  async #near(embedding: readonly number[], most: number, under: string | undefined): Promise<Found[]> {
    const rows = await this.#db.query(
      surql<(Passage & { score: number })[]>`{
        LET $near = (SELECT file, from, to, heading, text, library, 1 - vector::distance::knn() AS score
          FROM research_passage WHERE embedding <|100,100|> ${embedding});
        SELECT file, from, to, heading, text, score FROM $near
          WHERE library = ${this.#name} AND ${isUnder(under)} ORDER BY score DESC LIMIT ${most}
      }`,
    );
    return rows.map(foundOf);
  }

  /** In how many passages each word stands. */
  async frequencies(words: readonly string[]): Promise<number[]> {
    const counts: number[] = [];
    for (const word of words) {
      const [row] = await this.#db.query(
        surql<
          { count: number }[]
        >`SELECT count() FROM research_passage WHERE text @@ ${word} AND library = ${this.#name} GROUP ALL`,
      );
      counts.push(row?.count ?? 0);
    }
    return counts;
  }

  /** Texts as the index sees them: words without their endings. */
  stems(texts: readonly string[]): Promise<string[][]> {
    return this.#db.query(
      surql<string[][]>`RETURN ${[...texts]}.map(|$text| search::analyze("research_words", $text))`,
    );
  }
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

const isUnder = (heading: string | undefined) =>
  heading === undefined ? surql`true` : surql`heading = ${heading}`;

function foundOf({ text, ...row }: Passage & { score: number }): Found {
  return { ...row, lines: text.split("\n").slice(1) };
}

/**
 * By how far in front each stands in any of the lists: "Reciprocal Rank Fusion Outperforms Condorcet and Individual Rank
 * Learning Methods" (Cormack, Clarke and Büttcher, 2009).
 */
function fused(lists: readonly (readonly Found[])[]): Found[] {
  const byPlace = new Map<string, Found>();
  for (const list of lists)
    list.forEach((found, rank) => {
      const place = `${found.file}:${found.from}`;
      const score = (byPlace.get(place)?.score ?? 0) + 1 / (RRF + rank + 1);
      byPlace.set(place, { ...found, score });
    });
  return [...byPlace.values()].toSorted((a, b) => b.score - a.score);
}
