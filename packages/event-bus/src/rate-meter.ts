import type { Clock } from "@sentient/db-pool";

/** How fast the past is forgotten. */
const HALF_LIFE_MS = 5_000;

/** Events a second, of late. */
export class RateMeter {
  readonly #clock: Clock;
  #weight = 0;
  #since: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#since = clock.now();
  }

  get rate(): number {
    return this.next(0);
  }

  /** Counts so many more. @returns the rate then */
  next(count: number): number {
    const now = this.#clock.now();
    this.#weight = fade(this.#weight, now - this.#since) + count;
    this.#since = now;
    return (this.#weight * Math.LN2 * 1_000) / HALF_LIFE_MS;
  }
}

/** What is left of a rate after a while. A clock that is set back makes nothing of it grow. */
export function fade(rate: number, ms: number): number {
  return rate * 2 ** (-Math.max(0, ms) / HALF_LIFE_MS);
}
