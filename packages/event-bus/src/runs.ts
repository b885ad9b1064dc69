// Runs. Owns: where each run stands that was written to lately, as of one position of the log.

import { lastOf, type EventRow, type LastOfRun } from "./queries.ts";

const REMEMBERED = 20_000;

/** Which n comes next in a run. It is only as true as the position it was seen at: who holds it must know both. */
export class Runs {
  readonly #last = new Map<string, LastOfRun>();

  get isEmpty(): boolean {
    return this.#last.size === 0;
  }

  /** Those of `runs` of which it is not known where they stand. */
  unknown(runs: Iterable<string>): string[] {
    return [...new Set(runs)].filter((run) => !this.#last.has(run));
  }

  /** n is 0 for a run without events. */
  last(run: string): LastOfRun {
    return this.#last.get(run) ?? { n: 0 };
  }

  learn(run: string, last: LastOfRun): void {
    this.#last.delete(run); // to the end: the first of the map was not written to for the longest time
    this.#last.set(run, last);
  }

  learnFrom(rows: Iterable<Pick<EventRow, "run" | "n" | "hash">>): void {
    for (const row of rows) {
      const last = lastOf(row);
      if (row.run !== undefined && last) this.learn(row.run, last);
    }
  }

  /** Forgets what was not written to for long. Not while a batch is being placed, which relies on what it asked for. */
  prune(): void {
    for (const run of this.#last.keys()) {
      if (this.#last.size <= REMEMBERED) return;
      this.#last.delete(run);
    }
  }

  clear(): void {
    this.#last.clear();
  }
}
