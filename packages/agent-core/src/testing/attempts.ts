// Attempts. Owns: which attempts of steps were begun, and which are at work: those keep time from moving, unless all of them
// wait for nothing but the clock.

import { AsyncLocalStorage } from "node:async_hooks";
import type { Attempt, Attempted } from "../tools.ts";

/** Something that a step did, or began to: once for each attempt, also if nobody remembers it. */
export interface Effect {
  run: string;
  /** Of the step: `main/charge#1`. */
  key: string;
  /** `charge` */
  name: string;
  /** 1 for the first. */
  attempt: number;
}

interface Working {
  sleeping: number;
  /** To be called when it fell asleep. */
  fellAsleep: () => void;
}

const current = new AsyncLocalStorage<Working>();

/** Counts the attempt that calls as asleep until then. */
export async function asleep(until: Promise<void>): Promise<void> {
  const attempt = current.getStore();
  if (attempt && attempt.sleeping++ === 0) attempt.fellAsleep();
  try {
    await until;
  } finally {
    if (attempt) attempt.sleeping--;
  }
}

export class Attempts {
  readonly begun: Effect[] = [];
  readonly #working = new Map<Working, AbortSignal>();
  #change = Promise.withResolvers<void>();

  /** For a process: it begins nothing once it is gone, and nobody hears of what it was doing. */
  of(isGone: () => boolean): Attempted {
    return async ({ run, key, name, attempt, signal }: Attempt, work) => {
      if (isGone()) return new Promise<never>(() => {});
      this.begun.push({ run, key, name, attempt });
      const working = { sleeping: 0, fellAsleep: () => this.#changed() };
      this.#working.set(working, signal);
      try {
        return await current.run(working, work);
      } finally {
        this.#working.delete(working);
        this.#changed();
      }
    };
  }

  /** Resolves when one of them falls asleep or ends. */
  get changed(): Promise<void> {
    return this.#change.promise;
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }

  /** Whether something is at work, and none of it is awake. */
  get areAsleep(): boolean {
    for (const [working, { aborted }] of this.#working) if (aborted) this.#working.delete(working); // it was given up
    return this.#working.size > 0 && [...this.#working.keys()].every(({ sleeping }) => sleeping > 0);
  }

  /** A process is gone, and what it was doing. */
  forget(): void {
    this.#working.clear();
  }
}
