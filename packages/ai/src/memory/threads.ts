// Threads. Owns: what was said in a conversation, in order.
// T1. What one step says stands together, and behind all that was said before: a thread's numbers are dense and rise.
// T2. It is said once: where its step is done again, it is there already.

import type { Message } from "@sentient/agent-core";
import { RecordId, surql, type Database, type Statement } from "@sentient/db-pool";
import { fitting } from "./batches.ts";
import { keyOf, messageId, sourceOfRun, type Speaker, keyIn } from "./ids.ts";
import { textOf } from "./options.ts";
import { fromRow, gave, insertSources } from "./remembering.ts";

/** How far back of a place a person's word is looked for first. */
const NEAR = 50;

export interface ThreadMessage {
  id: string;
  /** Its place in the thread, from 1 on. What was forgotten leaves a gap. */
  n: number;
  /** As ISO 8601. */
  at: string;
  message: Message;
}

interface Saying {
  thread: string;
  messages: readonly Message[];
  sources: readonly string[];
  at: Date;
  speaker: Speaker;
}

/** T1, T2. */
export function saidIn(saying: Saying): { ids: string[]; statements: Statement[] } {
  const { thread, messages, sources, at, speaker } = saying;
  const rows = messages.map((message, i) => {
    const text = textOf(message);
    const id = messageId(keyOf(thread, speaker.run, speaker.step, i, text));
    return { id, thread, n: i + 1, role: message.role, message: text, at };
  });
  const ids = rows.map(({ id }) => id);
  const names = sources.length > 0 ? sources : [sourceOfRun(speaker.run)];
  const from = ids.flatMap((id) => names.map((name) => fromRow(id, name, at, speaker)));
  const last = { id: new RecordId("memory_thread", thread), count: rows.length };
  return {
    ids: ids.map(keyIn),
    statements: [
      surql`{
        LET $said = (SELECT VALUE n FROM ONLY ${ids[0]});
        IF $said IS NONE {
          LET $head = (UPSERT ONLY ${last.id} SET head += ${last.count} RETURN VALUE head);
          LET $rows = (SELECT id, thread, $head - ${last.count} + n AS n, role, message, at FROM ${rows});
          INSERT INTO memory_message $rows RETURN NONE;
        };
      }`,
      insertSources(names, at),
      surql`INSERT RELATION IGNORE INTO memory_from ${from} RETURN NONE`,
      gave(ids, speaker, at),
    ],
  };
}

interface MessageRow {
  id: RecordId;
  n: number;
  message: string;
  at: Date;
}

/** The last messages of a thread, in order. */
export async function lastOf(db: Database, thread: string, last: number): Promise<ThreadMessage[]> {
  const head = await db.query(
    surql<number | undefined>`RETURN (SELECT VALUE head FROM ONLY ${new RecordId("memory_thread", thread)})`,
  );
  if (head === undefined) return [];
  let rows: MessageRow[] = [];
  // Some may have been forgotten: then it is looked further back.
  for (let reach = last; rows.length < last; reach *= 2) {
    rows = await db.query(
      surql<
        MessageRow[]
      >`SELECT id, n, message, at FROM memory_message WHERE thread = ${thread} AND n > ${head - reach} AND n <= ${head}`,
    );
    if (reach >= head) break;
  }
  return messagesIn(rows).slice(-last);
}

const messagesIn = (rows: readonly MessageRow[]): ThreadMessage[] =>
  rows
    .toSorted((a, b) => a.n - b.n)
    .map(({ id, n, message, at }) => ({
      id: keyIn(id),
      n,
      at: new Date(at).toISOString(),
      message: JSON.parse(message) as Message,
    }));

/**
 * The last messages of a thread from the first on that a person has said; where none of those was answered, all of them, behind the
 * last that a person has said before. A tool's result without its call is nothing to a model.
 */
export async function conversationOf(db: Database, thread: string, last: number): Promise<ThreadMessage[]> {
  const messages = fitting((await lastOf(db, thread, last)).toReversed()).toReversed();
  const first = messages.findIndex(({ message }) => message.role === "user");
  const askedIn = first < 0 ? [] : messages.slice(first);
  if (first === 0 || askedIn.some(({ message }) => message.role === "assistant")) return askedIn;
  const asked = messages[0] && (await askedBefore(db, thread, messages[0].n));
  if (!asked) return askedIn;
  const rest = fitting([asked, ...messages.toReversed()])
    .slice(1)
    .toReversed();
  const whole = rest.findIndex(({ message }) => message.role !== "tool");
  return [asked, ...(whole >= 0 ? rest.slice(whole) : [])];
}

/** What a person has said last before a place in a thread. */
async function askedBefore(db: Database, thread: string, n: number): Promise<ThreadMessage | undefined> {
  for (let reach = NEAR; ; reach *= 2) {
    const rows = await db.query(
      surql<
        (MessageRow & { role: string })[]
      >`SELECT id, n, role, message, at FROM memory_message WHERE thread = ${thread} AND n >= ${n - reach} AND n < ${n}`,
    );
    const asked = messagesIn(rows.filter(({ role }) => role === "user")).at(-1);
    if (asked || reach >= n) return asked;
  }
}

/** A conversation, as it is listed. */
export interface ThreadInfo {
  id: string;
  /** Messages; none where all of them were forgotten by their sources. */
  count: number;
  /** Of the first and the last of them, as ISO 8601. */
  firstAt?: string;
  lastAt?: string;
}

export interface ThreadPage {
  /** By their ids. */
  threads: ThreadInfo[];
  /** For the next page, `after` it; missing when there is no more. */
  next?: string;
}

interface Counted {
  thread: string;
  count: number;
  first: Date;
  last: Date;
}

export async function threadsAfter(db: Database, after: string, limit: number): Promise<ThreadPage> {
  const found = await db.query(
    surql<
      RecordId[]
    >`SELECT VALUE id FROM memory_thread WHERE id > ${new RecordId("memory_thread", after)} ORDER BY id LIMIT ${limit + 1}`,
  );
  const ids = found.slice(0, limit).map(keyIn);
  const rows = await db.query(surql<
    Counted[]
  >`SELECT thread, count() AS count, time::min(at) AS first, time::max(at) AS last
    FROM memory_message WHERE thread IN ${ids} GROUP BY thread`);
  const byThread = new Map(rows.map((row) => [row.thread, row]));
  const threads = ids.map((id): ThreadInfo => {
    const row = byThread.get(id);
    if (!row) return { id, count: 0 };
    const [firstAt, lastAt] = [row.first, row.last].map((at) => new Date(at).toISOString());
    return { id, count: row.count, firstAt: firstAt!, lastAt: lastAt! };
  });
  return { threads, ...(found.length > limit ? { next: ids.at(-1)! } : {}) };
}
