// Doorbells. Owns: waking who waits for a record to change, as soon as it is known and never later than the tick.
// B1. A ring that comes while nobody waits is kept, once.
// B2. LIVE only shortens the wait: after every gap in hearing all bells ring, and each rings by itself every tick.

import type { RecordId, Uuid } from "surrealdb";
import { backoff } from "./backoff.ts";
import { sleep, type Clock } from "./clock.ts";
import { closedError, DbError } from "./errors.ts";
import { ask, type Notification, type Wire } from "./wire.ts";

/** What had begun when a LIVE query is made or killed has mostly committed by then; a tick rings for what has not. */
const COMMITTED_WITHIN_MS = 100;

/** Why a bell rang: the record changed, it was not heard for a while, time went by, or somebody here rang it. */
export type Ring = "live" | "gap" | "tick" | "local";

/** A hint that a record may have changed. Read what you follow after every ring. */
export class Doorbell implements AsyncDisposable {
  readonly record: RecordId;
  readonly #clock: Clock;
  readonly #every: number;
  readonly #onClose: () => Promise<void>;
  #kept: Ring | undefined;
  readonly #waiting = new Set<(ring: Ring) => void>();
  #closed = false;

  /** @internal */
  constructor(record: RecordId, clock: Clock, every: number, onClose: () => Promise<void>) {
    this.record = record;
    this.#clock = clock;
    this.#every = every;
    this.#onClose = onClose;
  }

