// Import. Owns: bringing the runs of an export into a database.
// I1. The whole file is checked before anything is written (Y1).
// I2. A run is there when all of it is: until then its place is held by a row that nobody can set going, read or fork. What was
//     cut off is finished by importing the same file again, also where runs that it had brought were set going meanwhile.
// I3. Events keep their order and their n. They get new positions and times, as the log has one order and one clock; where they
//     were, their ids tell (`imported:<origin>:<position>`).
// I4. A run that was not over is parked, so that nobody goes on with it unasked.
// I5. A fork is there only if what it reads of its parent is: retention, which keeps what a fork reads, does not know of it before.

import type { Statement } from "@sentient/db-pool";
import { canonicalJson, hashOf, runTable, type Json } from "@sentient/schema";
import type { Context } from "./changing.ts";
import { isStale, thrownBy } from "./commit.ts";
import { StateError } from "./errors.ts";
import { requireDetails } from "./history-queries.ts";
import { FileCheck, type Contained, type Sound } from "./import-check.ts";
import { bringDetails } from "./import-details.ts";
import { bringEvents } from "./import-events.ts";
import { originalId, type Bringing } from "./bringing.ts";
import { isReserved, reservedBy } from "./reserved.ts";
import { readRun, rowOf, type Run } from "./run.ts";
import { coreOf } from "./run-machine.ts";
import { about } from "./telling.ts";
import * as core from "./queries.ts";
import * as queries from "./transfer-queries.ts";
import { type Body, plain, runOfLine, Seal } from "./transfer-format.ts";
import { readLines, spool } from "./transfer-file.ts";

/** What an import has brought. */
export interface Imported {
  /** The run that was exported. */
  run: string;
  /** Runs that are there now, and that were there before: as they are in the file, or brought by it and gone on since. */
  imported: string[];
  existed: string[];
}

/** @throws what `State.import` says */
export async function importRuns(
  lines: AsyncIterable<string> | Iterable<string>,
  context: Context,
): Promise<Imported> {
  const check = new FileCheck();
  const { path, remove } = await spool(checking(lines, check));
  try {
    return await bring(path, check.sound(), context);
  } finally {
    await remove();
  }
}

export async function importFile(path: string, context: Context): Promise<Imported> {
  const check = new FileCheck();
  for await (const line of readLines(path)) check.add(line);
  return bring(path, check.sound(), context);
}

async function* checking(lines: AsyncIterable<string> | Iterable<string>, check: FileCheck) {
  for await (const line of lines) {
    check.add(line);
    yield line;
  }
}

async function bring(path: string, sound: Sound, context: Context): Promise<Imported> {
  const { db } = context;
  const by = reservedBy(sound.sha256).message;
  const runs = [...sound.runs.keys()];
  const wanted = await reserve(path, sound, context);
  const last = new Map<string, number>();
  for (const run of wanted) last.set(run, (await db.query(core.lastEventOf(run))) ?? 0);
  const bringing: Bringing = { sound, wanted, by, last, context };
  if (wanted.size > 0) {
    await bringEvents(bodiesOf(path), bringing);
    await bringDetails(sealed(path, sound), bringing);
    await requireAll(bringing);
    await finish(path, bringing);
  }
  return { run: sound.header.run, imported: [...wanted], existed: runs.filter((run) => !wanted.has(run)) };
}

async function* bodiesOf(path: string): AsyncGenerator<Body> {
  for await (const line of readLines(path)) {
    const body = JSON.parse(line) as Body | { kind: "end" | "export" };
    if (body.kind === "end") return;
    if (body.kind !== "export") yield body as Body;
  }
}

/** The same, and whether the file is still what was checked. */
async function* sealed(path: string, { sha256 }: Sound): AsyncGenerator<Body> {
  const seal = new Seal();
  for await (const line of readLines(path)) {
    const body = JSON.parse(line) as Body | { kind: "end" | "export" };
    if (body.kind === "end") break;
    seal.add(line);
    if (body.kind !== "export") yield body as Body;
  }
  if (seal.close().sha256 !== sha256) throw changedError();
}

