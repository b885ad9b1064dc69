// Vectors. Owns: the table with the vectors of one embedder, and what is near in it.
// V1. Each embedder has a table of its own: another one, or one of another dimension, leaves what there is as it is.

import { ident, RecordId, surql, type Database, type Identifier, type Statement } from "@sentient/db-pool";
import { defineMigration, migrate } from "@sentient/schema";
import { directionsOf, type Embedder } from "./embedding.ts";
import { keyIn, whoseOf } from "./ids.ts";
import { filterOf, isNarrowed } from "./filter.ts";
import type { CheckedMemory, CheckedQuery } from "./options.ts";
import type { Scope } from "./scope.ts";

interface Near {
  id: RecordId;
  /** From 0 to 2; what is at 1 has nothing in common. */
  distance: number;
}

interface MemoryRow {
  id: RecordId;
  text: string;
  agent?: string;
  thread?: string;
  tags: string[];
  at: Date;
}

export class Vectors {
  readonly #embedder: Embedder;
  readonly #name: string;
  readonly #table: Identifier;

  constructor(embedder: Embedder) {
    const name = embedder.name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "_");
    this.#embedder = embedder;
    this.#name = `memory_near_${name}_${embedder.dimension}`;
    this.#table = ident(this.#name);
  }

  /** V1. @throws what `migrate` throws */
  async migrate(db: Database): Promise<void> {
    const { name, dimension } = this.#embedder;
    const text = `DEFINE TABLE ${this.#name} TYPE NORMAL SCHEMALESS PERMISSIONS NONE COMMENT 'which way memories point';
DEFINE INDEX near ON ${this.#name} FIELDS embedding HNSW DIMENSION ${dimension} DIST COSINE TYPE F32 EFC 64 M 8;
DEFINE INDEX byAgent ON ${this.#name} FIELDS agent;
DEFINE INDEX byThread ON ${this.#name} FIELDS thread;
INSERT IGNORE INTO memory_embedder { id: '${this.#name}', name: '${name}', dimension: ${dimension} };`;
    await migrate(db, { migrations: [defineMigration(1, "vectors", text)], history: this.#name });
  }

  /** @throws `ai.bad_embedding`, and what the embedder throws */
  async of(texts: readonly string[], signal: AbortSignal): Promise<(number[] | undefined)[]> {
    return directionsOf(this.#embedder, texts, signal);
  }

  /** What is to be written beside memories. */
  insert(
    keys: readonly string[],
    memories: readonly CheckedMemory[],
    vectors: readonly (number[] | undefined)[],
    at: Date,
  ): Statement[] {
    const rows = memories.flatMap((memory, i) => {
      const embedding = vectors[i];
      const id = new RecordId(this.#name, keys[i]!);
      return embedding ? { id, ...whoseOf(memory), tags: memory.tags, at, embedding } : [];
    });
    if (rows.length === 0) return [];
    return [
      surql`{
        LET $rows = ${rows};
        LET $new = (INSERT IGNORE INTO ${this.#table} $rows RETURN VALUE id);
        IF array::len($new) < ${rows.length} {
          FOR $row IN $rows {
            UPDATE $row.id SET tags = array::union(tags, $row.tags) WHERE !(tags CONTAINSALL $row.tags) RETURN NONE;
          };
        };
      }`,
    ];
  }

  /** The memories of which there are none. */
  async missing(db: Database): Promise<RecordId[]> {
    const [all, there] = await Promise.all([
      db.query(surql<RecordId[]>`SELECT VALUE id FROM memory`),
      db.query(surql<RecordId[]>`SELECT VALUE id FROM ${this.#table}`),
    ]);
    const keys = new Set(there.map(keyIn));
    return all.filter((id) => !keys.has(keyIn(id)));
  }

  /** Makes those of some memories. They are written too, so that none is forgotten meanwhile. */
  async make(db: Database, ids: readonly RecordId[], signal: AbortSignal): Promise<void> {
    const rows = await db.query(
      surql<MemoryRow[]>`SELECT id, text, agent, thread, tags, at FROM ${ids} WHERE said > 0`,
    );
    const vectors = await this.of(
      rows.map(({ text }) => text),
      signal,
    );
    const made = rows.flatMap(({ id: memory, tags, at, ...row }, i) => {
      const embedding = vectors[i];
      const id = new RecordId(this.#name, keyIn(memory));
      return embedding ? { id, memory, ...whoseOf(row), tags, at, embedding } : [];
    });
    if (made.length === 0) return;
    await db.query(surql`{
      LET $made = ${made};
      LET $there = (UPDATE $made.memory SET embedded += 1 RETURN VALUE id);
      INSERT IGNORE INTO ${this.#table} (SELECT * OMIT memory FROM $made WHERE memory IN $there) RETURN NONE;
    }`);
  }

  /** The keys of the memories that point the same way most; @throws as `of` */
  async near(
    db: Database,
    scope: Scope | undefined,
    query: CheckedQuery,
    signal: AbortSignal,
  ): Promise<string[]> {
    const [vector] = await this.of([query.query], signal);
    if (!vector) return [];
    const rows = await db.query(
      scope?.hasFewVectors ? this.#oneByOne(scope, query, vector) : this.#byIndex(query, vector),
    );
    return rows.filter(({ distance }) => distance < 1).map(({ id }) => keyIn(id));
  }

  #oneByOne({ condition }: Scope, query: CheckedQuery, vector: number[]): Statement<Near[]> {
    return surql`SELECT id, 1 - vector::similarity::cosine(embedding, ${vector}) AS distance
      FROM (SELECT * FROM ${this.#table} WHERE ${condition}) WHERE ${filterOf(query)} ORDER BY distance LIMIT 60`;
  }

  /**
   * How many are wanted and looked at has to stand in the text. Other conditions beside it would be asked of each that is come by,
   * with its row; so more are taken, and those that do not fit are left out.
   */
  #byIndex(query: CheckedQuery, vector: number[]): Statement<Near[]> {
    if (!isNarrowed(query))
      return surql`SELECT id, vector::distance::knn() AS distance FROM ${this.#table}
        WHERE embedding <|60,100|> ${vector} ORDER BY distance`;
    return surql`SELECT id, distance FROM (SELECT *, vector::distance::knn() AS distance FROM ${this.#table}
      WHERE embedding <|500,500|> ${vector}) WHERE ${filterOf(query)} ORDER BY distance LIMIT 60`;
  }
}

/** The tables of all embedders that there ever were. */
export async function vectorTables(db: Database): Promise<string[]> {
  return db.query(surql<string[]>`SELECT VALUE record::id(id) FROM memory_embedder`);
}