  /**
   * Waits for the next ring. Returns at once if one is kept (B1), and with `"tick"` when the signal aborts or the bell
   * is closed: look there before you wait again.
   *
   * @param within rings at least that soon, in milliseconds; as the bell was hung, if left out
   */
  next({ signal, within = this.#every }: { signal?: AbortSignal; within?: number } = {}): Promise<Ring> {
    const kept = this.#kept;
    this.#kept = undefined;
    if (kept) return Promise.resolve(kept);
    if (this.#closed || signal?.aborted) return Promise.resolve("tick");
    return new Promise((resolve) => {
      const wake = (ring: Ring) => {
        cancel();
        signal?.removeEventListener("abort", onAbort);
        this.#waiting.delete(wake);
        resolve(ring);
      };
      const onAbort = () => wake("tick");
      const cancel = this.#clock.after(within, onAbort);
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiting.add(wake);
    });
  }

  /** Rings in this process, for a writer who knows without being told. */
  ring(why: Ring = "local"): void {
    if (this.#waiting.size === 0 && this.#kept !== "gap") this.#kept = why; // of a gap one has to be told
    for (const wake of this.#waiting) wake(why);
  }

  /** Takes the bell down; who waits is woken. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const wake of this.#waiting) wake("tick");
    await this.#onClose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A wire for listening, and the session to listen in. */
export interface Ear {
  wire: Wire;
  session: Uuid | undefined;
  hangUp(): Promise<void>;
}

interface Table {
  bells: Set<Doorbell>;
  live: { id: Uuid; stop(): void } | undefined;
}

/** All bells of one database: one wire, and one LIVE query a table. */
export class DoorbellBoard {
  readonly #clock: Clock;
  readonly #connect: () => Promise<Ear>;
  readonly #tables = new Map<string, Table>();
  #ear: Ear | undefined;
  #started = false;
  readonly #arming = new Set<Promise<void>>();
  readonly #end = new AbortController();

  /** @param connect makes a wire to listen on; undefined where notifications cannot be heard, and ticks must do */
  constructor(clock: Clock, connect: (() => Promise<Ear>) | undefined) {
    this.#clock = clock;
    this.#connect = connect ?? (() => new Promise(() => {}));
  }

  hang(record: RecordId, every: number): Doorbell {
    if (this.#end.signal.aborted) throw closedError();
    const name = record.table.name;
    const table = this.#tables.get(name) ?? { bells: new Set(), live: undefined };
    const bell = new Doorbell(record, this.#clock, every, async () => {
      table.bells.delete(bell);
      if (table.bells.size > 0) return;
      this.#tables.delete(name);
      await this.#disarm(table);
    });
    table.bells.add(bell);
    this.#tables.set(name, table);
    if (!this.#started) void this.#listen();
    this.#started = true;
    if (this.#ear && table.bells.size === 1) this.#armInBackground(this.#ear, name, table);
    return bell;
  }

  ring(record: RecordId, except?: Doorbell): void {
    for (const bell of bellsOf(this.#tables.get(record.table.name), record)) if (bell !== except) bell.ring();
  }

  async close(): Promise<void> {
    this.#end.abort();
    await this.#ear?.hangUp(); // first: a server that is silent would not answer to KILL
    const bells = [...this.#tables.values()].flatMap((table) => [...table.bells]);
    await Promise.all(bells.map((bell) => bell.close()));
    await Promise.all(this.#arming); // a LIVE query that was just being made is killed there
  }

  /** Connects, arms every table, rings for what was missed, and does so again whenever the wire is lost. */
  async #listen(): Promise<void> {
    for (let attempt = 0; !this.#end.signal.aborted; attempt++) {
      try {
        const ear = await this.#connect();
        if (this.#end.signal.aborted) return await ear.hangUp();
        this.#ear = ear;
        for (const [name, table] of this.#tables) this.#armInBackground(ear, name, table);
        attempt = 0;
        await ear.wire.lost;
      } catch {
        // Not reachable now. The bells tick meanwhile, and it is tried again.
      }
      this.#ear = undefined;
      for (const table of this.#tables.values()) table.live = undefined;
      await sleep(this.#clock, backoff(attempt, { first: 50, max: 5_000 }), this.#end.signal);
    }
  }

  /** Keeps trying while the table does not exist: it is the writer's to make, and the bells tick meanwhile. */
  async #arm(ear: Ear, name: string, table: Table): Promise<void> {
    for (let attempt = 0; table.bells.size > 0 && !table.live && !this.#end.signal.aborted; attempt++) {
      const id = await live(ear, name);
      if (id) {
        await sleep(this.#clock, COMMITTED_WITHIN_MS, this.#end.signal); // LIVE does not hear a write that began before it
        if (ear !== this.#ear) return;
        for (const bell of table.bells) bell.ring("gap"); // B2: first, for what was heard meanwhile comes at once
        const stop = ear.wire.onLive(id, (notification) => this.#heard(ear, name, table, notification));
        table.live = { id, stop };
        if (table.bells.size === 0) await this.#disarm(table);
        return;
      }
      await sleep(this.#clock, backoff(attempt, { first: 20, max: 1_000 }), this.#end.signal);
      if (ear !== this.#ear) return;
    }
  }

  #heard(ear: Ear, name: string, table: Table, { action, record }: Notification): void {
    if (action === "KILLED") {
      const removed = table.live !== undefined; // the table was, and may be made anew
      table.live = undefined;
      if (removed) void this.#armAnew(ear, name, table);
      return;
    }
    for (const bell of bellsOf(table, record)) bell.ring("live");
  }

  /** KILLED can be heard before what removed the table has committed; a LIVE query made until then would stay mute. */
  async #armAnew(ear: Ear, name: string, table: Table): Promise<void> {
    await sleep(this.#clock, COMMITTED_WITHIN_MS, this.#end.signal);
    if (ear === this.#ear && !table.live) this.#armInBackground(ear, name, table);
  }

  /** A wire that fails while arming is given up; the loop makes another. */
  #armInBackground(ear: Ear, name: string, table: Table): void {
    const arming = this.#arm(ear, name, table)
      .catch(() => ear.hangUp())
      .finally(() => this.#arming.delete(arming));
    this.#arming.add(arming);
  }

  async #disarm(table: Table): Promise<void> {
    const { live } = table;
    const ear = this.#ear;
    table.live = undefined;
    if (!live || !ear) return;
    live.stop();
    await ask(ear.wire, `KILL u"${live.id.toString()}"`, ear.session).catch(() => {}); // the wire took it along
  }
}

function bellsOf(table: Table | undefined, record: unknown): Doorbell[] {
  const key = String(record);
  return [...(table?.bells ?? [])].filter((bell) => String(bell.record) === key);
}

/** The id of a new LIVE query; undefined if there is no such table. */
async function live({ wire, session }: Ear, table: string): Promise<Uuid | undefined> {
  try {
    return (await ask(wire, `LIVE SELECT * FROM \`${table.replace(/[\\`]/g, "\\$&")}\``, session)) as Uuid;
  } catch (error) {
    if (error instanceof DbError && error.code === "db.not_found") return undefined;
    throw error;
  }
}
