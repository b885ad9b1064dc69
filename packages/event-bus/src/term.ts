// Terms. Owns: the work of one lease on one partition: hand out, try again, settle, give back.
// C1. The position is saved in order, and only by who holds the lease.
// C2. What a handler commits is in one transaction with the position: it happens once.
// C3. Events of one run are handled one after the other.
// C4. No handler is called once the term has ended.

import { backoff, SentientError, sleep, type Clock } from "@sentient/db-pool";
import { failureOf, type Event } from "@sentient/schema";
import { Call, type Change, type ConsumerHandler } from "./call.ts";
import * as queries from "./consumer-queries.ts";
import type { Placed } from "./draft.ts";
import { EventBusError } from "./errors.ts";
import type { CheckedFilter } from "./filter.ts";
import { stretches } from "./follow.ts";
import { eventOfLetter, letterOf } from "./letters.ts";
import type { Lease } from "./lease.ts";
import type { Entry } from "./entry.ts";
import type { Log } from "./log.ts";
import { laneOf, partitionOf } from "./partition.ts";
import { leaseLost, lostBecauseOf, Progress, WITH_KNOWN } from "./progress.ts";
import type { Reader } from "./reader.ts";
import type { Store } from "./store.ts";
import type { Tail } from "./tail.ts";
import { Lanes, WINDOW, Window } from "./window.ts";

export interface ConsumerSettings {
  name: string;
  filter: CheckedFilter;
  partitions: number;
  concurrency: number;
  retry: { attempts: number; first: number; max: number };
  timeout: number;
  lease: number;
  handler: ConsumerHandler;
}

/** What a consumer works with. */
export interface Tools {
  store: Store;
  log: Log;
  reader: Reader;
  tail: Tail;
  clock: Clock;
  onProblem: (error: unknown, event?: Event) => void;
}

/** An event to be handled, and how that ends. */
interface Job {
  event: Event;
  /** Commits it as handled, with what changes along with it. */
  commit: (change: Change) => Promise<Placed[]>;
  /** It was handled, and nothing was committed with it. */
  settle: () => unknown;
  /** Commits it as one that could not be handled. */
  bury: (error: unknown, attempts: number) => Promise<unknown>;
}

/** How many dead letters are looked for at a time. */
const LETTERS = 100;

export class Term {
  readonly partition: number;
  readonly ended: Promise<void>;
  /** Whether it ended because something failed that may fail again at once. */
  failed = false;
  readonly #lease: Lease;
  readonly #settings: ConsumerSettings;
  readonly #tools: Tools;
  readonly #window: Window;
  readonly #progress: Progress;
  readonly #lanes: Lanes;
  readonly #handlings = new Set<Promise<void>>();
  /** Nothing more is handed out. */
  readonly #stop = new AbortController();
  /** What is under way is given up. */
  readonly #cut = new AbortController();
  /** How many events are handled singly, because the lease before was not given back. */
  #careful: number;
  #redriving: Promise<void> | undefined;
  /** Somebody may have asked for dead letters since they were last looked for. */
  #redriveAsked = false;
  /** The one that may have ended the process before was looked at. */
  #mayRedrive = false;

