// A call. Owns: what a call is from its statement to its answer.
// D1. Values are encoded, and refused if they must be, before a connection is asked for.
// D2. A conflict is tried again with jitter; so is a read whose answer was lost. A write whose answer was lost never is, unless
//     its caller says that it may be.
// D3. Every error says whether the call may have taken effect, and which statement truly failed.

import { performance } from "node:perf_hooks";
import { classify, isBystander, unwrapped } from "./classify.ts";
import { Encoded, encodeNamed } from "./codec.ts";
import { sleep } from "./clock.ts";
import { Deadline } from "./deadline.ts";
import { DbError } from "./errors.ts";
import type { Settings } from "./options.ts";
import { MAX_RETRIES, retryDelay } from "./retry.ts";
import type { Source } from "./source.ts";
import { isContained, renderTransaction, requireRunnable, type BoundText, type Statement } from "./surql.ts";
import type { Telemetry } from "./telemetry.ts";
import { failureOf, isObject, protocolError, type RawAnswer, type Request } from "./wire.ts";

export interface CallOptions {
  /** Ends the call early with `db.cancelled`. What it did until then is told by the error's `outcome`. */
  signal?: AbortSignal;
  /** How long the call may take in all, in milliseconds; the database's `timeout` if left out. */
  timeout?: number;
  /**
   * Whether the same call is made again when it conflicts with another; true if left out. Say false where what is written
   * follows from something that was read before: it has to be read again then.
   */
  retryConflicts?: boolean;
  /**
   * Whether the same call is made again when its connection is lost before it was answered, as a read is; false if left out.
   * Say true of a write only if done twice, the second time maybe much later, it is as done once.
   */
  repeatable?: boolean;
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
    const [answer] = await this.#run({ text, bindings }, statement.readOnly, readOne, options);
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
    const readOnly = statements.every((statement) => statement.readOnly);
    const read = (answers: RawAnswer[]) => readAll(answers, statements);
    return (await this.#run(renderTransaction(statements), readOnly, read, options)) as Answers<S>;
  }

  /** One call, told to who listens and traces. */
  async #run(
    { text, bindings }: BoundText,
    readOnly: boolean,
    read: ReadAnswers,
    options?: CallOptions,
  ): Promise<unknown[]> {
    const call: Call = {
      request: { method: "query", params: [text, encodeBindings(bindings)] },
      readOnly,
      read,
      attempts: 0,
    };
    const span = this.telemetry.span(text);
    const began = performance.now();
    let failed: DbError | undefined;
    try {
      return await this.#source.inFlight.run(() => this.#attempt(call, options));
    } catch (error) {
      failed = error as DbError;
      throw call.attempts > 1
        ? failed.with({ details: { ...failed.details, attempts: call.attempts } })
        : failed;
    } finally {
      this.telemetry.end(span, call.attempts, failed?.code);
      const took = performance.now() - began;
      this.telemetry.emit("query", {
        text,
        took,
        attempts: call.attempts,
        ...(failed ? { error: failed.code } : {}),
      });
    }
  }

  /** D2. */
  async #attempt(call: Call, options?: CallOptions): Promise<unknown[]> {
    using deadline = new Deadline(
      this.settings.clock,
      options?.timeout ?? this.settings.timeout,
      options?.signal,
    );
    for (;;) {
      call.attempts++;
      try {
        const answers = await this.#source.send(call.request, deadline, call.readOnly);
        if (!Array.isArray(answers)) throw protocolError("something that is no list of answers");
        return call.read(answers as RawAnswer[]);
      } catch (caught) {
        const error = asDbError(caught, call.readOnly);
        if (call.attempts > MAX_RETRIES || !this.#mayRepeat(error, call.readOnly, options)) throw error;
        await this.#pause(call.attempts, error, deadline);
      }
    }
  }

  #mayRepeat(
    { code }: DbError,
    readOnly: boolean,
    { retryConflicts = true, repeatable = readOnly }: CallOptions = {},
  ): boolean {
    if (code === "db.conflict") return retryConflicts;
    return (
      this.#source.heals && (code === "db.session_expired" || (repeatable && code === "db.connection_lost"))
    );
  }

  async #pause(attempt: number, error: DbError, deadline: Deadline): Promise<void> {
    const delay = retryDelay(attempt - 1);
    this.telemetry.emit("retry", { attempt, delay, error: error.code });
    await deadline.guard(
      sleep(this.settings.clock, delay),
      `waiting to try again after ${error.code}`,
      () => "not_applied",
    );
  }
}

interface Call {
  request: Request;
  readOnly: boolean;
  read: ReadAnswers;
  attempts: number;
}

type ReadAnswers = (answers: RawAnswer[]) => unknown[];

/** The answer to one statement. */
function readOne(answers: RawAnswer[]): unknown[] {
  const failure = answers[0] && failureOf(answers[0]);
  if (failure) throw classify(failure);
  return [answers[0]?.result];
}

/** One answer a statement, between those of BEGIN and COMMIT. */
function readAll(answers: RawAnswer[], statements: readonly Statement[]): unknown[] {
  const failures = answers.map(failureOf);
  const complete = answers.length === statements.length + 2;
  const at = failures.findIndex((failure) => failure && !isBystander(failure));
  const failure = failures[at] ?? failures.find(Boolean);
  if (failure) {
    const statement = statements[at - 1];
    const error = classify(statement && isContained(statement) ? unwrapped(failure) : failure);
    throw whereItFailed(error, at - 1, statements, complete && failures.at(-1) === undefined);
  }
  if (complete) return answers.slice(1, -1).map((answer) => answer.result);
  throw protocolError(`${answers.length - 2} answers to a transaction of ${statements.length} statements`);
}

/** An error that the engine found no reason to cancel for leaves the others committed. */
function whereItFailed(
  error: DbError,
  index: number,
  statements: readonly Statement[],
  committed: boolean,
): DbError {
  const statement = statements[index];
  if (!statement) return error; // the commit itself
  const effect = committed ? "the others took effect" : "nothing was changed";
  return error.with({
    message: `statement ${index + 1} of ${statements.length} failed, and ${effect}: ${error.message}`,
    statement: { index, text: statement.text },
    ...(committed ? { outcome: "unknown", retryable: false } : {}),
  });
}

function encodeBindings(bindings: Record<string, unknown>): Encoded {
  return new Encoded(encodeNamed(bindings, (name) => `value ${Number(name.slice(1)) + 1} of the statement`));
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
    ? error.with({ outcome: "not_applied", retryable: error.code === "db.connection_lost" })
    : error;
}
