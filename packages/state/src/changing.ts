// Changing. Owns: what anybody may do to a run without holding it: read, decide, and commit if it is still what was read.

import type { Statement } from "@sentient/db-pool";
import type { EventBus, NewEvent, NewRow, Placed } from "@sentient/event-bus";
import { busyError, isStale, withdrawals } from "./commit.ts";
import { checkedRun, notFoundError } from "./errors.ts";
import * as queries from "./queries.ts";
import { apply, type RunEvent } from "./run-machine.ts";
import { requireThere } from "./reserved.ts";
import { readRun, type ReadRun, type Run } from "./run.ts";
import { tell } from "./telling.ts";
import type { Time } from "./time.ts";
import type { Store } from "./store.ts";
import { NOBODY, save, wakingOf } from "./waking.ts";

export interface Context {
  db: Store;
  bus: EventBus;
  time: Time;
}

type WithoutTime<T> = T extends { at: Date } ? Omit<T, "at"> : never;

export interface Decision {
  /** What happens to the run, one after the other, with what else is told of each. */
  events: { event: WithoutTime<RunEvent>; told?: Partial<NewEvent> }[];
  /** What else is different of its row. */
  edit?: Pick<Run, "tags">;
  rows?: (placed: readonly Placed[], at: Date) => NewRow[];
  statements?: (placed: readonly Placed[], at: Date) => Statement[];
}

const MOST_TRIES = 1_000;

/**
 * @param decide what is to happen to the run as it is; undefined if nothing is
 * @returns the run as it is then
 * @throws `state.not_found`, `state.illegal_transition`, `state.busy`; what `decide` and `bus.log.append` throw
 */
export async function changeRun(
  id: string,
  decide: (read: ReadRun) => Decision | undefined | Promise<Decision | undefined>,
  context: Context,
): Promise<Run> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const read = await requireRun(id, context);
    requireThere(read.run);
    const decision = await decide(read);
    if (!decision) return read.run;
    const changed = await attempt(read, decision, context);
    if (changed) return changed;
  }
  throw busyError(id);
}

/** @throws `state.not_found`, `state.bad_option` */
export async function requireRun(id: string, { db }: Pick<Context, "db">): Promise<ReadRun> {
  const row = await db.query(queries.readRun(checkedRun(id)));
  if (row === undefined) throw notFoundError("run", id);
  return readRun(row);
}

/** @returns undefined if the run was changed by somebody else meanwhile */
async function attempt(
  read: ReadRun,
  decision: Decision,
  { db, bus, time }: Context,
): Promise<Run | undefined> {
  const { run } = read;
  const { events, edit, rows, statements } = decision;
  const epoch = new Date(0);
  const after = (placed: readonly Placed[], at: Date) => {
    const next = events.reduce(
      (before, { event }, i) => apply(before, { ...event, ...placeOf(event, placed[i]), at }),
      run,
    );
    return edit ? { ...next, ...edit, revision: run.revision + 1, updatedAt: at } : next;
  };
  const isEnd = "endedAt" in after([], epoch); // and refuses what cannot be, before anything is sent
  const waking = isEnd ? await wakingOf(run, false, db) : NOBODY;
  let changed: Run | undefined;
  let tried: readonly Placed[] = [];
  try {
    const places = await bus.log.append({
      events: [
        ...events.map(({ event, told }) => ({ ...tell(run, { ...event, at: epoch }), ...told })),
        ...waking.events,
      ],
      ...(rows ? { rows: (placed, at) => rows(placed, time.of(at)) } : {}),
      statements: (placed, placedAt) => {
        const at = time.of(placedAt);
        tried = placed;
        changed = after(placed, at);
        return [
          ...(statements?.(placed, at) ?? []),
          ...written(read, changed, at),
          ...withdrawals(changed, at),
          ...waking.statements(at),
        ];
      },
    });
    const isNew = places[0]?.position === tried[0]?.position;
    return isNew && changed ? changed : (await requireRun(run.id, { db })).run; // else it was told before, under its id
  } catch (error) {
    if (isStale(error)) return undefined;
    throw error;
  }
}

/** The event that puts a run back is where it goes on from. */
function placeOf({ type }: { type: string }, placed: Placed | undefined): { n?: number } {
  return type === "run.restored" ? { n: placed?.n ?? 1 } : {};
}

/** What becomes of its row. */
function written(read: ReadRun, next: Run, at: Date): Statement[] {
  const { run } = read;
  if (next.revision === run.revision) return [queries.requireRevision(run.id, run.revision)];
  if (run.status === "running" && next.status === "running")
    return [queries.saveAsked(run.id, run.revision, next.asked, at)];
  const slots = run.status === "running" ? (run.lease.slots ?? []) : [];
  return [save(read, next), ...(slots.length > 0 ? [queries.giveSlots(slots, run.id)] : [])];
}
