// Fusion. Owns: one ranking made of several, and how much of a memory is left with time.

/** How little it matters who of the first is the very first; the value of the paper. */
const K = 60;

/** Ids, the best first. */
export type Ranking = readonly string[];

export interface Fused<Name extends string = string> {
  id: string;
  score: number;
  /** Its place in each of the rankings that it is in, from 1 on. */
  ranks: Partial<Record<Name, number>>;
}

/**
 * By how far in front each stands in any of the rankings: "Reciprocal Rank Fusion Outperforms Condorcet and Individual Rank
 * Learning Methods" (Cormack, Clarke and Büttcher, SIGIR 2009).
 *
 * @param weights of rankings that count for more or less than 1
 */
export function fused<Name extends string>(
  rankings: Partial<Record<Name, Ranking>>,
  weights: Partial<Record<Name, number>> = {},
): Fused<Name>[] {
  const byId = new Map<string, Fused<Name>>();
  for (const name of Object.keys(rankings) as Name[])
    rankings[name]!.forEach((id, i) => {
      const one: Fused<Name> = byId.get(id) ?? { id, score: 0, ranks: {} };
      one.score += (weights[name] ?? 1) / (K + i + 1);
      one.ranks[name] = i + 1;
      byId.set(id, one);
    });
  return [...byId.values()].toSorted(byScore);
}

export function byScore(a: { id: string; score: number }, b: { id: string; score: number }): number {
  return b.score - a.score || (a.id < b.id ? -1 : 1);
}

export interface Used {
  usedAt: Date;
  said: number;
  recalled: number;
}

/**
 * What time leaves of a memory, from 1 down to 0: half of it after each half-life since it was last said or recalled. One that
 * is said and recalled often lasts longer.
 *
 * @param halfLife in milliseconds
 */
export function freshness({ usedAt, said, recalled }: Used, now: Date, halfLife: number): number {
  const age = Math.max(0, now.getTime() - usedAt.getTime());
  return 2 ** (-age / (halfLife * (1 + Math.log2(Math.max(1, said + recalled)))));
}
