import { backoff } from "./backoff.ts";
import { sleep, type Clock } from "./clock.ts";
import { DbError } from "./errors.ts";

/** Conflicts on one hot row sort themselves out in a few tries; so many mean that something is wrong. */
export const MAX_RETRIES = 100;

/** How long to wait before retry `attempt` (from 0) of what met a conflict, in milliseconds. */
export function retryDelay(attempt: number): number {
  return backoff(attempt, { first: 1, max: 50 });
}

/** Tries again what met a conflict. For what is not a call of a user, which has a deadline and tells of its retries. */
export async function retryConflicts<T>(clock: Clock, work: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (attempt >= MAX_RETRIES || !(error instanceof DbError && error.code === "db.conflict")) throw error;
      await sleep(clock, retryDelay(attempt));
    }
  }
}
