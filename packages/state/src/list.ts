// Lists. Owns: pages of runs, the newest first.
// L1. A run keeps its place, whatever becomes of it: pages never show one twice, and leave out none that met the filter all the
//     while. One that comes to meet it after its place was passed is seen by who begins anew.
// L2. A page is bounded in rows, and so is what is looked through for it: it may be short, or empty, and still have a next one.

import {
  limits,
  Name,
  ParkReason,
  requireWithin,
  RUN_STATUSES,
  RunId,
  RunKind,
  RunStatus,
  type Event,
} from "@sentient/schema";
import type { HistoryPage } from "@sentient/event-bus";
import { z } from "zod";
import { requireRun, type Context } from "./changing.ts";
import { checked } from "./errors.ts";
import * as queries from "./list-queries.ts";
import { readRun, type Run } from "./run.ts";
import { defined } from "./telling.ts";

type Without<T, K extends string> = T extends unknown ? Omit<T, K> : never;

/** A run without what it takes and gives, which `load` has: each may be 1 MiB. */
export type ListedRun = Without<Run, "input" | "output">;

const Options = z.strictObject({
  status: z.union([RunStatus.transform((status) => [status]), z.array(RunStatus).min(1)]).optional(),
  name: Name.optional(),
  kind: RunKind.optional(),
  queue: Name.optional(),
  tag: z.string().min(1).max(128).optional(),
  parkedFor: ParkReason.optional(),
  root: RunId.optional(),
  parent: RunId.optional(),
  correlation: z.string().min(1).max(256).optional(),
  before: z.int().min(1).optional(),
  limit: z.int().min(1).default(100),
});

export interface RunListOptions {
  /** One, or any of several. */
  status?: RunStatus | readonly RunStatus[];
  /** Of the agent or the workflow. */
  name?: string;
  kind?: "task" | "workflow";
  queue?: string;
  /** One of its tags. */
  tag?: string;
  /** Those that are parked for this reason. */
  parkedFor?: ParkReason;
  /** All of a tree, its root too. */
  root?: string;
  /** Those that a run has started. */
  parent?: string;
  correlation?: string;
  /** Those that were started before the event at this position. */
  before?: number;
  /** In a page: 100 if left out, at most `limits.page`. */
  limit?: number;
}

export interface RunPage {
  /** The newest first. */
  runs: ListedRun[];
  /** For the next page, `before` it; missing when there is no more. */
  next?: number;
}

/** L2. A page looks through no more runs of one index than this. */
const LOOKED_THROUGH = 10_000;

/** @throws `state.bad_option`, `schema.limit` */
export async function list(options: RunListOptions, { db }: Context): Promise<RunPage> {
  const { before, limit, root, ...rest } = checked(Options, options, "a list of runs");
  requireWithin("page", limit, "a page");
  const condition = defined(rest);
  const tree = root ?? (condition.parent && (await db.query(queries.readRoot(condition.parent))));
  if (condition.parent !== undefined && tree === undefined) return { runs: [] };
  const { source, beside } = sourceOf(tree, condition);
  const isFiltered = Object.keys(beside).length > 0;
  if (!isFiltered && source.by === "status") return newest(source.statuses, before, limit, db);
  const window = isFiltered ? limits.page : limit + 1;
  const found: Row[] = [];
  let after = before === undefined ? Number.MIN_SAFE_INTEGER : -before;
  for (let looked = 0; found.length <= limit && looked < LOOKED_THROUGH; looked += window) {
    const stretches = await db.query(queries.readRunPage(source, beside, after, window));
    const reached = reachedBy(stretches, window);
    found.push(...rowsUpTo(stretches, reached));
    if (reached === undefined) return pageOf(found, limit, undefined);
    after = reached;
  }
  return pageOf(found, limit, after);
}

/** With nothing asked beside, the ids alone tell which of several stretches come first. */
async function newest(
  statuses: readonly string[],
  before: number | undefined,
  limit: number,
  db: Context["db"],
): Promise<RunPage> {
  const after = before === undefined ? Number.MIN_SAFE_INTEGER : -before;
  const rows = await db.query(queries.readNewestRuns(statuses, after, limit + 1));
  return pageOf(rows.map(listed), limit, undefined);
}

/** The index that leads there, and what is asked beside it. */
function sourceOf(tree: string | undefined, condition: queries.RunCondition) {
  if (tree !== undefined) return { source: { by: "tree", root: tree } as const, beside: condition };
  const { name, status, ...beside } = condition;
  if (name !== undefined)
    return { source: { by: "name", name } as const, beside: { ...beside, ...(status ? { status } : {}) } };
  return { source: { by: "status", statuses: [...new Set(status ?? RUN_STATUSES)] } as const, beside };
}

interface Row {
  newest: number;
  run: ListedRun;
}

/** Up to where all of them were looked through; undefined if that is all there is. */
function reachedBy(stretches: readonly queries.Found[], window: number): number | undefined {
  const cut = stretches.flatMap(({ seen, last }) => (seen >= window ? last! : []));
  return cut.length === 0 ? undefined : Math.min(...cut);
}

function rowsUpTo(stretches: readonly queries.Found[], reached = 0): Row[] {
  return stretches
    .flatMap(({ rows }) => rows.map(listed))
    .filter(({ newest }) => newest <= reached)
    .sort((one, other) => one.newest - other.newest);
}

function pageOf(found: readonly Row[], limit: number, reached: number | undefined): RunPage {
  const page = found.slice(0, limit);
  const next = found.length > limit ? page.at(-1)!.newest : reached;
  return { runs: page.map(({ run }) => run), ...(next === undefined ? {} : { next: -next }) };
}

function listed(row: unknown): Row {
  const isCompleted = (row as { status: string }).status === "completed";
  const { run, first } = readRun({
    ...(row as object),
    input: "null",
    ...(isCompleted ? { output: "null" } : {}),
  });
  const { input: _, output: __, ...rest } = run as Run & { output?: unknown };
  return { newest: -first, run: rest };
}

export interface RunHistoryOptions {
  /** Positions: what lies between them, both left out. */
  after?: number;
  before?: number;
  /** In a page: 100 if left out, at most `limits.page`. */
  limit?: number;
  /** The oldest first (`asc`, as if left out), or the latest (`desc`). */
  order?: "asc" | "desc";
}

/** What happened to a run: its events. */
export type RunHistory = HistoryPage & { events: (Event & { run: RunId; n: number })[] };

const HistoryOptions = z.strictObject({
  after: z.int().min(0).optional(),
  before: z.int().min(0).optional(),
  limit: z.int().min(1).optional(),
  order: z.enum(["asc", "desc"]).optional(),
});

/** @throws `state.not_found`, `state.bad_option`, `schema.limit`; `event_bus.position_trimmed`, `event_bus.position_ahead` */
export async function history(
  run: string,
  options: RunHistoryOptions,
  { bus, db }: Context,
): Promise<RunHistory> {
  const wanted = defined(checked(HistoryOptions, options, "a history"));
  await requireRun(run, { db });
  return (await bus.history({ ...wanted, run })) as RunHistory;
}
