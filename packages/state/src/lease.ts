// Leases. Owns: what a worker knows of a run it holds.

import type { Token } from "@sentient/schema";
import type { Document } from "./document.ts";
import { leaseLostError } from "./errors.ts";
import type { RunOf } from "./run.ts";

/** How long one lasts that nobody renews, unless somebody says otherwise. */
export const LEASE_MS = 15_000;

/** A worker's right to advance a run, as of a token; got from `claim`, and an argument of every commit. */
export class Lease {
  /** As it was when it was last read or written here. */
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
  /** Once it was asked for. */
  document: Promise<Document> | undefined;
  /** Changes of the state come one after the other: each is told apart from the one before. */
  turn: Promise<unknown> = Promise.resolve();
  readonly #over = new AbortController();

  /** @internal */
  constructor(run: RunOf<"running">, first: number, n: number) {
    this.run = run;
    this.first = first;
    this.token = run.lease.token;
    this.n = n;
    this.steps = run.steps;
  }

  /** Aborts once it is given back, or was lost. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** How often the run was put back. */
  get era(): number {
    return this.run.restores?.length ?? 0;
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
