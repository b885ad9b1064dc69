// The pool. Owns: the connections to one server, and who has which.
// L1. A connection is in one list at a time: idle or lent. Every change goes through `lend`, `giveBack` or `drop`.
// L2. At most `size` connections exist, those being opened included.
// L3. Who waits is served in the order they came; who waits too long, or beyond the limit, is told so.
// L4. While somebody waits, or fewer than `min` are open, it keeps trying to connect, for ever, with jitter.

import { AsyncLocalStorage } from "node:async_hooks";
import { backoff } from "./backoff.ts";
import type { Deadline } from "./deadline.ts";
import { closedError, DbError, doubleReleaseError } from "./errors.ts";
import type { Settings } from "./options.ts";
import type { Telemetry } from "./telemetry.ts";
import type { Wire } from "./wire.ts";

const RECONNECT = { first: 500, max: 5_000 };

/** A connection on loan. It is given back once, one way or the other; a second time throws `db.double_release`. */
export interface Lease {
  readonly wire: Wire;
  release(): void;
  /** For a connection that nobody can say what state it is in. */
  discard(): void;
}

interface Waiter {
  resolve(lease: Lease): void;
  reject(error: DbError): void;
}

export interface PoolStats {
  idle: number;
  lent: number;
  opening: number;
  waiting: number;
}

export class Pool {
  readonly #settings: Settings;
  readonly #open: () => Promise<Wire>;
  readonly #telemetry: Telemetry;
  readonly #idle: Wire[] = [];
  readonly #lent = new Set<Wire>();
  readonly #waiting: Waiter[] = [];
  readonly #holders = new AsyncLocalStorage<true>();
  #opening = 0;
  #failures = 0;
  #lastFailure: DbError | undefined;
  #cancelRetry: (() => void) | undefined;
  #cancelRefill: (() => void) | undefined;
  #closing: PromiseWithResolvers<void> | undefined;

  constructor(settings: Settings, open: () => Promise<Wire>, telemetry: Telemetry) {
    this.#settings = settings;
    this.#open = open;
    this.#telemetry = telemetry;
  }

