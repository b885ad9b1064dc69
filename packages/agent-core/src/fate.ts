// Fate. Owns: how a pass comes to its end: what is asked of it, whether its run is cancelled, when nothing of it settles any more.
// F1. Whoever has lost its run, has parked it or has let go of it stays so.
// F2. A cancel takes effect once the handler has come to where it was: what it has said is to undo what it did is to be known.
// F3. While it is committed that the run ends or waits, nothing is begun; and what fails beside that is not why the pass is over.

import { cancelledError, type AgentError } from "./errors.ts";

/** Why a pass goes no further, unless its handler ends. */
export type Halt = "pause" | "release" | "lost" | "parked" | "ended";

/** How long code may take until it has asked for all that is remembered, in milliseconds. */
const REPLAY_MS = 1_000;

export class Fate {
  readonly #run: string;
  readonly #onHalt: () => void;
  readonly #stop = new AbortController();
  readonly #over = Promise.withResolvers<"lost" | "parked">();
  #halted: Halt | undefined;
  #toCancel: AgentError | undefined;
  #cancelled: AgentError | undefined;
  /** F3. */
  #ending: Promise<void> | undefined;
  /** What kept it from being remembered, if that is what has ended it. */
  problem: unknown;

  constructor(run: string, onHalt: () => void) {
    this.#run = run;
    this.#onHalt = onHalt;
  }

  get halted(): Halt | undefined {
    return this.#halted;
  }

  /** F1. */
  get isGone(): boolean {
    return this.#halted === "lost" || this.#halted === "parked" || this.#halted === "ended";
  }

  /** Once nothing of it commits any more, whatever it is in the midst of. */
  get over(): Promise<"lost" | "parked"> {
    return this.#over.promise;
  }

  /** Aborts when the run is cancelled or is another's by now. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  halt(why: Halt): void {
    if (this.isGone) return;
    this.#halted = why;
    if (this.isGone) this.#stop.abort(new Error("the run is not this worker's any more"));
    if (why === "lost" || why === "parked") this.#over.resolve(why);
    this.#onHalt();
  }

  // cancelling

  get isCancelled(): boolean {
    return this.#cancelled !== undefined;
  }

  /** Whether it is cancelled, or will be. */
  get isToBeCancelled(): boolean {
    return this.#toCancel !== undefined;
  }

  /** What everything throws that waits, or is begun from now on. */
  get cancelled(): AgentError | undefined {
    return this.#cancelled;
  }

  /** F2. @param isLive whether its handler is where it was */
  cancel(reason: string | undefined, isLive: boolean): void {
    this.#toCancel ??= cancelledError(this.#run, reason);
    if (isLive) this.cancelNow();
    else setTimeout(() => this.cancelNow(), REPLAY_MS).unref();
  }

  /** What it was to be cancelled for takes effect, if it was. */
  cancelNow(): void {
    if (!this.#toCancel || this.#cancelled) return;
    this.#cancelled = this.#toCancel;
    this.#stop.abort(this.#cancelled);
  }

  // letting go

  /** F3. Resolves once nothing is being ended. */
  async settled(): Promise<void> {
    while (this.#ending) await this.#ending;
  }

  /** F3. @param work commits it, and answers with how the pass has ended then: not at all if undefined */
  async end(work: () => Promise<Halt | undefined>, isLost: () => boolean): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#ending = promise;
    try {
      const how = await work();
      if (how) this.halt(how);
      return how !== undefined;
    } finally {
      this.#ending = undefined;
      if (isLost()) this.halt("lost"); // unless it has ended so
      resolve();
    }
  }

  /** The run is somebody else's. */
  lost(): void {
    if (!this.#ending) this.halt("lost");
  }

  /** @param isEnd whether it was to end the lease; of what fails beside that, it may be why */
  fail(problem: unknown, isEnd: boolean): void {
    if (isEnd) this.#ending = undefined;
    if (this.#ending) return;
    if (!this.isGone) this.problem = problem;
    this.halt("lost");
  }
}