async function* runsOf(path: string, { runs, header }: Sound): AsyncGenerator<{ run: Run; of: Contained }> {
  for await (const body of bodiesOf(path)) {
    if (body.kind !== "run") return; // they come first
    const { seek: _, ...run } = runOfLine(body.row);
    const of = runs.get(run.id)!;
    yield { run: asImported(run, of, header.origin), of };
  }
}

/** I4. */
function asImported(run: Run, { redacted }: Contained, origin: string): Run {
  const core =
    run.causation === undefined ? run : { ...run, causation: originalId(run.causation, origin) as never };
  if ("endedAt" in core) return core;
  const was = core.status === "parked" ? `parked (${core.problem.message})` : core.status;
  const message =
    `it was ${was} when it was exported; resume it to set it going here` +
    (redacted ? ". It holds redacted values: where it needs one it finds the text [redacted]" : "");
  return {
    ...coreOf(core),
    status: "parked",
    parkedFor: "asked",
    problem: { name: "Imported", code: "imported", message, retryable: true },
  };
}

/** I2. @returns the runs that are to be brought; those that are there already, as they are in the file, are not */
async function reserve(path: string, sound: Sound, context: Context): Promise<Set<string>> {
  const { db } = context;
  const wanted = new Map<string, { again: boolean; row: Record<string, unknown> | undefined }>();
  for await (const { run, of } of runsOf(path, sound)) {
    const row = await db.query(core.readRun(run.id));
    const found = row === undefined ? "none" : await whatIsThere(row, run, of, sound, db);
    if (found === "other") throw conflictError(run.id);
    if (found !== "same") {
      const place = found === "unfinished" ? undefined : placeOf(run, sound.sha256);
      wanted.set(run.id, { again: found === "bare", row: place });
    }
  }
  const reserved: string[] = [];
  try {
    for (const [run, { again, row }] of wanted) {
      if (!row) continue;
      await db.query(again ? queries.reserveAgain(run, row) : queries.reserve([row]));
      reserved.push(run);
    }
  } catch (error) {
    if (!isStale(error) && (error as { code?: string }).code !== "db.already_exists") throw error;
    const { message } = reservedBy(sound.sha256);
    const made = reserved.filter((run) => !wanted.get(run)!.again);
    await db.query(queries.unreserve(made, message));
    throw conflictError([...wanted.keys()][reserved.length]!, error);
  }
  return new Set(wanted.keys());
}

type Found = "same" | "unfinished" | "bare" | "other";

async function whatIsThere(
  row: unknown,
  wanted: Run,
  { n, hasDetails }: Contained,
  { sha256 }: Sound,
  db: Context["db"],
): Promise<Found> {
  const { run, first, hasDetails: isWhole } = readRun(row);
  if (run.status === "parked" && isReserved(run))
    return run.problem.message === reservedBy(sha256).message ? "unfinished" : "other";
  if (textOf(run) !== textOf(wanted)) {
    const told = await db.query(queries.readImports(run.id, n, first));
    return told.some((data) => (JSON.parse(data) as { file?: string }).file === sha256) ? "same" : "other";
  }
  if (isWhole || !hasDetails) return "same";
  return (row as { seek: { bare?: Date } }).seek.bare === undefined ? "other" : "bare";
}

function textOf(run: Run): string {
  const { seek: _, ...row } = runTable.serialise({ ...run, seek: { newest: 0 } });
  return canonicalJson(plain(row) as Json);
}

/** Listed behind all others, in a place of its own: it has no event yet. */
function placeOf(run: Run, sha256: string): Record<string, unknown> {
  const behind = Number.parseInt(hashOf(run.id).slice(0, 12), 16) + 1;
  const problem = reservedBy(sha256);
  const { deadline: _, asked: __, ...core } = coreOf(run);
  return rowOf({ ...core, input: null, status: "parked", parkedFor: "asked", problem }, -behind);
}

