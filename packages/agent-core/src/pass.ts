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

import { AsyncLocalStorage } from "node:async_hooks";
import { systemClock } from "@sentient/db-pool";
import { limits } from "@sentient/schema";
import type { Change, Lease, Replay, Wait } from "@sentient/state";
import { Activity } from "./activity.ts";
import type { Definition } from "./define.ts";
import {
  cancelledError,
  isOfWhatIsAsked,
  isOfWhatIsCommitted,
  nestedError,
  tooManyWaitsError,
  type AgentError,
} from "./errors.ts";
import { Memory } from "./memory.ts";
import { Outbox, type Told } from "./outbox.ts";
import { parkMismatch, parkTooLong } from "./parking.ts";
import type { Halt, Place } from "./place.ts";
import { Stream } from "./stream.ts";
import type { Tools } from "./tools.ts";
import { MOST_WAITS, type Marker, type Waiting } from "./waiting.ts";

/** How long what is told may wait for something to be committed with, in milliseconds. */
const TELL_MS = 200;

const never = new Promise<never>(() => {});

export class Pass {
  readonly lease: Lease;
  readonly definition: Definition;
  readonly tools: Tools;
  readonly memory: Memory;
  readonly activity: Activity;
  readonly outbox: Outbox;
  readonly stream: Stream;
  /** When it began, and what its chance follows from while it does what another run did that it was forked from. */
  readonly origin: Replay["origin"];
  readonly #steps = new AsyncLocalStorage<string>();
  readonly #stop = new AbortController();
  readonly #claimedAt: number;
  readonly #began = performance.now();
  /** When what was remembered was. */
  readonly #ends = new Map<string, Date>();
  /** X2. Whether what is new may begin. */
  #isLive: boolean;
  #remembered: number;
  #asked = false;
  #halt: Halt | undefined;
  #cancelled: AgentError | undefined;
  #telling: (() => void) | undefined;
  readonly #forget: () => void;
  #inTurn: Promise<unknown> = Promise.resolve();
  /** What kept it from being remembered, if that is what has ended it. */
  problem: unknown;
  readonly #over = Promise.withResolvers<"lost" | "parked">();

