// Log. Owns: the end of the log, and the way there: what is told, who comes next, which place it gets.
// Does not own: what is known of it (end.ts), and reading it (reader.ts, tail.ts).
// L1. Positions are 1, 2, 3 … in the order of commits: the head moves in the transaction that inserts the events.
// L2. An entry is committed whole or not at all, and what fails an entry fails no other.
// L3. Entries are committed in the order they came in.
// L4. A batch whose answer was lost is asked for: it was applied, or it is given up for good. It is never sent again.
// L5. An entry that says where its runs stand is committed only if nobody else has appended to them since.
// L6. Who knew a log that was replaced by a backup of it appends nothing (end.ts, D2).

import { randomUUID } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import {
  backoff,
  DbError,
  RecordId,
  sleep,
  type CallOptions,
  type Clock,
  type Outcome,
} from "@sentient/db-pool";
import { Batch } from "./batch.ts";
import { Contention } from "./contention.ts";
import { draftsOf, type Draft, type Placed } from "./draft.ts";
import { answerDuplicates } from "./duplicates.ts";
import { End } from "./end.ts";
import type { AppendOptions, Entry } from "./entry.ts";
import { closedError, damagedError, EventBusError } from "./errors.ts";
import { cancelledError, lateError, noEntryError, overloadedError } from "./log-errors.ts";
import { isPassing } from "./passing.ts";
import * as queries from "./queries.ts";
import { bytesOf, Queue, runsOf, type Pending } from "./queue.ts";
import type { Store } from "./store.ts";

export interface LogOptions {
  clock: Clock;
  /** Of events that do not name their own. */
  source: string;
  /** How long an append may take, in milliseconds. */
  timeout: number;
  hashes: boolean;
  /**
   * Hears of rows as they are committed, in order; `after` is the position before the first, and `rang` whether the bell
   * tells others of them.
   */
  onCommit: (rows: readonly queries.EventRow[], after: number, rang: boolean) => void;
}

/** How long one attempt to find out about a lost answer takes at most. */
const SETTLE_MS = 1_000;

export class Log {
  readonly #db: Store;
  readonly #options: LogOptions;
  readonly #queue = new Queue();
  readonly #end: End;
  #askedForHead: PromiseWithResolvers<number>[] = [];
  readonly #contention = new Contention();
  #hasTurn = false;
  #producer = newProducer();
  /** The number of the last batch without events that was settled, one way or the other; undefined before the first. */
  #batch: number | undefined;
  #running: Promise<void> | undefined;
  readonly #closing = new AbortController();

  constructor(db: Store, options: LogOptions) {
    this.#db = db;
    this.#options = options;
    this.#end = new End(db, () => this.#now());
  }

  /** What waits to be committed. */
  get queued(): number {
    return this.#queue.size;
  }

  /**
   * Commits an entry, together with whatever else is waiting, and answers with the places of its events.
   *
   * @throws `event_bus.guard_failed`, `event_bus.run_moved`, `event_bus.event_conflict`, `event_bus.timeout` (look at its `outcome`),
   * `event_bus.overloaded`, `event_bus.cancelled`, `event_bus.closed`, `event_bus.invalid_event`, `schema.limit`; and
   * the `DbError` of a statement of the entry that fails
   * @example await log.append({ guards: [fence(lease)], statements: [saveRun(run)], events: [{ type: "run.completed", run: run.id }] });
   */
  async append(entry: Entry, options: AppendOptions = {}): Promise<Placed[]> {
    this.#requireRoom(options);
    if (typeof entry !== "object" || entry === null) throw noEntryError();
    return this.#enqueue(draftsOf(entry.events ?? [], this.#options.source), entry, options);
  }

  /** `append` of one event alone that was checked before. */
  async tell(draft: Draft, options: AppendOptions = {}): Promise<Placed> {
    this.#requireRoom(options);
    const [placed] = await this.#enqueue([draft], {}, options);
    return placed!;
  }