  /** Opens the first connections, but for `first` if it is there: all of them, or none and an error. */
  async start(first?: Wire): Promise<void> {
    const wanted = Math.max(1, this.#settings.poolMin);
    const opening = Array.from({ length: wanted }, async (_, i) => (i === 0 && first) || this.#open());
    const opened = await Promise.allSettled(opening);
    const failed = opened.find((result) => result.status === "rejected");
    for (const result of opened) {
      if (result.status !== "fulfilled") continue;
      if (failed) result.value.destroy();
      else this.#welcome(result.value);
    }
    if (failed) throw failed.reason as DbError;
  }

  get stats(): PoolStats {
    return {
      idle: this.#idle.length,
      lent: this.#lent.size,
      opening: this.#opening,
      waiting: this.#waiting.length,
    };
  }

  /** @throws `db.pool_timeout`, `db.pool_full`, `db.nested_acquire`, `db.closed`, or what ends `deadline` */
  async acquire(deadline: Deadline): Promise<Lease> {
    if (this.#closing) throw closedError();
    const wire = this.#idle.pop();
    if (wire) return this.#lend(wire);
    if (this.#holders.getStore() && this.#total >= this.#settings.poolSize)
      throw nested(this.#settings.poolSize);
    if (this.#waiting.length >= this.#settings.maxWaiters) throw full(this.#settings.maxWaiters);
    return this.#wait(deadline);
  }

  /** Marks what `work` does as done by somebody who holds a connection already. */
  holding<T>(work: () => Promise<T>): Promise<T> {
    return this.#holders.run(true, work);
  }

  /** Refuses new calls, waits for what is lent up to `deadline` ms, then ends every connection. */
  async close(deadline: number): Promise<void> {
    if (this.#closing) return this.#closing.promise;
    this.#closing = Promise.withResolvers();
    this.#cancelRetry?.();
    this.#cancelRefill?.();
    for (const waiter of this.#waiting.splice(0)) waiter.reject(closedError());
    const cancel = this.#settings.clock.after(deadline, () => this.#end());
    if (this.#lent.size === 0) this.#end();
    await this.#closing.promise;
    cancel();
  }

  get #total(): number {
    return this.#idle.length + this.#lent.size + this.#opening;
  }

  async #wait(deadline: Deadline): Promise<Lease> {
    const { clock, acquireTimeout } = this.#settings;
    const { promise, resolve, reject } = Promise.withResolvers<Lease>();
    const waiter = { resolve, reject };
    const since = clock.now();
    this.#waiting.push(waiter);
    const leave = () => {
      const at = this.#waiting.indexOf(waiter);
      if (at !== -1) this.#waiting.splice(at, 1);
    };
    const cancel = clock.after(acquireTimeout, () => {
      leave(); // before anybody can give it a connection that it would not take
      reject(this.#timeout());
    });
    this.#grow();
    try {
      const lease = await deadline.guard(promise, "waiting for a connection", () => "not_applied");
      this.#telemetry.emit("acquire", { waited: clock.now() - since });
      return lease;
    } catch (error) {
      promise.then(
        (lease) => lease.release(),
        () => {},
      ); // it may come a moment too late
      this.#telemetry.emit("acquire", { waited: clock.now() - since, error: (error as DbError).code });
      throw error;
    } finally {
      cancel();
      leave();
    }
  }

  #lend(wire: Wire): Lease {
    this.#lent.add(wire);
    let over = false;
    const once = (end: () => void) => () => {
      if (over) throw doubleReleaseError("connection");
      over = true;
      if (this.#lent.delete(wire)) end(); // or it was lost meanwhile
    };
    return { wire, release: once(() => this.#giveBack(wire)), discard: once(() => this.#discard(wire)) };
  }

  #discard(wire: Wire): void {
    wire.destroy();
    this.#drop(wire);
  }

  #giveBack(wire: Wire): void {
    if (this.#closing) return this.#discard(wire);
    const waiter = this.#waiting.shift();
    if (waiter) waiter.resolve(this.#lend(wire));
    else this.#idle.push(wire);
  }

  #drop(wire: Wire): void {
    this.#lent.delete(wire);
    const at = this.#idle.indexOf(wire);
    if (at !== -1) this.#idle.splice(at, 1);
    if (this.#closing && this.#lent.size === 0) this.#end();
    if (this.#waiting.length > 0) this.#grow();
    else this.#refillSoon();
  }

  /** Not at once: the other clients of a server lose theirs in the same moment. */
  #refillSoon(): void {
    if (this.#closing || this.#cancelRefill) return;
    this.#cancelRefill = this.#settings.clock.after(backoff(0, RECONNECT), () => {
      this.#cancelRefill = undefined;
      this.#grow();
    });
  }

  #welcome(wire: Wire): void {
    this.#failures = 0;
    this.#lastFailure = undefined;
    this.#telemetry.emit("connection", { state: "open" });
    void this.#dropWhenLost(wire);
    this.#giveBack(wire);
  }

  async #dropWhenLost(wire: Wire): Promise<void> {
    const reason = await wire.lost;
    if (!this.#closing) this.#telemetry.emit("connection", { state: "lost", reason: reason.message });
    this.#drop(wire);
  }

  /** L4. One pause for all after a failure, so that a server coming back is not met by a crowd. */
  #grow(): void {
    while (
      !this.#closing &&
      !this.#cancelRetry &&
      this.#total < this.#settings.poolSize &&
      this.#wanted > 0
    ) {
      this.#opening++;
      this.#open().then(
        (wire) => this.#opened(wire),
        (error: DbError) => this.#failed(error),
      );
    }
  }

  get #wanted(): number {
    return (
      Math.max(this.#waiting.length, this.#settings.poolMin - this.#idle.length - this.#lent.size) -
      this.#opening
    );
  }

  #opened(wire: Wire): void {
    this.#opening--;
    if (this.#closing) return wire.destroy();
    this.#welcome(wire);
    this.#cancelRetry?.(); // the server can be reached: who else waits need not sit out the pause
    this.#cancelRetry = undefined;
    this.#grow();
  }

  #failed(error: DbError): void {
    this.#opening--;
    this.#lastFailure = error;
    this.#telemetry.emit("connection", { state: "failed", reason: error.message });
    if (!error.retryable) for (const waiter of this.#waiting.splice(0)) waiter.reject(error); // waiting would not help
    this.#pause();
  }

  #pause(): void {
    if (this.#closing || this.#cancelRetry) return;
    this.#cancelRetry = this.#settings.clock.after(backoff(this.#failures++, RECONNECT), () => {
      this.#cancelRetry = undefined;
      this.#grow();
    });
  }

  #end(): void {
    for (const wire of [...this.#idle.splice(0), ...this.#lent]) wire.destroy();
    this.#lent.clear();
    this.#closing?.resolve();
  }

  #timeout(): DbError {
    const { acquireTimeout, poolSize } = this.#settings;
    const why = this.#lastFailure
      ? `the server cannot be reached (${this.#lastFailure.message})`
      : `all ${poolSize} are busy; raise poolSize, or hold them for less long`;
    return new DbError({
      code: "db.pool_timeout",
      message: `no connection within ${acquireTimeout} ms: ${why}`,
      retryable: true,
      ...(this.#lastFailure ? { cause: this.#lastFailure } : {}),
    });
  }
}

function full(maxWaiters: number): DbError {
  return new DbError({
    code: "db.pool_full",
    message: `${maxWaiters} calls wait for a connection already (maxWaiters); slow down, or raise poolSize`,
    retryable: true,
  });
}

function nested(poolSize: number): DbError {
  return new DbError({
    code: "db.nested_acquire",
    message: `this code holds a connection and asks for another while all ${poolSize} are out, which can wait for ever; use the session it holds`,
  });
}
