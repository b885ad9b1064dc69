// A database whose calls can be held up, counted, and robbed of their answers.

import { DbError, type Database, type Statement } from "@sentient/db-pool";

type Call = "query" | "transaction";
/** What happens to a call; `go` makes it. */
export type Gatekeeper = (go: () => Promise<unknown>, call: Call, texts: string[]) => Promise<unknown>;

export interface Gate {
  db: Database;
  /** Every call that came, its statements joined. */
  readonly calls: string[];
  /** How many of them have no answer yet. */
  readonly unanswered: number;
  /** Calls wait from now on. */
  hold(): void;
  release(): void;
  /** Every call goes through it; undefined lets them pass again. */
  keep(keeper: Gatekeeper | undefined): void;
}

/** The same database behind a gate. It stands open. */
export function gateOf(db: Database): Gate {
  const calls: string[] = [];
  let opened = Promise.resolve();
  let open = () => {};
  let keeper: Gatekeeper | undefined;
  let unanswered = 0;
  const guarded = (call: Call) => async (asked: Statement | Statement[], options: unknown) => {
    const texts = (Array.isArray(asked) ? asked : [asked]).map((statement) => statement.text);
    calls.push(texts.join(";\n"));
    unanswered++;
    try {
      await opened;
      const go = () => (db[call] as (...args: unknown[]) => Promise<unknown>).call(db, asked, options);
      return await (keeper ? keeper(go, call, texts) : go());
    } finally {
      unanswered--;
    }
  };
  const replaced: Record<string, unknown> = { query: guarded("query"), transaction: guarded("transaction") };
  return {
    db: new Proxy(db, {
      get(target, key) {
        if (typeof key === "string" && Object.hasOwn(replaced, key)) return replaced[key];
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    }),
    calls,
    get unanswered() {
      return unanswered;
    },
    hold: () => void ({ promise: opened, resolve: open } = Promise.withResolvers<void>()),
    release: () => open(),
    keep: (next) => void (keeper = next),
  };
}

/** As if the connection broke before the answer came. */
export function answerLost(): DbError {
  return new DbError({
    code: "db.connection_lost",
    message: "the connection was lost before the answer came",
    outcome: "unknown",
  });
}

export const isSettling = (texts: readonly string[]) => texts.some((text) => text.includes('"given up"'));

export const isAppend = (texts: readonly string[]) =>
  texts.some((text) => text.includes("INSERT INTO event"));
