import { closedError } from "./errors.ts";

/** The calls under way, so that who closes can wait for them, and no more begin. */
export class InFlight {
  #count = 0;
  #closed = false;
  #whenIdle: (() => void) | undefined;

  get count(): number {
    return this.#count;
  }

  /** @throws `db.closed` once `drain` was called */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed) throw closedError();
    this.#count++;
    try {
      return await work();
    } finally {
      if (--this.#count === 0) this.#whenIdle?.();
    }
  }

  /** Waits until nothing is under way. For one at a time. */
  async idle(): Promise<void> {
    while (this.#count > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
  }

  /** Refuses what comes from now on, and waits for what is under way. */
  async drain(): Promise<void> {
    this.#closed = true;
    await this.idle();
  }
}
