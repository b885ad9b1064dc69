import type { Database } from "@sentient/db-pool";

const CALLS: ReadonlySet<string | symbol> = new Set(["query", "transaction", "acquire", "session"]);

/** A database as a process has it that may die: nothing reaches it any more then, and no answer comes back. */
export class Mortal {
  readonly dead: Promise<void>;
  readonly db: Database;
  isDead = false;
  readonly #die: () => void;
  readonly #underWay = new Set<Promise<unknown>>();
  #callsLeft = Number.POSITIVE_INFINITY;

  constructor(db: Database) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.dead = promise;
    this.#die = resolve;
    this.db = new Proxy(db, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        const call = value.bind(target) as (...args: unknown[]) => Promise<unknown>;
        return CALLS.has(name) ? (...args: unknown[]) => this.whileAlive(() => call(...args)) : call;
      },
    });
  }

  die(): void {
    this.isDead = true;
    this.#die();
  }

  /** It dies at the call that comes after so many more: that one arrives, and its answer does not. */
  dieAfter(calls: number): void {
    this.#callsLeft = calls;
  }

  /** Resolves once all that was on its way when it died has arrived. */
  async buried(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }

  async whileAlive<T>(work: () => Promise<T>): Promise<T> {
    if (this.isDead) return never;
    const doing = work();
    if (--this.#callsLeft < 0) this.die();
    this.#underWay.add(doing);
    await Promise.allSettled([doing]);
    this.#underWay.delete(doing);
    return this.isDead ? never : doing;
  }
}

const never = new Promise<never>(() => {});
