// Forgetting. Owns: that what is forgotten is gone, with all that led to it and all that it led to.
// G1. A memory goes with its vectors and its edges in one transaction: there is never a part of one.
// G2. What stands on a forgotten source alone goes with it; what stands on others too keeps those. What is cut off is gone on
//     with by whoever says it again.
// G3. Nothing is forgotten by itself: time only has it found later.
// G4. With a thread goes what was said in it, what is remembered of it, and what was taken from it and stands on nothing else.

import { RecordId, surql, type Database, type Statement } from "@sentient/db-pool";
import { freshness, type Used } from "./fusion.ts";
import { memoryId, sourceId, keyIn } from "./ids.ts";
import { vectorTables } from "./vectors.ts";

/** What was forgotten. */
export interface Forgotten {
  memories: number;
  messages: number;
  /** Memories and messages that had stood on it, and stand on others still. */
  kept: number;
  /** The runs that were told of what is forgotten, or spoke in the thread that is: what they did with it stands in their journals until they are removed. */
  seenBy: string[];
}

/** In one transaction. */
const BATCH = 200;

interface Round {
  memories: number;
  messages: number;
  kept: number;
  seenBy: string[];
  more: boolean;
}

/** G2. */
export async function forgetSource(db: Database, name: string): Promise<Forgotten> {
  const source = sourceId(name);
  const tables = await vectorTables(db);
  return inRounds(async () => {
    const [round] = await db.transaction([
      surql<Round>`{
        LET $edges = (SELECT VALUE id FROM memory_from WHERE out = ${source} LIMIT ${BATCH});
        LET $on = array::distinct(SELECT VALUE in FROM $edges);
        DELETE $edges RETURN NONE;
        LET $alone = (SELECT VALUE id FROM $on WHERE at != NONE AND count(->memory_from) = 0);
        LET $memories = $alone.filter(|$id| record::tb($id) = 'memory');
        LET $messages = $alone.filter(|$id| record::tb($id) = 'memory_message');
        LET $seen = ${SEEN};
        ${deleteAll(tables)};
        DELETE $messages RETURN NONE;
        LET $kept = count(SELECT VALUE id FROM $on
          WHERE at != NONE AND count(->memory_from) > 0 AND ->memory_from.out CONTAINSNOT ${source});
        LET $more = array::len($edges) = ${BATCH};
        IF !$more { DELETE ${source} RETURN NONE };
        RETURN {
          memories: array::len($memories), messages: array::len($messages),
          kept: $kept, seenBy: $seen, more: $more
        };
      }`,
    ]);
    return round;
  });
}

/** G4. Its number of messages goes last, with the last of them: who speaks in it meanwhile is heard, and forgotten too. */
export async function forgetThread(db: Database, thread: string): Promise<Forgotten> {
  const tables = await vectorTables(db);
  return inRounds(async () => {
    const [round] = await db.transaction([
      surql<Round>`{
        LET $said = (SELECT VALUE id FROM memory_message WHERE thread = ${thread} LIMIT ${BATCH});
        LET $own = (SELECT VALUE id FROM memory WHERE thread = ${thread} LIMIT ${BATCH});
        LET $taken = array::distinct(array::flatten(SELECT VALUE <-memory_told.in FROM $said));
        LET $alone = (SELECT VALUE id FROM $taken WHERE at != NONE AND ->memory_told.out.thread ALLINSIDE ${[thread]}
          AND array::complement(->memory_from.out, ->memory_told->memory_message->memory_from.out) = []);
        LET $memories = array::union($own, $alone);
        LET $all = array::concat($said, $memories);
        LET $sources = array::distinct(array::flatten(SELECT VALUE ->memory_from.out FROM $all));
        LET $spoke = array::distinct(array::flatten(SELECT VALUE <-memory_gave.in FROM $all)).map(|$run| record::id($run));
        LET $seen = array::union(${SEEN}, $spoke);
        ${deleteAll(tables)};
        DELETE $said RETURN NONE;
        LET $kept = count(SELECT VALUE id FROM array::complement($taken, $memories)
          WHERE at != NONE AND ->memory_told.out.thread CONTAINSNOT ${thread});
        DELETE (SELECT VALUE id FROM $sources WHERE at != NONE AND count(<-memory_from) = 0) RETURN NONE;
        LET $more = array::len($said) = ${BATCH} OR array::len($own) = ${BATCH};
        IF !$more { DELETE ${new RecordId("memory_thread", thread)} RETURN NONE };
        RETURN {
          memories: array::len($memories), messages: array::len($said), kept: $kept, seenBy: $seen, more: $more
        };
      }`,
    ]);
    return round;
  });
}

/** G1. */
export async function forgetAll(db: Database, ids: readonly string[]): Promise<Forgotten> {
  const tables = await vectorTables(db);
  let at = 0;
  return inRounds(async () => {
    const batch = ids.slice(at, (at += BATCH));
    const [round] = await db.transaction([
      surql<Round>`{
        LET $memories = (SELECT VALUE id FROM ${batch.map(memoryId)} WHERE said > 0);
        LET $sources = array::distinct(array::flatten(SELECT VALUE ->memory_from.out FROM $memories));
        LET $seen = ${SEEN};
        ${deleteAll(tables)};
        DELETE (SELECT VALUE id FROM $sources WHERE at != NONE AND count(<-memory_from) = 0) RETURN NONE;
        RETURN { memories: array::len($memories), messages: 0, kept: 0, seenBy: $seen, more: ${at < ids.length} };
      }`,
    ]);
    return round;
  });
}

/** G1: `$memories`, and what points where they do; their edges go with them. */
function deleteAll(tables: readonly string[]): Statement {
  return tables.reduce(
    (rest, table) =>
      surql`{ DELETE $memories.map(|$id| type::record(${table}, record::id($id))) RETURN NONE; ${rest} }`,
    surql`{ DELETE $memories RETURN NONE }`,
  );
}

/** The runs that were told of `$memories`. */
const SEEN = surql`array::distinct(array::flatten(SELECT VALUE ->memory_recalled.out FROM $memories)).map(|$run| record::id($run))`;

async function inRounds(next: () => Promise<Round>): Promise<Forgotten> {
  const all: Forgotten = { memories: 0, messages: 0, kept: 0, seenBy: [] };
  const seen = new Set<string>();
  for (let more = true; more;) {
    const round = await next();
    for (const what of ["memories", "messages", "kept"] as const) all[what] += round[what];
    for (const run of round.seenBy) seen.add(run);
    more = round.more;
  }
  return { ...all, seenBy: [...seen].toSorted() };
}

export interface CompactOptions {
  /** What is fresher than this stays: 1/64 if left out, which is six half-lives of what was said once. */
  below?: number;
}

interface Aged extends Used {
  id: RecordId;
}

/** G3: unless it is asked for. What matters entirely, with an importance of 1, is never too old. */
export async function tooOld(
  db: Database,
  now: Date,
  halfLife: number,
  { below = 1 / 64 }: CompactOptions,
): Promise<string[]> {
  const youngest = new Date(now.getTime() + halfLife * Math.log2(below));
  const rows = await db.query(
    surql<
      Aged[]
    >`SELECT id, usedAt, said, recalled FROM (SELECT * FROM memory WHERE usedAt < ${youngest}) WHERE importance < 1`,
  );
  return rows.filter((row) => freshness(row, now, halfLife) < below).map(({ id }) => keyIn(id));
}