  #requireRoom({ signal }: AppendOptions): void {
    if (this.#closing.signal.aborted) throw closedError();
    if (signal?.aborted) throw cancelledError();
    if (this.#queue.isFull) throw overloadedError(this.#queue.size);
  }

  #enqueue(
    drafts: readonly Draft[],
    { guards = [], statements = [], rows = [], expected = {}, begins = [] }: Omit<Entry, "events">,
    { signal, onKnown = "answer" }: AppendOptions,
  ): Promise<Placed[]> {
    requireEventOfEach(Object.keys(expected), drafts);
    const known = typeof statements === "function" ? [] : statements;
    const knownRows = typeof rows === "function" ? [] : rows;
    const { promise, resolve, reject } = Promise.withResolvers<Placed[]>();
    const pending: Pending = {
      drafts,
      guards,
      expected: Object.entries(expected),
      begins,
      rows: typeof rows === "function" ? rows : () => rows,
      statements: typeof statements === "function" ? statements : () => statements,
      weight:
        guards.length +
        (typeof rows === "function" ? 1 : rows.length) +
        (typeof statements === "function" ? 1 : statements.length),
      bytes: bytesOf(drafts, [...guards, ...known], knownRows),
      omitsKnown: onKnown === "omit",
      deadline: this.#now() + this.#options.timeout,
      isTakenBack: () => signal?.aborted ?? false,
      resolve,
      reject,
    };
    this.#queue.push(pending);
    this.#wake();
    return signal ? this.#untilAborted(pending, promise, signal) : promise;
  }

  async #untilAborted(pending: Pending, promise: Promise<Placed[]>, signal: AbortSignal): Promise<Placed[]> {
    const takeBack = () => {
      if (this.#queue.remove((entry) => entry === pending).length > 0) pending.reject(cancelledError());
    };
    signal.addEventListener("abort", takeBack, { once: true });
    try {
      return await promise;
    } finally {
      signal.removeEventListener("abort", takeBack);
    }
  }

