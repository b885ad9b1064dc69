// Rarity. Owns: in how many memories words stand, as far as that matters, so that looking for them costs no more than they say.

import { surql, type Database, type Statement } from "@sentient/db-pool";

/** Words that stand in more memories say little, and cost much. */
const COMMON = 1_000;
/** So many memories may hold any of the words. */
const MOST_MATCHES = 2_000;
/** How long a count is good enough, in milliseconds. */
const GOOD_MS = 60_000;
const MOST_KEPT = 10_000;

interface Counted {
  count: number;
  until: number;
}

export class Rarity {
  readonly #counted = new Map<string, Counted>();

  /** Those that say most, of no more memories than are to be looked at; none if each stands in very many. */
  async rareOf(db: Database, words: readonly string[]): Promise<string[]> {
    const counts = await this.#countsOf(db, words);
    const rare: string[] = [];
    let matches = 0;
    for (const word of words.toSorted((a, b) => counts.get(a)! - counts.get(b)!)) {
      const count = counts.get(word)!;
      matches += count;
      if (count > COMMON || (rare.length > 0 && matches > MOST_MATCHES)) break;
      rare.push(word); // also if it stood nowhere: somebody may have said it since
    }
    return rare;
  }

  /** Up to one more than what is common. */
  async #countsOf(db: Database, words: readonly string[]): Promise<Map<string, number>> {
    const now = performance.now();
    const unknown = words.filter((word) => (this.#counted.get(word)?.until ?? 0) <= now);
    if (unknown.length > 0) {
      if (this.#counted.size + unknown.length > MOST_KEPT) this.#counted.clear();
      const counts = await db.query(surql<number[]>`RETURN [${list(unknown.map(countOf))}]`);
      unknown.forEach((word, i) => this.#counted.set(word, { count: counts[i]!, until: now + GOOD_MS }));
    }
    return new Map(words.map((word) => [word, this.#counted.get(word)?.count ?? 0]));
  }
}

function countOf(word: string): Statement {
  return surql`count(SELECT VALUE said FROM memory WHERE text @@ ${word} LIMIT ${COMMON + 1})`;
}

function list(statements: readonly Statement[]): Statement {
  return statements.reduce((all, one) => surql`${all}, ${one}`);
}
