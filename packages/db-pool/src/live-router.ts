import type { Uuid } from "surrealdb";
import type { Notification } from "./wire.ts";

/** How many notifications may wait to be asked for: a LIVE query begins to notify before its id is known. */
const MAX_UNCLAIMED = 1_000;

/** Brings each notification to who listens for its LIVE query. */
export class LiveRouter<Raw = undefined> {
  readonly #listeners = new Map<string, (notification: Notification, raw: Raw) => void>();
  #unclaimed: [Notification, Raw][] = [];

  get size(): number {
    return this.#listeners.size;
  }

  /** Hears what was notified under this id, from its first notification on. */
  listen(id: Uuid, listener: (notification: Notification, raw: Raw) => void): () => void {
    const key = id.toString();
    this.#listeners.set(key, listener);
    const isMine = ([notification]: [Notification, Raw]) => notification.id.toString() === key;
    const mine = this.#unclaimed.filter(isMine);
    this.#unclaimed = this.#unclaimed.filter((entry) => !isMine(entry));
    for (const [notification, raw] of mine) listener(notification, raw);
    return () => void this.#listeners.delete(key);
  }

  deliver(notification: Notification, raw: Raw): void {
    const key = notification.id.toString();
    const listener = this.#listeners.get(key);
    if (notification.action === "KILLED") this.#listeners.delete(key);
    if (listener) return listener(notification, raw);
    if (notification.action === "KILLED") return;
    this.#unclaimed.push([notification, raw]);
    if (this.#unclaimed.length > MAX_UNCLAIMED) this.#unclaimed.shift();
  }

  clear(): void {
    this.#listeners.clear();
    this.#unclaimed = [];
  }
}
