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
import type { Log } from "./log.ts";
import { laneOf, partitionOf } from "./partition.ts";
import { leaseLost, Progress } from "./progress.ts";
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
  /** Whether it ended because the log could not be read. */
  failed = false;
  readonly #held: queries.Held;
  readonly #settings: ConsumerSettings;
  readonly #tools: Tools;
  readonly #window: Window;
  readonly #progress: Progress;
  readonly #lanes: Lanes;
  readonly #handlings = new Set<Promise<void>>();
  /** Nothing more is handed out. */
  readonly #stop = new AbortController();
  /** What is under way is given up: the lease is gone, or will be. */
  readonly #lost = new AbortController();
  readonly #suspect: queries.PartitionRow["suspect"];
  /** How many events are handled singly, because the lease before was not given back. */
  #careful: number;
  #redriving: Promise<void> | undefined;
  #leaseEnds: number;

  /** @param row as it was when the lease was claimed @param asked when it was asked for, on the clock */
  constructor(row: queries.PartitionRow, asked: number, settings: ConsumerSettings, tools: Tools) {
    const { log, clock, onProblem } = tools;
    this.partition = (row.id.id as [string, number])[1];
    this.#held = { id: row.id, token: row.token + 1 };
    this.#settings = settings;
    this.#tools = tools;
    this.#window = new Window(row.position);
    this.#progress = new Progress({
      held: this.#held,
      window: this.#window,
      position: row.position,
      log,
      clock,
      onLost: () => this.abandon(),
      onProblem,
    });
    this.#lanes = new Lanes(settings.concurrency);
    this.#suspect = row.suspect;
    this.#careful = row.lease ? WINDOW : 0;
    this.#leaseEnds = asked + settings.lease;
    this.ended = this.#run(row.position);
  }

  /** Hands out nothing more, waits for what is under way, saves, and gives the lease back. */
  stop(): Promise<void> {
    this.#stop.abort();
    return this.ended;
  }

  /** Gives up what is under way; what was not settled comes again. */
  abandon(): void {
    this.#lost.abort(leaseLost());
    this.#stop.abort();
    this.#progress.close();
    this.#window.close();
  }

  /** Looks for dead letters that somebody wants to be tried again. */
  redrive(): void {
    this.#redriving ??= this.#handleLetters()
      .catch((error: unknown) => this.#tools.onProblem(error))
      .finally(() => (this.#redriving = undefined));
  }

  async #run(position: number): Promise<void> {
    const renewing = this.#renew();
    this.redrive();
    try {
      await this.#handOut(position);
    } catch (error) {
      this.failed = true;
      this.#tools.onProblem(error);
    }
    this.#stop.abort();
    await Promise.all(this.#handlings);
    await this.#redriving;
    if (!this.#lost.signal.aborted) await this.#progress.saveNow();
    this.#progress.close();
    const isHeld = !this.#lost.signal.aborted;
    this.#lost.abort(leaseLost());
    await renewing;
    if (isHeld) await this.#tools.store.query(queries.release(this.#held)).catch(this.#tools.onProblem); // else it runs out
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
    const isCareful = this.#careful > 0;
    this.#window.open(event.position);
    const handling = this.#lanes
      .run(laneOf(event), () => this.#handle(this.#jobOf(event), isCareful))
      .catch((error: unknown) => this.#tools.onProblem(error, event))
      .finally(() => this.#handlings.delete(handling));
    this.#handlings.add(handling);
    if (!isCareful) return;
    this.#careful--;
    await handling;
    await this.#progress.saveNow();
  }

  /** Leaves without settling it when the term ends: it comes again. */
  async #handle(job: Job, isCareful = false): Promise<void> {
    const { attempts, first, max } = this.#settings.retry;
    if (isCareful && (await this.#isDeadly(job))) return;
    for (let attempt = 1; !this.#stop.signal.aborted; attempt++) {
      const call = new Call(job.event, attempt, {
        ...this.#settings,
        clock: this.#tools.clock,
        lost: this.#lost.signal,
        commit: job.commit,
      });
      const failed = await call.outcome;
      if (this.#lost.signal.aborted && !call.committed) return;
      if (!failed) return void (call.committed || (await job.settle()));
      if (call.committed) return this.#tools.onProblem(failed.error, job.event);
      if (attempt >= attempts || isFinal(failed.error)) return void (await job.bury(failed.error, attempt));
      await sleep(this.#tools.clock, backoff(attempt - 1, { first, max }), this.#stop.signal);
    }
  }

  /** Whether processes have ended with it so often that it is not tried again. The end before this was one of them. */
  async #isDeadly({ event: { position }, bury }: Job): Promise<boolean> {
    const times = 1 + (this.#suspect?.position === position ? this.#suspect.times : 0);
    if (times >= this.#settings.retry.attempts) {
      await bury(processEnded(times), times);
      return true;
    }
    await this.#tools.log.append({ guards: [queries.suspectEvent(this.#held, position, times)] });
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
        const letter = letterOf(this.#settings.name, this.partition, event, {
          reason: failureOf(error),
          attempts,
        });
        return this.#untilDone(() => commit({ statements: [letter] }));
      },
    };
  }

  async #handleLetters(): Promise<void> {
    const { name } = this.#settings;
    for (;;) {
      const letters = await this.#tools.store.query(queries.queuedLetters(name, this.partition, LETTERS));
      for (const letter of letters) {
        if (this.#stop.signal.aborted) return;
        await this.#handle(this.#jobOfLetter(letter));
      }
      if (letters.length < LETTERS) return;
    }
  }

  #jobOfLetter(letter: queries.LetterRow): Job {
    const { log } = this.#tools;
    const guards = [queries.stillHeld(this.#held), queries.takeLetter(letter.id)];
    const commit = (change: Change) => log.append({ ...change, guards });
    const event = eventOfLetter(letter);
    return {
      event,
      commit,
      settle: () => this.#untilDone(() => commit({})),
      bury: (error, attempts) => {
        const { redrives } = letter;
        const more = { reason: failureOf(error), attempts, redrives: redrives + 1 };
        const statements = [letterOf(this.#settings.name, this.partition, event, more)];
        return this.#untilDone(() => log.append({ guards: [queries.stillHeld(this.#held)], statements }));
      },
    };
  }

  /** Tries again what the database cannot take now, as long as the term lasts. */
  async #untilDone(work: () => Promise<unknown>): Promise<void> {
    for (let failures = 0; !this.#lost.signal.aborted; failures++) {
      try {
        await work();
        return;
      } catch (error) {
        if (!(error instanceof SentientError && error.retryable)) throw error;
        this.#tools.onProblem(error);
        await sleep(this.#tools.clock, backoff(failures, { first: 50, max: 1_000 }), this.#lost.signal);
      }
    }
  }

  /** Until the term ends; a lease that could not be renewed in time is taken for lost. */
  async #renew(): Promise<void> {
    const { store, clock } = this.#tools;
    const { lease } = this.#settings;
    for (;;) {
      await sleep(clock, lease / 3, this.#lost.signal);
      if (this.#lost.signal.aborted) return;
      const asked = clock.now();
      try {
        const renewed = await store.query(queries.renew(this.#held, lease), {
          timeout: Math.ceil(lease / 3),
        });
        if (renewed === undefined) return this.abandon();
        this.#leaseEnds = asked + lease;
        this.redrive();
      } catch (error) {
        this.#tools.onProblem(error);
        if (clock.now() >= this.#leaseEnds) return this.abandon();
      }
    }
  }
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
