// Worker. Owns: getting hold of runs, and letting go.
// Does not own: keeping hold of them (held.ts), and what a run does (execute.ts).
// V1. It never holds more runs than it has slots, and claims as soon as one is free and there is something to do.
// V2. Leases are renewed long before they run out. Whoever could not do so in time (its event loop was blocked, its database
//     away) finds that others have its runs, and nothing of it commits: the lease says so, whatever it believes.
// V3. What is asked of a run reaches its handler within a second.
// V4. Stopping hands every run over before its next step, and costs it no attempt. Nothing is claimed after it was asked to stop;
//     what a claim that was on its way then brings is given back. It takes a few seconds at most, also where the database is away.
// V5. Of runs that may be what ended their workers it advances one at a time, until that has got on.

import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { sleep, systemClock } from "@sentient/db-pool";
import { EventBusError, type EventBus } from "@sentient/event-bus";
import type { Lease, StartOptions } from "@sentient/state";
import type { z } from "zod";
import { Bell } from "./bell.ts";
import type { Definition } from "./define.ts";
import { checked } from "./errors.ts";
import { Held, within } from "./held.ts";
import type { Registry } from "./registry.ts";
import { RELEASE } from "./release.ts";
import { goRounds } from "./rounds.ts";
import type { Tools } from "./tools.ts";
import { WorkerOptions } from "./worker-options.ts";

/** It asks at least so often, in milliseconds. */
const TICK_MS = 1_000;
const BEAT_MS = 5_000;
const RETAIN_MS = 60_000;
const MOST_CLAIMED = 256;
/** How long it takes no notice of what others tell after it has found nothing, in milliseconds; and at most. */
const QUIET_MS = 10;
const MOST_QUIET_MS = 160;
/** Where the database does not answer, the worker is stopped after so many milliseconds all the same. */
const STOP_MS = 10_000;

/** What is told on the log when there may be something to claim. */
const READY_EVENTS = ["run.queued", "run.resumed", "run.released", "run.restored"];

export class Worker implements AsyncDisposable {
  readonly id: string;
  readonly #options: z.output<typeof WorkerOptions>;
  readonly #registry: Registry;
  readonly #tools: Tools;
  readonly #bus: EventBus;
  readonly #held: Held;
  readonly #bell = new Bell();
  readonly #taken = new Bell();
  readonly #stopping = new AbortController();
  readonly #fenced = Promise.withResolvers<Error>();
  /** Slots for what is claimed or started here at the moment. */
  #reserved = 0;
  /** Starts among them. */
  #starting = 0;
  /** Whether the last claim got all it asked for. */
  #mayBeMore = true;
  #started: Promise<void> | undefined;
  #loops: Promise<unknown> | undefined;
  #stopped: Promise<void> | undefined;

