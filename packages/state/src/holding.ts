// Holding. Owns: keeping leases, giving them back, and noticing those that nobody keeps.

import type { Statement } from "@sentient/db-pool";
import type { Asked } from "@sentient/schema";
import { z } from "zod";
import { changeRun, type Context } from "./changing.ts";
import { checked, StateError } from "./errors.ts";
import { heldOf, LEASE_MS, type Lease } from "./lease.ts";
import * as queries from "./queries.ts";
import type { RunOf } from "./run.ts";
import { readHeldIn, removeWorker } from "./workers-queries.ts";

/** What a renewal found. */
export interface Renewed {
  /** Those that are held, with what was asked of their runs. */
  held: { lease: Lease; asked: Asked | undefined }[];
  /** Those that others have by now, or nobody; they are over. */
  lost: Lease[];
}

const Options = z.strictObject({
  lease: z.int().min(100).max(3_600_000).default(LEASE_MS),
  timeout: z.int().min(1).optional(),
});

export interface RenewOptions {
  /** For how long from now, in milliseconds; 15,000 if left out. */
  lease?: number;
  /** How long the database may take, in milliseconds. */
  timeout?: number;
}

/** Prolongs leases of one worker, all in one statement. */
export async function renew(
  leases: readonly Lease[],
  options: RenewOptions,
  { db, time }: Context,
): Promise<Renewed> {
  const { lease: ms, timeout } = checked(Options, options, "a renewal");
  const live = leases.map(heldOf).filter(({ over }) => !over.aborted);
  const [first] = live;
  if (!first) return { held: [], lost: [] };
  const { worker } = first.run.lease;
  if (live.some(({ run }) => run.lease.worker !== worker)) throw severalWorkersError();
  const held = live.map(({ run, token }) => ({ run: run.id, token }));
  const found = await db.query(queries.renewLeases(held, worker, ms, time.now), {
    repeatable: true,
    ...(timeout === undefined ? {} : { timeout }),
  });
  const byRun = new Map(found.map((row) => [row.run, row]));
  const renewed: Renewed = { held: [], lost: [] };
  for (const lease of live) {
    const row = byRun.get(lease.run.id);
    if (row?.token === lease.token) {
      lease.renewed(row.until);
      renewed.held.push({ lease, asked: row.asked });
    } else if (!lease.over.aborted) {
      lease.end();
      renewed.lost.push(lease);
    }
  }
  return renewed;
}

function severalWorkersError(): StateError {
  return new StateError({
    code: "state.bad_option",
    message: "a renewal: the leases are of several workers; each renews its own",
  });
}

export interface Released {
  /** Runs that wait in their queues again. */
  released: string[];
  problems: unknown[];
  /** Whether there were more than were looked at. */
  more: boolean;
}

/** Puts runs back into their queues whose worker was not heard of; one that fails keeps no other from it. */
export async function releaseExpired(limit: number, context: Context): Promise<Released> {
  const { now, runs } = await context.db.query(queries.readExpired(limit, context.time.now));
  const isOver = ({ until }: HeldBy) => until <= now;
  const results = await Promise.allSettled(
    runs.map(({ id }) => release(id, isOver, [queries.requireDue(id, context.time.now)], context)),
  );
  return {
    released: results.flatMap((result) => (result.status === "fulfilled" ? (result.value ?? []) : [])),
    problems: results.flatMap((result) => (result.status === "rejected" ? result.reason : [])),
    more: runs.length === limit,
  };
}

const Process = z.strictObject({ pid: z.int().min(0), host: z.string().min(1).max(256) });

/** The same at once for all whose worker was in a process that is known to be gone. */
export async function releaseOf(process: { pid: number; host: string }, context: Context): Promise<string[]> {
  const { pid, host } = checked(Process, process, "a process that is gone");
  const { workers, runs } = await context.db.query(readHeldIn(pid, host));
  const isGone = ({ worker }: HeldBy) => workers.includes(worker);
  const released = await Promise.all(runs.map((id) => release(id, isGone, [], context)));
  for (const worker of workers) await context.db.query(removeWorker(worker));
  return released.flatMap((id) => id ?? []);
}

type HeldBy = RunOf<"running">["lease"];

/** @returns undefined if it is not without a worker any more */
async function release(
  id: string,
  isWithout: (lease: HeldBy) => boolean,
  statements: readonly Statement[],
  context: Context,
): Promise<string | undefined> {
  let isReleased = false;
  await changeRun(
    id,
    async ({ run }) => {
      isReleased = run.status === "running" && isWithout(run.lease);
      if (run.status !== "running" || !isReleased) return undefined;
      const steps = await context.db.query(queries.countSteps(id));
      const { worker } = run.lease;
      return {
        events: [{ event: { type: "run.released", worker, reason: "lease_expired", steps } }],
        statements: () => [queries.requireSteps(id, steps), ...statements],
      };
    },
    context,
  );
  return isReleased ? id : undefined;
}
