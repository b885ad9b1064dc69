// Runs. Owns: where each run stands that this process wrote to lately, as far as it knows.
// Others may have appended to it since: the index over run and n then refuses the event, and it is asked anew. It is never
// further than the run itself, so that no n is left out.

import { lastOf, type EventRow, type LastOfRun } from "./queries.ts";

const REMEMBERED = 20_000;

export class Runs {
  readonly #last = new Map<string, LastOfRun & { asOf: number }>();

  /** Those of `runs` of which it is not known where they stand. */
  unknown(runs: Iterable<string>): string[] {
    return [...new Set(runs)].filter((run) => !this.#last.has(run));
  }

  /** Whether where each of `runs` stands is known up to a position. */
  areAsOf(runs: readonly string[], position: number): boolean {
    return runs.every((run) => this.#last.get(run)?.asOf === position);
  }

  /** n is 0 for a run without events. */
  last(run: string): LastOfRun {
    return this.#last.get(run) ?? { n: 0 };
  }

  /** @param asOf the position of the log up to which this is known */
  learn(run: string, last: LastOfRun, asOf: number): void {
    this.#last.delete(run); // to the end: the first of the map was not written to for the longest time
    this.#last.set(run, { ...last, asOf });
  }

  learnFrom(rows: Iterable<Pick<EventRow, "id" | "run" | "n" | "hash">>): void {
    for (const row of rows) {
      const last = lastOf(row);
      if (row.run !== undefined && last) this.learn(row.run, last, row.id.id as number);
    }
  }

  /** What was known before a position that was trimmed: no index refuses it any more if others have appended there. */
  forgetBefore(floor: number): void {
    for (const [run, { asOf }] of this.#last) if (asOf < floor) this.#last.delete(run);
  }

  /** Forgets what was not written to for long. Not while a batch is being placed, which relies on what it asked for. */
  prune(): void {
    for (const run of this.#last.keys()) {
      if (this.#last.size <= REMEMBERED) return;
      this.#last.delete(run);
    }
  }

  forget(runs: Iterable<string>): void {
    for (const run of runs) this.#last.delete(run);
  }
}
