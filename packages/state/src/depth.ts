// Depth. Owns: how many runs wait in the queues, so that nobody fills them without end.
// What others start meanwhile is seen when it is counted again: the bound is kept to about a twentieth.

import { surql } from "@sentient/db-pool";
import { limits } from "@sentient/schema";
import { StateError } from "./errors.ts";
import type { Store } from "./store.ts";

export class Depth {
  readonly #db: Store;
  /** As it was counted; undefined before the first time. */
  #counted: number | undefined;
  /** Started here since. */
  #since = 0;
  #counting: Promise<void> | undefined;

  constructor(db: Store) {
    this.#db = db;
  }

  /** Counts one more. @throws `state.queue_full` */
  async add(): Promise<void> {
    const { queued } = limits;
    const isOld = this.#counted === undefined || this.#since >= queued / 20;
    if (isOld || this.#counted! + this.#since >= queued) await (this.#counting ??= this.#count());
    if (this.#counted! + this.#since >= queued) throw fullError(queued);
    this.#since++;
  }

  /** How many there are now. */
  count(): Promise<number> {
    return this.#db.query(countQueued());
  }

  async #count(): Promise<void> {
    try {
      this.#counted = await this.count();
      this.#since = 0;
    } finally {
      this.#counting = undefined;
    }
  }
}

const countQueued = () =>
  surql<number>`RETURN (SELECT VALUE count FROM (SELECT count() FROM run WHERE status = "queued" GROUP ALL))[0] ?? 0`;

function fullError(queued: number): StateError {
  return new StateError({
    code: "state.queue_full",
    message: `${queued} runs wait in the queues already; start it again when workers have taken some, or raise the limit \`queued\``,
    retryable: true,
    details: { queued },
  });
}