  /**
   * The last position: what this process appends from now on lies behind it.
   *
   * @param signal nobody waits for it any longer
   */
  head(signal?: AbortSignal): Promise<number> {
    if (this.#closing.signal.aborted) return Promise.reject(closedError());
    const asked = Promise.withResolvers<number>();
    const giveUp = () => asked.reject(cancelledError());
    this.#askedForHead.push(asked);
    signal?.addEventListener("abort", giveUp, { once: true });
    void asked.promise.catch(() => {}).finally(() => signal?.removeEventListener("abort", giveUp));
    if (signal?.aborted) giveUp();
    this.#wake();
    return asked.promise;
  }

  /** Takes nothing new, commits what waits, and lets go. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const { reject } of this.#askedForHead) reject(closedError());
    await this.#running;
    if (this.#batch === undefined) return;
    const time = { timeout: SETTLE_MS };
    await this.#db.query(queries.removeProducer(this.#producer), time).catch(() => {}); // it goes when it is old
  }

  #wake(): void {
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    while (this.#queue.size > 0 || this.#askedForHead.length > 0) {
      await setImmediate(); // all that the last acknowledgement woke shares the next commit
      const asked = this.#askedForHead;
      this.#askedForHead = [];
      const batch = this.#queue.take(); // in the same breath: what is appended after a question lies behind its answer
      await this.#commit(await this.#answerHead(asked, batch));
    }
    this.#running = undefined; // with nothing in between: who comes now has to wake it
  }

  /** Tries again what will pass, as who asks would. @returns the entries without those whose time was up meanwhile */
  async #answerHead(
    asked: readonly PromiseWithResolvers<number>[],
    entries: readonly Pending[],
  ): Promise<readonly Pending[]> {
    for (let attempt = 0; asked.length > 0; attempt++) {
      try {
        await this.#end.look([], entries.length > 0 ? this.#timeFor(entries) : {});
        this.#end.runs.prune();
        for (const { resolve } of asked) resolve(this.#end.position);
        break;
      } catch (error) {
        if (this.#closing.signal.aborted || !isPassing(error)) {
          for (const { reject } of asked) reject(error);
          break;
        }
        await sleep(this.#options.clock, backoff(attempt, { first: 5, max: 1_000 }));
        entries = this.#withoutLate(entries);
      }
    }
    return entries;
  }

  /** Ends with every entry of the batch answered, or put back to come next. */
  async #commit(entries: readonly Pending[]): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      await this.#pause();
      entries = withoutTakenBack(this.#withoutLate(entries));
      if (entries.length === 0) return this.#giveUpTurn();
      let batch: Batch | undefined;
      try {
        if (!hasEvents(entries)) await this.#begin(this.#timeFor(entries));
        if (!(await this.#takeTurn(entries))) continue;
        await this.#end.orient(entries, this.#timeFor(entries));
        entries = await this.#end.whereExpected(entries, this.#timeFor(entries));
        if (entries.length === 0) continue;
        batch = this.#place(entries);
        const began = this.#now();
        const options = { ...this.#timeFor(entries), retryConflicts: false };
        const [at] = await this.#db.transaction(batch.statements, options);
        this.#end.heardTime(at as Date, began);
        this.#contention.won(this.#now() - began);
        return this.#committed(batch);
      } catch (error) {
        entries = await this.#remedy(error, entries, batch, attempt);
      }
    }
  }

  #timeFor(entries: readonly Pending[]): { timeout: number } {
    return { timeout: Math.max(1, Math.min(...entries.map(({ deadline }) => deadline)) - this.#now()) };
  }

  #place(entries: readonly Pending[]): Batch {
    return new Batch(entries, {
      producer: this.#producer,
      number: (this.#batch ?? 0) + 1,
      head: { position: this.#end.position, epoch: this.#end.epoch },
      at: this.#end.time,
      runs: this.#end.runs,
      hashes: this.#options.hashes,
      rings: this.#db.isShared,
    });
  }

  #committed({ entries, hasEvents, rows, placed, place }: Batch): void {
    if (!hasEvents) this.#batch = place.number;
    else {
      this.#hasTurn = false;
      this.#end.moved(rows, place.at);
      this.#options.onCommit(rows, place.head.position, place.rings);
    }
    entries.forEach((entry, i) => entry.resolve(placed[i]!));
  }

  /** What is to be tried again of a batch that failed; whoever is not among it has been answered, or comes next. */
  async #remedy(
    error: unknown,
    entries: readonly Pending[],
    batch: Batch | undefined,
    attempt: number,
  ): Promise<readonly Pending[]> {
    if (!(error instanceof DbError)) return this.#halve(entries, error);
    if (batch && error.outcome === "unknown") return this.#settle(batch, error);
    const failed = batch?.whatFailed(error);
    switch (failed?.what) {
      case "stale":
        return this.#afterLoss(entries);
      case "other batch":
        this.#forgetProducer();
        return entries;
      case "duplicate":
        return this.#withoutDuplicates(entries, attempt);
      case "run moved":
        return this.#afterRunMoved(entries, error);
      case "place taken":
        return refuse(entries, damagedError(this.#end.position + 1, error.message));
      case "entry":
        return this.#withoutEntry(entries, failed.index, failed.error);
      case undefined:
        if (error.code === "db.conflict") return this.#afterLoss(entries);
        if (!isPassing(error)) return batch ? this.#halve(entries, error) : refuse(entries, error);
        this.#end.isCurrent = false;
        await sleep(this.#options.clock, backoff(attempt, { first: 5, max: 1_000 }));
        return entries;
    }
  }

  /** Somebody else has appended: what was placed is to be placed anew. */
  #afterLoss(entries: readonly Pending[]): readonly Pending[] {
    this.#contention.lost();
    this.#end.isCurrent = false;
    return entries;
  }

  /**
   * Somebody else has appended to one of the runs since this process has asked: where they stand is asked anew. Of what was
   * asked as of the head that the batch has moved, that cannot be.
   */
  #afterRunMoved(entries: readonly Pending[], error: DbError): readonly Pending[] {
    const { position } = this.#end;
    if (this.#end.runs.areAsOf(runsOf(entries), position))
      return refuse(entries, damagedError(position + 1, error.message));
    this.#end.runs.forget(runsOf(entries));
    this.#end.isCurrent = false;
    return entries.map((entry) => ({ ...entry, begins: [] })); // one of them was there after all
  }

  /** After a race that was lost. */
  async #pause(): Promise<void> {
    const { pause } = this.#contention;
    if (pause >= 1) await sleep(this.#options.clock, pause, this.#closing.signal);
  }

  /** Where it has lost too often. @returns whether it is this process's turn, or it needs none */
  async #takeTurn(entries: readonly Pending[]): Promise<boolean> {
    if (!this.#contention.needsTurn || !hasEvents(entries)) return true;
    const unknown = this.#end.runs.unknown(runsOf(entries));
    const taking = queries.takeTurn(this.#producer, this.#contention.turn, unknown);
    const asked = this.#now();
    const view = await this.#db.query(taking, this.#timeFor(entries));
    this.#hasTurn = view !== undefined;
    this.#contention.asked(this.#hasTurn);
    if (view) this.#end.learn(unknown, view, asked);
    return this.#hasTurn;
  }

  /** Of which nothing was made; else the commit has ended it. */
  #giveUpTurn(): void {
    if (!this.#hasTurn) return;
    this.#hasTurn = false;
    void this.#db.query(queries.giveUpTurn(this.#producer)).catch(() => {}); // it ends by itself
  }

  /** L2. Those before it are known to be good and go first; those after it were not looked at. */
  #withoutEntry(entries: readonly Pending[], index: number, error: unknown): readonly Pending[] {
    entries[index]!.reject(error);
    const before = entries.slice(0, index);
    const after = entries.slice(index + 1);
    if (before.length === 0) return after;
    this.#queue.putBack(after);
    return before;
  }

  /** L2. Of what fails before any statement runs nobody says whose it is; the half without it will do. */
  #halve(entries: readonly Pending[], error: unknown): readonly Pending[] {
    if (entries.length === 1 || this.#db.closed) return refuse(entries, error);
    const half = entries.length >> 1;
    this.#queue.putBack(entries.slice(half));
    return entries.slice(0, half);
  }

  async #withoutDuplicates(entries: readonly Pending[], attempt: number): Promise<readonly Pending[]> {
    try {
      return await answerDuplicates(this.#db, entries, this.#timeFor(entries));
    } catch (error) {
      if (!isPassing(error)) return refuse(entries, error);
      await sleep(this.#options.clock, backoff(attempt, { first: 5, max: 1_000 }));
      return entries;
    }
  }

  /** L4. */
  async #settle(batch: Batch, cause: DbError): Promise<readonly Pending[]> {
    for (let attempt = 0; ; attempt++) {
      try {
        const timeout = SETTLE_MS * (1 + Math.min(attempt, 9));
        const settled = await this.#db.query(batch.settle, { timeout });
        if (settled === "applied") {
          const failed = batch.whatFailed(cause); // the others took effect
          if (failed?.what === "entry") batch.entries[failed.index]!.reject(failed.error);
          this.#committed(batch);
          return [];
        }
        this.#end.isCurrent = false;
        if (settled === "given up") {
          if (!batch.hasEvents) this.#batch = batch.place.number;
          return batch.entries;
        }
        if (!batch.hasEvents) this.#forgetProducer();
        return refuse(batch.entries, lateError("unknown", cause));
      } catch (error) {
        if (this.#db.closed) return refuse(batch.entries, lateError("unknown", error));
        const inTime = this.#withoutLate(batch.entries, "unknown");
        if (this.#closing.signal.aborted && inTime.length === 0) {
          this.#forgetProducer(); // nobody waits for the answer, nor will append
          return [];
        }
        await sleep(this.#options.clock, backoff(attempt, { first: 20, max: 1_000 }));
      }
    }
  }

  /** Begins a producer, for what has no events, unless there is one. */
  async #begin(time: CallOptions): Promise<void> {
    if (this.#batch !== undefined) return;
    await this.#db.query(queries.beginProducer(this.#producer), time).catch((error: unknown) => {
      if (error instanceof DbError && error.outcome === "unknown") this.#producer = newProducer();
      throw error;
    });
    this.#batch = 0;
  }

  #forgetProducer(): void {
    this.#producer = newProducer();
    this.#batch = undefined;
    this.#end.isCurrent = false;
  }

  /** Refuses those whose time is up, in the queue too. */
  #withoutLate(entries: readonly Pending[], outcome: Outcome = "not_applied"): readonly Pending[] {
    const now = this.#now();
    const isLate = ({ deadline }: Pending) => deadline <= now;
    if (this.#queue.first && isLate(this.#queue.first))
      for (const { reject } of this.#queue.remove(isLate)) reject(lateError("not_applied"));
    if (!entries.some(isLate)) return entries;
    for (const entry of entries) if (isLate(entry)) entry.reject(lateError(outcome));
    return entries.filter((entry) => !isLate(entry));
  }

  #now(): number {
    return this.#options.clock.now();
  }
}

function hasEvents(entries: readonly Pending[]): boolean {
  return entries.some(({ drafts }) => drafts.length > 0);
}

function requireEventOfEach(runs: readonly string[], drafts: readonly Draft[]): void {
  const without = runs.find((expected) => drafts.every(({ run }) => run !== expected));
  if (without === undefined) return;
  throw new EventBusError({
    code: "event_bus.invalid_event",
    message: `the entry says where the run ${without} stands and has no event of it, which alone would hold it there`,
  });
}

function newProducer(): RecordId {
  return new RecordId("producer", randomUUID());
}

function withoutTakenBack(entries: readonly Pending[]): readonly Pending[] {
  const back = entries.filter((entry) => entry.isTakenBack());
  if (back.length === 0) return entries;
  refuse(back, cancelledError());
  return entries.filter((entry) => !back.includes(entry));
}

function refuse(entries: readonly Pending[], error: unknown): [] {
  for (const { reject } of entries) reject(error);
  return [];
}
