// The database. Owns: what a call is from its statement to its answer.
// D1. Values are encoded, and refused if they must be, before a connection is asked for.
// D2. A conflict is tried again with jitter; so is a read whose answer was lost. A write whose answer was lost never is.
// D3. Every error says whether the call may have taken effect, and which statement truly failed.

import { performance } from "node:perf_hooks";
import { Uuid, type RecordId } from "surrealdb";
import { backoff } from "./backoff.ts";
import { classify, isBystander } from "./classify.ts";
import { encode, Encoded } from "./codec.ts";
import { sleep } from "./clock.ts";
import { Deadline } from "./deadline.ts";
import { DbError } from "./errors.ts";
import type { Doorbell } from "./doorbell.ts";
import type { Settings } from "./options.ts";
import type { PoolStats } from "./pool.ts";
import type { DatabaseSource, HeldWire, Source } from "./source.ts";
import { renderTransaction, requireRunnable, type Statement } from "./surql.ts";
import type { DatabaseEvents, Telemetry } from "./telemetry.ts";
import { isObject, protocolError, type Request } from "./wire.ts";

/** Conflicts on one hot row sort themselves out in a few tries; so many mean that something is wrong. */
const MAX_RETRIES = 100;
const RETRY_DELAY = { first: 1, max: 50 };

export interface CallOptions {
  /** Ends the call early with `db.cancelled`. What it did until then is told by the error's `outcome`. */
  signal?: AbortSignal;
  /** How long the call may take in all, in milliseconds; the database's `timeout` if left out. */
  timeout?: number;
}

/** What each statement of a list answers. */
export type Answers<S extends readonly Statement[]> = { -readonly [I in keyof S]: S[I]["answers"] };

/** What runs statements: the database, or a session on one of its connections. */
export class Queryable {
  protected readonly settings: Settings;
  protected readonly telemetry: Telemetry;
  readonly #source: Source;

  /** @internal */
  constructor(source: Source, settings: Settings, telemetry: Telemetry) {
    this.#source = source;
    this.settings = settings;
    this.telemetry = telemetry;
  }

  /**
   * Runs one statement and returns what it answers. A block `{ …; RETURN x }` is one statement, and atomic.
   *
   * @throws `DbError`; match its `code`, and look at its `outcome` before you repeat a write
   * @example const [ada] = await db.query(surql<Person[]>`SELECT * FROM person WHERE name = ${"Ada"}`);
   */
  async query<T>(statement: Statement<T>, options?: CallOptions): Promise<T> {
    requireRunnable(statement);
    const bindings: Record<string, unknown> = {};
    const { text } = statement.render(bindings);
    const [answer] = await this.#run(text, bindings, statement.readOnly, options, single);
    return answer as T;
  }

  /**
   * Runs statements in one transaction and one round trip: all of them, or none. A statement sees what those before it
   * did; a `LET` is seen by those after it.
   *
   * @throws `DbError` with `statement`: which of them truly failed
   * @example await db.transaction([surql`CREATE ${a}`, surql`UPDATE ${b} SET n += 1`]);
   */
  async transaction<const S extends readonly Statement[]>(
    statements: S,
    options?: CallOptions,
  ): Promise<Answers<S>> {
    statements.forEach(requireRunnable);
    if (statements.length === 0) return [] as never;
    const { text, bindings } = renderTransaction(statements);
    const readOnly = statements.every((statement) => statement.readOnly);
    const answers = await this.#run(text, bindings, readOnly, options, (raw) => all(raw, statements));
    return answers as Answers<S>;
  }

  async #run(
    text: string,
    bindings: Record<string, unknown>,
    readOnly: boolean,
    options: CallOptions | undefined,
    read: (answers: RawAnswer[]) => unknown[],
  ): Promise<unknown[]> {
    const request: Request = { method: "query", params: [text, encodeBindings(bindings)] }; // D1
    const span = this.telemetry.span(text);
    const began = performance.now();
    let attempts = 0;
    let error: DbError | undefined;
    using deadline = new Deadline(
      this.settings.clock,
      options?.timeout ?? this.settings.timeout,
      options?.signal,
    );
    try {
      for (;;) {
        attempts++;
        try {
          const raw = await this.#source.send(request, deadline, readOnly);
          if (!Array.isArray(raw)) throw protocolError("something that is no list of answers");
          return read(raw as RawAnswer[]);
        } catch (caught) {
          error = asDbError(caught, readOnly);
          if (attempts > MAX_RETRIES || !mayRepeat(error, readOnly)) throw error;
          await this.#pause(attempts, error, deadline);
        }
      }
    } catch (caught) {
      error = asDbError(caught, readOnly);
      throw attempts > 1 ? error.with({ details: { ...error.details, attempts } }) : error;
    } finally {
      const end = error && deadline.ended ? error.code : error?.code;
      this.telemetry.end(span, attempts, end);
      this.telemetry.emit("query", {
        text,
        took: performance.now() - began,
        attempts,
        ...(end ? { error: end } : {}),
      });
    }
  }

  async #pause(attempt: number, error: DbError, deadline: Deadline): Promise<void> {
    const delay = backoff(attempt - 1, RETRY_DELAY);
    this.telemetry.emit("retry", { attempt, delay, error: error.code });
    await deadline.guard(
      sleep(this.settings.clock, delay),
      `waiting to try again after ${error.code}`,
      () => "not_applied",
    );
  }
}

