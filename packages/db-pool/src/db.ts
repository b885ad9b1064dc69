import type { RecordId } from "surrealdb";
import { Deadline } from "./deadline.ts";
import type { Doorbell, DoorbellBoard } from "./doorbell.ts";
import type { Settings } from "./options.ts";
import type { PoolStats } from "./pool.ts";
import { Queryable, type CallOptions } from "./queryable.ts";
import { Session } from "./session.ts";
import { Snapshot } from "./snapshot.ts";
import type { DatabaseSource, Predecessor } from "./source.ts";
import type { DatabaseEvents, Telemetry } from "./telemetry.ts";

/** A SurrealDB: embedded, or a pool of connections to a server. Made by `openDatabase`. */
export class Database extends Queryable implements AsyncDisposable {
  readonly #source: DatabaseSource;
  readonly #doorbells: DoorbellBoard;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(source: DatabaseSource, doorbells: DoorbellBoard, settings: Settings, telemetry: Telemetry) {
    super(source, settings, telemetry);
    this.#source = source;
    this.#doorbells = doorbells;
  }

  /** The URL it was opened with. It never holds credentials. */
  get url(): string {
    return this.settings.location.url;
  }

  get namespace(): string {
    return this.settings.namespace;
  }

  get database(): string {
    return this.settings.database;
  }

  /**
   * Whether anybody else may reach what it opened: always at a server; of an embedded engine, while it is served to other
   * processes or opened a second time in this one. That is so at this moment: somebody may come in the next.
   */
  get isShared(): boolean {
    return this.#source.isShared;
  }

  /**
   * The process that had this folder before, if it died without closing it: what it held is nobody's. Undefined at a server,
   * and where the folder was closed.
   */
  get predecessor(): Predecessor | undefined {
    return this.#source.predecessor;
  }

  /** How many connections there are and what they do; for an embedded engine, one that is never lent. */
  get stats(): PoolStats {
    return this.#source.stats;
  }

  /**
   * Takes a session of its own: its variables, namespace and sign-in are nobody else's, and gone when it is released.
   * Against a server it holds one connection of the pool.
   *
   * @throws `db.pool_timeout`, `db.pool_full`, `db.bad_statement` over HTTP, which has no sessions
   * @example await using session = await db.acquire();
   */
  async acquire(options?: CallOptions): Promise<Session> {
    using deadline = new Deadline(
      this.settings.clock,
      options?.timeout ?? this.settings.timeout,
      options?.signal,
    );
    const held = await this.#source.hold(deadline);
    try {
      return await Session.open(held, this.settings, this.telemetry, deadline);
    } catch (error) {
      held.discard();
      throw error;
    }
  }

  /** `acquire`, `work`, `release`; a second acquire inside `work` that could wait for ever is refused instead. */
  async session<T>(work: (session: Session) => Promise<T>, options?: CallOptions): Promise<T> {
    await using session = await this.acquire(options);
    return await this.#source.holding(() => work(session));
  }

  /**
   * The database as it is at this moment, for as long as `work` takes: however many calls it makes, they see nothing that is
   * committed meanwhile, and nobody waits for them. Against a server it holds one connection of the pool.
   *
   * @throws `db.pool_timeout`, `db.pool_full`, `db.bad_statement` over HTTP and for a statement that may write
   * @example const total = await db.snapshot(async (then) => (await then.query(a)) + (await then.query(b)));
   */
  async snapshot<T>(work: (then: Snapshot) => Promise<T>, options?: CallOptions): Promise<T> {
    using deadline = new Deadline(
      this.settings.clock,
      options?.timeout ?? this.settings.timeout,
      options?.signal,
    );
    const held = await this.#source.hold(deadline);
    const opening = Snapshot.open(held, this.settings, this.telemetry, deadline);
    await using snapshot = await opening.catch((error: unknown) => {
      held.discard();
      throw error;
    });
    return await this.#source.holding(() => work(snapshot));
  }

  /**
   * A doorbell on a record: rings when it may have changed. It is a hint and only shortens a wait: read what you follow
   * after every ring, and once before the first. Keep the record in a small table of its own: LIVE taxes every write to
   * the table it stands on.
   *
   * @param every rings at least so often, in milliseconds, whatever is heard; default 1,000
   * @example const bell = db.watch(new RecordId("bell", "orders")); for (;;) { await bell.next(); … }
   */
  watch(record: RecordId, { every = 1_000 }: { every?: number } = {}): Doorbell {
    return this.#doorbells.hang(record, every);
  }

  /**
   * Rings the bells on a record that hang on this database, but for `except`: for a writer whom nobody else can hear
   * (`isShared`), and who therefore need not write the record.
   */
  ring(record: RecordId, { except }: { except?: Doorbell | undefined } = {}): void {
    this.#doorbells.ring(record, except);
  }

  /** Whether `close()` was called. */
  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** Hears what the database tells about itself, until the returned function is called. */
  on<Name extends keyof DatabaseEvents>(
    name: Name,
    listener: (event: DatabaseEvents[Name]) => void,
  ): () => void {
    return this.telemetry.on(name, listener);
  }

  /**
   * Refuses new calls, waits for those in flight, and lets go of everything. Closing twice is closing once.
   *
   * @param deadline how long to wait for calls in flight, in milliseconds; default 10,000
   */
  close({ deadline = 10_000 }: { deadline?: number } = {}): Promise<void> {
    this.#closing ??= this.#doorbells.close().then(() => this.#source.close(deadline));
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
