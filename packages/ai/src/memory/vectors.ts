// Vectors. Owns: the table with the vectors of one embedder, and what is near in it.
// V1. Each embedder has a table of its own: another one, or one of another dimension, leaves what there is as it is.

import { ident, RecordId, surql, type Database, type Identifier, type Statement } from "@sentient/db-pool";
import { defineMigration, migrate } from "@sentient/schema";
import { directionsOf, type Embedder } from "./embedding.ts";
import { keyIn } from "./ids.ts";
import { filterOf } from "./filter.ts";
import type { CheckedMemory, CheckedQuery } from "./options.ts";

/** Of how few vectors the distances are taken one by one. */
const FEW = 2_000;

interface Near {
  id: RecordId;
  /** From 0 to 2; what is at 1 has nothing in common. */
  distance: number;
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
    const rows = memories.flatMap(({ agent, thread, tags }, i) => {
      const embedding = vectors[i];
      const id = new RecordId(this.#name, keys[i]!);
      return embedding ? { id, ...(agent && { agent }), ...(thread && { thread }), tags, at, embedding } : [];
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

  /** The keys of the memories that point the same way most; @throws as `of` */
  async near(db: Database, query: CheckedQuery, signal: AbortSignal): Promise<string[]> {
    const [vector] = await this.of([query.query], signal);
    if (!vector) return [];
    const isFew = (query.agent !== undefined || query.thread !== undefined) && (await this.#isFew(db, query));
    const rows = await db.query(isFew ? this.#oneByOne(query, vector) : this.#byIndex(query, vector));
    return rows.filter(({ distance }) => distance < 1).map(({ id }) => keyIn(id));
  }

  /** The index of neighbours knows nothing of agents: where they have few memories it would look at all of the others. */
  async #isFew(db: Database, query: CheckedQuery): Promise<boolean> {
    const scope = scopeOf(query);
    const count = await db.query(
      surql<number>`RETURN count(SELECT VALUE 1 FROM ${this.#table} WHERE ${scope} LIMIT ${FEW + 1})`,
    );
    return count <= FEW;
  }

  #oneByOne(query: CheckedQuery, vector: number[]): Statement<Near[]> {
    return surql`SELECT id, 1 - vector::similarity::cosine(embedding, ${vector}) AS distance
      FROM (SELECT * FROM ${this.#table} WHERE ${scopeOf(query)}) WHERE ${filterOf(query)} ORDER BY distance LIMIT 60`;
  }

  /** How many are wanted and looked at has to stand in the text. */
  #byIndex(query: CheckedQuery, vector: number[]): Statement<Near[]> {
    return surql`SELECT id, vector::distance::knn() AS distance
      FROM ${this.#table} WHERE embedding <|60,100|> ${vector} AND ${filterOf(query)} ORDER BY distance`;
  }
}

/** By one of the indexes, whichever is likely to hold fewer. */
function scopeOf({ agent, thread }: CheckedQuery): Statement {
  return thread === undefined ? surql`agent = ${agent}` : surql`thread = ${thread}`;
}

/** The tables of all embedders that there ever were. */
export async function vectorTables(db: Database): Promise<string[]> {
  return db.query(surql<string[]>`SELECT VALUE record::id(id) FROM memory_embedder`);
}
