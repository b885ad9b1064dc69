// Export. Owns: a run and all that belongs to it as lines of text, in bounded pages.
// E1. The file is of one point: what a run that goes on did after its last event there is left out.
// E2. Whatever a run of the file reads is in the file: its tree, the runs that it was forked from, blobs.
// E3. A file that has its seal is whole; what cannot be made whole throws before the seal.

import { hashOf } from "@sentient/schema";
import { z } from "zod";
import { recordOf } from "./audit.ts";
import { requireRun, type Context } from "./changing.ts";
import { checked, removedError } from "./errors.ts";
import { blobLines } from "./export-blobs.ts";
import { DetailWriter, type Exported } from "./export-details.ts";
import { By } from "./options.ts";
import { inPages } from "./row-pages.ts";
import { requireThere } from "./reserved.ts";
import { Redaction, redactText } from "./redaction.ts";
import { readRun, type Run } from "./run.ts";
import * as queries from "./transfer-queries.ts";
import { DETAIL_KINDS, FORMAT, plain, Seal, type Body, type Header } from "./transfer-format.ts";
import type { Store } from "./store.ts";

const Options = z.strictObject({
  tree: z.boolean().default(true),
  redact: z.boolean().default(true),
  by: By,
});

export interface ExportOptions {
  /** All of the tree that the run is in, and not the run alone; true if left out. */
  tree?: boolean;
  /** Whether what runs call secret is left out; true if left out. */
  redact?: boolean;
  /** Who asks, for the audit. */
  by?: string;
}

const SNAPSHOT_MS = 120_000;

/** @throws `state.not_found`, `state.details_removed`, `state.bad_option`; all while it is read */
export async function* exportRun(
  id: string,
  options: ExportOptions,
  { db, bus, time }: Context,
): AsyncGenerator<string, void, undefined> {
  const { tree, redact, by } = checked(Options, options, "an export");
  const { runs, head, now } = await snapshotOf(id, tree, db);
  const told = { what: "run.exported", by, data: { run: id, runs: runs.length, redacted: redact } };
  await bus.log.append({ statements: (_, placedAt) => [recordOf(told, time.of(placedAt))] });
  const redaction = new Redaction(redact ? runs.map(({ run }) => run) : []);
  const seal = new Seal();
  const header: Header = {
    kind: "export",
    format: FORMAT,
    origin: originOf(runs.find(({ run }) => run.id === id)!.run),
    run: id as Header["run"],
    runs: runs.map(({ run }) => run.id),
    redacts: !redaction.isEmpty,
    at: now.toISOString(),
  };
  yield seal.add(JSON.stringify(header));
  for await (const line of bodyOf(runs, head, redaction, db)) yield seal.add(JSON.stringify(line));
  await requireWhole(runs, db);
  yield JSON.stringify(seal.close());
}

/** The same for every file of a tree, so that what it names events by is the same. */
function originOf({ root, createdAt }: Run): string {
  return hashOf(`${root}/${createdAt.toISOString()}`).slice(0, 16);
}

async function* bodyOf(
  runs: readonly Exported[],
  head: number,
  redaction: Redaction,
  db: Store,
): AsyncGenerator<Body> {
  const places = await placesOf(runs, head, db);
  yield* runLines(runs, redaction, db);
  yield* eventLines(places, redaction, db);
  const writer = new DetailWriter(redaction, db);
  for (const run of runs)
    if (run.hasDetails) for (const kind of DETAIL_KINDS) yield* writer.linesOf(run, kind);
  yield* blobLines(writer.blobsLeft(), db);
}

/** E1, E2. The oldest first, so that parents come before their children and their forks. */
async function snapshotOf(id: string, tree: boolean, db: Store) {
  const { run } = await requireRun(id, { db });
  requireThere(run);
  const root = tree ? run.root : undefined;
  const ids = new Set<string>([id]);
  for (;;) {
    const snapshot = await db.query(queries.readSnapshot([...ids], root), { timeout: SNAPSHOT_MS });
    const runs = snapshot.runs.map((row) => exportedOf(row, snapshot.unsettled));
    const known = new Set<string>(runs.map((one) => one.run.id));
    const missing = runs.flatMap((one) => one.run.forkOf?.run ?? []).filter((parent) => !known.has(parent));
    if (missing.every((parent) => ids.has(parent))) {
      if (!known.has(id) || missing.length > 0) throw removedError(id);
      return { ...snapshot, runs: runs.sort((one, other) => one.first - other.first) };
    }
    for (const parent of missing) ids.add(parent);
  }
}

