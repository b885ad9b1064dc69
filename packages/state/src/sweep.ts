// Sweep. Owns: what has to be done by the clock, whoever does it: any process may sweep at any time.
// V1. One part that fails keeps none of the others from being done.
// V2. Whoever sweeps again at `nextAt`, and claims then, misses nothing that is known by now.

import { z } from "zod";
import type { Context } from "./changing.ts";
import type { Depth } from "./depth.ts";
import { checked } from "./errors.ts";
import { fire, type Fired } from "./firing.ts";
import { releaseExpired } from "./holding.ts";
import { endLate } from "./late.ts";
import { readNextDue } from "./sweep-queries.ts";
import { removeSilent } from "./workers.ts";

const Options = z.strictObject({ limit: z.int().min(1).max(500).default(500) });

export interface SweepOptions {
  /** How many leases, deadlines and schedules are looked at; 500 if left out, which is the most. */
  limit?: number;
}

type Part = "leases" | "deadlines" | "schedules" | "workers" | "next";

export interface Swept {
  /** Runs whose worker was not heard of: they wait in their queues again. */
  released: string[];
  /** Runs that nobody held at their deadline: they are cancelled, or wait for a worker that undoes what they did. */
  late: string[];
  /** Runs that schedules have started. */
  fired: Fired[];
  /** Workers that were not heard of for a day, and are forgotten. */
  removed: string[];
  /**
   * When the next timer goes off, the next lease runs out, the next deadline passes, or the next schedule comes; now if there
   * is more to do already. Missing if nothing is known to come.
   */
  nextAt?: Date;
  /** What could not be done; it is tried again by the next sweep. */
  problems: { part: Part; error: unknown }[];
}

/** @throws what the database throws, if none of it could be done */
export async function sweep(options: SweepOptions, context: Context, depth: Depth): Promise<Swept> {
  const { limit } = checked(Options, options, "a sweep");
  const problems: Swept["problems"] = [];
  const tried = async <T>(part: Part, work: Promise<T>): Promise<T | undefined> => {
    try {
      return await work;
    } catch (error) {
      problems.push({ part, error });
      return undefined;
    }
  };
  const leasesAndDeadlines = async () => {
    const released = await tried("leases", releaseExpired(limit, context)); // of which some are late
    return [released, await tried("deadlines", endLate(limit, context))] as const;
  };
  const [[leases, deadlines], firing, removed] = await Promise.all([
    leasesAndDeadlines(),
    tried("schedules", fire(limit, context, depth)),
    tried("workers", removeSilent(context)),
  ]);
  const next = await tried("next", nextDue(context));
  if (problems.length === PARTS) throw problems[0]!.error;
  for (const error of leases?.problems ?? []) problems.push({ part: "leases", error });
  for (const error of deadlines?.problems ?? []) problems.push({ part: "deadlines", error });
  for (const error of firing?.problems ?? []) problems.push({ part: "schedules", error });
  const nextAt = leases?.more || deadlines?.more || firing?.more ? next?.now : next?.at;
  return {
    released: leases?.released ?? [],
    late: deadlines?.late ?? [],
    fired: firing?.fired ?? [],
    removed: removed ?? [],
    ...(nextAt ? { nextAt } : {}),
    problems,
  };
}

const PARTS = 5;

async function nextDue({ db, time }: Context): Promise<{ now: Date; at: Date | undefined }> {
  const times: Date[] = [];
  for (let lane = ""; ;) {
    const found = await db.query(readNextDue(lane, time.now));
    if (found.run) times.push(found.run);
    if (found.schedule) times.push(found.schedule);
    if (found.lane === undefined) {
      const at = Math.min(...times.map((each) => each.getTime()));
      return { now: found.now, at: times.length === 0 ? undefined : new Date(at) };
    }
    lane = found.lane;
  }
}
