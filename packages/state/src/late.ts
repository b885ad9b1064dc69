// Deadlines. Owns: the end of a run that nobody holds, once its deadline has passed, whether it could be claimed or not.
// Does not own: a run that is held, which its holder cancels; one that is parked, which waits for help and not for its turn.
// A1. It is cancelled once, by whoever sweeps or claims first, as it was read: what goes on meanwhile is left alone.
// A2. What has something to undo, or something going on that it started, is asked to end: a worker sees to the rest.

import { changeRun, type Context, type Decision } from "./changing.ts";
import { hasOpenChildren } from "./claim-queries.ts";
import { mayBeLate, type Run } from "./run.ts";
import { readLate } from "./sweep-queries.ts";

export interface Late {
  /** Runs that are cancelled, or asked to end. */
  late: string[];
  problems: unknown[];
  /** Whether there may be more than were looked at. */
  more: boolean;
}

/** What becomes of a run whose deadline has passed, unless it is to end anyhow. */
export function endOfLate({ asked, deadline, compensates }: Run, now: Date) {
  if (asked?.what === "cancel" || !deadline || deadline > now) return undefined;
  const type = compensates ? ("cancel.requested" as const) : ("run.cancelled" as const);
  return { type, by: "its deadline", reason: "its deadline has passed" };
}

/** Ends so many runs at most; one that fails keeps no other from it. */
export async function endLate(limit: number, context: Context): Promise<Late> {
  const { now, runs, more } = await context.db.query(readLate(limit, context.time.now));
  const results = await Promise.allSettled(runs.map((id) => endOne(id, now, context)));
  return {
    late: results.flatMap((result) => (result.status === "fulfilled" ? (result.value ?? []) : [])),
    problems: results.flatMap((result) => (result.status === "rejected" ? result.reason : [])),
    more,
  };
}

/** @returns undefined if somebody else was first */
async function endOne(id: string, now: Date, context: Context): Promise<string | undefined> {
  let isEnded = false;
  const decide = async (run: Run): Promise<Decision | undefined> => {
    isEnded = false;
    if (!mayBeLate(run)) return undefined;
    const leaves = run.startedAt !== undefined && (await context.db.query(hasOpenChildren(id)));
    const event = endOfLate({ ...run, ...(leaves ? { compensates: true } : {}) }, now);
    isEnded = event !== undefined;
    return event && { events: [{ event }] };
  };
  await changeRun(id, ({ run }) => decide(run), context);
  return isEnded ? id : undefined;
}
