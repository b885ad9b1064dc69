import { Uuid } from "surrealdb";
import { settlesWithin } from "./clock.ts";
import { authenticate } from "./connection.ts";
import type { Deadline } from "./deadline.ts";
import type { Engine } from "./engine.ts";
import { DbError, doubleReleaseError, type DbErrorCode, type Outcome } from "./errors.ts";
import { InFlight } from "./in-flight.ts";
import type { Settings } from "./options.ts";
import { retryConflicts } from "./retry.ts";
import type { Lease, Pool, PoolStats } from "./pool.ts";
import type { Request, Wire } from "./wire.ts";

/** Where requests go: some wire that is free, or one that is held. */
export interface Source {
  /** Whether what failed with its connection, or with its sign-in, may succeed over another one. */
  readonly heals: boolean;
  /** The calls under way, with their pauses and retries. */
  readonly inFlight: InFlight;
  /** Sends one request, within `deadline`, and never twice. */
  send(request: Request, deadline: Deadline, readOnly: boolean): Promise<unknown>;
}

/** A wire that one caller has to itself, for sessions of its own. */
export interface HeldWire {
  call(request: Request): Promise<unknown>;
  /** @param txn within which its requests are answered */
  source(session: Uuid, txn?: Uuid): Source;
  begin(session: Uuid): Promise<void>;
  end(session: Uuid): Promise<void>;
  discard(): void;
}

/** The source of a whole database. */
/** A process that had an embedded folder and died with it. */
export interface Predecessor {
  pid: number;
  host: string;
}

export interface DatabaseSource extends Source {
  readonly predecessor: Predecessor | undefined;
  /** Whether others may use what it leads to, right now. */
  readonly isShared: boolean;
  readonly stats: PoolStats;
  hold(deadline: Deadline): Promise<HeldWire>;
  holding<T>(work: () => Promise<T>): Promise<T>;
  close(deadline: number): Promise<void>;
}

/** An engine in this process: nothing to wait for, except the lane where its writes need one. */
export class EmbeddedSource implements DatabaseSource {
  readonly heals = false;
  readonly #engine: Engine;
  readonly #settings: Settings;
  readonly session = Uuid.v4();
  readonly inFlight = new InFlight();

  constructor(engine: Engine, settings: Settings) {
    this.#engine = engine;
    this.#settings = settings;
  }

  get isShared(): boolean {
    return this.#engine.isShared;
  }

  get predecessor(): Predecessor | undefined {
    const { predecessor } = this.#engine;
    return predecessor && { pid: predecessor.pid, host: predecessor.host };
  }

  get stats(): PoolStats {
    return { idle: 1, lent: 0, opening: 0, waiting: this.inFlight.count };
  }

