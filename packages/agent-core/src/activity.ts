// Activity. Owns: how much of a run goes on at the moment, and what of it waits.
// A1. It is stuck once nothing goes on and something waits: what is to come has to come from elsewhere.
// A2. Where something else goes on, what is waited for is looked for at its time, when somebody tells of it, and every second.

import { setImmediate as turn } from "node:timers/promises";
import type { Clock } from "@sentient/db-pool";
import { WaitList, type Waiting } from "./waiting.ts";

/** What is waited for is looked for at least so often where something else goes on, in milliseconds. */
const ATTEND_MS = 1_000;

export interface ActivityOptions {
  clock: Clock;
  /** The time that counts, in milliseconds since the epoch. */
  now: () => number;
  /** Whether it is to be let go of. */
  isHalted: () => boolean;
}

export class Activity {
  readonly waits = new WaitList();
  readonly #options: ActivityOptions;
  #active = 0;
  #forks = 0;
  #attention = Promise.withResolvers<void>();
  #armed: (() => void) | undefined;
  #inTurn: Promise<void> = Promise.resolve();

  constructor(options: ActivityOptions) {
    this.#options = options;
  }

  begin(): void {
    this.#active++;
    this.#arm();
  }

  end(): void {
    this.#active--;
    this.look();
  }

  /** Resolves once nothing goes on. */
  async rest(): Promise<void> {
    while (this.#active > 0) await turn();
  }

  /** Whether one thing is done after the other, for all that is known. */
  get isAlone(): boolean {
    return this.#active === 1 && this.#forks === 0;
  }

  /** Whether branches go on beside each other. */
  get isForked(): boolean {
    return this.#forks > 0;
  }

  /** Branches begin to go on beside each other. @returns what says that they do not any more */
  fork(): () => void {
    this.#forks++;
    return () => this.#forks--;
  }

  /** What went on waits. */
  suspend(waiting: Waiting): void {
    this.waits.add(waiting);
    this.#active--;
    this.#disarm(); // it may come sooner than what was waited for before
    this.#arm();
    this.look();
  }

  /** What waited goes on. */
  resume(): void {
    this.#active++;
    this.#arm();
  }

  /** Milliseconds until something that is waited for passes by itself; `Infinity` if nothing does. */
  get patience(): number {
    return Math.max(1, Math.ceil(this.waits.nextAt - this.#options.now()) + 1);
  }

  /** A1. */
  get isStuck(): boolean {
    return this.#active === 0 && (this.waits.size > 0 || this.#options.isHalted());
  }

  /** Resolves once it is stuck, or something that is waited for may be there. */
  attention(): Promise<void> {
    this.#attention = Promise.withResolvers<void>();
    this.#arm();
    this.look();
    return this.#attention.promise;
  }

  /** Whether it is stuck by now; once the code that was woken has come to its next wait. */
  look(): void {
    if (this.#active > 0) return;
    const { resolve } = this.#attention;
    setImmediate(() => this.isStuck && resolve());
  }

  /** A2. Something that is waited for may be there. */
  hint(): void {
    if (this.waits.size > 0) this.#attention.resolve();
  }

  #arm(): void {
    if (this.#armed || this.#active === 0 || this.waits.size === 0) return;
    this.#armed = this.#options.clock.after(Math.min(ATTEND_MS, this.patience), () => {
      this.#armed = undefined;
      this.hint();
    });
  }

  #disarm(): void {
    this.#armed?.();
    this.#armed = undefined;
  }

  /** One after the other, so that who is decided against by what the one before has found takes nothing. */
  inTurn<T>(work: () => Promise<T>, settled: () => Promise<void>): Promise<T> {
    const mine = this.#inTurn.then(work);
    this.#inTurn = mine.then(settled, () => {});
    return mine;
  }

  close(): void {
    this.#disarm();
  }
}
