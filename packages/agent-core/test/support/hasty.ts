import { DbError, type Database } from "@sentient/db-pool";

/** What was not answered is taken for not done: whoever hears so does it again. */
export function hastyOn(db: Database): Database {
  return new Proxy(db, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      const call = value.bind(target) as (...args: unknown[]) => unknown;
      if (name !== "query" && name !== "transaction") return call;
      return async (...args: unknown[]) => {
        try {
          return await call(...args);
        } catch (error) {
          if (!(error instanceof DbError) || error.outcome !== "unknown") throw error;
          throw error.with({ outcome: "not_applied", retryable: true });
        }
      };
    },
  });
}
