// Reading documents: a run's state at any point of its history.

import { patchTable, type Json, type Patch } from "@sentient/schema";
import { readContents } from "./blobs.ts";
import { requireRun, type Context } from "./changing.ts";
import { EMPTY, fold, type Document } from "./document.ts";
import { checked, removedError } from "./errors.ts";
import { parentOfFork, requireStill } from "./journal.ts";
import { PointOptions, resolve, type Point } from "./points.ts";
import * as queries from "./queries.ts";
import type { ReadRun } from "./run.ts";
import type { Store } from "./store.ts";

/** How far back is looked first; then twice as far each time. */
const FIRST_LOOK = 256;

/**
 * The state of a run after its n-th event; as it is now if n is undefined. A fork that has written none has its parent's.
 * A restore writes a snapshot, so that what lies before it need not be told apart.
 *
 * @throws `state.not_found`, `state.details_removed`, `state.damaged`
 */
export async function readDocument(run: string, n: number | undefined, db: Store): Promise<Document> {
  const read = await requireRun(run, { db });
  return documentOf(read, n ?? (await lastEvent(run, db)), db);
}

async function documentOf(of: ReadRun, n: number, db: Store): Promise<Document> {
  for (let read = of, upTo = n; ;) {
    const [first, ...rest] = await patchesBack(read.run.id, upTo, db);
    const contents = first ? await contentsOf(first, db) : undefined;
    if (!read.hasDetails) throw removedError(of.run.id);
    await requireStill([read.run], db);
    if (contents) return { ...fold(first!, rest, contents), ...(read === of ? {} : OF_A_PARENT) };
    if (!read.run.forkOf) return EMPTY;
    upTo = read.run.forkOf.n;
    read = await parentOfFork(read.run, db);
  }
}

/** A fork's first change is written whole: its patches follow on a snapshot of its own. */
const OF_A_PARENT = { snapshot: 0, patched: 0, patches: 0 };

/** @throws what `State.stateAt` says */
export async function stateAt(run: string, point: Point, context: Context): Promise<Json> {
  const options = checked(PointOptions, point, "a point of a run");
  const resolved = resolve(run, options, context);
  resolved.catch(() => {}); // of a run that is not there nothing else is to be told
  const read = await requireRun(run, context);
  return (await documentOf(read, (await resolved).n, context.db)).state;
}

function contentsOf(row: Patch, db: Store): Promise<Map<string, string>> {
  return readContents(db, row.kind === "stored" ? [row.blob] : []);
}

/** From the nearest snapshot on. */
async function patchesBack(run: string, n: number, db: Store): Promise<Patch[]> {
  const rows: Patch[] = [];
  for (let last = n, look = FIRST_LOOK; last > 0; last -= look, look *= 2) {
    const page = (await db.query(queries.readPatches(run, last - look + 1, last))).map(patchTable.parse);
    rows.unshift(...page);
    const snapshot = page.findLastIndex(({ kind }) => kind !== "patch");
    if (snapshot >= 0) return rows.slice(snapshot);
  }
  return rows;
}

/** No patch lies behind it. */
async function lastEvent(run: string, db: Store): Promise<number> {
  return (await db.query(queries.lastEventOf(run))) ?? 0;
}
