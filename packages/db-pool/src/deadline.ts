import type { Clock } from "./clock.ts";
import { DbError, type Outcome } from "./errors.ts";

/** What a timer of Node can count; beyond it, it fires at once. */
const MAX_LIMIT = 2 ** 31 - 1;

/**
 * Bounds everything one call does: one timer, one abort listener, however many waits.
 * What is waiting when it ends is rejected with `db.timeout` or `db.cancelled`.
 */
export class Deadline implements Disposable {
  readonly #limit: number;
  readonly #signal: AbortSignal | undefined;
  readonly #waiting = new Set<(end: DbError["code"]) => void>();
  readonly #cancelTimer: () => void;
  #ended: "db.timeout" | "db.cancelled" | undefined;

  /** @throws `db.bad_option` for a limit that no timer keeps */
  constructor(clock: Clock, limit: number, signal?: AbortSignal) {
    if (!(typeof limit === "number" && limit > 0 && limit <= MAX_LIMIT)) {
      throw new DbError({
        code: "db.bad_option",
        message: `a timeout is a number of milliseconds above 0 and up to ${MAX_LIMIT}, not ${String(limit)}`,
      });
    }
    this.#limit = limit;
    this.#signal = signal;
    this.#cancelTimer = clock.after(limit, () => this.#end("db.timeout"));
    if (signal?.aborted) this.#end("db.cancelled");
    else signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /** `work`, or a rejection that says what was going on (`doing`) and whether it may have taken effect. */
  guard<T>(work: Promise<T>, doing: string, outcome: () => Outcome): Promise<T> {
    if (this.#ended) {
      work.catch(() => {}); // somebody else looks after it
      return Promise.reject(this.#error(this.#ended, doing, outcome()));
    }
    return new Promise<T>((resolve, reject) => {
      const end = (why: DbError["code"]) => reject(this.#error(why, doing, outcome()));
      this.#waiting.add(end);
      void work.then(resolve, reject).finally(() => this.#waiting.delete(end));
    });
  }

  /** Throws if the call is over already; for the moment before something is sent. */
  check(doing: string): void {
    if (this.#ended) throw this.#error(this.#ended, doing, "not_applied");
  }

  [Symbol.dispose](): void {
    this.#cancelTimer();
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }

  readonly #onAbort = () => this.#end("db.cancelled");

  #end(why: "db.timeout" | "db.cancelled"): void {
    this.#ended = why;
    this[Symbol.dispose]();
    for (const reject of this.#waiting) reject(why);
    this.#waiting.clear();
  }

  #error(code: DbError["code"], doing: string, outcome: Outcome): DbError {
    const what = code === "db.timeout" ? `timed out after ${this.#limit} ms` : "was cancelled";
    const effect =
      outcome === "not_applied"
        ? "nothing was changed"
        : "it may have taken effect: re-read before you repeat it";
    return new DbError({
      code,
      message: `the call ${what} while ${doing}; ${effect}`,
      outcome,
      retryable: outcome === "not_applied" && code === "db.timeout",
      ...(code === "db.cancelled" ? { cause: this.#signal?.reason } : {}),
    });
  }
}
