// Outbox. Owns: what is to be told with the next commit of a pass: its state, how far it is, what it logs.

import type { Json } from "@sentient/schema";
import type { Change } from "@sentient/state";
import type { Definition } from "./define.ts";

type Events = NonNullable<Change["events"]>;

export interface Taken {
  change: Pick<Change, "state" | "progress" | "compensates">;
  events: Events;
}

/** What one commit takes at most. */
const MOST_EVENTS = 200;

export class Outbox {
  readonly #state: Record<string, unknown> | undefined;
  /** Whether somebody has had hold of the state, and may have changed it. */
  #isHeld = false;
  #progress: Change["progress"];
  #compensates: boolean | undefined;
  readonly #events: Events = [];

  /** @param first the state of the run before its first step */
  constructor({ schemas }: Definition, first: Json) {
    this.#state = schemas.state && (schemas.state.parse(first) as Record<string, unknown>);
  }

  get isEmpty(): boolean {
    return this.#events.length === 0 && this.#progress === undefined;
  }

  /** Whether there is more to tell than one commit takes. */
  get hasMore(): boolean {
    return this.#events.length > MOST_EVENTS;
  }

  /** Undefined without a schema for it. */
  get state(): Record<string, unknown> | undefined {
    this.#isHeld = true;
    return this.#state;
  }

  /** As it was remembered. The object stays the same one. */
  restore(state: Json): void {
    if (!this.#state) return;
    for (const key of Object.keys(this.#state)) delete this.#state[key];
    Object.assign(this.#state, structuredClone(state));
  }

  tell(type: string, data: Json): void {
    this.#events.push({ type, data });
  }

  progress(progress: NonNullable<Change["progress"]>): void {
    this.#progress = progress;
  }

  compensates(): void {
    this.#compensates = true;
  }

  take(): Taken {
    const taken: Taken = {
      change: {
        ...(this.#isHeld && this.#state ? { state: this.#state as Json } : {}),
        ...(this.#progress ? { progress: this.#progress } : {}),
        ...(this.#compensates ? { compensates: true } : {}),
      },
      events: this.#events.splice(0, MOST_EVENTS),
    };
    this.#progress = undefined;
    return taken;
  }

  /** What could not be told. */
  putBack({ change, events }: Taken): void {
    this.#progress ??= change.progress;
    this.#events.unshift(...events);
  }
}
