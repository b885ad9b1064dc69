// Retention. Owns: what is removed of runs that are over, and when.
// O1. From one moment on, told as `run.removed`, nobody reads what a run did (`state.details_removed`); then its rows go, a few
//     at a time. Whatever dies when, the next pass goes on.
// O2. A run keeps its details as long as a fork reads them, and its row as long as the run that started it is not over.
// O3. A blob goes with its last use, in a transaction of the log: whoever begins to use it at that moment keeps it.

import type { Trimmed } from "@sentient/event-bus";
import { setImmediate } from "node:timers/promises";
import { z } from "zod";
import { recordOf } from "./audit.ts";
import type { Context } from "./changing.ts";
import { isStale } from "./commit.ts";
import { checked } from "./errors.ts";
import * as queries from "./retention-queries.ts";
import { defined } from "./telling.ts";

const DAY_MS = 24 * 3_600_000;
const DETAILS_MS = 30 * DAY_MS;
const EVENTS_MS = 30 * DAY_MS;
const MOST_MS = 36_500 * DAY_MS;

const ms = z.union([z.literal(false), z.int().min(0).max(MOST_MS)]);

/** What is kept, and for how long; `false` keeps it. */
export const RetentionOptions = z.strictObject({
  details: ms.default(DETAILS_MS),
  runs: ms.default(false),
  events: ms.default(EVENTS_MS),
});

export interface RetentionOptions {
  /** What a run did, after it is over: milliseconds, 30 days if left out; `false` keeps it. */
  details?: number | false;
  /** Runs themselves, after they are over: milliseconds; kept if left out. Their details go no later. */
  runs?: number | false;
  /** Events: milliseconds, 30 days if left out. None goes that a consumer has not handled. */
  events?: number | false;
}

const RetainOptions = z.strictObject({
  details: ms.optional(),
  runs: ms.optional(),
  events: ms.optional(),
  most: z.int().min(1).max(10_000).default(100),
});

export interface RetainOptions extends RetentionOptions {
  /** Runs of one pass; 100 if left out. */
  most?: number;
}

/** What a pass has removed. */
export interface Retained {
  /** Runs whose details went. */
  details: string[];
  /** Runs that went. */
  runs: string[];
  events: Trimmed | undefined;
  /** Whether another pass would find more. */
  more: boolean;
}

/** Runs that are worked on at a time. */
const AT_ONCE = 8;
/** Rows of one statement. */
const ROWS = 200;
/** Blobs of one transaction, as who appends waits for it. */
const BLOBS = 50;

/** @throws `state.bad_option`, and what `bus.trim` throws */
export async function retain(
  options: RetainOptions,
  kept: Required<RetentionOptions>,
  context: Context,
): Promise<Retained> {
  const { most, ...wanted } = checked(RetainOptions, options, "a pass of retention");
  const { details, runs, events } = { ...kept, ...defined(wanted) };
  const emptied = await emptyAll(shorter(details, runs), most, context);
  const removed = runs === false ? NONE : await removeAll(runs, most, context);
  const trimmed = events === false ? undefined : await context.bus.trim({ olderThan: events });
  const retained = {
    details: emptied.runs,
    runs: removed.runs,
    events: trimmed,
    more: emptied.more || removed.more,
  };
  await tell(retained, context);
  return retained;
}

/** One record for a pass: which runs they were is told in the log, for as long as that is kept. */
async function tell({ details, runs, events }: Retained, { bus, time }: Context): Promise<void> {
  const counts = { details: details.length, runs: runs.length, events: events?.trimmed ?? 0 };
  if (counts.details + counts.runs + counts.events === 0) return;
  const told = { what: "data.removed", by: "retention", data: { ...counts, floor: events?.floor ?? 0 } };
  await bus.log.append({ statements: (_, placedAt) => [recordOf(told, time.of(placedAt))] });
}

interface Part {
  runs: string[];
  more: boolean;
}

const NONE: Part = { runs: [], more: false };

function shorter(one: number | false, other: number | false): number | false {
  if (one === false || other === false) return one === false ? other : one;
  return Math.min(one, other);
}

