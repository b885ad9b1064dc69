// End. Owns: where the log and its runs stand, as far as this process knows. The transaction of a batch asks whether it is so.
// D1. All of it is as of one position: what is asked of further runs brings the head of that moment along.
// D2. It is of one log: where that was replaced by a backup of it, nothing that is known is so any more.

import type { CallOptions } from "@sentient/db-pool";
import { eraOf } from "./era.ts";
import { damagedError, notMigratedError, restoredError } from "./errors.ts";
import { runMovedError } from "./log-errors.ts";
import * as queries from "./queries.ts";
import { runsOf, type Pending } from "./queue.ts";
import { Runs } from "./runs.ts";
import type { Store } from "./store.ts";

/** As of no position: if there is something of the run after all, it is asked where it stands. */
const UNSEEN = -1;

export class End {
  readonly runs = new Runs();
  position = 0;
  epoch = 0;
  /** Whether nobody else has appended since, as far as is known. */
  isCurrent = false;
  readonly #db: Store;
  readonly #now: () => number;
  /** The database's time at the head. */
  #at = 0;
  /** The database's clock, seen from this one. */
  #ahead = 0;
  /** Of the log that it was when it was first seen. */
  #era: number | undefined;

  constructor(db: Store, now: () => number) {
    this.#db = db;
    this.#now = now;
  }

  /** The database's time: no event is older than the one before it. */
  get time(): Date {
    return new Date(Math.max(this.#at, this.#now() + this.#ahead));
  }

  /** What the database's clock said to what was asked then. */
  heardTime(said: Date, asked: number): void {
    this.#ahead = said.getTime() - asked;
  }

  /** This process has appended something. */
  moved(rows: readonly queries.EventRow[], at: Date): void {
    this.position += rows.length;
    this.#at = at.getTime();
    this.runs.learnFrom(rows);
    this.runs.prune();
  }

  /** D1. */
  async look(runs: readonly string[], time: CallOptions): Promise<void> {
    const asked = this.#now();
    this.learn(runs, await this.#db.query(queries.readView(runs), time), asked);
  }

  /** @param asked when, on the clock */
  learn(runs: readonly string[], { head, floor, now, lastOfRuns }: queries.View, asked: number): void {
    if (!head) throw notMigratedError();
    if (eraOf(head.epoch) !== (this.#era ??= eraOf(head.epoch))) throw restoredError(); // D2
    if (head.position < this.position)
      throw damagedError(head.position + 1, `it ended at ${this.position} before`);
    if (floor) this.runs.forgetBefore(floor.position);
    runs.forEach((run, i) => this.runs.learn(run, lastOfRuns[i] ?? { n: 0 }, head.position));
    this.position = head.position;
    this.epoch = head.epoch;
    this.#at = head.at.getTime();
    this.isCurrent = true;
    this.heardTime(now, asked);
  }

  /** Knows where the log and the runs of some entries stand. */
  async orient(entries: readonly Pending[], time: CallOptions): Promise<void> {
    for (const { begins } of entries)
      for (const run of this.runs.unknown(begins)) this.runs.learn(run, { n: 0 }, UNSEEN);
    const unknown = this.runs.unknown(runsOf(entries));
    if (!this.isCurrent || unknown.length > 0) await this.look(unknown, time);
  }

  /** Entries without those whose runs stand elsewhere. Of a run this process knows too little at most, and then asks anew. */
  async whereExpected(entries: readonly Pending[], time: CallOptions): Promise<readonly Pending[]> {
    const expected = entries.flatMap((entry) => entry.expected);
    const further = expected.filter(([run, n]) => n > this.runs.last(run).n).map(([run]) => run);
    if (further.length > 0) {
      this.runs.forget(further);
      await this.orient(entries, time);
    }
    const last = new Map<string, number>();
    const lastOf = (run: string) => last.get(run) ?? this.runs.last(run).n;
    return entries.filter((entry) => {
      const moved = entry.expected.find(([run, n]) => n !== lastOf(run));
      if (moved) {
        const [run, n] = moved;
        entry.reject(runMovedError(run, n, lastOf(run)));
        return false;
      }
      for (const { run } of entry.drafts) if (run !== undefined) last.set(run, lastOf(run) + 1);
      return true;
    });
  }
}
