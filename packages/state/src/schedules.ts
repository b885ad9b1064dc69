// Schedules. Owns: what starts runs by the clock, and when. Starting them is firing.ts.

import {
  canonicalJson,
  Name,
  requireWithin,
  Schedule as ScheduleSchema,
  scheduleTable,
  type Json,
  type Schedule,
} from "@sentient/schema";
import { z } from "zod";
import { recordOf } from "./audit.ts";
import type { Context } from "./changing.ts";
import { checked, notFoundError, revisionMismatchError, StateError } from "./errors.ts";
import { draftOf } from "./firing.ts";
import { JsonValue } from "./options.ts";
import { retried } from "./retried.ts";
import * as queries from "./schedules-queries.ts";
import { nextSlot, nextSlots } from "./slots.ts";
import { defined } from "./telling.ts";

const { kind, name, version, queue, priority, capabilities, tags, limits, maxAttempts } =
  ScheduleSchema.shape;
const { cron, timeZone, missed, secrets, timeout } = ScheduleSchema.shape;
const Put = z.strictObject({
  kind: kind.default("task"),
  name,
  version,
  input: JsonValue.default(null),
  queue,
  priority,
  capabilities,
  tags,
  limits,
  maxAttempts,
  secrets,
  timeout,
  cron,
  timeZone: timeZone.default("UTC"),
  missed: missed.default("once"),
  revision: z.int().min(1).optional(),
});

export interface ScheduleOptions {
  /** `task` if left out. */
  kind?: "task" | "workflow";
  /** Of the agent or the workflow. */
  name: string;
  version?: string;
  /** Of each run. */
  input?: Json;
  queue?: string;
  priority?: number;
  capabilities?: readonly string[];
  /** At most 31: each run has a tag more, `slot:<time>`. */
  tags?: readonly string[];
  limits?: readonly { key: string; max: number }[];
  maxAttempts?: number;
  /** What an export leaves out, of each run. */
  secrets?: readonly string[];
  /** How long each run may take from then on, in milliseconds; it is cancelled after that. */
  timeout?: number;
  /** Five parts, or six with seconds in front, or a date. */
  cron: string;
  /** An IANA name, as in `Europe/Berlin`; `UTC` if left out. */
  timeZone?: string;
  /**
   * What becomes of times that went by for ten seconds and more while nobody swept: nothing (`skip`), one run for all of
   * them, at the last (`once`, as if left out), or a run for each (`all`).
   */
  missed?: "skip" | "once" | "all";
  /** Of the schedule that this is to replace, if it has to be that one. */
  revision?: number;
}

export interface SchedulePage {
  schedules: Schedule[];
  /** For the next page, `after` it; missing when there is no more. */
  next?: string;
}

const ListOptions = z.strictObject({ after: z.string().default(""), limit: z.int().min(1).default(100) });

/** What starts runs by the clock. Found at `state.schedules`. */
export class Schedules {
  readonly #context: Context;

  /** @internal */
  constructor(context: Context) {
    this.#context = context;
  }

  /**
   * Makes a schedule, or changes it; told again it changes nothing. It goes on from its next time, which is found anew if
   * its cron expression or its time zone is another; one that is paused stays so.
   *
   * @throws `state.bad_option` for a cron expression or a time zone that cannot be understood, or a time that never comes;
   * `state.revision_mismatch`, `schema.limit`
   * @example await state.schedules.put("nightly", { name: "report", cron: "0 3 * * *", timeZone: "Europe/Berlin" });
   */
  async put(id: string, options: ScheduleOptions): Promise<Schedule> {
    const name = checked(Name, id, "the name of a schedule");
    const { revision, ...wanted } = defined(checked(Put, options, `the schedule ${id}`));
    return retried(`the schedule ${id}`, async () => {
      const { now, before } = await this.#read(name);
      const current = before?.revision ?? 0;
      if (revision !== undefined && revision !== current)
        throw revisionMismatchError(`the schedule ${id}`, { expected: revision, revision: current });
      const isSameTime = before?.cron === wanted.cron && before.timeZone === wanted.timeZone;
      const nextAt = isSameTime ? before.nextAt : nextSlot(wanted, now);
      if (!isSameTime && !nextAt) throw neverError(wanted.cron, now);
      const { lastAt, lastRun, pausedAt } = before ?? {};
      const next = defined({
        ...wanted,
        id: name,
        nextAt: pausedAt ? undefined : nextAt,
        lastAt,
        lastRun,
        pausedAt,
        revision: 1,
        createdAt: now,
        updatedAt: now,
      }) as Schedule;
      draftOf(next, now, now); // what no run can be started with is refused now, and not at its first slot
      return before && isSame(before, next) ? before : this.#save(before, next);
    });
  }

