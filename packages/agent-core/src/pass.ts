// Pass. Owns: one pass of a handler over what its run remembers, from the claim until it ends or has to wait.
// Does not own: what each primitive does (step.ts, waits.ts, children.ts, branches.ts), and what becomes of the run (execute.ts).
// X1. What is remembered is answered from the journal, in turns of the microtask queue alone; so once the event loop has turned,
//     all of it was asked for that is going to be.
// X2. What is new begins only after that. If something that is remembered was not asked for by then, the code is another than
//     the one that made the run: it is parked with both.
// X3. Nothing is begun, and nothing settles, once the run is to be paused, was handed over or lost. Handlers are left where they
//     stand; nobody hears of them again.
// X4. Where all that is going on waits for something, the run does: it holds no worker meanwhile.

import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "@sentient/db-pool";
import type { Json, StepKey } from "@sentient/schema";
import { StateError, type Change, type Lease, type Replay, type Step, type Wait } from "@sentient/state";
import type { Definition } from "./define.ts";
import { AgentError } from "./errors.ts";
import { isWithin } from "./keys.ts";
import { Outbox } from "./outbox.ts";
import { Stream } from "./stream.ts";
import type { Tools } from "./tools.ts";

/** How long code that does something between its steps may take to ask for what is remembered, in milliseconds. */
const REPLAY_MS = 1_000;

/** How long what is told may wait for something to be committed with, in milliseconds. */
const TELL_MS = 200;

type Marker = NonNullable<Change["steps"]>[number];

/** Something that goes on when `check` finds it. */
interface Waiting {
  wait: Wait;
  /** What is to be remembered with the waiting. */
  marker: Marker | undefined;
  check: () => Promise<unknown>;
  resolve: (found: unknown) => void;
  reject: (error: unknown) => void;
}

/** Why a pass goes no further, unless its handler ends. */
export type Halt = "pause" | "release" | "lost" | "parked";

/** Where in a run something is done. */
export interface Place {
  /** Aborts with the branch. */
  readonly signal: AbortSignal;
  /** Whether it undoes what was done: that goes on where the run is cancelled. */
  readonly isUndo: boolean;
}

const never = new Promise<never>(() => {});

export class Pass {
  readonly lease: Lease;
  readonly definition: Definition;
  readonly tools: Tools;
  readonly outbox: Outbox;
  readonly stream: Stream;
  readonly #replay: Replay;
  /** Keys of what is remembered and was not asked for yet. */
  readonly #unread: Set<string>;
  readonly #waits = new Set<Waiting>();
  readonly #steps = new AsyncLocalStorage<string>();
  readonly #stop = new AbortController();
  readonly #claimedAt: number;
  readonly #began = performance.now();
  #active = 0;
  #asked = false;
  #now: Date;
  #halt: Halt | undefined;
  #cancelled: AgentError | undefined;
  #telling: (() => void) | undefined;
  /** What kept it from being remembered, if that is what has ended it. */
  problem: unknown;
  #stuck = Promise.withResolvers<void>();
  readonly #over = Promise.withResolvers<"lost" | "parked">();

