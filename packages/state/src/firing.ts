// Firing. Owns: the runs that schedules start.
// Z1. Each slot is one run: its id follows from the schedule and the slot, and it is started in the transaction that moves the
//     schedule on from what was read. Any number of processes may try.
// Z2. Nothing is started before its time.

import { DbError } from "@sentient/db-pool";
import { runIdFor, scheduleTable, type RunId, type Schedule } from "@sentient/schema";
import { Agents } from "./agents.ts";
import type { Context } from "./changing.ts";
import { isStale } from "./commit.ts";
import type { Depth } from "./depth.ts";
import { rowOf, type RunOf } from "./run.ts";
import * as queries from "./schedules-queries.ts";
import { dueSlots } from "./slots.ts";
import { draftFor, queuedEvent, startedAt } from "./start.ts";
import { defined } from "./telling.ts";

/** A run that a schedule has started. */
export interface Fired {
  schedule: string;
  run: string;
  /** The time that it was to be started at. */
  slot: Date;
}

export interface Firing {
  fired: Fired[];
  problems: unknown[];
  /** Whether there is more that is due already. */
  more: boolean;
}

/** Starts what is due, of so many schedules at most; one that fails keeps no other from it. */
export async function fire(limit: number, context: Context, depth: Depth): Promise<Firing> {
  const { db, time } = context;
  const { now, rows } = await db.query(queries.readDueSchedules(limit, time.now));
  const schedules = rows.map((row) => scheduleTable.parse(row)).filter(({ nextAt }) => nextAt! <= now); // Z2
  const results = await Promise.allSettled(
    schedules.map((schedule) => fireOne(schedule, now, context, depth)),
  );
  const done = results.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
  return {
    fired: done.flatMap(({ fired }) => fired),
    problems: results.flatMap((result) => (result.status === "rejected" ? result.reason : [])),
    more: rows.length === limit || done.some(({ more }) => more),
  };
}

type Done = Omit<Firing, "problems">;

/** Z1. */
async function fireOne(schedule: Schedule, now: Date, context: Context, depth: Depth): Promise<Done> {
  const { id, nextAt: first, lastAt, lastRun, ...rest } = schedule;
  const due = dueSlots({ ...rest, nextAt: first! }, now);
  const meant = due.slots.length > 0 ? await asRegistered(schedule, context) : schedule;
  const all = due.slots.map((slot) => ({ slot, draft: draftOf(meant, slot, now) }));
  const ids = all.map(({ draft }) => draft.id);
  const there = new Set(ids.length === 0 ? [] : await context.db.query(queries.readThere(ids)));
  const runs = all.filter(({ draft }) => !there.has(draft.id));
  for (const _ of runs) await depth.add();
  const next = defined({
    ...rest,
    id,
    nextAt: due.nextAt,
    lastAt: due.slots.at(-1) ?? lastAt,
    lastRun: ids.at(-1) ?? lastRun,
    revision: schedule.revision + 1,
  });
  try {
    await context.bus.log.append({
      events: runs.map(({ draft }) => queuedEvent(draft)),
      rows: (placed, placedAt) =>
        runs.map(({ draft }, i) => {
          const run = startedAt(draft, undefined, context.time.of(placedAt));
          return rowOf(run, placed[i]!.position);
        }),
      statements: [queries.saveSchedule(scheduleTable.serialise(next), schedule.revision)],
    });
  } catch (error) {
    if (isStale(error) || isThere(error)) return { fired: [], more: false }; // somebody else has
    throw error;
  }
  const fired = runs.map(({ slot, draft }) => ({ schedule: id, run: draft.id, slot }));
  return { fired, more: due.nextAt !== undefined && due.nextAt <= now };
}

/** Of a name alone: as it is registered by now, but for what the schedule says itself. */
async function asRegistered(schedule: Schedule, context: Context): Promise<Schedule> {
  if (schedule.version !== undefined) return schedule;
  const { version, queue, kind, secrets, timeout } = (await new Agents(context).latest(schedule.name)) ?? {};
  return { ...defined({ version, queue, secrets, timeout }), ...schedule, kind: kind ?? schedule.kind };
}

/** What a slot starts. It can be found by the schedule, which is its correlation, and says by a tag which slot it is. */
export function draftOf(schedule: Schedule, slot: Date, now: Date): RunOf<"queued"> {
  const { id, kind, name, version, input, queue, priority, capabilities, tags = [], limits } = schedule;
  const { maxAttempts, secrets, timeout } = schedule;
  const at = slot.toISOString();
  const deadline =
    timeout === undefined ? undefined : new Date(Math.max(slot.getTime(), now.getTime()) + timeout);
  return draftFor(runIdOf(id, slot), {
    kind,
    name,
    input,
    ...defined({ version, queue, priority, capabilities, limits, maxAttempts, secrets, deadline }),
    tags: [...tags, `slot:${at}`],
    correlation: `schedule:${id}`,
  });
}

/** The run of a slot. */
export function runIdOf(schedule: string, slot: Date): RunId {
  return runIdFor(`schedule:${schedule}`, slot.toISOString());
}

/** A row that is there already fails by its id, or by the first index that it stands in. */
const isThere = (error: unknown) =>
  error instanceof DbError && (error.code === "db.already_exists" || error.code === "db.unique");
