// Snapshots. Owns: reading as of one moment, over as many calls as that takes.
// S1. What others commit meanwhile is not seen, and nobody waits for it.
// S2. Nothing is changed through it: what is not surely a read is refused before it is sent.

import { Uuid } from "surrealdb";
import type { Deadline } from "./deadline.ts";
import { DbError } from "./errors.ts";
import type { Settings } from "./options.ts";
import { Queryable, type CallOptions } from "./queryable.ts";
import type { HeldWire } from "./source.ts";
import type { Statement } from "./surql.ts";
import type { Telemetry } from "./telemetry.ts";
import { protocolError } from "./wire.ts";

/** A database as it was at one moment. Found within `Database.snapshot`. */
export class Snapshot implements AsyncDisposable {
  readonly #held: HeldWire;
  readonly #session: Uuid;
  readonly #txn: Uuid;
  readonly #within: Queryable;

  private constructor(held: HeldWire, session: Uuid, txn: Uuid, within: Queryable) {
    this.#held = held;
    this.#session = session;
    this.#txn = txn;
    this.#within = within;
  }

  /** @internal */
  static async open(
    held: HeldWire,
    settings: Settings,
    telemetry: Telemetry,
    deadline: Deadline,
  ): Promise<Snapshot> {
    const session = Uuid.v4();
    await deadline.guard(held.begin(session), "beginning a session", () => "not_applied");
    const begun = held.call({ method: "begin", session });
    const txn = await deadline.guard(begun, "beginning a snapshot", () => "not_applied");
    if (!(txn instanceof Uuid)) throw protocolError("no transaction where one was begun");
    return new Snapshot(held, session, txn, new Queryable(held.source(session, txn), settings, telemetry));
  }

  /**
   * Runs one statement that reads, as `Database.query` does.
   *
   * @throws `DbError`; `db.bad_statement` for one that may write
   */
  async query<T>(statement: Statement<T>, options?: CallOptions): Promise<T> {
    if (!statement.readOnly)
      throw new DbError({
        code: "db.bad_statement",
        message: "a snapshot is read and nothing else: what changes something is for query() of the database",
      });
    return this.#within.query(statement, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Where its connection is gone, it is gone with it.
    await this.#held.call({ method: "cancel", params: [this.#txn], session: this.#session }).catch(() => {});
    await this.#held.end(this.#session);
  }
}
