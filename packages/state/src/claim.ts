// Claim. Owns: who advances a run: one worker at a time, until when, and who comes next.
// K1. A lease is granted in one transaction that takes the run as it was seen: two never get one run.
// K2. A lease that ran out is claimed like a run that waits in a queue: there is no other recovery.
// K3. Attempts are counted when a run is claimed, and begin anew once a step was remembered: what kills its worker every time
//     is parked, however it does that.
// K4. What limits a run is asked in that transaction too, so no limit is ever exceeded.
// K5. Who is to be cancelled, and has nothing to undo and nothing going on that it started, is cancelled here and now; else by
//     a worker, who sees to the rest.

import { setMaxListeners } from "node:events";
import type { Statement } from "@sentient/db-pool";
import { EventBusError, type Entry } from "@sentient/event-bus";
import { Name, WorkerId, Version, type ParkReason, type Token } from "@sentient/schema";
import { z } from "zod";
import { findCandidates, lanesOf } from "./candidates.ts";
import { changeRun, type Context, type Decision } from "./changing.ts";
import { isStale } from "./commit.ts";
import { checked } from "./errors.ts";
import type { Fleet } from "./fleet.ts";
import { endOfLate } from "./late.ts";
import { HeldLease, LEASE_MS, type Lease } from "./lease.ts";
import * as queries from "./claim-queries.ts";
import type { FlowLimitRow } from "./claim-queries.ts";
import { countSteps, giveSlots, requireDue, requireSteps } from "./queries.ts";
import { isGuardFailed } from "./start.ts";
import { apply, type RunEvent } from "./run-machine.ts";
import { laneOf, readRun, rowOf, type ReadRun, type Run, type RunOf } from "./run.ts";
import { tell } from "./telling.ts";

const Options = z.strictObject({
  worker: WorkerId,
  queues: z
    .array(Name)
    .min(1)
    .max(256)
    .default(["default" as Name]),
  serves: z.array(z.strictObject({ name: Name, versions: z.array(Version).min(1).max(100) })).max(1_000),
  capabilities: z.array(Name).max(64).optional(),
  max: z.int().min(1).max(1_000).default(1),
  inDoubt: z.int().min(0).optional(),
  lease: z.int().min(100).max(3_600_000).default(LEASE_MS),
});

export interface ClaimOptions {
  /** Who claims: one id for each start of a process. */
  worker: string;
  /** Which agents and workflows it can run, in which versions. */
  serves: readonly { name: string; versions: readonly string[] }[];
  /** `["default"]` if left out. */
  queues?: readonly string[];
  /** What it can do; runs that ask for more are left to others. All is claimed if left out. */
  capabilities?: readonly string[];
  /** How many runs at most; 1 if left out. */
  max?: number;
  /**
   * How many runs at most that are at one of their last two attempts, as something ends their workers before they remember a
   * step; any number if left out. One at a time that has not got on yet, and the others do not pay for it.
   */
  inDoubt?: number;
  /** How long the leases last if they are not renewed, in milliseconds; 15,000 if left out. */
  lease?: number;
}

/** Runs that are tried at once; after each time it is asked whether the first leases still have the time to be renewed. */
const AT_ONCE = 64;

/** @throws `state.bad_option`; what `bus.log.append` throws, if nothing was claimed */
export async function claim(options: ClaimOptions, fleet: Fleet, context: Context): Promise<Lease[]> {
  const wanted = checked(Options, options, "a claim");
  if (lanesOf(wanted).length === 0) return [];
  const share = await fleet.shareOf(wanted.worker, wanted.queues);
  const { ids, limits, now } = await findCandidates(wanted, share, context);
  const flow = new Map(limits.map((limit) => [limit.id.id, limit]));
  const wish = { asOf: now, wanted, flow, full: new Set<string>() };
  const leases: Lease[] = [];
  const began = performance.now();
  const isLate = () => leases.length > 0 && performance.now() - began > wanted.lease / 2;
  for (let i = 0; i < ids.length && leases.length < wanted.max && !isLate();) {
    const some = ids.slice(i, (i += Math.min(AT_ONCE, wanted.max - leases.length)));
    try {
      leases.push(...(await claimThese(some, wish, context)));
    } catch (error) {
      if (leases.length === 0) throw error;
      break; // what was granted is not to be lost for it
    }
  }
  return leases;
}

type Wanted = z.output<typeof Options>;
type Flow = ReadonlyMap<string, FlowLimitRow>;

