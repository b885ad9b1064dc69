// Waiting. Owns: what the branches of a run wait for at the moment.

import type { Change, Wait } from "@sentient/state";

export type Marker = NonNullable<Change["steps"]>[number];

/** Something that goes on when `check` finds it. */
export interface Waiting {
  wait: Wait;
  /** What is to be remembered with the waiting. */
  marker: Marker | undefined;
  check: () => Promise<unknown>;
  resolve: (found: unknown) => void;
  reject: (error: unknown) => void;
}

/** As many as a run says it waits for. */
export const MOST_WAITS = 1_000;

export class WaitList {
  readonly #all = new Set<Waiting>();

  get size(): number {
    return this.#all.size;
  }

  add(waiting: Waiting): void {
    this.#all.add(waiting);
  }

  /** @returns whether it was waited for */
  remove(waiting: Waiting): boolean {
    return this.#all.delete(waiting);
  }

  get waits(): Wait[] {
    return [...this.#all].map(({ wait }) => wait);
  }

  get awaitsRun(): boolean {
    return this.waits.some((wait) => wait.for === "run");
  }

  get markers(): Marker[] {
    return [...this.#all].flatMap(({ marker }) => marker ?? []);
  }

  /** When the first of them passes by itself, in milliseconds since the epoch; `Infinity` if none does. */
  get nextAt(): number {
    let next = Infinity;
    for (const { wait } of this.#all) if (wait.until) next = Math.min(next, wait.until.getTime());
    return next;
  }

  /** Looks whether what is waited for is there. @returns whether something is */
  async recheck(): Promise<boolean> {
    const checks = [...this.#all].map(async (waiting) => {
      try {
        const found = await waiting.check();
        if (found === undefined || !this.#all.delete(waiting)) return false;
        waiting.resolve(found);
      } catch (error) {
        if (!this.#all.delete(waiting)) return false;
        waiting.reject(error);
      }
      return true;
    });
    return (await Promise.all(checks)).some(Boolean);
  }
}
