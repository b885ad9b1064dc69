// Held. Owns: the runs that a worker has hold of: keeping their leases, telling each what is asked of it, and handing them over.
// Does not own: getting hold of them (worker.ts), and what they do (execute.ts).
// H1. Each counts under its lease: one that was lost and claimed again by the same worker is another one.
// H2. What cannot be advanced is not given back at once, to be claimed again at once: it is parked with the cause, or waits
//     until its lease has run out, which counts as an attempt.
// H3. A run is cancelled at its deadline by whoever holds it, as soon as the database can be told.

import { sleep, systemClock } from "@sentient/db-pool";
import { failureOf } from "@sentient/schema";
import { StateError, type Asked, type Lease } from "@sentient/state";
import { OVER } from "./aborted.ts";
import { cancelTree } from "./cancel.ts";
import type { Definition } from "./define.ts";
import { Execution, type Outcome } from "./execute.ts";
import type { Ended } from "./notices.ts";
import type { Tools } from "./tools.ts";

/** How long a step may go on when its run is to be handed over, in milliseconds. */
const GRACE_MS = 800;
/** Who could not be told something is told again after so long, in milliseconds. */
const AGAIN_MS = 1_000;
/** What a timer can wait for, in milliseconds. */
const MOST_MS = 2 ** 31 - 1;

export interface HeldOptions {
  tools: Tools;
  /** How long leases last, in milliseconds. */
  lease: number;
  /** Hears that there is a slot again. */
  onEnd: (outcome: Outcome) => void;
}

export class Held {
  readonly #executions = new Map<Lease, Execution>();
  readonly #options: HeldOptions;

  constructor(options: HeldOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#executions.size;
  }

  /** Whether one of them may end this process. */
  get isInDoubt(): boolean {
    return [...this.#executions.keys()].some((lease) => lease.isInDoubt);
  }

  /** Resolves once all that are held now are not any more. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#executions.values()].map(({ outcome }) => outcome));
  }

  advance(lease: Lease, definition: Definition): void {
    const execution = new Execution(lease, definition, this.#options.tools);
    const over = new AbortController();
    this.#executions.set(lease, execution);
    void this.#cancelAtDeadline(lease, over.signal);
    void this.#untilDone(execution).finally(() => over.abort(OVER));
  }

  async #untilDone({ lease, outcome: awaited }: Execution): Promise<void> {
    const { run } = lease;
    const { notices, logger } = this.#options.tools;
    const outcome = await awaited.catch((error: unknown) => this.#giveUp(lease, error));
    const { problem: error } = { problem: undefined, ...outcome };
    if (error !== undefined) logger.warn({ run: run.id, error }, `a run is ${outcome.status}`);
    else logger.debug({ run: run.id }, `a run is ${outcome.status}`);
    this.#executions.delete(lease); // H1
    notices.letGo(run.id, isEnd(outcome) ? outcome : undefined);
    if (run.parent !== undefined) notices.changed(run.parent);
    this.#options.onEnd(outcome);
  }

  /** H2. */
  async #giveUp(lease: Lease, error: unknown): Promise<Outcome> {
    const { logger, state } = this.#options.tools;
    const { id: run } = lease.run;
    logger.error({ run, error }, "a run could not be advanced");
    if (lease.over.aborted || !isAboutTheRun(error)) return { status: "lost" };
    const problem = { ...failureOf(error), retryable: false };
    await state
      .commit(lease, { end: { park: { reason: "attempts_exhausted", problem } } })
      .catch((cause: unknown) => logger.error({ run, error: cause }, "it could not be parked either"));
    return { status: "parked" };
  }

  /** H3. By the time that has passed since it was claimed: the clock of this machine may be another than the database's. */
  async #cancelAtDeadline({ run: { id, deadline, updatedAt } }: Lease, over: AbortSignal): Promise<void> {
    if (!deadline) return;
    const { clock, state, notices, logger } = this.#options.tools;
    for (let left = deadline.getTime() - updatedAt.getTime(); left > 0; left -= MOST_MS)
      await sleep(clock, Math.min(left, MOST_MS), over);
    while (!over.aborted) {
      try {
        await cancelTree(state, id, { by: "its deadline", reason: "its deadline has passed" });
        return notices.asked();
      } catch (error) {
        if (error instanceof StateError && !error.retryable) return; // it is over
        logger.warn({ run: id, error }, "a run could not be cancelled at its deadline; it is tried again");
        await sleep(clock, AGAIN_MS, over);
      }
    }
  }

  // keeping

  /** @throws what `state.renew` throws: then they still run */
  async renew(): Promise<void> {
    const { tools, lease } = this.#options;
    const leases = [...this.#executions.keys()];
    if (leases.length === 0) return;
    const { held } = await tools.state.renew(leases, { lease, timeout: Math.ceil(lease / 3) });
    for (const each of held) if (each.asked) this.#heed(each.lease, each.asked);
  }

  /** Sooner than a renewal does. @throws what `state.asked` throws */
  async heedAsked(): Promise<void> {
    const asked = await this.#options.tools.state.asked([...this.#executions.keys()]);
    for (const each of asked) this.#heed(each.lease, each.asked);
  }

  #heed(lease: Lease, asked: Asked): void {
    const execution = this.#executions.get(lease);
    if (execution) void execution.heed(asked).catch(() => {}); // what kept it from that is its outcome
  }

  // letting go

  /** Before their next step; those whose step takes longer are given back in the midst of it, and do it again elsewhere. */
  async handOver(): Promise<void> {
    for (const execution of this.#executions.values()) void execution.release().catch(() => {});
    await within(GRACE_MS, this.settled());
    await Promise.allSettled(
      [...this.#executions.keys()].map((lease) => this.#options.tools.state.release(lease)),
    );
    await this.settled();
  }
}

/** Waits for `work` no longer than so many milliseconds: real ones, as it is about what a process does when it has to go. */
export async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const settled = new AbortController();
  void work.catch(() => {}).finally(() => settled.abort());
  await sleep(systemClock, ms, settled.signal);
}

/** Whether others would come no further with it: not if it was the database that failed. */
function isAboutTheRun(error: unknown): boolean {
  const { code, retryable } = (error ?? {}) as { code?: unknown; retryable?: unknown };
  return retryable !== true && !(typeof code === "string" && /^(db|event_bus)\./.test(code));
}

function isEnd(outcome: Outcome): outcome is Ended {
  return outcome.status === "completed" || outcome.status === "failed" || outcome.status === "cancelled";
}
