// Leases. Owns: what a worker knows of a run it holds.

import type { Token } from "@sentient/schema";
import type { Change } from "./change.ts";
import type { Document } from "./document.ts";
import { leaseLostError, StateError } from "./errors.ts";
import type { Marks } from "./queries.ts";
import type { Run, RunOf } from "./run.ts";

/** How long one lasts that nobody renews, unless somebody says otherwise. */
export const LEASE_MS = 15_000;

/** A worker's right to advance a run, as of a token; got from `claim`, and an argument of every commit. */
export interface Lease {
  /** The run as it was when it was last read or written here. */
  readonly run: RunOf<"running">;
  /** Rises with every lease of the run that is granted: the highest is the one that counts. */
  readonly token: Token;
  /** Nobody else can claim the run before then, by the time of the database; later once it was renewed. */
  readonly until: Date;
  /** Aborts once it is given back, or was found to be lost. */
  readonly over: AbortSignal;
  /** Whether it was claimed at one of its last two attempts, and has not remembered a step since. */
  readonly isInDoubt: boolean;
}

/** A lease as it is kept here: with what makes its commits cheap. */
export class HeldLease implements Lease {
  run: RunOf<"running">;
  /** The position of the run's first event. */
  readonly first: number;
  readonly token: Token;
  /** The last of the run's events that is known to be from before anybody else got a lease. */
  n: number;
  /** How many commits that keep the lease are on their way. */
  underway = 0;
  /** How many steps it remembers, with those that are on their way. */
  steps: number;
  /** Keys of steps that were begun and have no result. */
  readonly begun = new Set<string>();
  /** What its commits have marked the run with, also those that are on their way. */
  readonly marks: Marks = { hasQuestions: null, compensates: null };
  /** Once it was asked for. */
  document: Promise<Document> | undefined;
  /** Changes of the state come one after the other: each is told apart from the one before. */
  turn: Promise<unknown> = Promise.resolve();
  readonly #over = new AbortController();
  /** What it was granted with. */
  readonly #before: Pick<Run, "attempts" | "maxAttempts" | "steps">;

  constructor(run: RunOf<"running">, first: number, n: number) {
    this.run = run;
    this.#before = run;
    this.first = first;
    this.token = run.lease.token;
    this.n = n;
    this.steps = run.steps;
  }

  get until(): Date {
    return this.run.lease.until;
  }

  get over(): AbortSignal {
    return this.#over.signal;
  }

  get isInDoubt(): boolean {
    const { attempts, maxAttempts, steps } = this.#before;
    return this.steps === steps && isLate(attempts, maxAttempts);
  }

  /** How often the run was put back. */
  get era(): number {
    return this.run.restores?.length ?? 0;
  }

  /** @returns whether a change may mark the run with something new */
  mark({ asks, compensates }: Pick<Change, "asks" | "compensates">): boolean {
    const asksFirst = asks !== undefined && this.run.hasQuestions !== true;
    if (asksFirst) this.marks.hasQuestions = true;
    if (compensates !== undefined) this.marks.compensates = compensates;
    return asksFirst || compensates !== undefined;
  }

  renewed(until: Date): void {
    this.run = { ...this.run, lease: { ...this.run.lease, until } };
  }

  end(): void {
    this.#over.abort();
  }

  /** @throws `state.lease_lost` */
  requireHeld(): void {
    if (this.over.aborted) throw leaseLostError(this.run.id, this.token);
  }

  lost(): Error {
    this.end();
    return leaseLostError(this.run.id, this.token);
  }
}

/** Whether an attempt is one of the last two, before which others were in vain. */
export function isLate(attempt: number, maxAttempts: number): boolean {
  return attempt >= Math.max(2, maxAttempts - 1) && attempt <= maxAttempts;
}

export const NOT_GRANTED =
  "it is no lease that `claim` has granted in this process; claim the run, and hand over what that answers with, and no copy of it";

/** @throws `state.bad_option` for what did not come from `claim` */
export function heldOf(lease: Lease): HeldLease {
  if (lease instanceof HeldLease) return lease;
  throw new StateError({ code: "state.bad_option", message: `a lease: ${NOT_GRANTED}` });
}
