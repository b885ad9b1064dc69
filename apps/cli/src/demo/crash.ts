// The crash. Owns: killing the worker process in the middle, for real, and measuring what came of it.
// K1. It is killed within a step: it says that it has begun one, and does not end it. At the latest it is before the question is
//     answered, where a run is gone on with that has no such step ahead.
// K2. Every figure is measured: the signal by which the process ended, the events of the log, the ledger of its steps.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readEvent, type Event } from "@sentient/schema";
import { CliError } from "../cli-error.ts";
import { DEMO_WORKER } from "../places.ts";
import { count, type Counted, type Ledger } from "../research/ledger.ts";

/** After these nobody has the run. */
const LET_GO = new Set([
  "run.waiting",
  "run.paused",
  "run.completed",
  "run.failed",
  "run.cancelled",
  "run.parked",
]);

export interface WorkerProcessOptions {
  url: string;
  token: string;
  ledger: string;
  pace: number;
  lease: number;
  /** Whether it stays within a step of a reader, to be killed there. */
  stays: boolean;
}

export interface Crash extends Counted {
  pid: number;
  signal: string;
  /** Runs that it held, and another worker has taken over. */
  takenOver: number;
  /** From the kill until the last of them was, in milliseconds. */
  takeOver: number;
  lease: number;
  successor: number;
  /** From the kill until the other process had begun, in milliseconds. */
  successorUp: number;
}

interface Spawned {
  process: ChildProcess;
  pid: number;
  worker: string;
}

export class CrashTest {
  readonly #options: Omit<WorkerProcessOptions, "stays">;
  readonly #ledger: Ledger;
  readonly #say: (line: string) => void;
  readonly #remembered = new Map<string, number>();
  /** Which worker has each run that somebody has. */
  readonly #holders = new Map<string, string>();
  readonly #takenOver = new Set<string>();
  #killed: { pid: number; worker: string; signal: string; at: number } | undefined;
  #takenOverAt = 0;
  #successorAt = 0;
  #current: Spawned | undefined;
  #killing: Promise<void> | undefined;
  readonly #failed = Promise.withResolvers<never>();

  constructor(options: Omit<WorkerProcessOptions, "stays">, ledger: Ledger, say: (line: string) => void) {
    this.#options = options;
    this.#ledger = ledger;
    this.#say = say;
  }

  /** Rejects if there is nobody to go on. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  async start(): Promise<void> {
    this.#current = await this.#spawn(true);
    this.#say(`a worker advances it: process ${this.#current.pid}`);
  }

  async #spawn(stays: boolean): Promise<Spawned> {
    const options: WorkerProcessOptions = { ...this.#options, stays };
    const child = spawn(process.execPath, [...process.execArgv, DEMO_WORKER], {
      env: { ...process.env, SENTIENT_DEMO_WORKER: JSON.stringify(options) },
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const [said] = (await Promise.race([once(child, "message"), endOf(child)])) as [{ worker: string }];
    child.on("message", () => void this.untilKilled().catch(() => {})); // it is within a step; `failed` tells
    return { process: child, pid: child.pid!, worker: said.worker };
  }

  /** Each event of the run and of those that it has started, in order. */
  hear(event: Event): void {
    const known = readEvent(event);
    if (known.opaque || !event.run) return;
    if (known.type === "run.started") this.#startedBy(event.run, known.data.worker, event.at);
    else if (LET_GO.has(known.type)) this.#holders.delete(event.run);
    if (known.type === "step.completed")
      this.#remembered.set(`${event.run}/${known.data.key}`, event.at.getTime());
  }

  #startedBy(run: string, worker: string, at: Date): void {
    const dead = this.#killed?.worker;
    if (dead !== undefined && worker !== dead && this.#holders.get(run) === dead) {
      this.#takenOver.add(run);
      this.#takenOverAt = at.getTime();
    }
    this.#holders.set(run, worker);
  }

  async #kill(): Promise<void> {
    const { process: child, pid, worker } = this.#current!;
    const ended = once(child, "exit");
    this.#killed = { pid, worker, signal: "", at: Date.now() };
    child.kill("SIGKILL");
    const [, signal] = (await ended) as [number | null, NodeJS.Signals | null];
    this.#killed.signal = signal ?? "";
    this.#say(`killed process ${pid} with ${signal}`);
    this.#current = await this.#spawn(false);
    this.#successorAt = Date.now();
    const { lease } = this.#options;
    this.#say(
      `another worker: process ${this.#current.pid}; it waits until the lease of the dead one has run out (${lease} ms)`,
    );
  }

  /** Resolves once there was a kill and a successor. */
  async untilKilled(): Promise<void> {
    this.#killing ??= this.#kill().catch((error: unknown) => {
      this.#failed.reject(error);
      throw error;
    });
    await this.#killing;
  }

  /** K2. */
  result(): Crash {
    const { pid, signal, at } = this.#killed!;
    return {
      ...count(this.#ledger.entries(), this.#remembered),
      pid,
      signal,
      takenOver: this.#takenOver.size,
      takeOver: Math.max(0, this.#takenOverAt - at),
      lease: this.#options.lease,
      successor: this.#current!.pid,
      successorUp: this.#successorAt - at,
    };
  }

  async stop(): Promise<void> {
    const child = this.#current?.process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  }
}

async function endOf(child: ChildProcess): Promise<never> {
  await once(child, "exit");
  throw new CliError({ code: "cli.failed", message: "the worker process ended before it began" });
}
