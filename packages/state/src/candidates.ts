// Candidates. Owns: which runs a worker may want, and in which order.
// N1. Higher priority first; of one priority what was begun before what was not, then what is there longest, whichever lane
//     it stands in: no lane keeps another waiting.
// N2. Of the first those that are this worker's own (fleet.ts), by chance: several workers do not all want the same.
//     What was begun, and whoever's it is has not come for, is anybody's: they may be what it has lost.
// N3. What is kept back by a limit, or asks for what this worker cannot do, keeps nobody back who stands behind it.
// N4. A run that may be what has ended its workers is claimed with no other such run, so that one of them does not use up the
//     attempts of the others.

import type { Name } from "@sentient/schema";
import type { Context } from "./changing.ts";
import * as queries from "./claim-queries.ts";
import type { CandidateRow, Look } from "./claim-queries.ts";
import type { Share } from "./fleet.ts";
import { isLate } from "./lease.ts";
import { LATE, laneOf } from "./run.ts";

// Among the oldest, not the oldest: eight workers on one run spend their time in conflicts.
const WINDOW = 64;
/** How many candidates a worker looks at for each run it wants, where it does not know who else wants them. */
const CHOICE = 8;
/** The same for each of those who share them: what is behind their own is not theirs yet. */
const CHOICE_EACH = 1.5;
/** Of what it wants, the part it takes of others' at once. */
const OTHERS = 1 / 4;
/** How long what was begun is left to whose it is, in milliseconds. */
const LEFT_MS = 250;
const MOST_CANDIDATES = 1_000;
/** Of each lane at least, if there are many. */
const LEAST_OF_LANE = 16;
/** How many runs that are kept back are looked past in each lane, and how many at once. */
const PAGES = 10;
const PAGE = 1_000;

interface Wanted {
  queues: readonly Name[];
  serves: readonly { name: Name; versions: readonly string[] }[];
  capabilities?: readonly string[] | undefined;
  max: number;
  inDoubt?: number | undefined;
}

export interface Candidates {
  /** In turn. */
  ids: string[];
  limits: Look["limits"];
  now: Date;
}

interface Lane {
  id: string;
  queue: Name;
  name: Name;
}

interface Candidate extends CandidateRow, Omit<Lane, "id"> {
  id: CandidateRow["id"];
  isBegun: boolean;
  /** Whether nobody has come for it. */
  isLeft: boolean;
  /** Since when it may be claimed; of one that was begun, since when it is there. */
  since: Date;
}

/** Every lane that it can serve. */
export function lanesOf({ queues, serves }: Pick<Wanted, "queues" | "serves">): Lane[] {
  return queues.flatMap((queue) =>
    serves.flatMap(({ name, versions }) =>
      versions.map((version) => ({ id: laneOf({ queue, name, version }), queue, name })),
    ),
  );
}

export async function findCandidates(
  wanted: Wanted,
  share: Share,
  { db, time }: Context,
): Promise<Candidates> {
  const keys = [
    ...wanted.queues.map((queue) => `queue:${queue}`),
    ...new Set(wanted.serves.map(({ name }) => `agent:${name}`)),
  ];
  const window = windowOf(wanted.max, share);
  const found: Candidate[] = [];
  const used = new Map<string, number>();
  let lanes = lanesOf(wanted);
  let start = 0;
  let left = wanted.inDoubt ?? Infinity;
  let limit = Math.min(window, Math.max(LEAST_OF_LANE, Math.ceil((4 * window) / lanes.length)));
  for (let page = 0; ; page++) {
    const ids = lanes.map(({ id }) => id);
    const look = await db.query(queries.readCandidates(ids, keys, { start, limit }, time.now));
    const some = [look.due, look.ready].flatMap((byLane) =>
      byLane.flatMap((rows, i) => rows.map((row) => candidateOf(row, lanes[i]!, look.now))),
    );
    await learnUsed(used, some, look, db);
    const free = some.filter((run) => isFree(run, look, used, wanted));
    found.push(...free.filter((run) => !isLate(run.attempts + 1, run.maxAttempts) || left-- > 0));
    lanes = lanes.filter((_, i) => Math.max(look.ready[i]!.length, look.due[i]!.length) === limit);
    if (found.length >= wanted.max || lanes.length === 0 || page === PAGES) {
      const first = inTurn(found, window, share);
      const fitting = withRoom(ownFirst(first, share, wanted.max), look, used);
      return { ids: fitting.map(({ id }) => id.id), limits: look.limits, now: look.now };
    }
    start += limit;
    limit = PAGE;
  }
}

function windowOf(max: number, { workers }: Share): number {
  if (workers === 1) return Math.max(LEAST_OF_LANE, max);
  return Math.min(
    MOST_CANDIDATES,
    Math.max(WINDOW, Math.ceil(max * (workers ? CHOICE_EACH * workers : CHOICE))),
  );
}

