// Processes on one database that advance runs when they are told to, on a clock that is moved by hand, and that may die.

import {
  createSentient,
  defineAgent,
  type Context,
  type Definition,
  type Sentient,
  type Worker,
} from "@sentient/agent-core";
import type { Database } from "@sentient/db-pool";
import type { VirtualClock } from "@sentient/testkit";
import { onTestFinished } from "vitest";

export const LEASE_MS = 15_000;

export interface Mortal {
  sentient: Sentient;
  worker: Worker;
}

export async function processOn(
  database: Database,
  clock: VirtualClock,
  agents: readonly Definition[],
): Promise<Mortal> {
  const sentient = await createSentient({ database, clock, agents, worker: false });
  let isDead = false;
  onTestFinished(async () => {
    const closed = sentient.close();
    if (!isDead) await closed;
    else closed.catch(() => {});
  });
  return Object.assign(
    { sentient, worker: sentient.worker({ lease: LEASE_MS }) },
    { die: () => (isDead = true) },
  );
}

/**
 * Lets a process die at its n-th commit, before that is on disk or after: from then on nothing of it reaches the database.
 *
 * @returns resolves when it is dead
 */
export function diesAt(mortal: Mortal, n: number, when: "before" | "after"): Promise<void> {
  const { state } = mortal.sentient;
  const died = Promise.withResolvers<void>();
  const never = new Promise<never>(() => {});
  const commit = state.commit.bind(state);
  let commits = 0;
  state.commit = async (...args) => {
    if (commits >= n) return never;
    if (++commits < n) return commit(...args);
    (mortal as Mortal & { die: () => void }).die();
    if (when === "after") await commit(...args);
    died.resolve();
    return never;
  };
  return died.promise;
}

/** An agent that does this. */
export function agent(run: (ctx: Context) => Promise<unknown>): Definition {
  return defineAgent({ name: "host", run: async (ctx) => (await run(ctx)) as never });
}