function exportedOf(row: Record<string, unknown>, unsettled: readonly queries.Unsettled[]): Exported {
  const { seek: _, ...fields } = row;
  const filled = { ...row, input: "null", ...(row.status === "completed" ? { output: "null" } : {}) };
  const { run, first, hasDetails } = readRun(filled);
  const live = unsettled.find((one) => one.run === run.id);
  return { run, first, hasDetails, row: fields, n: 0, ...(live ? { unsettled: live } : {}) };
}

interface Place {
  position: number;
  run: string;
}

/** Where all their events are, in the order of the log. Numbers alone, as the events may be many. */
async function placesOf(runs: readonly Exported[], head: number, db: Store): Promise<Place[]> {
  const all: Place[] = [];
  for (const each of runs) {
    const run = each.run.id;
    const { events, trimmed = 0 } = await db.query(queries.readPlaces(run));
    const own = events.filter(({ position }) => position <= head);
    each.n = own.at(-1)?.n ?? trimmed;
    for (const { position } of own) all.push({ position, run });
  }
  return all.sort((one, other) => one.position - other.position);
}

/** The newest first: whoever imports them has all that a run leads to before the run itself. */
async function* runLines(runs: readonly Exported[], redaction: Redaction, db: Store): AsyncGenerator<Body> {
  const byId = new Map(runs.map((one) => [one.run.id as string, one]));
  const read = (page: readonly string[]) => db.query(queries.readTakenAndGiven(page));
  for await (const { id, input, output } of inPages([...byId.keys()].toReversed(), read)) {
    const { run, row, n, hasDetails } = byId.get(id.id as string)!;
    const redact = (text: string) => redactText(text, (value) => redaction.document(run.id, value));
    const newInput = redact(input);
    const newOutput = run.status === "completed" ? redact(output!) : undefined;
    const whole = {
      ...row,
      input: newInput ?? input,
      ...(newInput === undefined ? {} : { inputHash: hashOf(newInput) }),
      ...(run.status === "completed" ? { output: newOutput ?? output } : {}),
    };
    const isRedacted = newInput !== undefined || newOutput !== undefined;
    yield {
      kind: "run",
      n,
      hasDetails,
      row: plain(whole) as Record<string, unknown>,
      ...(isRedacted ? { redacted: true } : {}),
    };
  }
}

async function* eventLines(places: readonly Place[], redaction: Redaction, db: Store): AsyncGenerator<Body> {
  const read = (page: readonly Place[]) =>
    db.query(queries.readRows(page.map(({ position }) => queries.eventId(position))));
  for await (const { id, hash, ...row } of inPages(places, read)) {
    const { run, type } = row as unknown as { run: string; type: string };
    const data = redactText(row.data as string, (value) => redaction.event(run, type, value));
    yield {
      kind: "event",
      row: plain({
        id,
        ...row,
        data: data ?? row.data,
        // X1: a hash of what is left out, too
        ...(hash === undefined || redaction.concerns(run) ? {} : { hash }),
      }) as Record<string, unknown>,
      ...(data === undefined ? {} : { redacted: true }),
    };
  }
}

/** E3. */
async function requireWhole(runs: readonly Exported[], db: Store): Promise<void> {
  const over = runs.filter(({ run, hasDetails }) => hasDetails && "endedAt" in run).map(({ run }) => run.id);
  for (let at = 0; at < over.length; at += CHECKED_AT_ONCE) {
    const some = over.slice(at, at + CHECKED_AT_ONCE);
    if ((await db.query(queries.countWhole(some))) < some.length) throw removedError(runs[0]!.run.id);
  }
}

const CHECKED_AT_ONCE = 1_000;