function candidateOf(row: CandidateRow, { queue, name }: Lane, now: Date): Candidate {
  const { startedAt, availableAt, createdAt, seek } = row;
  const isBegun = startedAt !== undefined;
  const since = isBegun ? createdAt : (availableAt ?? createdAt);
  const claimable = availableAt ?? seek.dueAt ?? createdAt;
  const isLeft = isBegun && now.getTime() - claimable.getTime() >= LEFT_MS;
  return { ...row, queue, name, isBegun, isLeft, since };
}

async function learnUsed(
  used: Map<string, number>,
  runs: readonly Candidate[],
  { limits }: Look,
  db: Context["db"],
): Promise<void> {
  for (const { id, used: count } of limits) used.set(id.id, count);
  const unknown = new Set(runs.flatMap((run) => run.limits.map(({ key }) => key)));
  for (const key of used.keys()) unknown.delete(key);
  if (unknown.size === 0) return;
  const keys = [...unknown];
  const counts = await db.query(queries.readUsed(keys));
  keys.forEach((key, i) => used.set(key, counts[i]!));
}

/** N3. Whether nothing known keeps it back. */
function isFree(run: Candidate, look: Look, used: Map<string, number>, { capabilities }: Wanted): boolean {
  const isPaused = look.paused.some(({ id }) => id[0] === run.name);
  const { due, dueAt } = run.seek;
  const isEarly = due !== LATE && dueAt !== undefined && dueAt > look.now;
  const isAble = capabilities === undefined || run.capabilities.every((each) => capabilities.includes(each));
  return !isPaused && !isEarly && isAble && fits(run, look, used);
}

function fits(run: Candidate, { limits, now }: Look, used: ReadonlyMap<string, number>): boolean {
  const own = (key: string) => (run.lease?.slots?.includes(key) ? 1 : 0);
  const isBelow = (key: string, max: number) => (used.get(key) ?? 0) - own(key) < max;
  if (!run.limits.every(({ key, max }) => isBelow(key, max))) return false;
  return limitsOf(run, limits).every((limit) => {
    const { concurrency, rate } = limit;
    if (concurrency !== undefined && !isBelow(limit.id.id, concurrency)) return false;
    return !rate || queries.startsLeft(limit, rate, now) >= 1;
  });
}

function limitsOf({ queue, name }: Candidate, limits: Look["limits"]): Look["limits"] {
  return limits.filter(({ id }) => id.id === `queue:${queue}` || id.id === `agent:${name}`);
}

function rank(a: Candidate, b: Candidate): number {
  return b.priority - a.priority || Number(b.isBegun) - Number(a.isBegun);
}

/** N1, N2. */
function inTurn(runs: readonly Candidate[], window: number, { isOwn }: Share): Candidate[] {
  const first = runs.toSorted((a, b) => rank(a, b) || a.since.getTime() - b.since.getTime()).slice(0, window);
  return first
    .map((run) => ({ run, lot: run.isLeft || isOwn(run.id) ? Math.random() : 1 + Math.random() }))
    .sort((a, b) => rank(a.run, b.run) || a.lot - b.lot)
    .map(({ run }) => run);
}

/**
 * N2. Those that come first whosever they are; of the last priority it comes to, its own. Of others' only some, and only if it
 * has few: whose they are may be about to take them.
 */
function ownFirst(runs: readonly Candidate[], { isOwn }: Share, max: number): Candidate[] {
  const last = runs[Math.min(max, runs.length) - 1];
  const sides = Map.groupBy(runs, (run) => {
    if (rank(run, last!) < 0) return "before";
    return run.isLeft || isOwn(run.id) ? "own" : "others";
  });
  const { before = [], own = [], others = [] } = Object.fromEntries(sides);
  const hasFew = before.length + own.length < max * OTHERS;
  return [...before, ...own, ...(hasFew ? others.slice(0, Math.ceil(max * OTHERS)) : [])];
}

/** As many of each limit as it has room for: of the others it is known that they would be tried for nothing. */
function withRoom(runs: readonly Candidate[], look: Look, used: ReadonlyMap<string, number>): Candidate[] {
  const taken = new Map(used);
  const limits = look.limits.map((limit) => ({ ...limit }));
  return runs.filter((run) => {
    if (!fits(run, { ...look, limits }, taken)) return false;
    const shared = limitsOf(run, limits);
    for (const limit of shared)
      if (limit.rate) {
        const left = queries.startsLeft(limit, limit.rate, look.now);
        limit.bucket = { left: left - 1, at: look.now };
      }
    const keys = [...shared.map(({ id }) => id.id), ...run.limits.map(({ key }) => key)];
    for (const key of keys) if (!run.lease?.slots?.includes(key)) taken.set(key, (taken.get(key) ?? 0) + 1);
    return true;
  });
}
