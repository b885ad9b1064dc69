import { VirtualClock } from "@sentient/testkit";
import { type Clock, type DatabaseOptions, DbError } from "../../src/index.ts";
import { Deadline } from "../../src/deadline.ts";
import { settingsFrom } from "../../src/options.ts";
import { type Lease, Pool } from "../../src/pool.ts";
import { Telemetry } from "../../src/telemetry.ts";
import type { Wire } from "../../src/wire.ts";

/** A connection made by hand: it lives until somebody ends it. */
export class HandMadeWire implements Wire {
  readonly stateful = true;
  readonly lost: Promise<DbError>;
  alive = true;
  #settleLost: (reason: DbError) => void;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<DbError>();
    this.lost = promise;
    this.#settleLost = resolve;
  }

  call(): Promise<unknown> {
    return Promise.resolve(undefined);
  }

  onLive(): () => void {
    return () => {};
  }

  destroy(): void {
    this.lose("given up");
  }

  lose(why = "cut"): void {
    this.alive = false;
    this.#settleLost(new DbError({ code: "db.connection_lost", message: why, outcome: "unknown" }));
  }
}

/** The server's side: it takes connections at once, refuses them, or lets them wait at its door. */
class HandMadeServer {
  mode: "open" | "refuses" | "keeps waiting" = "open";
  readonly wires: HandMadeWire[] = [];
  /** How often somebody tried to connect. */
  attempts = 0;
  /** Who waits at the door. */
  readonly door: { letIn(): HandMadeWire; turnAway(): void }[] = [];

  readonly connect = (): Promise<Wire> => {
    this.attempts++;
    if (this.mode === "refuses") return Promise.reject(refusal());
    if (this.mode === "open") return Promise.resolve(this.#made());
    const { promise, resolve, reject } = Promise.withResolvers<Wire>();
    const letIn = () => {
      const wire = this.#made();
      resolve(wire);
      return wire;
    };
    this.door.push({ letIn, turnAway: () => reject(refusal()) });
    return promise;
  };

  get living(): HandMadeWire[] {
    return this.wires.filter(({ alive }) => alive);
  }

  #made(): HandMadeWire {
    const wire = new HandMadeWire();
    this.wires.push(wire);
    return wire;
  }
}

function refusal(): DbError {
  return new DbError({ code: "db.unreachable", message: "nobody listens", retryable: true });
}

/** A pool of hand-made wires, and time moved by hand unless there is a clock for it. */
export function handMadePool(options: DatabaseOptions = {}) {
  const clock = new VirtualClock();
  const settings = settingsFrom({ url: "ws://127.0.0.1", anonymous: true, clock, ...options });
  const server = new HandMadeServer();
  const telemetry = new Telemetry(settings.namespace, settings.database);
  const pool = new Pool(settings, server.connect, telemetry);
  /** Waits as a call does that is in no hurry. */
  const acquire = async (signal?: AbortSignal): Promise<Lease> => {
    using deadline = new Deadline(settings.clock, 1_000_000, signal);
    return await pool.acquire(deadline);
  };
  return { pool, server, clock, telemetry, acquire };
}

/** A clock that rings everything due in one go, with no turn of the event loop in between: so may a busy machine. */
export class AbruptClock implements Clock {
  #now = 0;
  #timers: { at: number; fn: () => void }[] = [];

  now(): number {
    return this.#now;
  }

  after(ms: number, fn: () => void): () => void {
    const timer = { at: this.#now + ms, fn };
    this.#timers.push(timer);
    return () => void (this.#timers = this.#timers.filter((other) => other !== timer));
  }

  advance(ms: number): void {
    this.#now += ms;
    const due = this.#timers.filter(({ at }) => at <= this.#now).sort((a, b) => a.at - b.at);
    this.#timers = this.#timers.filter((timer) => !due.includes(timer));
    for (const { fn } of due) fn();
  }
}
