// Worker. Owns: getting hold of runs, keeping hold of them, and letting go.
// Does not own: what a run does (execute.ts).
// V1. It never holds more runs than it has slots, and claims as soon as one is free and there is something to do.
// V2. Leases are renewed long before they run out. Whoever could not do so in time (its event loop was blocked, its database
//     away) finds that others have its runs, and nothing of it commits: the lease says so, whatever it believes.
// V3. What is asked of a run reaches its handler within a second.
// V4. Stopping hands every run over before its next step, and costs it no attempt. Nothing is claimed after it was asked to stop.

import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { sleep } from "@sentient/db-pool";
import type { EventBus } from "@sentient/event-bus";
import type { Lease } from "@sentient/state";
import { z } from "zod";
import { Bell } from "./bell.ts";
import { cancelTree } from "./cancel.ts";
import type { Definition } from "./define.ts";
import { checked } from "./errors.ts";
import { Execution, type Outcome } from "./execute.ts";
import type { Ended } from "./notices.ts";
import type { Registry } from "./registry.ts";
import { RELEASE } from "./release.ts";
import type { Tools } from "./tools.ts";

export const WorkerOptions = z.strictObject({
  id: z.string().optional(),
  slots: z.int().min(1).max(10_000).default(64),
  queues: z.array(z.string()).min(1).optional(),
  capabilities: z.array(z.string()).optional(),
  lease: z.int().min(300).max(3_600_000).default(15_000),
});

export interface WorkerOptions {
  /** One for each start of a process; made up if left out. */
  id?: string;
  /** Runs at once: 64 if left out. */
  slots?: number;
  /** Those of its agents and workflows if left out. */
  queues?: readonly string[];
  /** What it can do; runs that ask for more are left to others. All is claimed if left out. */
  capabilities?: readonly string[];
  /** How long others wait until they take over its runs should it die, in milliseconds: 15,000 if left out. */
  lease?: number;
}

/** It asks at least so often, in milliseconds. */
const TICK_MS = 1_000;
const BEAT_MS = 5_000;
const RETAIN_MS = 60_000;
/** How long it takes no notice of what others tell after it has found nothing, in milliseconds; and at most. */
const QUIET_MS = 10;
const MOST_QUIET_MS = 160;
/** How long a step may go on when the worker is to stop, in milliseconds. */
const GRACE_MS = 800;

/** What is told on the log when there may be something to claim. */
const READY_EVENTS = ["run.queued", "run.resumed", "run.released", "run.restored"];

export class Worker implements AsyncDisposable {
  readonly id: string;
  readonly #options: z.output<typeof WorkerOptions>;
  readonly #registry: Registry;
  readonly #tools: Tools;
  readonly #bus: EventBus;
  readonly #running = new Map<string, Execution>();
  readonly #bell = new Bell();
  readonly #stopping = new AbortController();
  /** Slots that are given away and not taken yet. */
  #reserved = 0;
  /** Whether the last claim got all it asked for. */
  #mayBeMore = true;
  #loops: Promise<unknown> | undefined;
  #stopped: Promise<void> | undefined;

  /** @internal */
  constructor(options: WorkerOptions, registry: Registry, bus: EventBus, tools: Omit<Tools, "hasRoom">) {
    this.#options = checked(WorkerOptions, options, "a worker");
    this.id = this.#options.id ?? `w-${randomUUID()}`;
    this.#registry = registry;
    this.#bus = bus;
    this.#tools = { ...tools, hasRoom: () => this.#room > 0 };
  }

  /** How many runs it advances. */
  get running(): number {
    return this.#running.size;
  }

