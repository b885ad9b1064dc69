// Changes of rows that are no run's: read, decide, commit if they are still what was read, and again if not.

import { DbError } from "@sentient/db-pool";
import { isStale } from "./commit.ts";
import { StateError } from "./errors.ts";

const MOST_TRIES = 1_000;

/** @throws `state.busy`; what `attempt` throws, unless something it relied on has changed */
export async function retried<T>(what: string, attempt: () => Promise<T>): Promise<T> {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!isStale(error) && !isThere(error)) throw error;
    }
  }
  throw new StateError({
    code: "state.busy",
    message: `${what} changed ${MOST_TRIES} times while this was tried; nothing of it was committed`,
    retryable: true,
  });
}

function isThere(error: unknown): boolean {
  return error instanceof DbError && error.code === "db.already_exists";
}
