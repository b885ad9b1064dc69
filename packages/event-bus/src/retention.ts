// Retention. Owns: the beginning of the log, and what is removed there.
// K1. Floor, what is left of the runs, and the events of a batch move in one transaction: no event is left behind below
//     the floor, whatever dies when.
// K2. The floor is moved from where it was seen, so that of two who trim each batch is one's.
// K3. A consumer that is behind holds it, unless it is forced: then the consumer is told, as all who are behind the floor.
// K4. Positions are never given again, and a run goes on with its next n.

import { setImmediate } from "node:timers/promises";
import { DbError, RecordId, sleep, type Clock } from "@sentient/db-pool";
import { z } from "zod";
import { badOption, closedError, EventBusError } from "./errors.ts";
import * as queries from "./queries.ts";
import type { LastOfRun, Trimmable } from "./queries.ts";
import type { Reader } from "./reader.ts";
import type { Store } from "./store.ts";

/** What may go. Of several the most cautious wins: what one of them keeps is kept. */
export interface TrimOptions {
  /** Events before this position. */
  before?: number;
  /** Events older than so many milliseconds, by the database's clock. */
  olderThan?: number;
  /** All but so many of the newest events. */
  keep?: number;
  /** Whether events go that a consumer has not handled yet; false if left out. It is told with `event_bus.position_trimmed`. */
  force?: boolean;
}

export interface Trimmed {
  /** The last position that was trimmed, now or before; 0 if none was. */
  floor: number;
  /** How many events this call has removed. */
  trimmed: number;
  /** Who needs more of the log than it was to keep, and the last position it has handled. */
  heldBy?: { consumer: string; position: number };
}

/** What is removed in one transaction. */
const BATCH = 500;

export interface Trimming {
  db: Store;
  reader: Reader;
  /** Ends it after a batch. */
  signal: AbortSignal;
}

/** @throws `event_bus.bad_option`, `event_bus.closed`, and the `DbError` of a batch: those before it are done */
export async function trim({ db, reader, signal }: Trimming, options: TrimOptions): Promise<Trimmed> {
  const { force, ...wanted } = checkOptions(options);
  await db.query(queries.removeOldProducers());
  const { target, ...ends } = await targetOf(db, reader, wanted);
  let trimmed = 0;
  for (let { floor } = ends; ;) {
    if (signal.aborted) throw closedError();
    const end = Math.max(floor, Math.min(floor + BATCH, target));
    const look = await db.query(queries.readTrimmable(floor + 1, end));
    const seen = look.floor?.position ?? 0;
    if (seen !== floor) {
      floor = seen; // K2: of another trimmer
      continue;
    }
    const holder = !force && look.slowest && look.slowest.position < target ? look.slowest : undefined;
    const last = Math.min(end, holder?.position ?? end);
    if (last <= floor) return { floor, trimmed, ...(holder ? { heldBy: heldBy(holder) } : {}) };
    const rows = look.rows.filter(({ id }) => (id.id as number) <= last);
    if (await remove(db, { ...look, rows }, last, force)) {
      trimmed += rows.length;
      floor = last;
    }
    await setImmediate(); // who appends need not wait for all of it
  }
}

/** Up to where all may go, by what was asked for. */
async function targetOf(
  db: Store,
  reader: Reader,
  { before = Infinity, keep = 0, olderThan }: Omit<TrimOptions, "force">,
): Promise<{ floor: number; target: number }> {
  const { head, floor } = await reader.ends();
  const target = Math.min(before - 1, head - keep);
  if (olderThan === undefined) return { floor, target };
  const { now } = await db.query(queries.readEnds());
  const old = await reader.lastBefore(new Date(Math.max(0, now.getTime() - olderThan)));
  return { floor, target: Math.min(target, old) };
}

