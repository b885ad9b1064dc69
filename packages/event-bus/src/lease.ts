// Leases. Owns: having the lease on a partition: asking for it, renewing it, letting go of it in time.
// E1. It ends here before it does in the database: both count from when it was asked for, and here it is shorter.
// E2. A timer ends it, as a wall clock may be set back; who may have slept, and its timers with it, asks first.

import { backoff, DbError, sleep, type Clock, type RecordId } from "@sentient/db-pool";
import * as queries from "./consumer-queries.ts";
import { EventBusError } from "./errors.ts";
import type { Store } from "./store.ts";

export interface Claim {
  partition: RecordId;
  worker: string;
  /** Milliseconds. */
  lease: number;
  /** Which events the worker wants, as text. */
  filter: string;
}

interface Tools {
  store: Store;
  clock: Clock;
  onProblem: (error: unknown) => void;
}

/** The part of a lease by which it ends sooner here than in the database. */
const MARGIN = 0.1;

export class Lease {
  /** As it was when the lease was granted. */
  readonly row: queries.PartitionRow;
  readonly held: queries.Held;
  readonly #claim: Claim;
  readonly #tools: Tools;
  readonly #over = new AbortController();
  #span: Span;
  #renewing: Promise<boolean> | undefined;

  private constructor(row: queries.PartitionRow, span: Span, claim: Claim, tools: Tools) {
    this.row = row;
    this.held = { id: row.id, token: row.token + 1 };
    this.#claim = claim;
    this.#tools = tools;
    this.#span = span;
    span.onEnd = () => this.end();
  }

  /**
   * Asks for the lease.
   *
   * @returns undefined if somebody else has it
   * @throws `event_bus.consumer_mismatch` if the consumer has another filter by now
   */
  static async claim(claim: Claim, tools: Tools): Promise<Lease | undefined> {
    const { partition, worker, lease, filter } = claim;
    const span = new Span(lease, tools.clock);
    let granted: Lease | undefined;
    try {
      const found = await tools.store.query(queries.claim(partition, worker, lease, filter));
      if (found.row && !span.isOver) granted = new Lease(found.row, span, claim, tools);
      if (found.filter !== undefined && found.filter !== filter)
        throw otherFilter((partition.id as [string, number])[0], found.filter, filter);
      return granted;
    } finally {
      if (!granted) span.cancel();
    }
  }

  /** Aborts when it is given back, or may be lost. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Renews it until it is over, and again soon where that failed. */
  async keep(onRenewed: () => void): Promise<void> {
    const { lease } = this.#claim;
    for (let failures = 0; ;) {
      const pause = failures === 0 ? lease / 3 : backoff(failures, { first: lease / 60, max: lease / 10 });
      await sleep(this.#tools.clock, pause, this.over);
      if (this.over.aborted) return;
      failures = (await this.renew()) ? 0 : failures + 1;
      if (failures === 0) onRenewed();
    }
  }

  /** Does not throw. @returns whether it was renewed */
  async renew(): Promise<boolean> {
    if (this.over.aborted) return false;
    this.#renewing ??= this.#renew().finally(() => (this.#renewing = undefined));
    return this.#renewing;
  }

  /** E2. @returns whether it can be relied on; if not, it is over */
  async isSure(): Promise<boolean> {
    if (this.#tools.clock.now() >= this.#span.until && !(await this.renew())) this.end();
    return !this.over.aborted;
  }

  async #renew(): Promise<boolean> {
    const { store, clock, onProblem } = this.#tools;
    const { lease } = this.#claim;
    const span = new Span(lease, clock);
    try {
      const timeout = Math.ceil(lease / 3);
      const isOurs = (await store.query(queries.renew(this.held, lease), { timeout })) !== undefined;
      if (!isOurs || span.isOver) this.end();
    } catch (error) {
      span.cancel();
      onProblem(error);
      if (isDbClosed(error)) this.end();
      return false;
    }
    const [before, after] = this.over.aborted ? [span, this.#span] : [this.#span, span];
    before.cancel();
    this.#span = after;
    after.onEnd = () => this.end();
    return !this.over.aborted;
  }

  /** It is not relied on any more, and runs out. */
  end(): void {
    this.#span.cancel();
    this.#over.abort();
  }

  /** Ends it for everybody. */
  async giveBack(): Promise<void> {
    const { store, onProblem } = this.#tools;
    this.end();
    await this.#renewing; // else it might come after, and renew what nobody has
    await store.query(queries.release(this.held)).catch(onProblem); // then it runs out
  }
}

/** How long a lease can be relied on, from now on if it is granted. */
class Span {
  /** By the wall clock, for who has slept. */
  readonly until: number;
  readonly cancel: () => void;
  isOver = false;
  onEnd = () => {};

  constructor(lease: number, clock: Clock) {
    const ms = lease * (1 - MARGIN);
    this.until = clock.now() + ms;
    this.cancel = clock.after(ms, () => {
      this.isOver = true;
      this.onEnd();
    });
  }
}

function isDbClosed(error: unknown): boolean {
  return error instanceof DbError && error.code === "db.closed";
}

export function otherFilter(name: string, stored: string, own: string): EventBusError {
  return new EventBusError({
    code: "event_bus.consumer_mismatch",
    message: `the consumer ${name} is worked on with the filter ${stored}, and not ${own}. Take another name, or stop who works on it first`,
    details: { consumer: name, filter: JSON.parse(stored) as unknown },
  });
}
