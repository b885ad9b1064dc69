// Reading documents: a run's state at any point of its history.

import type { Database } from "@sentient/db-pool";
import { patchTable, type Patch } from "@sentient/schema";
import { readContents } from "./blobs.ts";
import { requireRun } from "./changing.ts";
import { EMPTY, fold, type Document } from "./document.ts";
import * as queries from "./queries.ts";

/** How far back is looked first; then twice as far each time. */
const FIRST_LOOK = 256;

/**
 * The state of a run after its n-th event; as it is now if n is undefined.
 *
 * @throws `state.not_found`, `state.details_removed`
 */
export async function readDocument(run: string, n: number | undefined, db: Database): Promise<Document> {
  const { run: found } = await requireRun(run, { db });
  const rows = await patchesBack(run, n ?? (await lastPatch(run, db)), db);
  if (rows.length === 0) return found.forkOf ? readDocument(found.forkOf.run, found.forkOf.n, db) : EMPTY;
  const contents = await readContents(
    db,
    rows.flatMap((row) => (row.kind === "stored" ? row.blob : [])),
  );
  return fold(rows, contents);
}

/** From the nearest snapshot on. */
async function patchesBack(run: string, n: number, db: Database): Promise<Patch[]> {
  const rows: Patch[] = [];
  for (let last = n, look = FIRST_LOOK; last > 0; last -= look, look *= 2) {
    const page = (await db.query(queries.readPatches(run, last - look + 1, last))).map(patchTable.parse);
    rows.unshift(...page);
    const snapshot = rows.findLastIndex(({ kind }) => kind !== "patch");
    if (snapshot >= 0) return rows.slice(snapshot);
  }
  return rows;
}

/** An n at or behind the last patch. */
async function lastPatch(run: string, db: Database): Promise<number> {
  return (await db.query(queries.lastEventOf(run))) ?? 0;
}
