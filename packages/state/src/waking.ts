// Waking. Owns: who waits for a run to end, and their going on when it does.
// A run that is about to wait says so in a row, whether it has started the other one, forked who did, or found it by its key. Its
// wait and the other one's end are one after the other: the first to come is seen by the second.

import type { Statement } from "@sentient/db-pool";
import type { NewEvent } from "@sentient/event-bus";
import type { Wait } from "@sentient/schema";
import * as queries from "./waking-queries.ts";
import { requireRevision, saveRun } from "./queries.ts";
import { apply, type RunEvent } from "./run-machine.ts";
import { readRun, rowOf, type ReadRun, type Run, type RunOf } from "./run.ts";
import type { Store } from "./store.ts";
import { tell } from "./telling.ts";

/** What the end of a run does to those who wait for it. */
export interface Waking {
  events: NewEvent[];
  statements: (at: Date) => Statement[];
}

export const NOBODY: Waking = { events: [], statements: () => [] };

/**
 * @param isFirst whether it may be supposed that nobody waits for a run that nobody has started; if somebody does, its end is
 * stale, and tried again
 */
export async function wakingOf({ id, parent }: Run, isFirst: boolean, db: Store): Promise<Waking> {
  const rows = parent === undefined && isFirst ? [] : await db.query(queries.readWaiters(id));
  const waiters = rows.map(({ run }) => (run === undefined ? undefined : readRun(run)));
  const there = waiters.filter((waiter) => waiter !== undefined);
  const woken = there.filter(({ run }) => isWaitingFor(run, id));
  const others = there.filter(({ run }) => !isWaitingFor(run, id));
  return {
    events: woken.map(({ run }) => tell(run, resumed(new Date(0)))),
    statements: (at) => [
      queries.requireWaiters(
        id,
        rows.map((row) => row.id),
      ),
      ...woken.map((waiter) => save(waiter, apply(waiter.run, resumed(at)))),
      ...others.map(({ run }) => requireRevision(run.id, run.revision)),
    ],
  };
}

const resumed = (at: Date): RunEvent => ({ type: "run.resumed", at });

/** Says that a run waits for others. */
export function waiting(run: string, { waitingFor }: Pick<RunOf<"waiting">, "waitingFor">): Statement[] {
  const awaited = waitingFor.flatMap((wait) => (wait.for === "run" ? wait.run : []));
  return awaited.length > 0 ? [queries.addWaiter(run, awaited)] : [];
}

/** A run as it will be, if it is still what was read. */
export function save({ run, first }: ReadRun, next: Run): Statement {
  return saveRun(run.id, run.revision, rowOf(next, first));
}

/** What happens to a run that waits for what has come; nothing to any other. */
export function wakeUps(run: Run, isIt: (wait: Wait) => boolean) {
  const wait = run.status === "waiting" ? run.waitingFor.find(isIt) : undefined;
  return wait ? [{ event: { type: "run.resumed" as const, key: wait.at } }] : [];
}

function isWaitingFor(run: Run, other: string): boolean {
  return run.status === "waiting" && run.waitingFor.some((wait) => wait.for === "run" && wait.run === other);
}