/** A SurrealDB: embedded, or a pool of connections to a server. Made by `openDatabase`. */
export class Database extends Queryable implements AsyncDisposable {
  readonly #source: DatabaseSource;
  readonly #doorbells: Doorbells;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(source: DatabaseSource, doorbells: Doorbells, settings: Settings, telemetry: Telemetry) {
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

/** A session of one's own. Made by `Database.acquire` and `Database.session`. */
export class Session extends Queryable implements AsyncDisposable {
  readonly #held: HeldWire;
  readonly #id: Uuid;

  private constructor(held: HeldWire, id: Uuid, settings: Settings, telemetry: Telemetry) {
    super(held.source(id), settings, telemetry);
    this.#held = held;
    this.#id = id;
  }

  /** @internal */
  static async open(
    held: HeldWire,
    settings: Settings,
    telemetry: Telemetry,
    deadline: Deadline,
  ): Promise<Session> {
    const id = Uuid.v4();
    await deadline.guard(held.begin(id), "beginning a session", () => "not_applied");
    return new Session(held, id, settings, telemetry);
  }

  /** Defines `$name` for the statements of this session. */
  async set(name: string, value: unknown): Promise<void> {
    await this.#held.call({ method: "let", params: [name, value], session: this.#id });
  }

  /** Moves this session to another namespace and database. */
  async use(namespace: string, database: string): Promise<void> {
    await this.#held.call({ method: "use", params: [namespace, database], session: this.#id });
  }

  /** Ends the session and gives its connection back. @throws `db.double_release` the second time */
  async release(): Promise<void> {
    await this.#held.end(this.#id);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}

interface RawAnswer {
  status: string;
  result: unknown;
  kind?: string;
  details?: unknown;
}

/** @internal */
export interface Doorbells {
  hang(record: RecordId, every: number): Doorbell;
  close(): Promise<void>;
}

function single(answers: RawAnswer[]): unknown[] {
  const [answer] = answers;
  if (answer && answer.status !== "OK") throw classify({ ...answer, message: String(answer.result) });
  return [answer?.result];
}

/** One answer a statement, between those of BEGIN and COMMIT. */
function all(answers: RawAnswer[], statements: readonly Statement[]): unknown[] {
  const failures = answers.map((answer) =>
    answer.status === "OK" ? undefined : { ...answer, message: String(answer.result) },
  );
  const at = failures.findIndex((failure) => failure && !isBystander(failure));
  const failure = failures[at] ?? failures.find(Boolean);
  if (failure) throw whereItFailed(classify(failure), at - 1, statements);
  if (answers.length === statements.length + 2) return answers.slice(1, -1).map((answer) => answer.result);
  throw protocolError(`${answers.length - 2} answers to a transaction of ${statements.length} statements`);
}

function whereItFailed(error: DbError, index: number, statements: readonly Statement[]): DbError {
  const statement = statements[index];
  if (!statement) return error; // the commit itself
  return error.with({
    message: `statement ${index + 1} of ${statements.length} failed, and nothing was changed: ${error.message}`,
    statement: { index, text: statement.text },
  });
}

function encodeBindings(bindings: Record<string, unknown>): Encoded {
  const encoded: Record<string, Encoded> = {};
  for (const [name, value] of Object.entries(bindings)) {
    encoded[name] = new Encoded(encode(value, `value ${Number(name.slice(1)) + 1} of the statement`));
  }
  return new Encoded(encode(encoded));
}

function mayRepeat(error: DbError, readOnly: boolean): boolean {
  return error.code === "db.conflict" || (readOnly && error.code === "db.connection_lost");
}

/** Of a read there is no effect to wonder about. */
function asDbError(error: unknown, readOnly: boolean): DbError {
  if (!(error instanceof DbError)) {
    return new DbError({
      code: "db.engine",
      message: isObject(error) ? String(error.message) : String(error),
      cause: error,
      outcome: "unknown",
    });
  }
  return readOnly && error.outcome === "unknown"
    ? error.with({ outcome: "not_applied", retryable: true })
    : error;
}