/** K1. @returns false if the floor was moved, or a consumer came, since it was looked at */
async function remove(
  db: Store,
  { rows, floor }: Pick<Trimmable, "rows" | "floor">,
  last: number,
  force: boolean,
): Promise<boolean> {
  const from = floor?.position ?? 0;
  const at = rows.at(-1)?.at ?? floor?.at ?? new Date(0);
  const tails = tailsOf(rows);
  try {
    await db.transaction([
      ...(force ? [] : [queries.requireHandled(last)]),
      queries.moveFloor(from, last, at),
      ...(tails.length > 0 ? [queries.keepTails(tails)] : []),
      queries.removeEvents(from + 1, last),
    ]);
    return true;
  } catch (error) {
    const thrown = error instanceof DbError ? error.details?.thrown : undefined;
    if (thrown === queries.THROWN.stale || thrown === queries.THROWN.held) return false;
    throw error;
  }
}

/** K4. The last event of each run, as its n rises with the position. */
function tailsOf(rows: Trimmable["rows"]): ({ id: RecordId } & LastOfRun)[] {
  const tails = new Map<string, LastOfRun>();
  for (const row of rows) {
    const last = queries.lastOf(row);
    if (row.run !== undefined && last) tails.set(row.run, last);
  }
  return [...tails].map(([run, last]) => ({ id: new RecordId("run_tail", run), ...last }));
}

function heldBy({ id, position }: NonNullable<Trimmable["slowest"]>): NonNullable<Trimmed["heldBy"]> {
  return { consumer: (id.id as [string, number])[0], position };
}

const count = z.int().min(0);
const Options = z
  .strictObject({
    before: z.int().min(1).optional(),
    olderThan: z.number().min(0).optional(),
    keep: count.optional(),
    force: z.boolean().default(false),
  })
  .refine(
    ({ before, olderThan, keep }) => before !== undefined || olderThan !== undefined || keep !== undefined,
    "say what may go: before, olderThan or keep",
  );

function checkOptions(options: TrimOptions): z.output<typeof Options> {
  const checked = Options.safeParse(options);
  if (!checked.success) throw badOption(checked.error);
  return checked.data;
}

// in the background

export const RetentionOptions = z
  .strictObject({
    keepFor: z.number().min(0).optional(),
    keep: count.optional(),
    every: z
      .int()
      .min(1)
      .max(2 ** 30)
      .default(60_000),
  })
  .refine(
    ({ keepFor, keep }) => keepFor !== undefined || keep !== undefined,
    "say what is kept: keepFor or keep",
  );

/** What is kept of the log; with both, what either keeps. */
export interface RetentionOptions {
  /** Milliseconds, by the database's clock. */
  keepFor?: number;
  /** How many of the newest events. */
  keep?: number;
  /** How often it is looked at, in milliseconds, give or take a quarter; default 60,000. */
  every?: number;
}

export interface Retaining {
  trim: (options: TrimOptions) => Promise<Trimmed>;
  clock: Clock;
  signal: AbortSignal;
  /** Hears why nothing could be removed; it is tried again. */
  onProblem: (error: unknown) => void;
}

/** Trims again and again until the signal aborts. */
export async function retain(
  { trim, clock, signal, onProblem }: Retaining,
  { keepFor, keep, every }: z.output<typeof RetentionOptions>,
): Promise<void> {
  const wanted = {
    ...(keepFor === undefined ? {} : { olderThan: keepFor }),
    ...(keep === undefined ? {} : { keep }),
  };
  let held: Trimmed["heldBy"];
  let told = false;
  for (;;) {
    await sleep(clock, every * (0.75 + Math.random() / 2), signal);
    if (signal.aborted) return;
    try {
      const { heldBy } = await trim(wanted);
      const isStuck = heldBy?.consumer === held?.consumer && heldBy?.position === held?.position;
      told &&= isStuck;
      held = heldBy;
      if (!heldBy || !isStuck || told) continue;
      told = true;
      onProblem(heldError(heldBy));
    } catch (error) {
      if (signal.aborted || (error instanceof DbError && error.code === "db.closed")) return;
      onProblem(error);
    }
  }
}

function heldError({ consumer, position }: NonNullable<Trimmed["heldBy"]>): EventBusError {
  return new EventBusError({
    code: "event_bus.trim_held",
    message:
      `the consumer ${consumer} stands at position ${position} since the last look and needs what follows, so the log grows: ` +
      "let it go on, remove it, or call trim with { force: true }",
    retryable: true,
    details: { consumer, position },
  });
}