/** O1. Those first that another pass has left halfway. */
async function emptyAll(after: number | false, most: number, context: Context): Promise<Part> {
  const { db, time } = context;
  const begun = (await db.query(queries.readEmptying(most))).map(({ id }) => id as string);
  await some(begun, async (run) => {
    await dropBlobs(run, await db.query(queries.readUses(run)), context);
    await empty(run, context);
    return true;
  });
  if (after === false) return { runs: begun, more: begun.length === most };
  const found = await oldest(
    (from, limit) => db.query(queries.readOver(from, after, limit, time.now)),
    ({ over, isRead }) => ({ at: over, isFree: !isRead }),
    most - begun.length,
  );
  const emptied = await some(found.runs, (run) => beginToEmpty(run, after, context));
  return { runs: [...begun, ...emptied], more: found.more };
}

/** A few at a time, which share their commits. @returns those of which something was done */
async function some(runs: readonly string[], act: (run: string) => Promise<boolean>): Promise<string[]> {
  const done: string[] = [];
  for (let at = 0; at < runs.length; at += AT_ONCE) {
    const those = runs.slice(at, at + AT_ONCE);
    const acted = await Promise.all(those.map(act));
    done.push(...those.filter((_, i) => acted[i]));
  }
  return done;
}

/** Looks past those that have to stay, however many they are. */
async function oldest<Row extends { id: { id: unknown } }>(
  read: (from: Date, limit: number) => Promise<Row[]>,
  about: (row: Row) => { at: Date; isFree: boolean },
  most: number,
): Promise<Part> {
  const runs = new Set<string>();
  if (most <= 0) return { runs: [], more: true };
  for (let from = new Date(0), limit = LOOK; ;) {
    const page = await read(from, limit);
    for (const row of page) if (about(row).isFree) runs.add(row.id.id as string);
    if (runs.size > most || page.length < limit)
      return { runs: [...runs].slice(0, most), more: runs.size > most };
    const last = about(page.at(-1)!).at;
    if (last.getTime() === from.getTime()) limit *= 2; // as many were over at that one moment
    from = new Date(last.getTime());
  }
}

const LOOK = 500;

/** @returns false if it is not to be emptied any more: a fork reads it, or somebody else has begun */
async function beginToEmpty(run: string, after: number, context: Context): Promise<boolean> {
  const { db, bus, time } = context;
  const hashes = await db.query(queries.readUses(run));
  try {
    await bus.log.append({
      events: [{ type: "run.removed", run, data: { run, what: "details" } }],
      statements: () => [
        queries.empty(run, after, time.now),
        ...queries.dropUses(run, hashes.slice(0, BLOBS)),
      ],
    });
  } catch (error) {
    if (isStale(error)) return false;
    throw error;
  }
  await dropBlobs(run, hashes.slice(BLOBS), context);
  await empty(run, context);
  return true;
}

/** In the order of the tables, and of each from its beginning. */
async function empty(run: string, { db }: Context): Promise<void> {
  const ids = await db.query(queries.readDetails(run));
  for (let at = 0; at === 0 || at < ids.length; at += ROWS) {
    await db.query(queries.removeRows(run, ids.slice(at, at + ROWS), at + ROWS >= ids.length));
    await setImmediate(); // who has something to commit comes first
  }
}

/** O3. Those that were too many for the first transaction, before the rows that tell which they are go. */
async function dropBlobs(run: string, hashes: readonly string[], { bus }: Context): Promise<void> {
  for (let at = 0; at < hashes.length; at += BLOBS) {
    const those = hashes.slice(at, at + BLOBS);
    try {
      await bus.log.append({
        events: [{ type: "run.removed", run, data: { run, what: "details", blobs: those.length } }],
        statements: () => [queries.isEmptying(run), ...queries.dropUses(run, those)],
      });
    } catch (error) {
      if (!isStale(error)) throw error;
      return; // somebody else has finished it
    }
  }
}

/** O2. */
async function removeAll(after: number, most: number, context: Context): Promise<Part> {
  const { db, bus, time } = context;
  const found = await oldest(
    (from, limit) => db.query(queries.readBare(from, after, limit, time.now)),
    ({ bare, isNeeded }) => ({ at: bare, isFree: !isNeeded }),
    most,
  );
  const removed = await some(found.runs, async (run) => {
    try {
      await bus.log.append({
        events: [{ type: "run.removed", run, data: { run, what: "all" } }],
        statements: () => [queries.removeRun(run, after, time.now)],
      });
      return true;
    } catch (error) {
      if (isStale(error)) return false;
      throw error;
    }
  });
  return { runs: removed, more: found.more };
}
