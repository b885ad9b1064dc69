import { openDatabase, type Database } from "@sentient/db-pool";
import type { Run, Step } from "@sentient/state";
import type { RunHandle } from "../handle.ts";
import { Sentient, type SentientOptions } from "../sentient.ts";
import type { WorkerOptions } from "../worker-options.ts";
import { AgentError } from "../errors.ts";
import type { Effect } from "./attempts.ts";
import { nameIn, type Crash, type CrashOptions } from "./crashes.ts";
import { Driver, MOST_MOVES } from "./driver.ts";
import type { Script } from "./script.ts";
import { VirtualClock } from "./virtual-clock.ts";

export interface TestOptions
  extends Pick<SentientOptions, "agents" | "workflows" | "retention" | "logger" | "meter">, Script {
  /** One of your own, for fakes to `sleep` on: it begins on 2026-01-01 if left out. */
  clock?: VirtualClock;
  /** Of the worker that advances the runs. */
  worker?: WorkerOptions;
  /** One of `mem://` that is open and empty, for what stands beside the runtime, as memory does; it is closed with the runtime. */
  database?: Database;
}

type OfRun = RunHandle | string;

/**
 * A runtime in memory whose time moves only where there is nothing else to do: `execute` and `handle.result()` are over in
 * milliseconds, whatever the run sleeps. Made by `createTestSentient`.
 */
export class TestSentient extends Sentient {
  readonly clock: VirtualClock;
  readonly #driver: Driver;

  /** @internal */
  constructor(db: Database, options: SentientOptions & { clock: VirtualClock }, driver: Driver) {
    super(driver.client.before(db), true, options, {
      advance: async (run) => void (await driver.toEnd(run)),
    });
    this.clock = options.clock;
    this.#driver = driver;
  }

  // time

  /**
   * Has a run go on until it is over or parked, however long that takes on its clock: what it sleeps, what is tried again,
   * leases of processes that died. What is scripted is said as soon as it is waited for.
   *
   * @throws `agent.stuck` if nothing that comes by itself helps it, saying what it waits for; `state.invalid_answer` for a
   * scripted answer that does not fit
   * @example const { status } = await sentient.runToEnd(handle);
   */
  runToEnd(run: OfRun): Promise<Run> {
    return this.#driver.toEnd(idOf(run));
  }

  /**
   * Does all that can be done while time stands still.
   *
   * @example await sentient.settle(); const { questions } = await sentient.questions.list();
   */
  settle(): Promise<void> {
    return this.#driver.settle();
  }

  /**
   * Moves time by so many milliseconds, with all that comes due in them, schedules too.
   *
   * @example await sentient.advance(24 * 3_600_000);
   */
  advance(ms: number): Promise<void> {
    return this.#driver.advance(ms);
  }

  // crashes

  /**
   * The process that advances runs dies at a commit to come: the n-th from now, or the first that remembers a step of this
   * name or key, or lets go of a run (`run.completed`, `run.waiting`, …). Another process goes on once the lease ran out.
   *
   * @example sentient.crashAt("charge"); // the card was charged, and nobody remembers it
   */
  crashAt(commit: number | string, options?: CrashOptions): void {
    this.#driver.crashes.plan(commit, options);
  }

  /**
   * The process that advances runs dies at once: to be called within a step.
   *
   * @example await ctx.step("upload", ({ attempt }) => (first ? sentient.crash() : upload()));
   */
  crash(): void {
    this.#driver.crash();
  }

  /** The crashes that came about where `crashAt` has said. */
  get crashes(): readonly Crash[] {
    return this.#driver.crashes.all;
  }

  /** What was committed so far, or was to be: what `crashAt` may name. */
  get commits(): readonly string[] {
    return this.#driver.crashes.commits;
  }

  // what happened

  /**
   * What steps did or began to do, in order: once for each attempt, also where a crash took it back.
   *
   * @param step its name or key; all if left out
   * @example expect(sentient.effects("charge")).toHaveLength(1);
   */
  effects(step?: string): Effect[] {
    const { begun } = this.#driver.attempts;
    return begun.filter(({ key, name }) => step === undefined || step === key || step === name);
  }

  /**
   * What a run remembers of its steps, in the order in which they ended.
   *
   * @throws `state.not_found`
   * @example const keys = (await sentient.journal(handle)).map(({ key }) => key);
   */
  async journal(run: OfRun): Promise<Step[]> {
    const journal = await this.state.journal(idOf(run));
    return [...journal.values()].toSorted((a, b) => a.n - b.n);
  }

  override async close(): Promise<void> {
    this.#driver.crash();
    await super.close();
  }
}

function idOf(run: OfRun): string {
  return typeof run === "string" ? run : run.id;
}

/**
 * A runtime for tests: in memory, with a clock of its own, scripted people, and processes that can be made to crash.
 *
 * @throws what `createSentient` throws
 * @example await using sentient = await createTestSentient({ workflows: [order], answers: { approve: true } });
 */
export async function createTestSentient(options: TestOptions = {}): Promise<TestSentient> {
  const { clock = new VirtualClock(), worker = {}, answers = {}, signals = {}, database, ...rest } = options;
  // The engine itself, without its disk: a fresh one takes a tenth of the time of a folder, and its writes go one by one.
  const db = database ?? (await openDatabase({ url: "mem://" }));
  const runtime = { ...rest, clock };
  const driver = new Driver({
    db,
    runtime,
    worker,
    clock,
    script: { answers, signals },
    mostMoves: MOST_MOVES,
  });
  return new TestSentient(db, { ...runtime, worker: false }, driver);
}

/** One play with a crash in it. */
export interface Played<T> {
  crash: Crash;
  result: T;
  /** What steps did in it. */
  effects: Effect[];
}

/**
 * Plays the same again and again, and each time the process dies at another commit, before it is on disk and after: until
 * there are no more.
 *
 * @param options or what makes them, for each play
 * @throws `agent.broken_by_crash` with the crash in its message, where a play fails
 * @example for await (const { result } of atEveryCrash({ workflows: [order] }, play)) expect(result).toEqual(expected);
 */
export async function* atEveryCrash<T>(
  options: TestOptions | (() => TestOptions),
  play: (sentient: TestSentient) => Promise<T>,
): AsyncGenerator<Played<T>, void, undefined> {
  for (const when of ["before", "after"] as const)
    for (let n = 1; ; n++) {
      await using sentient = await createTestSentient(typeof options === "function" ? options() : options);
      sentient.crashAt(n, { when });
      const result = await play(sentient).catch((error: unknown) => {
        throw brokenError(sentient.crashes[0], error);
      });
      const [crash] = sentient.crashes;
      if (!crash) break;
      yield { crash, result, effects: sentient.effects() };
    }
}

function brokenError(crash: Crash | undefined, cause: unknown): unknown {
  if (!crash) return cause;
  return new AgentError({
    code: "agent.broken_by_crash",
    message: `after a crash ${crash.when} the commit of ${nameIn(crash.commit)} (the ${crash.n}. one) it fails: ${(cause as Error).message}`,
    cause,
    details: { crash },
  });
}
