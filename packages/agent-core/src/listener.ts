// Listener. Owns: hearing from the log which runs are over or stuck, once for all in this process who wait for one.

import type { Clock } from "@sentient/db-pool";
import type { EventBus } from "@sentient/event-bus";
import type { Notices } from "./notices.ts";

const TYPES = ["run.completed", "run.failed", "run.cancelled", "run.parked"];
/** How long it goes on when nobody waits any more, in milliseconds: the next one may come soon. */
const LINGER_MS = 5_000;

export class Listener {
  readonly #bus: EventBus;
  readonly #notices: Notices;
  readonly #clock: Clock;
  #waiting = 0;
  #stop: AbortController | undefined;
  #leaving: (() => void) | undefined;
  #ready: Promise<void> = Promise.resolve();

  constructor(bus: EventBus, notices: Notices, clock: Clock) {
    this.#bus = bus;
    this.#notices = notices;
    this.#clock = clock;
  }

  /** What happens from then on is heard: who looks after it misses nothing. */
  get ready(): Promise<void> {
    return this.#ready;
  }

  /** Listens as long as somebody has joined. @returns how to leave */
  join(): () => void {
    this.#waiting++;
    this.#leaving?.();
    this.#leaving = undefined;
    if (!this.#stop) this.#listen();
    let isIn = true;
    return () => {
      if (isIn && --this.#waiting === 0) this.#leaving = this.#clock.after(LINGER_MS, () => this.close());
      isIn = false;
    };
  }

  close(): void {
    this.#leaving?.();
    this.#stop?.abort();
    this.#stop = undefined;
  }

  #listen(): void {
    const stop = new AbortController();
    this.#stop = stop;
    const last = this.#bus
      .history({ order: "desc", limit: 1 })
      .then(({ events }) => events[0]?.position ?? 0);
    this.#ready = settled(last); // if it has failed, who waits looks again and again, and is told then
    const hear = async () => {
      for await (const { run } of this.#bus.follow({ types: TYPES, after: await last, signal: stop.signal }))
        if (run !== undefined) this.#notices.changed(run);
    };
    hear()
      .catch(() => {})
      .finally(() => {
        if (this.#stop === stop) this.#stop = undefined;
      });
  }
}

async function settled(work: Promise<unknown>): Promise<void> {
  await work.catch(() => {});
}
