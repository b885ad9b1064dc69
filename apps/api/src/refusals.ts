// Refusals. Owns: that who was not let in stands in the audit.
// Nobody who asks waits for it, and a database that does not take it keeps nobody from being answered.

import type { Audit } from "@sentient/state";
import type { Refused } from "./guard.ts";
import type { RequestLogger } from "./options.ts";

const MOST_WAITING = 100;

export class Refusals {
  readonly #audit: Audit;
  readonly #logger: RequestLogger | undefined;
  readonly #waiting = new Set<Promise<void>>();

  constructor(audit: Audit, logger: RequestLogger | undefined) {
    this.#audit = audit;
    this.#logger = logger;
  }

  tell({ who, ...data }: Refused): void {
    if (this.#waiting.size >= MOST_WAITING) return this.#untold({ who, ...data }, "too many are being told");
    const telling = this.#audit
      .record({ what: "auth.failed", by: who, data })
      .catch((error: unknown) => this.#untold({ who, ...data }, error))
      .finally(() => this.#waiting.delete(telling));
    this.#waiting.add(telling);
  }

  #untold(refused: Refused, why: unknown): void {
    this.#logger?.error({ ...refused, err: why }, "who was not let in is not in the audit");
  }

  /** Once all that is known of stands there. */
  async told(): Promise<void> {
    await Promise.all(this.#waiting);
  }
}
