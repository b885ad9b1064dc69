import { sleep, type Clock } from "@sentient/db-pool";
import { OVER } from "./aborted.ts";

/** Wakes who waits for it; a ring that nobody waited for is remembered, once. */
export class Bell {
  #isRung = false;
  #wake = new AbortController();

  ring(): void {
    this.#isRung = true;
    this.#wake.abort(OVER);
  }

  /** Resolves once it rings, or after so many milliseconds. @returns whether it rang */
  async next(clock: Clock, ms: number): Promise<boolean> {
    if (!this.#isRung) await sleep(clock, ms, this.#wake.signal);
    const rang = this.#isRung;
    this.#isRung = false;
    this.#wake = new AbortController();
    return rang;
  }
}