  /** @throws `state.not_found` */
  async get(id: string): Promise<Schedule> {
    return (await this.#require(id)).before;
  }

  /**
   * One page, by name.
   *
   * @throws `state.bad_option`, `schema.limit`
   * @example const { schedules, next } = await state.schedules.list();
   */
  async list(options: { after?: string; limit?: number } = {}): Promise<SchedulePage> {
    const { after, limit } = checked(ListOptions, options, "a list of schedules");
    requireWithin("page", limit, "a page");
    const rows = await this.#context.db.query(queries.readSchedulesAfter(after, limit + 1));
    const schedules = rows.slice(0, limit).map((row) => scheduleTable.parse(row));
    return { schedules, ...(rows.length > limit ? { next: schedules.at(-1)!.id } : {}) };
  }

  /** It starts nothing until it is resumed. @throws `state.not_found` */
  pause(id: string): Promise<Schedule> {
    return this.#change(id, ({ nextAt: _, ...schedule }, now) =>
      schedule.pausedAt ? undefined : { ...schedule, pausedAt: now },
    );
  }

  /** It starts runs from its next time on; what went by while it was paused is not made up for. @throws `state.not_found` */
  resume(id: string): Promise<Schedule> {
    return this.#change(id, ({ pausedAt, ...schedule }, now) =>
      pausedAt ? { ...schedule, ...defined({ nextAt: nextSlot(schedule, now) }) } : undefined,
    );
  }

  /**
   * Forgets a schedule. Runs that it has started go on.
   *
   * @returns whether there was one
   * @example await state.schedules.remove("nightly");
   */
  async remove(id: string): Promise<boolean> {
    return retried(`the schedule ${id}`, async () => {
      const { before } = await this.#read(id);
      if (!before) return false;
      await this.#context.bus.log.append({
        events: [eventOf(id, "removed")],
        statements: (_, placedAt) => [
          queries.removeSchedule(id, before.revision),
          recordOf({ what: "schedule.removed", data: { name: id } }, this.#context.time.of(placedAt)),
        ],
      });
      return true;
    });
  }

  /**
   * When it comes the next times; none if it is paused.
   *
   * @throws `state.not_found`, `state.bad_option`
   * @example const [tonight] = await state.schedules.next("nightly");
   */
  async next(id: string, count = 1): Promise<Date[]> {
    const wanted = checked(z.int().min(1).max(1_000), count, "how many times");
    const { nextAt, ...schedule } = await this.get(id);
    return nextAt ? [nextAt, ...nextSlots(schedule, wanted, nextAt)].slice(0, wanted) : [];
  }

  #change(id: string, decide: (before: Schedule, now: Date) => Schedule | undefined): Promise<Schedule> {
    return retried(`the schedule ${id}`, async () => {
      const { now, before } = await this.#require(id);
      const next = decide(before, now);
      return next ? this.#save(before, next) : before;
    });
  }

  async #save(before: Schedule | undefined, next: Schedule): Promise<Schedule> {
    const { bus, time } = this.#context;
    const saved = { ...next, revision: (before?.revision ?? 0) + 1 };
    await bus.log.append({
      events: [eventOf(next.id, before ? "changed" : "created")],
      statements: (_, placedAt) => {
        saved.updatedAt = time.of(placedAt);
        saved.createdAt = before?.createdAt ?? saved.updatedAt;
        const row = scheduleTable.serialise(saved);
        return [before ? queries.saveSchedule(row, before.revision) : queries.createSchedule(row)];
      },
    });
    return saved;
  }

  async #read(id: string): Promise<{ now: Date; before: Schedule | undefined }> {
    const { now, row } = await this.#context.db.query(queries.readSchedule(id, this.#context.time.now));
    return { now, before: row ? scheduleTable.parse(row) : undefined };
  }

  async #require(id: string): Promise<{ now: Date; before: Schedule }> {
    const { now, before } = await this.#read(id);
    if (!before) throw notFoundError("schedule", id);
    return { now, before };
  }
}

const eventOf = (name: string, what: string) => ({ type: "schedule.changed", data: { name, what } });

function isSame(before: Schedule, next: Schedule): boolean {
  return saidOf(before) === saidOf(next);
}

/** What somebody has said of it, as text. */
function saidOf(schedule: Schedule): string {
  const { revision: _, createdAt: __, updatedAt: ___, id: ____, ...said } = scheduleTable.serialise(schedule);
  return canonicalJson(JSON.parse(JSON.stringify(said)) as Json);
}

function neverError(cron: string, now: Date): StateError {
  return new StateError({
    code: "state.bad_option",
    message: `"${cron}" never comes after ${now.toISOString()}, so the schedule would start nothing`,
    details: { cron },
  });
}