  constructor(lease: Lease, definition: Definition, replay: Replay, tools: Tools) {
    this.lease = lease;
    this.definition = definition;
    this.tools = tools;
    this.#replay = replay;
    this.#unread = new Set(replay.journal.keys());
    this.outbox = new Outbox(definition, replay.first);
    this.stream = new Stream(lease, tools);
    this.#now = lease.run.startedAt ?? lease.run.createdAt;
    this.#claimedAt = lease.run.updatedAt.getTime();
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

  /** Whether what is done now was done before. */
  get isReplaying(): boolean {
    return this.#unread.size > 0;
  }

  /** Of what it last remembered. */
  get now(): Date {
    return this.#now;
  }

  /** It was waited until then. */
  sawTime(until: Date): void {
    if (until > this.#now) this.#now = until;
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
    this.#look();
  }

  /** Everything that waits, and all that is begun from now on, throws that it is cancelled. */
  cancel(reason: string | undefined): void {
    if (this.#cancelled) return;
    this.#cancelled = cancelledError(this.lease.run.id, reason);
    this.#stop.abort(this.#cancelled);
    for (const { reject } of this.#waits) reject(this.#cancelled);
    this.#waits.clear();
  }

  // doing

  /** Counts as something that goes on until it settles. */
  async perform<T>(place: Place, work: () => Promise<T>): Promise<T> {
    const step = this.#steps.getStore();
    if (step !== undefined) throw nestedError(step);
    if (place.signal.aborted && !this.#cancelled) return never;
    this.#active++;
    try {
      const result = await work();
      return this.#isOver(place) ? await this.#leave() : result;
    } catch (error) {
      if (this.#isOver(place)) return await this.#leave();
      throw error;
    } finally {
      this.#active--;
      this.#look();
    }
  }

  /** X3. */
  #isOver({ signal }: Place): boolean {
    return this.#halt === "lost" || this.#halt === "parked" || (signal.aborted && !this.#cancelled);
  }

  #leave(): Promise<never> {
    this.#active--;
    this.#look();
    return never;
  }

  /** What a step of the user's does is in here: it cannot ask for more of the run. */
  within<T>(key: string, work: () => T): T {
    return this.#steps.run(key, work);
  }

  /** What is remembered under a key. */
  recorded(key: StepKey): Step | undefined {
    const step = this.#replay.journal.get(key);
    if (!step || !this.#unread.delete(key)) return step;
    const state = this.#replay.stateAfter(key);
    if (state !== undefined) this.outbox.restore(state);
    if (step.endedAt > this.#now) this.#now = step.endedAt;
    return step;
  }

  /** Nobody asks for what branches remember that were decided. */
  skipWithin(key: string): void {
    for (const other of this.#unread) if (isWithin(other, key)) this.recorded(other as StepKey);
  }

  /** X2, X3. To be asked before something new is begun. */
  async fresh(place: Place, key: string): Promise<void> {
    if (this.isReplaying) await this.#untilAllIsRead(key);
    if (this.#halt) await this.#leave();
    if (place.signal.aborted && !this.#cancelled) await this.#leave();
    if (this.#cancelled && !place.isUndo) throw this.#cancelled;
  }

  /** X1. Unless code does something else between what it asks for. */
  async allIsRead(): Promise<void> {
    if (this.isReplaying) await turn();
  }

  async #untilAllIsRead(key: string): Promise<void> {
    await this.allIsRead();
    const end = performance.now() + REPLAY_MS;
    while (this.isReplaying && performance.now() < end && !this.#halt) await sleep(5);
    if (this.isReplaying && !this.#halt) await this.mismatch(key);
  }

  /** X2. @param key what was asked for instead; undefined if the handler has ended */
  async mismatch(key: string | undefined): Promise<void> {
    const [unread] = this.#unread;
    const { name } = this.#replay.journal.get(unread!)!;
    const { id, version } = this.lease.run;
    const instead = key === undefined ? "the handler came to its end" : `the handler asked for ${key}`;
    const message = `the run ${id} remembers ${unread}, and ${instead} without asking for it: the code of version ${version} has changed. Put it back, give it a new version, guard what is new with ctx.patch, or fork the run before that step`;
    await this.park(
      "journal_mismatch",
      { name: "JournalMismatch", code: "journal_mismatch", message },
      {
        recorded: { key: unread!, name },
        attempted: key ?? null,
      },
    );
  }

  /** Ends the pass: the run cannot go on without help. */
  async park(
    reason: "journal_mismatch" | "too_long" | "attempts_exhausted",
    problem: { name: string; code: string; message: string },
    data?: Json,
  ): Promise<void> {
    const events = data === undefined ? {} : { events: [{ type: "run.mismatched", data }] };
    await this.commit({ ...events, end: { park: { reason, problem: { ...problem, retryable: false } } } });
    this.halt("parked");
  }

  // remembering

  /** Commits, along with what is to be told besides. Where that fails for good the pass is over, and it does not settle. */
  async commit(change: Change): Promise<void> {
    await this.stream.flush(); // what was streamed before is there before it is remembered that it was
    const taken = this.outbox.take();
    this.#asked ||= change.asks !== undefined;
    try {
      const { at } = await this.tools.state.commit(this.lease, {
        ...taken.change,
        ...change,
        events: [...taken.events, ...(change.events ?? [])],
      });
      if (at > this.#now) this.#now = at;
    } catch (error) {
      this.outbox.putBack(taken);
      if (isOfWhatIsCommitted(error)) throw error;
      if (this.#halt !== "lost") this.problem = error;
      this.halt("lost");
      await never;
    }
  }

  /** With the next commit, or soon. */
  tell(type: string, data: Json): void {
    this.outbox.tell(type, data);
    this.#tellSoon();
  }

  progress(done: number, total?: number, note?: string): void {
    if (this.isReplaying) return;
    this.outbox.progress({
      done,
      ...(total === undefined ? {} : { total }),
      ...(note === undefined ? {} : { note }),
    });
    this.#tellSoon();
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
    this.stream.close();
  }

  // waiting

  /** Answers with what `check` finds, once it finds something; lets go of the run meanwhile. */
  async until<T>(place: Place, wait: Wait, check: () => Promise<T | undefined>, marker?: Marker): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const waiting: Waiting = { wait, check, marker, resolve: resolve as Waiting["resolve"], reject };
    this.#waits.add(waiting);
    const leave = () => this.#waits.delete(waiting) && this.#look();
    place.signal.addEventListener("abort", leave, { once: true });
    this.#active--;
    this.#look();
    try {
      return await promise;
    } finally {
      this.#active++;
      place.signal.removeEventListener("abort", leave);
    }
  }

  get waits(): Wait[] {
    return [...this.#waits].map(({ wait }) => wait);
  }

  /** Lets go of the run until one of the things comes that it waits for. */
  async wait(): Promise<void> {
    const markers = [...this.#waits].flatMap(({ marker }) =>
      marker && !this.#replay.journal.has(marker.key) ? marker : [],
    );
    await this.commit({ ...(markers.length > 0 ? { steps: markers } : {}), end: { wait: this.waits } });
  }

  /** Looks whether what is waited for is there. @returns whether something is */
  async recheck(): Promise<boolean> {
    const checks = [...this.#waits].map(async (waiting) => {
      try {
        const found = await waiting.check();
        if (found === undefined || !this.#waits.delete(waiting)) return false;
        waiting.resolve(found);
      } catch (error) {
        if (!this.#waits.delete(waiting)) return false;
        waiting.reject(error);
      }
      return true;
    });
    return (await Promise.all(checks)).some(Boolean);
  }

  /** X4. Resolves once nothing goes on, and something waits or is to be let go of. */
  stuck(): Promise<void> {
    this.#stuck = Promise.withResolvers<void>();
    this.#look();
    return this.#stuck.promise;
  }

  #look(): void {
    if (this.#halt === "lost" || this.#halt === "parked") return this.#stuck.resolve();
    if (this.#active > 0) return;
    const { resolve } = this.#stuck;
    setImmediate(() => {
      if (this.#active === 0 && (this.#waits.size > 0 || this.#halt)) resolve();
    });
  }
}

/** Whether it is about what was to be committed, rather than about whether it could be. */
function isOfWhatIsCommitted(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return (
    code === "schema.limit" ||
    (error instanceof StateError &&
      ["state.bad_change", "state.checkpoint_exists", "state.not_open", "state.nothing_to_wait_for"].includes(
        error.code,
      ))
  );
}

export function cancelledError(run: string, reason?: string): AgentError {
  return new AgentError({
    code: "agent.cancelled",
    message: `the run ${run} was cancelled${reason === undefined ? "" : `: ${reason}`}`,
    details: { run },
  });
}

function nestedError(step: string): AgentError {
  return new AgentError({
    code: "agent.nested",
    message: `the step ${step} asks for more of its run while it works. A step is one thing that is done once: do this before or after it, or make it a run of its own with ctx.call`,
    details: { step },
  });
}
