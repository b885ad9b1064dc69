// Contention. Owns: how several processes take turns at the end of one log without talking to each other.
// Whoever loses a race has done all its work in vain, and the longer a batch takes the likelier it loses. So who loses waits
// for a random while before the next try, and sends less; who wins waits and holds back ever less.

import { limits } from "@sentient/schema";

/** At most so many times as long as a commit takes. */
const MAX_TURNS = 16;
const MIN_EVENTS = 32;

export class Contention {
  /** How long a commit takes, in milliseconds, of late. */
  #took = 1;
  /** Waits are shorter than so many commits. */
  #turns = 0;
  #events = Infinity;

  /** How many events to send at most. */
  get events(): number {
    return Math.min(this.#events, limits.batch);
  }

  /** How long to wait before the next commit, in milliseconds. */
  pause(): number {
    return Math.random() * this.#turns * this.#took;
  }

  won(took: number): void {
    this.#took += (took - this.#took) / 8;
    this.#turns = this.#turns < 0.5 ? 0 : this.#turns / 2;
    this.#events *= 2;
  }

  lost(): void {
    this.#turns = Math.min(MAX_TURNS, Math.max(1, this.#turns * 2));
    this.#events = Math.max(MIN_EVENTS, this.events / 2);
  }
}
