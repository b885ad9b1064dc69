// Holding. Owns: keeping leases, giving them back, and noticing those that nobody keeps.

import type { Asked } from "@sentient/schema";
import { changeRun, type Context } from "./changing.ts";
import type { Lease } from "./lease.ts";
import * as queries from "./queries.ts";

/** What a renewal found. */
export interface Renewed {
  /** Those that are held, with what was asked of their runs. */
  held: { lease: Lease; asked: Asked | undefined }[];
  /** Those that others have by now, or nobody; they are over. */
  lost: Lease[];
}

/** Prolongs leases of one worker, all in one statement. */
export async function renew(
  leases: readonly Lease[],
  ms: number,
  { db, time }: Context,
  timeout?: number,
): Promise<Renewed> {
  const live = leases.filter(({ over }) => !over.aborted);
  const [first] = live;
  if (!first) return { held: [], lost: [...leases] };
  const held = live.map(({ run, token }) => ({ run: run.id, token }));
  const { worker } = first.run.lease;
  const options = timeout === undefined ? {} : { timeout };
  const found = await db.query(queries.renewLeases(held, worker, ms, time.now), options);
  const byRun = new Map(found.map((row) => [row.run, row]));
  const isHeld = (lease: Lease) => byRun.get(lease.run.id)?.token === lease.token;
  const lost = live.filter((lease) => !isHeld(lease) && !lease.over.aborted);
  for (const lease of lost) lease.end();
  return {
    held: live.filter(isHeld).map((lease) => ({ lease, asked: byRun.get(lease.run.id)!.asked })),
    lost,
  };
}

/** How many leases that ran out are given back at once. */
const AT_ONCE = 500;

/** Puts runs back into their queues whose worker was not heard of. @returns their ids */
export async function releaseExpired(context: Context): Promise<string[]> {
  const { db, time } = context;
  const expired = (await db.query(queries.readExpired(AT_ONCE, time.now))).map(({ id }) => String(id));
  const released = await Promise.all(
    expired.map(async (id) => {
      const run = await changeRun(
        id,
        ({ run }) =>
          run.status === "running"
            ? {
                events: [
                  { event: { type: "run.released", worker: run.lease.worker, reason: "lease_expired" } },
                ],
                statements: () => [queries.requireDue(id, time.now)],
              }
            : undefined,
        context,
      );
      return run.status === "queued" ? id : undefined;
    }),
  );
  return released.filter((id) => id !== undefined);
}
