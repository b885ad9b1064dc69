// Remembering. Owns: what is written for something worth knowing later.
// R1. The same words of the same agent in the same thread are one memory: who says them again strengthens it, and is another of
//     those it stands on.
// R2. What is written again is the same: a step that says something twice has said it once.
// R3. Each memory stands on a source: those that are named, those of the messages it was taken from, or else the run.

import { RecordId, surql, type Database, type Statement } from "@sentient/db-pool";
import {
  accountOf,
  memoryId,
  memoryKey,
  messageId,
  runId,
  sourceId,
  sourceKey,
  sourceOfRun,
  type Speaker,
  keyIn,
  whoseOf,
} from "./ids.ts";
import type { CheckedMemory } from "./options.ts";
import type { Vectors } from "./vectors.ts";

export interface Said {
  memories: readonly CheckedMemory[];
  at: Date;
  /** None if it is imported. */
  speaker?: Speaker;
  signal: AbortSignal;
}

export interface Written {
  /** The ids of what was said, in order. */
  ids: string[];
  statements: Statement[];
}

/** What is to be committed together. The texts are embedded before. @throws `ai.bad_embedding`, and what the embedder throws */
export async function remembered(db: Database, vectors: Vectors | undefined, said: Said): Promise<Written> {
  const { memories, at, speaker, signal } = said;
  const ids = memories.map(memoryKey);
  const [pointing, told] = await Promise.all([
    vectors?.of(
      memories.map(({ text }) => text),
      signal,
    ),
    messagesOf(db, memories),
  ]);
  const sources = memories.map((memory) => sourcesOf(memory, told, speaker));
  const statements = [
    insertMemories(ids, sources, said),
    insertSources(sources.flat(), at),
    ...edges("memory_tagged", ids, memories, ({ tags }) =>
      tags.map((tag) => new RecordId("memory_tag", tag)),
    ),
    ...edges("memory_told", ids, memories, ({ messages }) =>
      messages.filter((message) => told.has(message)).map(messageId),
    ),
    ...(speaker ? [gave(ids.map(memoryId), speaker, at)] : []),
    ...(vectors && pointing ? vectors.insert(ids, memories, pointing, at) : []),
  ];
  return { ids, statements };
}

/**
 * R1, R2. Who stands on more than before is said again: it is written for that, so that it cannot be forgotten meanwhile.
 * What ON DUPLICATE KEY UPDATE computes from a field sees none, so those that are there already are gone through one by one.
 */
function insertMemories(
  ids: readonly string[],
  sources: readonly string[][],
  { memories, at, speaker }: Said,
): Statement {
  const rows = memories.map((memory, i) => {
    const { text, tags, importance } = memory;
    const used = { at, usedAt: at, said: 1, recalled: 0, embedded: 0 };
    return { id: memoryId(ids[i]!), text, ...whoseOf(memory), tags, importance, ...used };
  });
  const from = ids.flatMap((id, i) => sources[i]!.map((name) => fromRow(memoryId(id), name, at, speaker)));
  return surql`{
    LET $rows = ${rows};
    LET $new = (INSERT IGNORE INTO memory $rows RETURN VALUE id);
    IF array::len($new) < ${rows.length} {
      FOR $row IN $rows {
        UPDATE $row.id SET tags = array::union(tags, $row.tags), importance = math::max([importance, $row.importance])
          WHERE importance < $row.importance OR !(tags CONTAINSALL $row.tags) RETURN NONE;
      };
      LET $edges = ${from.map(({ id }) => id)};
      LET $had = (SELECT VALUE id FROM $edges WHERE at != NONE);
      INSERT RELATION IGNORE INTO memory_from ${from} RETURN NONE;
      LET $on = array::distinct(SELECT VALUE in FROM array::complement($edges, $had));
      UPDATE array::complement($on, $new) SET said += 1, usedAt = time::max([usedAt, ${at}]) RETURN NONE;
    } ELSE {
      INSERT RELATION IGNORE INTO memory_from ${from} RETURN NONE;
    };
  }`;
}

/** What each message stands on, of those that are there: one may have been forgotten since it was said. */
async function messagesOf(
  db: Database,
  memories: readonly CheckedMemory[],
): Promise<ReadonlyMap<string, string[]>> {
  const messages = [...new Set(memories.flatMap((memory) => memory.messages))].map(messageId);
  if (messages.length === 0) return new Map();
  const rows = await db.query(
    surql<
      { id: RecordId; sources: string[] }[]
    >`SELECT id, ->memory_from->memory_source.name AS sources FROM ${messages} WHERE n > 0`,
  );
  return new Map(rows.map(({ id, sources }) => [keyIn(id), sources]));
}

/** R3. */
function sourcesOf(
  { sources, messages }: CheckedMemory,
  told: ReadonlyMap<string, string[]>,
  speaker: Speaker | undefined,
): string[] {
  const all = [...new Set([...sources, ...messages.flatMap((message) => told.get(message) ?? [])])];
  return all.length > 0 ? all : [speaker ? sourceOfRun(speaker.run) : "import"];
}

interface FromRow extends Partial<Speaker> {
  id: RecordId;
  in: RecordId;
  out: RecordId;
  at: Date;
}

/** An edge for each that says so. */
export function fromRow(from: RecordId, name: string, at: Date, speaker: Speaker | undefined): FromRow {
  const key = [
    from.table.name === "memory" ? "m" : "s",
    from.id as string,
    sourceKey(name),
    accountOf(speaker),
  ];
  return { id: new RecordId("memory_from", key), in: from, out: sourceId(name), ...speaker, at };
}

/** Written also where it is there, so that it cannot be forgotten meanwhile. */
export function insertSources(names: readonly string[], at: Date): Statement {
  const rows = [...new Set(names)].map((name) => ({ id: sourceId(name), name, at, said: 1 }));
  return surql`INSERT INTO memory_source ${rows} ON DUPLICATE KEY UPDATE said += 1 RETURN NONE`;
}

/** The run has said it. */
export function gave(said: readonly RecordId[], { run, step }: Speaker, at: Date): Statement {
  const rows = said.map((out) => ({
    id: new RecordId("memory_gave", [run, step, out.id as string]),
    in: runId(run),
    out,
    step,
    at,
  }));
  return surql`INSERT RELATION IGNORE INTO memory_gave ${rows} RETURN NONE`;
}

function edges(
  table: "memory_tagged" | "memory_told",
  ids: readonly string[],
  memories: readonly CheckedMemory[],
  endsOf: (memory: CheckedMemory) => RecordId[],
): Statement[] {
  const rows = memories.flatMap((memory, i) =>
    endsOf(memory).map((out) => ({
      id: new RecordId(table, [ids[i]!, out.id as string]),
      in: memoryId(ids[i]!),
      out,
    })),
  );
  if (rows.length === 0) return [];
  return [
    table === "memory_told"
      ? surql`INSERT RELATION IGNORE INTO memory_told ${rows} RETURN NONE`
      : surql`INSERT RELATION IGNORE INTO memory_tagged ${rows} RETURN NONE`,
  ];
}
