// Contention. Owns: when a process asks for its turn at the end of a log that several append to.
// Whoever loses a race has done its work in vain, and the slower a process is, or the longer its batch, the likelier it loses:
// it might lose for ever. So who has lost twice takes a turn first, for a while.

/** Losses in a row after which it does. */
const LOSSES = 2;
/** Batches for which it does. */
const TURNS = 8;

export class Contention {
  /** How long a commit takes, in milliseconds, of late. */
  #took = 10;
  #losses = 0;
  #turns = 0;

  get isHigh(): boolean {
    return this.#turns > 0;
  }

  /** How long a turn may last, in milliseconds: it ends by itself where a process has died. */
  get turn(): number {
    return Math.round(Math.min(5_000, Math.max(500, 20 * this.#took)));
  }

  /** How long to wait for one's turn before one asks again, in milliseconds. */
  get pause(): number {
    return Math.min(25, Math.max(2, this.#took / 2)) * (0.5 + Math.random());
  }

  won(took: number): void {
    this.#took += (took - this.#took) / 8;
    this.#losses = 0;
    this.#turns = Math.max(0, this.#turns - 1);
  }

  lost(): void {
    if (++this.#losses >= LOSSES) this.#turns = TURNS;
  }
}
