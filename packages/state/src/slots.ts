// Slots. Owns: when a cron expression comes, and what becomes of the times that went by.

import { Cron } from "croner";
import { StateError } from "./errors.ts";

/** A time that is reached so late was missed: somebody sweeps every second, and a failover takes some. */
const ON_TIME_MS = 10_000;
/** How many slots of one schedule are taken at once. */
const AT_ONCE = 100;

interface Timed {
  cron: string;
  timeZone: string;
}

/**
 * Strictly after a time; undefined if it never comes again.
 *
 * @throws `state.bad_option` for what is no cron expression, or no time zone
 */
export function nextSlot({ cron, timeZone }: Timed, after: Date): Date | undefined {
  return nextSlots({ cron, timeZone }, 1, after)[0];
}

/** @throws `state.bad_option` */
export function nextSlots({ cron, timeZone }: Timed, count: number, after: Date): Date[] {
  try {
    return new Cron(cron, { timezone: timeZone, paused: true }).nextRuns(count, after);
  } catch (cause) {
    throw new StateError({
      code: "state.bad_option",
      message: `"${cron}" in the time zone "${timeZone}" cannot be understood: ${(cause as Error).message}`,
      details: { cron, timeZone },
      cause,
    });
  }
}

interface Due extends Timed {
  missed: "skip" | "once" | "all";
  nextAt: Date;
}

/** Which slots up to now are to be run, and when it comes again. */
export function dueSlots(schedule: Due, now: Date): { slots: Date[]; nextAt: Date | undefined } {
  const { missed, nextAt } = schedule;
  if (missed === "all") {
    const slots = slotsUpTo(schedule, nextAt, now);
    return { slots, nextAt: nextSlot(schedule, slots.at(-1) ?? now) };
  }
  const punctual = new Date(Math.max(nextAt.getTime(), now.getTime() - ON_TIME_MS + 1));
  const slots = slotsUpTo(schedule, punctual, now);
  const late = missed === "once" ? lastSlot(schedule, nextAt, punctual) : undefined;
  const last = slots.at(-1);
  return { slots: late ? [late, ...slots] : slots, nextAt: nextSlot(schedule, last ?? now) };
}

/** From one time to another, both included; so many at once at most. */
function slotsUpTo(schedule: Timed, from: Date, to: Date): Date[] {
  const slots: Date[] = [];
  for (let after = new Date(from.getTime() - 1); slots.length < AT_ONCE;) {
    const slot = nextSlot(schedule, after);
    if (!slot || slot > to) break;
    slots.push(slot);
    after = slot;
  }
  return slots;
}

/** The last one in a stretch, without its end. */
function lastSlot({ cron, timeZone }: Timed, from: Date, before: Date): Date | undefined {
  if (from >= before) return undefined;
  const [slot] = new Cron(cron, { timezone: timeZone, paused: true }).previousRuns(1, before);
  return slot && slot >= from ? slot : from;
}
