// Doorbells that are not as they should be: what they tell is lost, told twice, or told late.

import { sleep, type Clock, type Database, type Doorbell, type Ring } from "@sentient/db-pool";

type Wait = { signal?: AbortSignal; within?: number };
type Next = (wait: Wait) => Promise<Ring>;
export type Hearing = "heard" | "never heard" | "heard twice" | "heard late";

/** The same database, whose bells are heard as `hearing` says. Time passes by `clock`, which has to be the database's own. */
export function hearingOf(db: Database, hearing: Hearing, clock: Clock): Database {
  return new Proxy(db, {
    get(target, key) {
      if (key === "watch") return (...args: Parameters<Database["watch"]>) => bellOf(target.watch(...args));
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });

  function bellOf(bell: Doorbell) {
    const next = hear[hearing](bell.next.bind(bell), clock);
    return {
      next: (wait: Wait = {}) => next(wait),
      ring: () => void (hearing === "never heard" || bell.ring()),
      [Symbol.asyncDispose]: () => bell.close(),
    };
  }
}

const hear: Record<Hearing, (next: Next, clock: Clock) => Next> = {
  heard: (next) => next,
  /** A ring is swallowed, and the wait for the tick goes on. */
  "never heard":
    (next, clock) =>
    async ({ within = 1_000, ...wait }) => {
      for (const end = clock.now() + within; ;) {
        const ring = await next({ ...wait, within: Math.max(0, end - clock.now()) });
        if (ring === "tick") return ring;
      }
    },
  "heard twice": (next) => {
    let again: Ring | undefined;
    return async (wait) => {
      const ring = again ?? (await next(wait));
      again = again === undefined && ring !== "tick" ? ring : undefined;
      return ring;
    };
  },
  "heard late":
    (next, clock) =>
    async ({ within = 1_000, ...wait }) => {
      const end = clock.now() + within;
      const ring = await next({ ...wait, within });
      if (ring !== "tick") await sleep(clock, Math.max(0, end - clock.now() - 1), wait.signal);
      return ring;
    },
};
