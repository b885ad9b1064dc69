// Pass. Owns: one pass of a handler over what its run remembers, from the claim until it ends or has to wait.
// Does not own: what is remembered, and in which order it is answered (memory.ts), what each primitive does (step.ts, waits.ts,
// children.ts, branches.ts), and what becomes of the run (execute.ts).
// X1. What is remembered is answered from the journal, within turns of the event loop; so once one has gone by in which nothing
//     of it was asked for, all of it was that is going to be.
// X2. What is new begins only after that. If something that is remembered was not asked for by then, the code is another than
//     the one that made the run: it is parked with both.
// X3. Nothing is begun, and nothing settles, once the run is to be paused, was handed over or lost. Handlers are left where they
//     stand; nobody hears of them again.
// X4. Where all that is going on waits for something, the run does: it holds no worker meanwhile. Where only some of it does,
//     what it waits for is seen as well, be it a time or something from outside.

import { setTimeout as sleep } from "node:timers/promises";
import { backoff, systemClock } from "@sentient/db-pool";
import { failureOf, type Failure, type StepKey } from "@sentient/schema";
import {
  StateError,
  type Attempted,
  type Change,
  type Lease,
  type Replay,
  type Step,
  type Wait,
} from "@sentient/state";
import { Activity } from "./activity.ts";
import type { Definition } from "./define.ts";
import {
  isOfStatements,
  isOfWhatIsAsked,
  isOfWhatIsCommitted,
  isPassing,
  RememberedError,
  tooManyWaitsError,
} from "./errors.ts";
import { Fate } from "./fate.ts";
import { Length } from "./length.ts";
import { Memory } from "./memory.ts";
import { Outbox, type Told } from "./outbox.ts";
import { OwnState } from "./own-state.ts";
import { parkMismatch, parkTooLong } from "./parking.ts";
import type { Place } from "./place.ts";
import { Stream } from "./stream.ts";
import type { Tools } from "./tools.ts";
import { MOST_WAITS, type Marker, type Waiting } from "./waiting.ts";
import { secretValues } from "./secret-values.ts";
import { WithinStep } from "./within-step.ts";

/** How long what is told may wait for something to be committed with, in milliseconds. */
const TELL_MS = 200;
/** How long it waits at most until it commits again what could not be, in milliseconds. */
const AGAIN_MS = 500;

const LONG =
  "a run remembers much; have it start another to go on with before it is parked for that, as each replay reads all of it";

/** One of its own each time: what waits for it goes with it. */
const forever = () => new Promise<never>(() => {});

export class Pass {
  readonly lease: Lease;
  readonly definition: Definition;
  readonly tools: Tools;
  readonly memory: Memory;
  readonly activity: Activity;
  readonly fate: Fate;
  readonly state: OwnState | undefined;
  readonly outbox: Outbox;
  readonly stream: Stream;
  /** When it began, and what its chance follows from while it does what another run did that it was forked from. */
  readonly origin: Replay["origin"];
  readonly inStep = new WithinStep();
  readonly #claimedAt: number;
  readonly #began = performance.now();
  /** When what was remembered was. */
  readonly #ends = new Map<string, Date>();
  /** X2. Whether what is new may begin. */
  #isLive: boolean;
  readonly #length: Length;
  #asked = false;
  #telling: (() => void) | undefined;
  readonly #forget: () => void;

