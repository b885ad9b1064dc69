// Time that stands still until it is moved. Owns: what the time is, and what goes off when it moves.

import { setImmediate as turn } from "node:timers/promises";
import type { Clock } from "@sentient/db-pool";
import { asleep } from "./attempts.ts";

interface Timer {
  at: number;
  call: () => void;
}

/** Turns of the event loop that what a timer has woken gets before the next one goes off. */
const SETTLE_TURNS = 10;

/**
 * A clock that a test moves. Timers go off as it moves, in the order of their times, and what they wake goes on before the
 * next one does.
 *
 * @example const clock = new VirtualClock(new Date("2026-03-01T09:00:00Z"));
 */
export class VirtualClock implements Clock {
  readonly #timers = new Set<Timer>();
  #now: number;

  constructor(start: Date = new Date(Date.UTC(2026, 0, 1))) {
    this.#now = start.getTime();
  }

  /** Milliseconds since the epoch. */
  now(): number {
    return this.#now;
  }

  /** Calls `call` once, so many milliseconds from now. @returns how to cancel that */
  after(ms: number, call: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), call };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /**
   * Takes so many milliseconds of this clock. A step that does nothing but this does not keep time from moving: so a fake
   * of something slow is written.
   *
   * @example await ctx.step("ask the model", () => clock.sleep(90_000), { timeout: 60_000 });
   */
  sleep(ms: number): Promise<void> {
    return asleep(new Promise((resolve) => this.after(ms, resolve)));
  }

  /** Moves time forward by so many milliseconds. */
  advance(ms: number): Promise<void> {
    return this.advanceTo(this.#now + ms);
  }

  /** Moves time forward to a time; one that has passed changes nothing. */
  async advanceTo(time: number): Promise<void> {
    for (let timer = this.#next(); timer && timer.at <= time; timer = this.#next()) {
      this.#moveTo(timer.at);
      this.#timers.delete(timer);
      timer.call();
      await settle();
    }
    this.#moveTo(time);
  }

  /** Moves to when the next timer goes off. @returns whether there is one */
  async advanceToNext(): Promise<boolean> {
    const timer = this.#next();
    if (timer) await this.advanceTo(timer.at);
    return timer !== undefined;
  }

  #next(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) if (!next || timer.at < next.at) next = timer;
    return next;
  }

  /** Never back, also where two move it at once. */
  #moveTo(time: number): void {
    this.#now = Math.max(this.#now, time);
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < SETTLE_TURNS; i++) await turn();
}
