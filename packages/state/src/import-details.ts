// Bringing what runs did, a few rows of a table at a time.

import { type Bringing } from "./bringing.ts";
import { isStale } from "./commit.ts";
import { StateError } from "./errors.ts";
import { sizeOf } from "./row-pages.ts";
import { rowOfLine, type Body, type DetailKind, type StoredRow } from "./transfer-format.ts";
import * as queries from "./transfer-queries.ts";

const MOST = 250;
const BYTES = 1024 * 1024;

export async function bringDetails(bodies: AsyncIterable<Body>, bringing: Bringing): Promise<void> {
  const { wanted } = bringing;
  let rows: StoredRow[] = [];
  let bytes = 0;
  const pieces: Buffer[] = [];
  const put = async () => {
    if (rows.length > 0) await putRows(rows, bringing);
    rows = [];
    bytes = 0;
  };
  for await (const body of bodies) {
    if (body.kind === "run" || body.kind === "event") continue;
    if (body.kind === "blob") {
      pieces.push(Buffer.from(body.content, "base64"));
      if (body.part === body.parts) await putBlob(body.hash, Buffer.concat(pieces.splice(0)), bringing);
      continue;
    }
    const row = rowOfLine(body.kind, body.row);
    if (!wanted.has(runOf(row))) continue;
    const [first] = rows;
    const goesOn = first && kindOf(first) === body.kind && runOf(first) === runOf(row);
    if (!goesOn || rows.length >= MOST || bytes >= BYTES) await put();
    rows.push(row);
    bytes += sizeOf(row);
  }
  await put();
}

const runOf = (row: StoredRow): string => (row.id.id as [string])[0];
const kindOf = (row: StoredRow): DetailKind => row.id.table.name as DetailKind;

/** Of one run and one table. */
async function putRows(rows: readonly StoredRow[], { by, context }: Bringing): Promise<void> {
  const run = runOf(rows[0]!);
  const kind = kindOf(rows[0]!);
  const placed =
    kind === "checkpoint" || kind === "question" ? await withPositions(run, rows, context) : rows;
  try {
    await context.db.query(queries.putRows(run, by, placed));
  } catch (error) {
    throw isStale(error) ? meanwhileError(run, error) : error;
  }
}

/** Where the events that told of them are in this log; of one that was trimmed it is before the first that is there. */
async function withPositions(
  run: string,
  rows: readonly StoredRow[],
  { db }: Bringing["context"],
): Promise<StoredRow[]> {
  const { first = 1, positions } = await db.query(
    queries.readPositions(
      run,
      rows.map(({ n }) => n as number),
    ),
  );
  return rows.map((row, i) => ({ ...row, position: positions[i] ?? Math.max(1, first - 1) }));
}

async function putBlob(hash: string, content: Buffer, { sound, wanted, context }: Bringing): Promise<void> {
  const runs = [...(sound.uses.get(hash) ?? [])].filter((run) => wanted.has(run));
  if (runs.length > 0)
    await context.db.query(queries.putBlob(hash, runs, content, new Date(sound.header.at)));
}

function meanwhileError(run: string, cause: unknown): StateError {
  return new StateError({
    code: "state.run_conflict",
    message: `somebody else has imported or removed the run ${run} while this was done; look what is there now`,
    details: { run },
    cause,
  });
}