  constructor(lease: Lease, definition: Definition, replay: Replay, tools: Tools) {
    this.lease = lease;
    this.definition = definition;
    this.tools = tools;
    this.origin = replay.origin;
    this.activity = new Activity({
      clock: tools.clock,
      now: () => this.time,
      isHalted: () => this.fate.halted !== undefined,
    });
    this.fate = new Fate(lease.run.id, () => this.activity.look());
    const { state } = definition.schemas;
    this.state = state && new OwnState(state, replay.first);
    this.memory = new Memory(replay, {
      onRead: (step) => {
        this.state?.restore(replay.stateAfter(step.key), !this.activity.isForked);
        this.#ends.set(step.key, step.endedAt);
        this.#length.read(step);
        if (!this.memory.isReading) void this.#comeAlive();
      },
      isAlone: () => this.activity.isAlone,
    });
    this.outbox = new Outbox(this.state, this.memory, () => this.#tellSoon());
    this.#isLive = !this.memory.isReading;
    this.#length = new Length(this.memory.size, (steps, bytes) =>
      tools.logger.warn({ run: lease.run.id, steps, bytes }, LONG),
    );
    this.stream = new Stream(lease, tools);
    this.#claimedAt = lease.run.updatedAt.getTime();
    this.#forget = tools.notices.onChanged(lease.run.id, () => this.activity.hint());
    lease.over.addEventListener("abort", () => this.fate.lost(), { once: true });
  }

  /** Whether it has asked anybody anything. */
  get hasAsked(): boolean {
    return this.#asked || this.lease.run.hasQuestions === true;
  }

  /** The database's time, as far as it is known. */
  get time(): number {
    const { clock } = this.tools;
    return clock === systemClock ? this.#claimedAt + performance.now() - this.#began : clock.now();
  }

  /** What is kept of an error, without what its run calls secret. */
  failureOf(error: unknown): Failure {
    if (error instanceof RememberedError) return error.failure;
    const { input, secrets } = this.lease.run;
    return failureOf(error, false, secretValues(input, secrets));
  }

  /** Its run is to be cancelled. */
  cancel(reason: string | undefined): void {
    this.fate.cancel(reason, this.#isLive);
  }

  async #comeAlive(): Promise<void> {
    await this.memory.settled();
    if (!this.memory.isReading) this.fate.cancelNow();
  }

  // doing

  /** Counts as something that goes on until it settles. */
  async perform<T>(place: Place, work: () => Promise<T>): Promise<T> {
    this.inStep.refuse();
    if (place.signal.aborted && !this.fate.isCancelled) return forever();
    this.activity.begin();
    try {
      const result = await work();
      return this.fate.isGone ? await this.#leave() : result; // what was remembered is answered, where it is to be ended too
    } catch (error) {
      if (this.#isOver(place)) return await this.#leave();
      throw error;
    } finally {
      this.activity.end();
    }
  }

  /** X3. */
  #isOver({ signal }: Place): boolean {
    return this.fate.isGone || (signal.aborted && !this.fate.isCancelled);
  }