  constructor(lease: Lease, worker: string, settings: ConsumerSettings, tools: Tools) {
    const { log, clock, onProblem } = tools;
    const { row, held } = lease;
    this.partition = (row.id.id as [string, number])[1];
    this.#lease = lease;
    this.#settings = settings;
    this.#tools = tools;
    this.#window = new Window(row.position);
    this.#progress = new Progress({
      held,
      window: this.#window,
      position: row.position,
      log,
      clock,
      onLost: () => lease.end(),
      onProblem,
    });
    this.#lanes = new Lanes(settings.concurrency);
    this.#careful = row.lease && row.lease.worker !== worker ? WINDOW : 0;
    lease.over.addEventListener("abort", () => this.#giveUp(), { once: true });
    this.ended = this.#run(row.position);
  }

  /** Hands out nothing more, waits for what is under way, saves, and gives the lease back. */
  stop(): Promise<void> {
    this.#stop.abort();
    this.#window.end();
    return this.ended;
  }

  /** The same without waiting for handlers: they are told, and what they have not settled comes again. */
  cut(): void {
    this.#cut.abort(leaseLost());
    void this.stop();
  }

  /** Gives up what is under way, and the lease. */
  abandon(): void {
    this.#lease.end();
  }

  /** Once the lease is over. */
  #giveUp(): void {
    this.#progress.close();
    this.#window.close();
    this.cut();
  }

  /** Somebody may have moved the consumer, or wants dead letters to be tried again. */
  look(): void {
    void this.#lease.renew().then((isOurs) => isOurs && this.#redrive());
  }

  async #run(position: number): Promise<void> {
    void this.#lease.keep(() => this.#redrive());
    try {
      if (this.#careful > 0) await this.#handleSuspectLetter();
      this.#mayRedrive = true;
      this.#redrive();
      await this.#handOut(position);
    } catch (error) {
      this.#fail(error);
    }
    void this.stop();
    await Promise.all(this.#handlings);
    await this.#redriving;
    if (!this.#lease.over.aborted) await this.#progress.saveNow();
    if (!this.#lease.over.aborted) await this.#lease.giveBack();
  }

  /** Ends the term: what failed now may pass by the next one. */
  #fail(error: unknown, event?: Event): void {
    const isKnown = this.#stop.signal.aborted && isLeaseLost(error);
    if (isKnown) return;
    this.failed = true;
    this.#tools.onProblem(error, event);
    void this.stop();
  }

  async #handOut(position: number): Promise<void> {
    const { filter, partitions } = this.#settings;
    const { signal } = this.#stop;
    const after = Promise.resolve(position);
    for await (const { events, end } of stretches({ ...this.#tools, filter, after, signal })) {
      for (const event of events) {
        if (partitionOf(event, partitions) !== this.partition) continue;
        await this.#window.room();
        if (signal.aborted) return;
        await this.#start(event);
      }
      this.#window.looked(end);
      this.#progress.save();
    }
  }

  /** Returns as soon as the next one may be handed out. */
  async #start(event: Event): Promise<void> {
    const { position } = event;
    const isCareful = this.#careful > 0;
    this.#window.open(position);
    const handling = this.#handleOrLeave(event, isCareful).finally(() => this.#handlings.delete(handling));
    this.#handlings.add(handling);
    if (!isCareful) return;
    this.#careful--;
    await handling;
    await this.#progress.saveNow();
  }

  async #handleOrLeave(event: Event, isCareful: boolean): Promise<void> {
    if (!(await this.#handle(this.#jobOf(event), isCareful))) this.#window.leave(event.position);
  }

  /** C3. @returns whether it is done with; else the term is over, and it comes again */
  async #handle(job: Job, isCareful: boolean): Promise<boolean> {
    let isDone = false;
    await this.#lanes.run(laneOf(job.event), async () => {
      try {
        isDone = (isCareful && (await this.#isDeadly(job))) || (await this.#try(job));
      } catch (error) {
        this.#fail(error, job.event);
      }
    });
    return isDone;
  }

  async #try({ event, commit, settle, bury }: Job): Promise<boolean> {
    const { attempts, first, max } = this.#settings.retry;
    for (let attempt = 1; await this.#mayCall(); attempt++) {
      const call = new Call(event, attempt, {
        ...this.#settings,
        clock: this.#tools.clock,
        end: this.#cut.signal,
        commit,
      });
      const failed = await call.outcome;
      if (call.committed) {
        if (failed) this.#tools.onProblem(failed.error, event);
        return true;
      }
      if (this.#lease.over.aborted || (failed && this.#cut.signal.aborted)) return false;
      if (!failed || attempt >= attempts || isFinal(failed.error)) {
        await (failed ? bury(failed.error, attempt) : settle());
        return true;
      }
      await sleep(this.#tools.clock, backoff(attempt - 1, { first, max }), this.#stop.signal);
    }
    return false;
  }

  /** C4. */
  async #mayCall(): Promise<boolean> {
    return (await this.#lease.isSure()) && !this.#stop.signal.aborted;
  }

  /**
   * Whether processes have ended with it so often that it is not tried again. The end before this was one of them if it was
   * this event that was handled singly then; when none was, it may have been any of those that were under way.
   */
  async #isDeadly({ event: { position }, bury }: Job): Promise<boolean> {
    if (!(await this.#mayCall())) return false;
    const { suspect } = this.#lease.row;
    const times = 1 + (suspect?.position === position ? suspect.times : 0);
    if (times > 1 && times >= this.#settings.retry.attempts) {
      await bury(processEnded(times), times);
      return true;
    }
    await this.#untilDone(() =>
      this.#append({ guards: [queries.suspectEvent(this.#lease.held, position, times)] }),
    );
    return false;
  }

  #jobOf(event: Event): Job {
    const { position } = event;
    const commit = (change: Change) => this.#progress.commit(position, change);
    return {
      event,
      commit,
      settle: () => this.#progress.settle(position),
      bury: (error, attempts) => {
        const reason = failureOf(error);
        const letter = letterOf(this.#settings.name, this.partition, event, { reason, attempts });
        return this.#untilDone(() => commit({ statements: [letter] }));
      },
    };
  }

  #redrive(): void {
    this.#redriveAsked = true;
    if (this.#mayRedrive) this.#redriving ??= this.#handleLetters();
  }

  /** Letters are handled in their order: it is the first of them that was under way when a process ended. */
  async #handleSuspectLetter(): Promise<void> {
    const { name } = this.#settings;
    const [letter] = await this.#tools.store.query(queries.queuedLetters(name, this.partition, 1));
    if (letter) await this.#handle(this.#jobOfLetter(letter), true);
  }

  async #handleLetters(): Promise<void> {
    const { name } = this.#settings;
    try {
      while (this.#redriveAsked && !this.#stop.signal.aborted) {
        this.#redriveAsked = false;
        const letters = await this.#tools.store.query(queries.queuedLetters(name, this.partition, LETTERS));
        for (const letter of letters) await this.#handle(this.#jobOfLetter(letter), false);
        if (letters.length === LETTERS) this.#redriveAsked = true;
      }
    } catch (error) {
      this.#tools.onProblem(error); // it is looked for them again with the next renewal
    } finally {
      this.#redriving = undefined; // with nothing in between: who asks from now on begins anew
    }
  }

  #jobOfLetter(letter: queries.LetterRow): Job {
    const event = eventOfLetter(letter);
    const isHeld = queries.stillHeld(this.#lease.held, event.position);
    const guards = [isHeld, queries.takeLetter(letter.id)];
    const commit = (change: Change) => this.#append({ ...change, guards });
    return {
      event,
      commit,
      settle: () => this.#untilDone(() => commit({})),
      bury: (error, attempts) => {
        const more = { reason: failureOf(error), attempts, redrives: letter.redrives + 1 };
        const statements = [letterOf(this.#settings.name, this.partition, event, more)];
        return this.#untilDone(() => this.#append({ guards: [isHeld], statements }));
      },
    };
  }

  /** Under a guard of the lease. */
  async #append(entry: Entry): Promise<Placed[]> {
    try {
      return await this.#tools.log.append(entry, WITH_KNOWN);
    } catch (error) {
      throw lostBecauseOf(error, () => this.#lease.end());
    }
  }

  /** Tries again what the database cannot take now, as long as the term lasts. */
  async #untilDone(work: () => Promise<unknown>): Promise<void> {
    for (let failures = 0; ; failures++) {
      try {
        await work();
        return;
      } catch (error) {
        if (this.#lease.over.aborted || !(error instanceof SentientError && error.retryable)) throw error;
        this.#tools.onProblem(error);
        await sleep(this.#tools.clock, backoff(failures, { first: 50, max: 1_000 }), this.#lease.over);
      }
    }
  }
}

function isLeaseLost(error: unknown): boolean {
  return error instanceof EventBusError && error.code === "event_bus.lease_lost";
}

/** Whether the handler itself says that it is of no use to try again. */
function isFinal(error: unknown): boolean {
  return !(error instanceof SentientError) && (Object(error) as { retryable?: unknown }).retryable === false;
}

function processEnded(times: number): EventBusError {
  return new EventBusError({
    code: "event_bus.process_ended",
    message: `the process ended ${times} times, or lost its lease, while this event was handled`,
  });
}
