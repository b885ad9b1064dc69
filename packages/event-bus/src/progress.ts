// Progress. Owns: saving how far a partition has come, as often as one save takes and no oftener.
// C1. The position is saved in order, and only by who holds the lease.

import { backoff, sleep, type Clock } from "@sentient/db-pool";
import type { Change } from "./call.ts";
import { saveProgress, type Held } from "./consumer-queries.ts";
import type { Placed } from "./draft.ts";
import { EventBusError } from "./errors.ts";
import type { Log } from "./log.ts";
import { RateMeter } from "./rate-meter.ts";
import type { Window } from "./window.ts";

/** With nothing handled it is saved after so long, or so many events of others. */
const IDLE_MS = 1_000;
const IDLE_EVENTS = 1_000;

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
  /** The last position that was sent to be saved, or was saved before. */
  #sent: number;
  /** Handled, and not sent to be saved. */
  #handled = 0;
  #saving: Promise<void> | undefined;
  #cancelIdle: (() => void) | undefined;
  #closed = false;

  constructor(options: ProgressOptions) {
    this.#options = options;
    this.#sent = options.position;
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
    if (this.#ahead <= 0 || this.#closed) return;
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
    const { held, window, log } = this.#options;
    await window.turn(position);
    if (this.#closed) throw leaseLost();
    const before = this.#sent;
    const handled = this.#handled + 1;
    this.#sent = position;
    this.#handled = 0;
    try {
      const guard = saveProgress(held, { position, handled, rate: this.#rate.next(1) });
      const placed = await log.append({ ...change, guards: [guard] });
      window.saved(position);
      window.settle(position);
      this.save();
      return placed;
    } catch (error) {
      this.#sent = before;
      this.#handled += handled - 1;
      throw this.#failureOf(error);
    }
  }

  /** Nothing is saved from now on. */
  close(): void {
    this.#closed = true;
    this.#cancelIdle?.();
  }

  get #ahead(): number {
    return this.#options.window.done - this.#sent;
  }

  /** Unless one is under way, which goes on with what has come meanwhile. */
  #begin(): void {
    if (!this.#saving && !this.#closed && this.#ahead > 0) this.#saving = this.#saveAll();
  }

  async #saveAll(): Promise<void> {
    const { held, window, log, clock } = this.#options;
    for (let failures = 0; !this.#closed && this.#ahead > 0;) {
      const before = this.#sent;
      const position = window.done;
      const handled = this.#handled;
      this.#sent = position;
      this.#handled = 0;
      try {
        await log.append({ guards: [saveProgress(held, { position, handled, rate: this.#rate.rate })] });
        window.saved(position);
        failures = 0;
      } catch (error) {
        this.#sent = before;
        this.#handled += handled;
        this.#options.onProblem(this.#failureOf(error));
        await sleep(clock, backoff(failures++, { first: 50, max: 1_000 }));
      }
    }
    this.#saving = undefined; // with nothing in between: what is done from now on begins another
  }

  #count(): void {
    this.#handled++;
    this.#rate.next(1);
  }

  /** A save whose outcome is unknown is like a lease that was lost: who is given the next one reads how far it came. */
  #failureOf(error: unknown): unknown {
    if (!(error instanceof EventBusError)) return error;
    const isLost =
      error.code === "event_bus.guard_failed" ||
      error.outcome === "unknown" ||
      error.code === "event_bus.closed";
    if (!isLost) return error;
    const lost = leaseLost(error);
    this.#options.onLost(lost);
    return lost;
  }
}

export function leaseLost(cause?: unknown): EventBusError {
  return new EventBusError({
    code: "event_bus.lease_lost",
    message: "the consumer's lease has gone to somebody else; nothing was committed",
    ...(cause === undefined ? {} : { cause }),
  });
}