  get #room(): number {
    return this.#options.slots - this.#running.size - this.#reserved;
  }

  /** Claims and advances runs until it is stopped. */
  async start(): Promise<void> {
    if (this.#loops || this.#stopped) return;
    await this.#registry.register(this.#tools.state);
    await this.#beat();
    const { notices } = this.#tools;
    const forget = [
      notices.onReady(() => this.#bell.ring()),
      notices.onAsked(() => void this.#heedAsked().catch(() => {})), // they hear it within a second
    ];
    const told = this.#bus.subscribe({ types: READY_EVENTS }, () => this.#bell.ring());
    const every = (ms: number, work: () => Promise<unknown>) => this.#every(ms, work);
    const loops = Promise.all([
      this.#claimOn(),
      every(TICK_MS, () => this.#sweep()),
      every(TICK_MS, () => this.#heedAsked()),
      every(Math.max(100, this.#options.lease / 3), () => this.#renew()),
      every(BEAT_MS, () => this.#beat()),
      every(RETAIN_MS, () => this.#tools.state.retain()),
    ]);
    this.#loops = (async () => {
      await loops;
      for (const each of forget) each();
      await told.unsubscribe();
    })();
  }

  /**
   * Does what can be done now, and answers with how many runs it has advanced: for tests, in place of `start`.
   *
   * @example await clock.advance(60_000); await worker.tick();
   */
  async tick(): Promise<number> {
    await this.#registry.register(this.#tools.state);
    let advanced = 0;
    for (;;) {
      await this.#sweep();
      const claimed = await this.#claim(this.#room);
      advanced += claimed;
      if (claimed === 0) return advanced;
      await Promise.all([...this.#running.values()].map(({ outcome }) => outcome.catch(() => {})));
    }
  }

  /**
   * Hands over what it holds, within a second: steps that take longer than that are done again elsewhere.
   *
   * @example process.once("SIGTERM", () => worker.stop());
   */
  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    const { clock, state } = this.#tools;
    this.#stopping.abort();
    this.#bell.ring();
    const all = [...this.#running.values()];
    for (const execution of all) void execution.release().catch(() => {});
    const ended = new AbortController();
    void Promise.allSettled(all.map(({ outcome }) => outcome)).then(() => ended.abort());
    await sleep(clock, GRACE_MS, ended.signal);
    await Promise.allSettled([...this.#running.values()].map(({ lease }) => state.release(lease)));
    await this.#loops;
    await state.workers.remove(this.id).catch(() => {}); // it is not live for long
  }

  // what is started here and has no need to wait in a queue

  /** A slot for a run that is about to be started here, if there is nothing that would have to go before it. */
  reserve({ concurrency }: Definition): { worker: string; lease: number } | undefined {
    const isFree = this.#loops && !this.#stopping.signal.aborted && !this.#mayBeMore && this.#room > 0;
    if (!isFree || concurrency !== undefined) return undefined;
    this.#reserved++;
    return { worker: this.id, lease: this.#options.lease };
  }

  /** What became of the slot: the run is held, or waits in its queue after all. */
  take(lease: Lease | undefined): void {
    this.#reserved--;
    if (!lease) return;
    if (this.#stopping.signal.aborted) void this.#tools.state.release(lease).catch(() => {}); // it runs out
    else this.#advance(lease);
  }

  // claiming

  async #claimOn(): Promise<void> {
    const { clock, logger } = this.#tools;
    const { signal } = this.#stopping;
    let quiet = QUIET_MS;
    while (!signal.aborted) {
      let claimed = 0;
      try {
        claimed = await this.#claim(this.#room);
      } catch (error) {
        logger.warn({ worker: this.id, error }, "runs could not be claimed; it is tried again");
        await sleep(clock, TICK_MS * Math.random(), signal);
      }
      if (claimed > 0) {
        quiet = QUIET_MS;
        if (this.#room > 0) continue;
      } else if (this.#room > 0) {
        await sleep(clock, quiet, signal); // others told of something, and it was not for here
        quiet = Math.min(MOST_QUIET_MS, quiet * 2);
      }
      if (!(await this.#bell.next(clock, TICK_MS))) quiet = QUIET_MS;
    }
  }

  async #claim(max: number): Promise<number> {
    if (max <= 0 || this.#stopping.signal.aborted) return 0;
    const { lease, capabilities } = this.#options;
    const most = Math.min(max, 256);
    const leases = await this.#tools.state.claim({
      worker: this.id,
      serves: this.#registry.serves,
      queues: this.#options.queues ?? this.#registry.queues,
      ...(capabilities ? { capabilities } : {}),
      max: most,
      lease,
    });
    this.#mayBeMore = leases.length === most;
    for (const claimed of leases) this.#advance(claimed);
    return leases.length;
  }

  #advance(lease: Lease): void {
    const { run } = lease;
    const definition = this.#registry.require(run.name, run.version);
    const execution = new Execution(lease, definition, this.#tools);
    this.#running.set(run.id, execution);
    const cancelDeadline = this.#watchDeadline(lease);
    void this.#untilDone(execution).finally(() => cancelDeadline());
  }

  async #untilDone({ lease, outcome: awaited }: Execution): Promise<void> {
    const { run } = lease;
    const { notices, logger, state } = this.#tools;
    const outcome = await awaited.catch(async (error: unknown): Promise<Outcome> => {
      logger.error({ run: run.id, worker: this.id, error }, "a run could not be advanced; it is handed over");
      await state.release(lease).catch(() => {}); // or others have it, or its lease runs out
      return { status: "lost" };
    });
    this.#running.delete(run.id);
    notices.changed(run.id, isEnd(outcome) ? outcome : undefined);
    if (run.parent !== undefined) notices.changed(run.parent);
    if (this.#mayBeMore || outcome.status === "released") this.#bell.ring();
  }

  /** Who runs for too long is cancelled, by whoever holds it. */
  #watchDeadline({ run: { id, deadline } }: Lease): () => void {
    if (!deadline) return () => {};
    const { clock, state, notices, logger } = this.#tools;
    return clock.after(Math.min(2 ** 31 - 1, Math.max(0, deadline.getTime() - clock.now())), () => {
      cancelTree(state, id, { by: "its deadline", reason: "its deadline has passed" }).then(
        () => notices.asked(),
        (error: unknown) =>
          logger.warn({ run: id, error }, "a run whose deadline has passed could not be cancelled"),
      );
    });
  }

  // keeping

  async #renew(): Promise<void> {
    const leases = [...this.#running.values()].map(({ lease }) => lease);
    if (leases.length === 0) return;
    const { lease } = this.#options;
    const { held } = await this.#tools.state.renew(leases, { lease, timeout: Math.ceil(lease / 2) });
    for (const {
      lease: { run },
      asked,
    } of held)
      if (asked)
        void this.#running
          .get(run.id)
          ?.heed(asked)
          .catch(() => {});
  }

  /** V3. */
  async #heedAsked(): Promise<void> {
    const leases = [...this.#running.values()].map(({ lease }) => lease);
    const asked = await this.#tools.state.asked(leases);
    for (const each of asked)
      void this.#running
        .get(each.lease.run.id)
        ?.heed(each.asked)
        .catch(() => {});
  }

  async #sweep(): Promise<void> {
    const { state, clock, logger } = this.#tools;
    const { released, fired, nextAt, problems } = await state.sweep();
    for (const { part, error } of problems)
      logger.warn({ worker: this.id, part, error }, "a sweep left something undone");
    const next = nextAt ? nextAt.getTime() - clock.now() : Infinity;
    if (released.length > 0 || fired.length > 0 || next <= 0) this.#bell.ring();
    else if (next < TICK_MS) clock.after(next, () => this.#bell.ring());
  }

  async #beat(): Promise<void> {
    const { slots, capabilities } = this.#options;
    await this.#tools.state.workers.beat({
      id: this.id,
      host: hostname(),
      pid: process.pid,
      release: RELEASE,
      queues: [...(this.#options.queues ?? this.#registry.queues)],
      serves: this.#registry.labels,
      ...(capabilities ? { capabilities: [...capabilities] } : {}),
      slots,
      running: Math.min(slots, this.#running.size),
    });
  }

  async #every(ms: number, work: () => Promise<unknown>): Promise<void> {
    const { clock, logger } = this.#tools;
    const { signal } = this.#stopping;
    await sleep(clock, ms * Math.random(), signal); // workers that start together do not all ask at once
    while (!signal.aborted) {
      await work().catch((error: unknown) =>
        logger.warn({ worker: this.id, error }, "a worker could not do its rounds; it tries again"),
      );
      await sleep(clock, ms, signal);
    }
  }
}

function isEnd(outcome: Outcome): outcome is Ended {
  return outcome.status === "completed" || outcome.status === "failed" || outcome.status === "cancelled";
}