  /** @internal */
  constructor(options: WorkerOptions, registry: Registry, bus: EventBus, tools: Omit<Tools, "hasRoom">) {
    this.#options = checked(WorkerOptions, options, "a worker");
    this.id = this.#options.id ?? `w-${randomUUID()}`;
    this.#registry = registry;
    this.#bus = bus;
    this.#tools = { ...tools, hasRoom: () => this.#room > 0 };
    this.#held = new Held({
      tools: this.#tools,
      lease: this.#options.lease,
      onEnd: ({ status }) => {
        if (this.#mayBeMore || status === "released") this.#bell.ring();
      },
    });
  }

  /** How many runs it advances. */
  get running(): number {
    return this.#held.size;
  }

  /** Why it can do nothing any more until its process begins anew, once that is so: its database was restored from a backup. */
  get fenced(): Promise<Error> {
    return this.#fenced.promise;
  }

  get #queues(): readonly string[] {
    return this.#options.queues ?? this.#registry.queues;
  }

  get #room(): number {
    return this.#options.slots - this.#held.size - this.#reserved;
  }

  /** Claims and advances runs until it is stopped. */
  start(): Promise<void> {
    return (this.#started ??= this.#start().catch((error: unknown) => {
      this.#started = undefined;
      throw error;
    }));
  }

  async #start(): Promise<void> {
    await this.#registry.register(this.#tools.state);
    await this.#tools.takenOver();
    if (this.#stopping.signal.aborted) return;
    await this.#beat();
    const { notices } = this.#tools;
    const { lease } = this.#options;
    const ring = () => this.#bell.ring();
    const told = this.#bus.subscribe({ types: READY_EVENTS }, ring);
    const forget = [
      notices.onReady(ring),
      notices.onAsked(() => void this.#held.heedAsked().catch(() => {})), // they hear it within a second
    ];
    const loops = Promise.all([
      this.#claimOn(),
      this.#every(TICK_MS, () => this.#sweep()),
      this.#every(TICK_MS, () => this.#held.heedAsked()),
      this.#every(lease / 3, () => this.#held.renew(), lease / 30), // V2: there is time to try it again
      this.#every(BEAT_MS, () => this.#beat()),
      this.#every(RETAIN_MS, () => this.#tools.state.retain()),
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
      const claimed = await this.#claim();
      advanced += claimed;
      if (claimed === 0) return advanced;
      await this.#held.settled();
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

  /** V4. */
  async #stop(): Promise<void> {
    this.#stopping.abort();
    this.#bell.ring();
    await within(STOP_MS, this.#windUp());
  }

  async #windUp(): Promise<void> {
    await this.#held.handOver();
    await this.#started?.catch(() => {});
    await this.#loops;
    while (this.#starting > 0) await this.#taken.next(systemClock, TICK_MS);
    await this.#tools.state.workers.remove(this.id);
  }

  // what is started here and has no need to wait in a queue

  /** A slot for a run that is about to be started here, if there is nothing that would have to go before it. */
  reserve(
    { concurrency }: Definition,
    { queue = "default", capabilities = [] }: Pick<StartOptions, "queue" | "capabilities">,
  ): { worker: string; lease: number } | undefined {
    const isFree = this.#loops && !this.#stopping.signal.aborted && !this.#mayBeMore && this.#room > 0;
    const { capabilities: able } = this.#options;
    const wouldClaim =
      this.#queues.includes(queue) && (!able || capabilities.every((each) => able.includes(each)));
    if (!isFree || !wouldClaim || concurrency !== undefined) return undefined;
    this.#reserved++;
    this.#starting++;
    return { worker: this.id, lease: this.#options.lease };
  }

  /** What became of the slot: the run is held, or waits in its queue after all. */
  take(lease: Lease | undefined): void {
    this.#reserved--;
    void this.#advance(lease ? [lease] : []).finally(() => {
      this.#starting--;
      this.#taken.ring();
    });
  }

  // claiming

  async #claimOn(): Promise<void> {
    const { clock, logger } = this.#tools;
    const { signal } = this.#stopping;
    let quiet = QUIET_MS;
    while (!signal.aborted) {
      let claimed = 0;
      try {
        claimed = await this.#claim();
      } catch (error) {
        if (error instanceof EventBusError && error.code === "event_bus.restored")
          return this.#fenced.resolve(error);
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

  /** V1. Where little is to be had, half of the slots are left to what is started here meanwhile. */
  async #claim(): Promise<number> {
    const room = this.#mayBeMore ? this.#room : Math.ceil(this.#room / 2);
    if (room <= 0) this.#mayBeMore = true; // nobody knows what came meanwhile
    if (room <= 0 || this.#stopping.signal.aborted) return 0;
    const { lease, capabilities } = this.#options;
    const max = Math.min(room, MOST_CLAIMED);
    this.#reserved += max;
    let leases: Lease[] = [];
    try {
      leases = await this.#tools.state.claim({
        worker: this.id,
        serves: this.#registry.serves,
        queues: this.#queues,
        ...(capabilities ? { capabilities } : {}),
        max,
        inDoubt: this.#held.isInDoubt ? 0 : 1, // V5
        lease,
      });
    } finally {
      this.#reserved -= max;
    }
    this.#mayBeMore = leases.length === max;
    await this.#advance(leases);
    return leases.length;
  }

  /** V4. Resolves at once, unless they are given back. */
  async #advance(leases: readonly Lease[]): Promise<void> {
    if (this.#stopping.signal.aborted) {
      await Promise.allSettled(leases.map((lease) => this.#tools.state.release(lease)));
      return;
    }
    for (const lease of leases) {
      const { name, version } = lease.run;
      this.#held.advance(lease, this.#registry.require(name, version));
    }
  }

  // rounds

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
      queues: [...this.#queues],
      serves: this.#registry.labels,
      ...(capabilities ? { capabilities: [...capabilities] } : {}),
      slots,
      running: Math.min(slots, this.#held.size),
    });
  }

  #every(every: number, work: () => Promise<unknown>, again = every): Promise<void> {
    const { clock, logger } = this.#tools;
    const onProblem = (error: unknown) =>
      logger.warn({ worker: this.id, error }, "a worker could not do its rounds; it tries again");
    return goRounds({ clock, signal: this.#stopping.signal, work, every, again, onProblem });
  }
}
