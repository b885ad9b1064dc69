import type { Database } from "@sentient/db-pool";
import { createEventBus } from "@sentient/event-bus";
import { onTestFinished } from "vitest";
import { createState, type StateOptions } from "../../src/index.ts";
import type { Fresh } from "./fresh.ts";

const CALLS = ["query", "transaction"] as const;

/** Does something before a call that the database is asked for. */
export function before(db: Database, act: (text: string) => void | Promise<void>): Database {
  return new Proxy(db, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== "function") return value;
      if (!CALLS.includes(key as never)) return value.bind(target) as unknown;
      return async (...args: unknown[]) => {
        const statements = [args[0]].flat() as { text: string }[];
        await act(statements.map(({ text }) => text).join(";"));
        return (value as (...all: unknown[]) => unknown).apply(target, args);
      };
    },
  });
}

/** Changes what the database answers to a query. */
export function answering(db: Database, change: (text: string, answer: unknown) => unknown): Database {
  return new Proxy(db, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== "function") return value;
      if (key !== "query") return value.bind(target) as unknown;
      return async (...args: unknown[]) => {
        const answer = await (value as (...all: unknown[]) => Promise<unknown>).apply(target, args);
        return change((args[0] as { text: string }).text, answer);
      };
    },
  });
}

/** A process that dies at its k-th write. */
export async function dyingAt(db: Database, k: number, options: StateOptions = {}): Promise<Fresh> {
  let writes = 0;
  const dying = before(db, (text) => {
    if (WRITES.test(text) && !text.includes("producer") && ++writes >= k) throw new Error("died");
    if (writes >= k) throw new Error("dead");
  });
  const bus = createEventBus(db);
  onTestFinished(() => bus.close());
  await bus.history({ limit: 1 });
  const append = bus.log.append.bind(bus.log);
  bus.log.append = (entry, more) => {
    if (++writes >= k) return Promise.reject(new Error("died"));
    return append(entry, more);
  };
  return { db, bus, state: createState(dying, bus, options) };
}

const WRITES = /\b(INSERT|UPSERT|UPDATE|DELETE|CREATE)\b/;
