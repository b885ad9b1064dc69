// Why. Owns: where a memory comes from: memory ← message ← step ← run ← source, as far as it is still known.

import type { Message } from "@sentient/agent-core";
import { DbError, RecordId, surql, type Database } from "@sentient/db-pool";
import { memoryId, runId, keyIn } from "./ids.ts";

/** A step of a run, as far as the run is still there. */
export interface WhyStep {
  run: string;
  step: string;
  /** The agent or workflow, and how the run is. */
  name?: string;
  status?: string;
  /** When the step began and ended, as ISO 8601. */
  startedAt?: string;
  endedAt?: string;
}

/** Who said so, and what that stands on. */
export interface Reason {
  source: string;
  /** As ISO 8601. */
  at: string;
  /** None if it was imported. */
  by?: WhyStep;
}

export interface WhyMessage {
  id: string;
  thread: string;
  n: number;
  message: Message;
  because: Reason[];
}

export interface Why {
  id: string;
  text: string;
  because: Reason[];
  /** The messages it was taken from. */
  messages: WhyMessage[];
}

interface Row {
  id: RecordId;
  because: { source: string; at: Date; run?: string; step?: string }[];
}
type MemoryRow = Row & { text: string; messages: RecordId[] };
type MessageRow = Row & { thread: string; n: number; message: string };

export async function whyOf(db: Database, id: string): Promise<Why | undefined> {
  const [memory] = await db.query(surql<MemoryRow[]>`SELECT id, text, ->memory_told.out AS messages,
    ->memory_from.{ source: out.name, at, run, step } AS because FROM ${[memoryId(id)]} WHERE said > 0`);
  if (!memory) return undefined;
  const messages =
    memory.messages.length === 0
      ? []
      : await db.query(surql<MessageRow[]>`SELECT id, thread, n, message,
          ->memory_from.{ source: out.name, at, run, step } AS because FROM ${memory.messages} WHERE n > 0`);
  const steps = await stepsOf(db, [memory, ...messages]);
  return {
    id,
    text: memory.text,
    because: reasonsOf(memory, steps),
    messages: messages
      .toSorted((a, b) => a.n - b.n)
      .map((row) => ({
        id: keyIn(row.id),
        thread: row.thread,
        n: row.n,
        message: JSON.parse(row.message) as Message,
        because: reasonsOf(row, steps),
      })),
  };
}

function reasonsOf({ because }: Row, steps: ReadonlyMap<string, WhyStep>): Reason[] {
  return because
    .map(({ source, at, run, step }) => {
      const by = run === undefined || step === undefined ? undefined : steps.get(`${run}/${step}`);
      return { source, at: new Date(at).toISOString(), ...(by && { by }) };
    })
    .toSorted((a, b) => a.at.localeCompare(b.at) || a.source.localeCompare(b.source));
}

interface RunRow {
  id: RecordId;
  name: string;
  status: string;
  restores?: unknown[];
}

/** Each step that is named, by `run/step`. */
async function stepsOf(db: Database, rows: readonly Row[]): Promise<Map<string, WhyStep>> {
  const steps = new Map<string, WhyStep>();
  for (const { run, step } of rows.flatMap(({ because }) => because))
    if (run !== undefined && step !== undefined) steps.set(`${run}/${step}`, { run, step });
  for (const run of new Set([...steps.values()].map((each) => each.run))) {
    const row = await whereThere(
      db.query(surql<RunRow | undefined>`RETURN (SELECT id, name, status, restores FROM ONLY ${runId(run)})`),
    );
    if (!row) continue; // what runs did is kept for a time
    for (const each of steps.values())
      if (each.run === run)
        Object.assign(each, { name: row.name, status: row.status }, await timesOf(db, row, each));
  }
  return steps;
}

/** A step that was done again after a restore has a row for each time. */
async function timesOf(
  db: Database,
  { restores = [] }: RunRow,
  { run, step }: WhyStep,
): Promise<Partial<WhyStep>> {
  const ids = Array.from({ length: restores.length + 1 }, (_, i) => new RecordId("step", [run, i, step]));
  const rows = await db.query(
    surql<
      { startedAt: Date; endedAt: Date }[]
    >`SELECT startedAt, endedAt FROM ${ids} WHERE startedAt != NONE`,
  );
  const last = rows.at(-1);
  return last
    ? { startedAt: new Date(last.startedAt).toISOString(), endedAt: new Date(last.endedAt).toISOString() }
    : {};
}

/** Memory may be used without the runtime, and then there are no runs. */
async function whereThere<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof DbError && error.code === "db.not_found") return undefined;
    throw error;
  }
}