  constructor(lease: Lease, definition: Definition, replay: Replay, tools: Tools) {
    this.lease = lease;
    this.definition = definition;
    this.tools = tools;
    this.origin = replay.origin;
    this.activity = new Activity({
      clock: tools.clock,
      now: () => this.time,
      isHalted: () => this.#halt !== undefined,
    });
    this.memory = new Memory(replay, {
      onRead: (step) => {
        this.outbox.restore(replay.stateAfter(step.key));
        this.#ends.set(step.key, step.endedAt);
      },
      isAlone: () => this.activity.isAlone,
    });
    this.outbox = new Outbox(definition, replay.first, this.memory, () => this.#tellSoon());
    this.#isLive = !this.memory.isReading;
    this.#remembered = this.memory.size;
    this.stream = new Stream(lease, tools);
    this.#claimedAt = lease.run.updatedAt.getTime();
    this.#forget = tools.notices.onChanged(lease.run.id, () => this.activity.hint());
    lease.over.addEventListener("abort", () => this.halt("lost"), { once: true });
  }

  /** Aborts when the run is cancelled or is another's by now. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  get halted(): Halt | undefined {
    return this.#halt;
  }

  /** Once nothing of it commits any more, whatever it is in the midst of. */
  get over(): Promise<"lost" | "parked"> {
    return this.#over.promise;
  }

  get isCancelled(): boolean {
    return this.#cancelled !== undefined;
  }

  /** Whether it is within a step of the user's. */
  get isInStep(): boolean {
    return this.#steps.getStore() !== undefined;
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

  // ending

  halt(why: Halt): void {
    if (this.#halt === "lost" || this.#halt === "parked") return;
    this.#halt = why;
    if (why === "lost" || why === "parked") {
      this.#stop.abort(new Error("the run is not this worker's any more"));
      this.#over.resolve(why);
    }
    this.activity.look();
  }

  /** Everything that waits, and all that is begun from now on, throws that it is cancelled. */
  cancel(reason: string | undefined): void {
    if (this.#cancelled) return;
    this.#cancelled = cancelledError(this.lease.run.id, reason);
    this.#stop.abort(this.#cancelled);
  }

  // doing

  /** Counts as something that goes on until it settles. */
  async perform<T>(place: Place, work: () => Promise<T>): Promise<T> {
    this.requireOutside();
    if (place.signal.aborted && !this.#cancelled) return never;
    this.activity.begin();
    try {
      const result = await work();
      return this.#isOver(place) ? await this.#leave() : result;
    } catch (error) {
      if (this.#isOver(place)) return await this.#leave();
      throw error;
    } finally {
      this.activity.end();
    }
  }

  /** X3. */
  #isOver({ signal }: Place): boolean {
    return this.#halt === "lost" || this.#halt === "parked" || (signal.aborted && !this.#cancelled);
  }

  #leave(): Promise<never> {
    this.activity.end();
    return never;
  }

  /** What a step of the user's does is in here: it cannot ask for more of the run. */
  within<T>(key: string, work: () => T): T {
    return this.#steps.run(key, work);
  }

  /** @throws `agent.nested` */
  requireOutside(): void {
    const step = this.#steps.getStore();
    if (step !== undefined) throw nestedError(step);
  }

  /** One after the other, so that who is decided against by what the one before has found takes nothing. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#inTurn.then(work);
    this.#inTurn = mine.then(
      () => this.memory.settled(),
      () => {},
    );
    return mine;
  }

  /** X2, X3. To be asked before something new is begun. */
  async fresh(place: Place, key: string): Promise<void> {
    if (!this.#isLive) await this.#untilLive(place, key);
    if (this.#remembered >= limits.steps && !place.isUndo && !this.#halt)
      await parkTooLong(this, this.#remembered, limits.steps);
    if (this.#halt || (place.signal.aborted && !this.#cancelled)) await this.#leave();
    if (this.#cancelled && !place.isUndo) throw this.#cancelled;
  }

  async #untilLive(place: Place, key: string): Promise<void> {
    const isOver = () => this.#halt !== undefined || place.signal.aborted;
    if (await this.memory.isAllRead(place.isUndo, isOver)) this.#isLive = true;
    else if (!isOver()) await parkMismatch(this, key);
  }

  // remembering

  /** The time at a place once something was done there. */
  passTime({ time }: Place, key: string): void {
    const end = this.#ends.get(key);
    if (end && end > time.now) time.now = end;
    this.#ends.delete(key);
  }

  /** Commits, along with what is to be told besides. Where that fails for good the pass is over, and it does not settle. */
  async commit(change: Change): Promise<void> {
    let told: Told | undefined;
    this.#asked ||= change.asks !== undefined;
    try {
      await this.stream.flush(); // what was streamed before is there before it is remembered that it was
      told = this.outbox.take(change);
      const { steps = [], events = [], ...rest } = change;
      const { at } = await this.tools.state.commit(this.lease, {
        ...told.change,
        ...rest,
        steps: [...steps, ...told.markers],
        events: [...told.events, ...events],
      });
      this.#remembered += steps.length;
      for (const { key, status } of steps) if (status !== "started") this.#ends.set(key, at);
    } catch (error) {
      if (told) this.outbox.putBack(told);
      if (isOfWhatIsCommitted(error)) throw error;
      await this.#lose(error);
    }
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

  #lose(problem: unknown): Promise<never> {
    if (this.#halt !== "lost") this.problem = problem;
    this.halt("lost");
    return never;
  }

  #tellSoon(): void {
    this.#telling ??= this.tools.clock.after(TELL_MS, () => {
      this.#telling = undefined;
      if (!this.#halt && !this.outbox.isEmpty)
        void this.commit({}).catch((error: unknown) => (this.problem ??= error));
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
    if (this.#cancelled && !place.isUndo) throw this.#cancelled;
    if (this.activity.waits.size >= MOST_WAITS) throw tooManyWaitsError(this.lease.run.id, MOST_WAITS);
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const waiting: Waiting = { wait, check, marker, resolve: resolve as Waiting["resolve"], reject };
    const leave = () => {
      if (!this.activity.waits.remove(waiting)) return;
      if (this.#cancelled && !place.isUndo) reject(this.#cancelled);
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
