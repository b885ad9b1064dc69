export interface BackoffOptions {
  /** The first ceiling, in milliseconds. */
  first?: number;
  /** No delay is longer than this many milliseconds. */
  max?: number;
  random?: () => number;
}

/**
 * How long to wait before attempt `attempt` (0 is the first retry), in milliseconds: full jitter, so that those
 * who failed together do not come back together.
 *
 * Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
 *
 * @example await sleep(clock, backoff(attempt, { first: 1, max: 50 }));
 */
export function backoff(
  attempt: number,
  { first = 100, max = 5_000, random = Math.random }: BackoffOptions = {},
): number {
  return random() * Math.min(max, first * 2 ** Math.min(attempt, 30));
}