/** What a claim of one run goes by. */
interface Try {
  read: ReadRun;
  /** How many steps the run remembers by now. */
  steps: number;
  asOf: Date;
  wanted: Wanted;
  flow: Flow;
  /** Limits that others have filled since. */
  full: Set<string>;
  /** Whether runs of its kind may be claimed: one statement for all of them, which then is asked once for all. */
  mayClaim: Statement;
  /**
   * Aborted when one of them was somebody else's already: the others are looked at again before they are tried, as each that
   * fails costs a transaction, and who wants the same wants them all.
   */
  moved: AbortController;
}

async function claimThese(
  runs: readonly string[],
  wish: Omit<Try, "read" | "steps" | "mayClaim" | "moved">,
  context: Context,
): Promise<Lease[]> {
  const leases: Lease[] = [];
  for (let rest = runs; rest.length > 0;) {
    const { rows, steps } = await context.db.query(queries.readChosen(rest));
    const moved = new AbortController();
    setMaxListeners(0, moved.signal);
    const open = rows
      .map((row, i) => ({ ...wish, read: readRun(row), steps: steps[i]!, moved }))
      .filter(({ read }) => isOpen(read.run, wish.asOf) && !isFull(read.run, wish));
    const tries = [...Map.groupBy(open, ({ read }) => laneOf(read.run)).values()].flatMap((lane) => {
      const mayClaim = mayClaimLike(lane[0]!.read.run, wish.flow);
      return lane.map((each): Try => ({ ...each, mayClaim }));
    });
    const results = await Promise.allSettled(tries.map((each) => claimOne(each, context)));
    leases.push(...results.flatMap((each) => (each.status === "fulfilled" ? (each.value ?? []) : [])));
    const isLeftOver = (_: unknown, i: number) => isTakenBack((results[i] as { reason?: unknown }).reason);
    const failed = results.find((each) => each.status === "rejected" && !isTakenBack(each.reason));
    if (failed && leases.length === 0) throw (failed as PromiseRejectedResult).reason;
    rest = failed ? [] : tries.filter(isLeftOver).map(({ read }) => read.run.id);
  }
  return leases;
}

/** Whether nobody has claimed it, or done something else with it, since it was a candidate. */
function isOpen(run: Run, asOf: Date): boolean {
  if (run.status === "running") return run.lease.until <= asOf;
  if (run.status === "waiting")
    return [run.wakeAt, run.deadline].some((at) => at instanceof Date && at <= asOf);
  return run.status === "queued";
}

function isFull(run: Run, { flow, full }: Pick<Try, "flow" | "full">): boolean {
  return full.size > 0 && limitsOf(run, flow).some(({ key }) => full.has(key));
}

/** @returns undefined if it went to somebody else, or was parked or cancelled instead */
async function claimOne(wish: Try, context: Context): Promise<Lease | undefined> {
  const { run } = wish.read;
  const attempt = wish.steps > run.steps ? 1 : run.attempts + 1; // K3
  const leaves = await leavesChildren(run, attempt, wish.asOf, context);
  const other = otherThanGrant({ ...run, ...(leaves ? { compensates: true } : {}) }, attempt, wish.asOf);
  if (!other) return grant(wish, attempt, context);
  await instead(wish, other, context);
  return undefined;
}

/** K5. */
async function leavesChildren(run: Run, attempt: number, now: Date, { db }: Context): Promise<boolean> {
  const isBegun = run.startedAt !== undefined && attempt <= run.maxAttempts;
  if (!isBegun || otherThanGrant(run, attempt, now)?.type !== "run.cancelled") return false;
  return db.query(queries.hasOpenChildren(run.id));
}

/** What is to happen to a run that nobody holds, unless it is to be worked on. */
function otherThanGrant(run: Run, attempt: number, now: Date): Event | undefined {
  const { asked, compensates } = run;
  const reason = asked?.reason === undefined ? {} : { reason: asked.reason };
  if (asked?.what === "pause") return { type: "run.paused", by: asked.by, ...reason };
  if (asked && !compensates) return { type: "run.cancelled", by: asked.by, ...reason };
  const late = endOfLate(run, now);
  if (late) return late;
  return attempt > run.maxAttempts
    ? { type: "run.parked", reason: "attempts_exhausted", problem: exhausted(run) }
    : undefined;
}

type Event = Decision["events"][number]["event"];