/** What was written is there. */
async function requireAll({ wanted, sound, context }: Bringing): Promise<void> {
  for (const id of wanted) {
    const { rows } = sound.runs.get(id)!;
    const kinds = Object.keys(rows) as (keyof typeof rows)[];
    const counts = await context.db.query(queries.countDetails(id, kinds));
    if (kinds.some((kind, i) => rows[kind] !== counts[i])) throw conflictError(id);
  }
}

/** How many runs are there at once, and of how many bytes. */
const RUNS_AT_ONCE = 64;
const BYTES_AT_ONCE = 4 * 1024 * 1024;

/** I2. */
async function finish(path: string, bringing: Bringing): Promise<void> {
  let some: { run: Run; of: Contained }[] = [];
  let bytes = 0;
  for await (const one of runsOf(path, bringing.sound)) {
    if (!bringing.wanted.has(one.run.id)) continue;
    const size = JSON.stringify(one.run).length;
    if (some.length >= RUNS_AT_ONCE || (some.length > 0 && bytes + size > BYTES_AT_ONCE)) {
      await putRuns(some, bringing);
      some = [];
      bytes = 0;
    }
    some.push(one);
    bytes += size;
  }
  if (some.length > 0) await putRuns(some, bringing);
}

async function putRuns(
  some: readonly { run: Run; of: Contained }[],
  { by, sound, context }: Bringing,
): Promise<void> {
  const { db, bus, time } = context;
  const firsts: (number | undefined)[] = [];
  for (const { run } of some) firsts.push((await db.query(queries.readPositions(run.id, []))).first);
  try {
    await bus.log.append({
      events: some.map(({ run, of }) => ({
        ...about(run),
        type: "run.imported",
        data: { events: of.n, file: sound.sha256, redacted: of.redacted, exportedAt: sound.header.at },
      })),
      statements: (placed, placedAt) => {
        const at = time.of(placedAt);
        return some.flatMap(({ run, of }, i) => [
          ...readsOf(run, of, sound),
          queries.putRun(run.id, by, finalRow(run, of, firsts[i] ?? placed[i]!.position, at)),
          ...edgesOf(run),
        ]);
      },
    });
  } catch (error) {
    if (thrownBy(error) === core.THROWN.removed) throw parentRemovedError(error);
    throw isStale(error) ? conflictError(some[0]!.run.id, error) : error;
  }
}

/** I5. */
function readsOf({ forkOf }: Run, { hasDetails }: Contained, { runs }: Sound): Statement[] {
  return hasDetails && forkOf && runs.get(forkOf.run)!.hasDetails ? [requireDetails(forkOf.run)] : [];
}

/** How long its details are kept is counted from now on. */
function finalRow(run: Run, { hasDetails }: Contained, first: number, at: Date): Record<string, unknown> {
  const row = rowOf(run, first);
  const { over, ...seek } = row.seek as Record<string, unknown>;
  if (over === undefined) return row;
  return { ...row, seek: { ...seek, ...(hasDetails ? { over: at } : { bare: at }) } };
}

function edgesOf({ id, parent, parentStep, forkOf, causation, createdAt: at }: Run) {
  const step = parentStep === undefined ? {} : { step: parentStep };
  return [
    ...(parent === undefined ? [] : [queries.relate("spawned", { run: id, from: parent, at, ...step })]),
    ...(forkOf ? [queries.relate("forked", { run: id, from: forkOf.run, at, n: forkOf.n })] : []),
    ...(causation === undefined ? [] : [queries.relateCause(causation, id, at)]),
  ];
}

function conflictError(run: string, cause?: unknown): StateError {
  return new StateError({
    code: "state.run_conflict",
    message: `there is a run ${run} already, and it is not what the file holds, or another import brings it at this moment; nothing of it was changed. Import into another database, or remove it first`,
    details: { run },
    ...(cause === undefined ? {} : { cause }),
  });
}

function parentRemovedError(cause: unknown): StateError {
  return new StateError({
    code: "state.details_removed",
    message:
      "what a run did of which the file holds a fork was removed while it was imported; import the file again, which brings it back",
    cause,
  });
}

function changedError(): StateError {
  return new StateError({
    code: "state.bad_export",
    message: "the file was changed while it was imported; import it again as it was",
  });
}