  #leave(): Promise<never> {
    this.activity.end();
    return forever();
  }

  /** X2, X3. To be asked before something new is begun. */
  async fresh(place: Place, key: string): Promise<void> {
    if (!this.#isLive) await this.#untilLive(place, key);
    await this.fate.settled();
    const { excess } = this.#length;
    if (excess !== undefined && !place.isUndo && !this.fate.halted) await parkTooLong(this, excess);
    const { halted, cancelled } = this.fate;
    if (halted || (place.signal.aborted && !cancelled)) await this.#leave();
    if (cancelled && !place.isUndo) throw cancelled;
  }

  async #untilLive(place: Place, key: string): Promise<void> {
    const isOver = () => this.fate.halted !== undefined || place.signal.aborted;
    if (await this.memory.isAllRead(place.isUndo, isOver)) this.#isLive = true;
    else if (!isOver() && !this.fate.isToBeCancelled) await parkMismatch(this, key);
    this.fate.cancelNow();
  }

  // remembering

  /** What is remembered under a key; as something else the run is parked: its code has changed. */
  async recall(key: StepKey, attempted: Attempted): Promise<Step | undefined> {
    const before = await this.memory.recall(key);
    if (!before) return undefined;
    try {
      await this.tools.state.requireSame(this.lease, before, attempted);
      return before;
    } catch (error) {
      this.fate.problem = error;
      this.fate.halt(
        error instanceof StateError && error.code === "state.journal_mismatch" ? "parked" : "lost",
      );
      return forever();
    }
  }

  /** The time at a place once something was done there. */
  passTime({ time }: Place, key: string): void {
    const end = this.#ends.get(key);
    if (end && end > time.now) time.now = end;
    this.#ends.delete(key);
  }

  /** Commits, along with what is to be told besides. Where that fails for good the pass is over, and it does not settle. */
  async commit(change: Change): Promise<void> {
    this.#asked ||= change.asks !== undefined;
    for (let tries = 0; ; tries++) {
      let told: Told | undefined;
      try {
        await this.stream.flush(); // what was streamed before is there before it is remembered that it was
        told = this.outbox.take(change);
        return await this.#commitNow(change, told);
      } catch (error) {
        if (told) this.outbox.putBack(told);
        if (isOfWhatIsCommitted(error) || (change.statements && isOfStatements(error))) throw error;
        if (!isPassing(error) || this.time + AGAIN_MS >= this.lease.until.getTime())
          return this.#lose(error, change.end !== undefined);
        await sleep(backoff(tries, { first: 20, max: AGAIN_MS }));
      }
    }
  }

  async #commitNow(change: Change, told: Told): Promise<void> {
    const { steps = [], events = [], ...rest } = change;
    const { at } = await this.tools.state.commit(this.lease, {
      ...told.change,
      ...rest,
      steps: [...steps, ...told.markers],
      events: [...told.events, ...events],
    });
    this.#length.add(steps);
    for (const { key, status } of steps) if (status !== "started") this.#ends.set(key, at);
  }

  /**
   * The same of what ends the lease: nothing is begun meanwhile, and nothing of the pass settles once it was committed.
   *
   * @param isStill whether it is still to be, once all that was streamed is written
   * @returns whether it was
   */
  endLease(change: Change, isStill = () => true): Promise<boolean> {
    const commit = async () => {
      await this.stream.flush().catch(() => {}); // the commit says what is wrong
      if (!isStill()) return undefined;
      await this.commit(change);
      return "park" in change.end! ? "parked" : "ended";
    };
    return this.fate.end(commit, () => this.lease.over.aborted);
  }

  /** Asks the floor below. What is wrong with that is none of the handler's doing: the pass is over then, as well. */
  async consult<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (isOfWhatIsAsked(error)) throw error;
      return this.#lose(error);
    }
  }

  #lose(problem: unknown, isEnd = false): Promise<never> {
    this.fate.fail(problem, isEnd);
    return forever();
  }

  #tellSoon(): void {
    this.#telling ??= this.tools.clock.after(TELL_MS, () => {
      this.#telling = undefined;
      if (!this.fate.halted && !this.outbox.isEmpty)
        void this.commit({}).catch((error: unknown) => (this.fate.problem ??= error));
    });
  }

  /** Nothing is told any more. */
  close(): void {
    this.#telling?.();
    this.activity.close();
    this.#forget();
    this.stream.close();
  }

  // waiting

  /** Answers with what `check` finds, once it finds something; lets go of the run meanwhile. */
  async until<T>(place: Place, wait: Wait, check: () => Promise<T | undefined>, marker?: Marker): Promise<T> {
    if (this.#isOver(place)) return this.#leave();
    const { cancelled } = this.fate;
    if (cancelled && !place.isUndo) throw cancelled;
    if (this.activity.waits.size >= MOST_WAITS) throw tooManyWaitsError(this.lease.run.id, MOST_WAITS);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const waiting: Waiting = { wait, check, marker, resolve: resolve as Waiting["resolve"], reject };
    const leave = () => {
      if (!this.activity.waits.remove(waiting)) return;
      if (this.fate.cancelled && !place.isUndo) reject(this.fate.cancelled);
      else this.activity.look();
    };
    place.signal.addEventListener("abort", leave, { once: true });
    this.activity.suspend(waiting);
    try {
      return await promise;
    } finally {
      this.activity.resume();
      place.signal.removeEventListener("abort", leave);
    }
  }
}
