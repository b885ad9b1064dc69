// Within a step. Owns: noticing that a step of the user's asks for more of its run while it works, from however deep.

import { AsyncLocalStorage } from "node:async_hooks";
import { nestedError } from "./errors.ts";

export class WithinStep {
  readonly #steps = new AsyncLocalStorage<string>();

  /** Does what a step does. */
  run<T>(key: string, work: () => T): T {
    return this.#steps.run(key, work);
  }

  get isSo(): boolean {
    return this.#steps.getStore() !== undefined;
  }

  /** @throws `agent.nested` */
  refuse(): void {
    const step = this.#steps.getStore();
    if (step !== undefined) throw nestedError(step);
  }
}
