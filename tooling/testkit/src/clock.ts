import { setImmediate } from "node:timers/promises";

/** Turns of the event loop the woken code gets before time moves on. */
const SETTLE_TURNS = 10;
const FIRINGS_PER_INSTANT = 10_000;

interface Timer {
  at: number;
  fn: () => void;
}

/**
 * Time moved by hand. Timers fire inside `advance` only, in time order, and the code they wake
 * settles before the next one fires. Real I/O does not settle with it: wait for that with `until`.
 *
 * @example
 * const clock = new VirtualClock();
 * const worker = createWorker({ clock });
 * await clock.advance(30_000);
 */
export class VirtualClock {
  readonly #timers = new Set<Timer>();
  #now: number;

  /** @param start milliseconds since the epoch */
  constructor(start = Date.UTC(2026, 0, 1)) {
    this.#now = start;
  }

  /** Milliseconds since the epoch. */
  now(): number {
    return this.#now;
  }

  /** Calls `fn` once, `ms` milliseconds from now; the returned function cancels it. */
  after(ms: number, fn: () => void): () => void {
    if (!Number.isFinite(ms)) throw new RangeError(`a timer cannot wait ${ms} ms`);
    const timer = { at: this.#now + Math.max(0, ms), fn };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** How many timers are armed. */
  get pending(): number {
    return this.#timers.size;
  }

  /**
   * Moves time forward by `ms` milliseconds, firing what falls due. Rejects with what a timer throws.
   *
   * @example await clock.advance(LEASE_MS)
   */
  async advance(ms: number): Promise<void> {
    if (!(ms >= 0)) throw new RangeError(`time cannot advance by ${ms} ms`);
    const target = this.#now + ms;
    let firings = 0;
    await settle();
    for (let timer = this.#next(); timer && timer.at <= target; timer = this.#next()) {
      firings = timer.at > this.#now ? 1 : firings + 1;
      if (firings > FIRINGS_PER_INSTANT) throw new Error("timers keep firing while time stands still");
      this.#moveTo(timer.at);
      this.#timers.delete(timer);
      timer.fn();
      await settle();
    }
    this.#moveTo(target);
  }

  /**
   * Moves to the next timer and fires everything due at that instant. Returns the new time, or
   * undefined when nothing is armed.
   *
   * @example while (await clock.advanceToNext()) steps++;
   */
  async advanceToNext(): Promise<number | undefined> {
    await settle();
    const timer = this.#next();
    if (!timer) return undefined;
    await this.advance(timer.at - this.#now);
    return this.#now;
  }

  #next(): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) if (!next || timer.at < next.at) next = timer;
    return next;
  }

  /** Never backwards, even when two `advance` calls overlap. */
  #moveTo(time: number): void {
    this.#now = Math.max(this.#now, time);
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < SETTLE_TURNS; turn++) await setImmediate();
}
