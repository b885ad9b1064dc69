// A process. Owns: a worker that may vanish as one does whose process is killed: nothing of it reaches the database any more,
// nothing it waits for comes, and nobody tells the others.

import { setImmediate as turn } from "node:timers/promises";
import type { Database } from "@sentient/db-pool";
import type { State } from "@sentient/state";
import { Sentient, type SentientOptions } from "../sentient.ts";
import type { WorkerOptions } from "../worker-options.ts";
import type { Worker } from "../worker.ts";
import type { Attempts } from "./attempts.ts";
import type { Crashes } from "./crashes.ts";

/** Turns of the event loop without a call after which none is on its way. */
const QUIET_TURNS = 10;

const never = new Promise<never>(() => {});

/** Where calls of a database go through, until it is shut. */
export class Gate {
  readonly shut: Promise<void>;
  isShut = false;
  /** How many calls went through. */
  calls = 0;
  readonly #shut: () => void;
  #underWay = 0;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.shut = promise;
    this.#shut = resolve;
  }

  /** What is under way may still arrive; nobody here hears of it. */
  close(): void {
    this.isShut = true;
    this.#shut();
  }

  /** Waits until no call is on its way. */
  async quiet(): Promise<void> {
    for (let turns = 0; turns < QUIET_TURNS && !this.isShut; turns++) {
      await turn();
      if (this.#underWay > 0) turns = 0;
    }
  }

  async pass<T>(call: () => Promise<T>): Promise<T> {
    if (this.isShut) return never;
    this.calls++;
    this.#underWay++;
    try {
      const answer = await call();
      return this.isShut ? await never : answer;
    } catch (error) {
      if (this.isShut) return await never;
      throw error;
    } finally {
      this.#underWay--;
    }
  }

  /** A database whose calls go through here. */
  before(db: Database): Database {
    return new Proxy(db, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        const call = value.bind(target) as (...args: unknown[]) => unknown;
        return CALLS.has(name) ? (...args: unknown[]) => this.pass(async () => call(...args)) : call;
      },
    });
  }
}

const CALLS: ReadonlySet<string | symbol> = new Set(["query", "transaction", "acquire", "session"]);

export interface ProcessOptions {
  db: Database;
  runtime: SentientOptions;
  worker: WorkerOptions;
  attempts: Attempts;
  crashes: Crashes;
}

export class Process {
  readonly gate = new Gate();
  readonly state: State;
  readonly worker: Worker;

  constructor({ db, runtime, worker, attempts, crashes }: ProcessOptions) {
    const attempted = attempts.of(() => this.gate.isShut);
    const sentient = new Sentient(this.gate.before(db), false, { ...runtime, worker: false }, { attempted });
    this.state = sentient.state;
    this.worker = sentient.worker(worker);
    this.#mayCrash(crashes);
  }

  #mayCrash(crashes: Crashes): void {
    const { state, gate } = this;
    const commit = state.commit.bind(state);
    state.commit = async (lease, change) => {
      if (gate.isShut) return never;
      const crash = crashes.next(change);
      if (crash?.when === "before") gate.close();
      if (gate.isShut) return never;
      const committed = await commit(lease, change);
      if (crash) gate.close();
      return gate.isShut ? never : committed;
    };
  }
}
