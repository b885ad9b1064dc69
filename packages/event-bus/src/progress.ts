// Progress. Owns: saving how far a partition has come, as often as one save takes and no oftener.
// C1. The position is saved in order, and only by who holds the lease.

import { backoff, SentientError, sleep, type Clock } from "@sentient/db-pool";
import type { Change } from "./call.ts";
import { saveProgress, type Held } from "./consumer-queries.ts";
import type { Placed } from "./draft.ts";
import { EventBusError } from "./errors.ts";
import type { AppendOptions } from "./entry.ts";
import type { Log } from "./log.ts";
import { RateMeter } from "./rate-meter.ts";
import type { Window } from "./window.ts";

/** With nothing handled it is saved after so long, or so many events of others. */
const IDLE_MS = 1_000;
const IDLE_EVENTS = 1_000;

/** An event that was told before, as by a call before this one, keeps nothing else from being committed. */
export const WITH_KNOWN: AppendOptions = { onKnown: "omit" };

export interface ProgressOptions {
  held: Held;
  window: Window;
  position: number;
  log: Log;
  clock: Clock;
  /** The lease is somebody else's, or it cannot be told whether it is. */
  onLost: (error: unknown) => void;
  onProblem: (error: unknown) => void;
}

export class Progress {
  readonly #options: ProgressOptions;
  readonly #rate: RateMeter;
  #saved: number;
  /** Sent to be saved and not answered yet; in the log none of them overtakes another. */
  readonly #sent = new Set<number>();
  /** Handled, and not sent to be saved. */
  #handled = 0;
  #saving: Promise<void> | undefined;
  #cancelIdle: (() => void) | undefined;
  readonly #closed = new AbortController();

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#saved = options.position;
    this.#rate = new RateMeter(options.clock);
  }

  /** An event was handled, and nothing was committed with it. */
  settle(position: number): void {
    this.#count();
    this.#options.window.settle(position);
    this.save();
  }

  /** Saves soon: at once if something was handled. */
  save(): void {
    if (this.#handled > 0 || this.#ahead >= IDLE_EVENTS) return this.#begin();
    if (this.#ahead <= 0 || this.#closed.signal.aborted) return;
    this.#cancelIdle ??= this.#options.clock.after(IDLE_MS, () => {
      this.#cancelIdle = undefined;
      this.#begin();
    });
  }

  /** Resolves once all that is done is saved, or cannot be. */
  async saveNow(): Promise<void> {
    await this.#saving;
    this.#begin();
    await this.#saving;
  }

  /**
   * Saves an event as handled, with what changes along with it, after all before it.
   *
   * @throws `event_bus.lease_lost`, and what the log does
   */
  async commit(position: number, change: Change): Promise<Placed[]> {
    const { window } = this.#options;
    if (!(await window.turn(position)) || this.#closed.signal.aborted) throw leaseLost();
    try {
      const placed = await this.#send(position, 1, change);
      window.settle(position);
      return placed;
    } finally {
      this.save(); // also what a save before it has left behind because this was on its way
    }
  }

  /** Nothing is saved from now on. */
  close(): void {
    this.#closed.abort();
    this.#cancelIdle?.();
  }

  get #ahead(): number {
    return this.#options.window.done - Math.max(this.#saved, ...this.#sent);
  }

  /** Unless one is under way, which goes on with what has come meanwhile. */
  #begin(): void {
    if (!this.#saving && !this.#closed.signal.aborted && this.#ahead > 0) this.#saving = this.#saveAll();
  }

  async #saveAll(): Promise<void> {
    const { window, clock, onProblem } = this.#options;
    for (let failures = 0; !this.#closed.signal.aborted && this.#ahead > 0;) {
      try {
        await this.#send(window.done, 0);
        failures = 0;
      } catch (error) {
        onProblem(error);
        await sleep(clock, backoff(failures++, { first: 50, max: 1_000 }), this.#closed.signal);
      }
    }
    this.#saving = undefined; // with nothing in between: what is done from now on begins another
  }

  /** @param more handled with it */
  async #send(position: number, more: number, change: Change = {}): Promise<Placed[]> {
    const { held, window, log } = this.#options;
    const handled = this.#handled;
    this.#handled = 0;
    this.#sent.add(position);
    try {
      const rate = this.#rate.next(more);
      const guard = saveProgress(held, { position, handled: handled + more, rate });
      const placed = await log.append({ ...change, guards: [guard] }, WITH_KNOWN);
      this.#saved = Math.max(this.#saved, position);
      window.saved(position);
      return placed;
    } catch (error) {
      this.#handled += handled;
      throw lostBecauseOf(error, this.#options.onLost);
    } finally {
      this.#sent.delete(position);
    }
  }

  #count(): void {
    this.#handled++;
    this.#rate.next(1);
  }
}

/**
 * What failed because the lease is lost, or because nobody can tell: a change whose outcome is unknown is like one that
 * came too late, and who is given the next lease reads how far this one came.
 */
export function lostBecauseOf(error: unknown, onLost: (error: unknown) => void): unknown {
  if (!(error instanceof SentientError)) return error;
  const isLost = LOST.has(error.code) || (error instanceof EventBusError && error.outcome === "unknown");
  if (!isLost) return error;
  const lost = leaseLost(error);
  onLost(lost);
  return lost;
}

const LOST = new Set(["event_bus.guard_failed", "event_bus.closed", "db.closed"]);

export function leaseLost(cause?: unknown): EventBusError {
  const outcome = cause instanceof SentientError ? cause.outcome : "not_applied";
  return new EventBusError({
    code: "event_bus.lease_lost",
    message:
      outcome === "unknown"
        ? "the database did not say whether it has what was committed, so the lease was given up; the event comes again if it has not"
        : "the consumer's lease was given back or has gone to somebody else; nothing was committed",
    outcome,
    ...(cause === undefined ? {} : { cause }),
  });
}
