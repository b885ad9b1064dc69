// Contention. Owns: how processes that append to one log get out of each other's way, and that none of them starves.
// Whoever loses a race for the end of the log has done its work in vain. So it waits for a random while before the next try,
// longer each time. The slower a process is, or the longer its batch, the likelier it loses, and it might lose for ever: who
// has lost often takes a turn first, in which nobody else may append. Where races are lost all the time a turn is taken at
// once: to ask for it is a short question, and a race that is lost costs a whole batch.

/** Losses in a row after which it takes a turn. */
const LOSSES = 3;
/** The share of tries that are lost from which on it takes a turn before it tries. */
const CROWDED = 0.25;
/** At most so many times as long as a commit takes. */
const MAX_PAUSE = 16;
/** The same for who asks for a turn: who comes too late leaves the log idle. */
const MAX_PAUSE_FOR_TURN = 4;

export class Contention {
  /** How long a commit takes, in milliseconds, of late. */
  #took = 5;
  #losses = 0;
  /** The share of tries that met others, of late. */
  #crowd = 0;
  /** Waits are shorter than so many commits. */
  #spread = 0;
  /** Whether it is another's turn. */
  #isRefused = false;

  get needsTurn(): boolean {
    return this.#losses >= LOSSES || this.#crowd >= CROWDED;
  }

  /** How long a turn may last, in milliseconds: it ends by itself where a process has died. */
  get turn(): number {
    return Math.round(Math.min(5_000, Math.max(500, 20 * this.#took)));
  }

  /** How long to wait before the next try, in milliseconds: not at all before it asks for a turn. */
  get pause(): number {
    return this.needsTurn && !this.#isRefused ? 0 : Math.random() * this.#spread * this.#took;
  }

  won(took: number): void {
    this.#took += (took - this.#took) / 8;
    this.#losses = 0;
    this.#isRefused = false;
    this.#spread = this.#spread <= 1 ? 0 : this.#spread / 2;
    this.#met(false);
  }

  lost(): void {
    this.#met(true);
    if (++this.#losses === 1) return; // it happens, and not only because of others: a clock may have been wrong
    if (!this.needsTurn) this.#spreadOut(MAX_PAUSE);
  }

  /** It has asked for a turn. */
  asked(isGranted: boolean): void {
    this.#isRefused = !isGranted;
    if (isGranted) return;
    this.#met(true);
    this.#spreadOut(MAX_PAUSE_FOR_TURN);
  }

  #met(others: boolean): void {
    this.#crowd += (Number(others) - this.#crowd) / 8;
  }

  #spreadOut(most: number): void {
    this.#spread = Math.min(most, Math.max(1, this.#spread * 2));
  }
}
