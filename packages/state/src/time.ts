import { systemClock, type Clock } from "@sentient/db-pool";

/** The one time that counts: the database's, or in a test that of the clock it moves by hand. */
export class Time {
  readonly #clock: Clock | undefined;

  constructor(clock: Clock) {
    this.#clock = clock === systemClock ? undefined : clock;
  }

  /** For a statement, which says `${now} ?? time::now()`. */
  get now(): Date | null {
    return this.#clock ? new Date(this.#clock.now()) : null;
  }

  /** What the time is, where the database says that it is `at`. */
  of(at: Date): Date {
    return new Date(this.#clock ? this.#clock.now() : at.getTime());
  }
}