  async start(deadline: Deadline): Promise<void> {
    await deadline.guard(this.#begin(this.session), "choosing the database", () => "not_applied");
  }

  send(request: Request, deadline: Deadline, readOnly: boolean): Promise<unknown> {
    return this.#send({ ...request, session: this.session }, deadline, readOnly);
  }

  async hold(): Promise<HeldWire> {
    return this.inFlight.run(async () => this.#held());
  }

  #held(): HeldWire {
    let over = false;
    return {
      call: (request) => this.inFlight.run(() => this.#engine.call(request)),
      source: (session, txn) => ({
        heals: false,
        inFlight: this.inFlight,
        send: (request, deadline, readOnly) => this.#send({ ...request, session, txn }, deadline, readOnly),
      }),
      begin: (session) => this.#begin(session),
      end: async (session) => {
        if (over) throw doubleReleaseError("session");
        over = true;
        await this.#engine.call({ method: "detach", session });
      },
      discard: () => {},
    };
  }

  holding<T>(work: () => Promise<T>): Promise<T> {
    return work();
  }

  /** After `deadline` it no longer waits, but the engine still does: one that is freed under a call aborts the process. */
  async close(deadline: number): Promise<void> {
    const leaving = this.#leave();
    if (await settlesWithin(this.#settings.clock, deadline, leaving)) await leaving;
  }

  async #leave(): Promise<void> {
    await this.inFlight.drain();
    await this.#engine.call({ method: "detach", session: this.session });
    await this.#engine.release();
  }

  async #begin(session: Uuid): Promise<void> {
    const { namespace, database } = this.#settings;
    await this.#engine.call({ method: "attach", session });
    const use = () => this.#engine.call({ method: "use", params: [namespace, database], session });
    await retryConflicts(this.#settings.clock, () => this.#engine.write(use)); // it makes them, if they are new
  }

  async #send(request: Request, deadline: Deadline, readOnly: boolean): Promise<unknown> {
    let sent = false;
    const send = () => {
      deadline.check("waiting for the write lane");
      sent = true;
      return this.#engine.call(request);
    };
    const answer = readOnly ? send() : this.#engine.write(send);
    return deadline.guard(answer, "waiting for the answer", () => outcomeOf(sent, readOnly));
  }
}

/** A pool of connections to a server: a request borrows one. */
export class PooledSource implements DatabaseSource {
  readonly heals = true;
  readonly isShared = true;
  readonly predecessor = undefined;
  readonly inFlight = new InFlight();
  readonly #pool: Pool;
  readonly #settings: Settings;

  constructor(pool: Pool, settings: Settings) {
    this.#pool = pool;
    this.#settings = settings;
  }

  get stats(): PoolStats {
    return this.#pool.stats;
  }

  async send(request: Request, deadline: Deadline, readOnly: boolean): Promise<unknown> {
    deadline.check("waiting for a connection");
    const lease = await this.#pool.acquire(deadline);
    try {
      const answer = await sendOver(lease.wire, request, deadline, readOnly);
      lease.release();
      return answer;
    } catch (error) {
      if (isClean(error)) lease.release();
      else lease.discard();
      throw error;
    }
  }

  async hold(deadline: Deadline): Promise<HeldWire> {
    const lease = await this.inFlight.run(() => this.#pool.acquire(deadline));
    if (!lease.wire.stateful) {
      lease.release();
      throw new DbError({
        code: "db.bad_statement",
        message: "HTTP has no sessions: use a ws:// or wss:// URL",
      });
    }
    return held(lease, this.#settings, this.inFlight);
  }

  holding<T>(work: () => Promise<T>): Promise<T> {
    return this.#pool.holding(work);
  }

  /** Lets what is under way end, waits and retries included, and then ends the connections; at `deadline` in any case. */
  async close(deadline: number): Promise<void> {
    const { clock } = this.#settings;
    const began = clock.now();
    await settlesWithin(clock, deadline, this.inFlight.drain());
    await this.#pool.close(Math.max(0, deadline - (clock.now() - began)));
  }
}

/** A lent connection with a session of its own on it. After trouble it is not given back but thrown away. */
function held(lease: Lease, settings: Settings, inFlight: InFlight): HeldWire {
  const { wire } = lease;
  let clean = true;
  const watched = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      clean &&= isClean(error);
      throw error;
    }
  };
  return {
    call: (request) => watched(wire.call(request)),
    source: (session, txn) => ({
      heals: false,
      inFlight,
      send: (request, deadline, readOnly) =>
        watched(sendOver(wire, { ...request, session, txn }, deadline, readOnly)),
    }),
    begin: async (session) => {
      await wire.call({ method: "attach", session });
      await authenticate(wire, settings, session);
      await wire.call({ method: "use", params: [settings.namespace, settings.database], session });
    },
    end: async (session) => {
      if (clean) await watched(wire.call({ method: "detach", session })).catch(() => {});
      if (clean) lease.release();
      else lease.discard();
    },
    discard: () => lease.discard(),
  };
}

async function sendOver(
  wire: Wire,
  request: Request,
  deadline: Deadline,
  readOnly: boolean,
): Promise<unknown> {
  deadline.check("waiting to send");
  return deadline.guard(wire.call(request), "waiting for the answer", () => outcomeOf(true, readOnly));
}

function outcomeOf(sent: boolean, readOnly: boolean): Outcome {
  return sent && !readOnly ? "unknown" : "not_applied";
}

/** What leaves an answer outstanding, or the connection itself in doubt. */
const DOUBTFUL: ReadonlySet<DbErrorCode> = new Set([
  "db.timeout",
  "db.cancelled",
  "db.connection_lost",
  "db.undecodable",
  "db.auth_failed",
  "db.session_expired",
]);

function isClean(error: unknown): boolean {
  return error instanceof DbError && !DOUBTFUL.has(error.code);
}
