// Driver. Owns: doing all that can be done, and then moving time to what comes next.
// T1. Time stands still as long as there is something to do: a step that is at work, a call of the database, something to say.
//     Only steps that do nothing but wait for the clock let it move.
// T2. A process that died is replaced by another one, which knows nothing of it: its runs are taken over once their leases ran out.
// T3. Whoever waits for runs at once shares the time: one moves it, and the others see what came of that.

import type { Database } from "@sentient/db-pool";
import type { Run } from "@sentient/state";
import type { SentientOptions } from "../sentient.ts";
import type { WorkerOptions } from "../worker-options.ts";
import { Attempts } from "./attempts.ts";
import { Crashes } from "./crashes.ts";
import { nextDue, stuckError } from "./due.ts";
import { Gate, Process } from "./process.ts";
import { say, type Script } from "./script.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** How often time is moved for one run before that is thought to be in vain. */
export const MOST_MOVES = 1_000;

export interface DriverOptions {
  db: Database;
  runtime: SentientOptions;
  worker: WorkerOptions;
  clock: VirtualClock;
  script: Script;
  mostMoves: number;
}

export class Driver {
  readonly attempts = new Attempts();
  readonly crashes = new Crashes();
  /** Through which those go who start runs and talk to them. */
  readonly client = new Gate();
  readonly #options: DriverOptions;
  #process: Process | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: DriverOptions) {
    this.#options = options;
  }

  /** The process that is alive. */
  get #alive(): Process {
    if (this.#process?.gate.isShut) this.attempts.forget();
    if (!this.#process || this.#process.gate.isShut) {
      const { attempts, crashes } = this;
      this.#process = new Process({ ...this.#options, attempts, crashes }); // T2
    }
    return this.#process;
  }

  /** Until the run is over or parked. @throws `agent.stuck` */
  async toEnd(run: string): Promise<Run> {
    for (let moves = 0; ;) {
      const done = await this.#alone(async () => {
        const { state } = this.#alive;
        const seen = await state.load(run);
        if ("endedAt" in seen || seen.status === "parked") return seen;
        if (await this.#work()) return undefined;
        if (moves >= this.#options.mostMoves) throw await stuckError(state, seen, moves);
        const { revision } = await state.load(run);
        if (revision !== seen.revision) return undefined; // it was parked rather than claimed
        if (!(await this.#move(Infinity))) throw await stuckError(state, seen);
        moves++;
        return undefined;
      });
      if (done) return done;
    }
  }

  /** All that can be done before time moves. */
  settle(): Promise<void> {
    return this.#alone(async () => {
      while (await this.#work()) continue;
    });
  }

  /** So many milliseconds, with all that happens in them. */
  advance(ms: number): Promise<void> {
    return this.#alone(async () => {
      const { clock } = this.#options;
      const end = clock.now() + ms;
      do while (await this.#work()) continue;
      while (await this.#move(end));
      await clock.advanceTo(end);
      while (await this.#work()) continue;
    });
  }

  /** The process dies. */
  crash(): void {
    this.#process?.gate.close();
  }

  /** T3. */
  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  /** T1. @returns whether there was anything to do, and so may be more */
  async #work(): Promise<boolean> {
    const { calls } = this.client;
    const worker = this.#alive;
    const advanced = await this.#tick(worker);
    if (worker.gate.isShut || advanced > 0) return true;
    await this.client.quiet();
    if (this.client.calls > calls) return true;
    return say(this.#options.script, worker.state);
  }

  /** How many runs the process has advanced, if it lives on. */
  async #tick({ worker, gate }: Process): Promise<number> {
    const ticking = worker.tick();
    while (!gate.isShut) {
      const { areAsleep, changed } = this.attempts;
      const advanced = await (areAsleep
        ? this.#letTimePass(gate)
        : Promise.race([ticking, gate.shut, changed]));
      if (advanced !== undefined) return advanced;
    }
    return 0;
  }

  /** T1. For steps that wait for nothing but that. */
  async #letTimePass(gate: Gate): Promise<void> {
    await gate.quiet();
    await this.client.quiet();
    if (this.attempts.areAsleep) await this.#options.clock.advanceToNext();
  }

  /** To what comes next, if that is not after `end`. @returns whether there is such */
  async #move(end: number): Promise<boolean> {
    const { clock } = this.#options;
    const { state } = this.#alive;
    const due = await nextDue(state, clock.now());
    const scheduled = end === Infinity ? undefined : (await state.sweep()).nextAt?.getTime();
    const next = Math.min(due ?? Infinity, scheduled ?? Infinity);
    if (next === Infinity || next > end) return false;
    await clock.advanceTo(Math.max(next, clock.now() + 1));
    return true;
  }
}
