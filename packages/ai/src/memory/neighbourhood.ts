// Neighbourhood. Owns: what stands beside memories: on the same sources, taken from the same messages, about the same things.

import { ident, surql, type Database, type RecordId, type Statement } from "@sentient/db-pool";
import { byScore, type Ranking } from "./fusion.ts";
import { memoryId, keyIn } from "./ids.ts";

/** What so many memories share says nothing about any of them. */
const CROWD = 32;
/** So many of what they share are looked at. */
const MOST_SHARED = 32;

/** What memories are tied by, and where those that are tied stand. */
const TIES = ["memory_from", "memory_told", "memory_tagged"] as const;

interface Tied {
  id: RecordId;
  ties: RecordId[][];
}

/**
 * The memories tied to any of some, the closest first: the fewer share what ties them, and the better the one they are tied to,
 * the closer.
 */
export async function neighboursOf(db: Database, seeds: Ranking): Promise<string[]> {
  if (seeds.length === 0) return [];
  const tied = await db.query(surql<
    Tied[]
  >`SELECT id, [->memory_from.out, ->memory_told.out, ->memory_tagged.out] AS ties
    FROM ${seeds.map(memoryId)} WHERE said > 0`);
  const shared = sharedBy(tied, seeds).slice(0, MOST_SHARED);
  if (shared.length === 0) return [];
  const groups = await db.query(surql<RecordId[][]>`RETURN [${list(shared.map(membersOf))}]`);
  const scores = new Map<string, number>();
  shared.forEach(({ weights }, i) => {
    const members = [...new Set(groups[i]!.filter(isMemory).map(keyIn))];
    if (groups[i]!.length > CROWD) return;
    for (const member of members)
      for (const [seed, weight] of weights)
        if (seed !== member) scores.set(member, (scores.get(member) ?? 0) + weight / members.length);
  });
  return [...scores]
    .map(([id, score]) => ({ id, score }))
    .toSorted(byScore)
    .map(({ id }) => id);
}

interface Shared {
  tie: (typeof TIES)[number];
  node: RecordId;
  /** Of the memories that it ties, how good they are. */
  weights: Map<string, number>;
}

function sharedBy(tied: readonly Tied[], seeds: Ranking): Shared[] {
  const byNode = new Map<string, Shared>();
  for (const { id, ties } of tied.toSorted((a, b) => seeds.indexOf(keyIn(a.id)) - seeds.indexOf(keyIn(b.id))))
    TIES.forEach((tie, i) => {
      for (const node of ties[i]!) {
        const shared = byNode.get(String(node)) ?? { tie, node, weights: new Map<string, number>() };
        shared.weights.set(keyIn(id), 1 / (1 + seeds.indexOf(keyIn(id))));
        byNode.set(String(node), shared);
      }
    });
  return [...byNode.values()];
}

const isMemory = ({ table }: RecordId): boolean => table.name === "memory";

function membersOf({ tie, node }: Shared): Statement {
  return surql`(SELECT VALUE in FROM ${ident(tie)} WHERE out = ${node} LIMIT ${CROWD + 1})`;
}

function list(statements: readonly Statement[]): Statement {
  return statements.reduce((all, one) => surql`${all}, ${one}`);
}