/** K1. */
async function grant(
  { read, steps, wanted, flow, full, mayClaim, moved }: Try,
  attempt: number,
  { bus, time }: Context,
): Promise<Lease | undefined> {
  const { run, first } = read;
  const now = time.now;
  const limits = limitsOf(run, flow);
  const slots = limits.flatMap(({ key, max }) => (max === undefined ? [] : key)) as Name[];
  const before = run.status === "running" ? (run.lease.slots ?? []) : [];
  const given = before.filter((slot) => !slots.includes(slot)); // limits that are no more
  const token = (run.token + 1) as Token;
  const started = (at: Date): RunEvent => {
    const until = new Date(at.getTime() + wanted.lease);
    const lease = { worker: wanted.worker, token, until, ...(slots.length > 0 ? { slots } : {}) };
    return { type: "run.started", at, lease, attempt, steps };
  };
  const guards = limits.flatMap((limit) =>
    guardsOf(limit, run, now).map((guard) => ({ key: limit.key, guard })),
  );
  let claimed: Run | undefined;
  try {
    const entry: Entry = {
      events: [tell(run, started(new Date(0)))],
      guards: [mayClaim, ...guards.map(({ guard }) => guard)],
      statements: (_, placedAt) => {
        const at = time.of(placedAt);
        claimed = apply(run, started(at));
        return [
          queries.claimRun(run.id, run.revision, rowOf(claimed, first), now),
          ...(run.status === "running" ? [requireSteps(run.id, steps)] : []),
          ...(given.length > 0 ? [giveSlots(given, run.id)] : []),
          ...slots.map((key) => queries.takeSlot(key, run.id, token, at)),
        ];
      },
    };
    const [placed] = await bus.log.append(entry, { signal: moved.signal });
    return new HeldLease(claimed as RunOf<"running">, first, placed!.n!);
  } catch (error) {
    if (!isStale(error) && !isGuardFailed(error)) throw error;
    const failed = isGuardFailed(error) ? guards[(error.details?.guard as number) - 1] : undefined;
    if (failed) full.add(failed.key);
    else moved.abort();
    return undefined;
  }
}

function mayClaimLike({ name, version, queue }: Run, flow: Flow): Statement {
  const queueLimit = queries.limitSaid(flow.get(`queue:${queue}`));
  const agentLimit = queries.limitSaid(flow.get(`agent:${name}`));
  return queries.isOpenLane({ name, version, queue, queueLimit, agentLimit });
}

/** What becomes of a run that cannot be claimed any more, unless it is something else by now. */
async function instead({ read, steps, asOf }: Try, event: Event, context: Context): Promise<void> {
  const { id, revision, status } = read.run;
  const isSame = async ({ run }: ReadRun) =>
    run.revision === revision &&
    !(run.status === "running" && run.lease.until > asOf) &&
    !(run.status === "running" && (await context.db.query(countSteps(id))) > steps);
  const statements = () => [
    requireDue(id, context.time.now),
    ...(status === "running" ? [requireSteps(id, steps)] : []),
  ];
  await changeRun(
    id,
    async (current) => ((await isSame(current)) ? { events: [{ event }], statements } : undefined),
    context,
  );
}

function exhausted(run: Run) {
  const lostBy = run.status === "running" ? run.lease.worker : run.status === "queued" && run.lostBy;
  const last = lostBy ? `; the last worker, ${lostBy}, was not heard of again` : "";
  return {
    name: "AttemptsExhausted",
    message: `it was claimed ${run.attempts} times without remembering a step${last}. Find out why, then resume it`,
    code: "attempts_exhausted" satisfies ParkReason,
    retryable: false,
  };
}

interface Limited {
  key: string;
  max?: number;
  rate?: { count: number; per: number };
}

function limitsOf(run: Run, flow: ReadonlyMap<string, FlowLimitRow>): Limited[] {
  const shared = [`queue:${run.queue}`, `agent:${run.name}`].flatMap((key) => {
    const { concurrency: max, rate } = flow.get(key) ?? {};
    return { key, ...(max === undefined ? {} : { max }), ...(rate ? { rate } : {}) };
  });
  return [
    ...shared.filter(({ max, rate }) => max !== undefined || rate),
    ...run.limits.map(({ key, max }) => ({ key, max })),
  ];
}

/** K4. Room first: a start is not taken out of a bucket for nothing. */
function guardsOf({ key, max, rate }: Limited, run: Run, now: Date | null): Statement[] {
  return [
    ...(max === undefined ? [] : [queries.hasRoom(key, run.id, max)]),
    ...(rate ? [queries.takeStart(key, rate, now)] : []),
  ];
}

function isTakenBack(error: unknown): boolean {
  return error instanceof EventBusError && error.code === "event_bus.cancelled";
}
