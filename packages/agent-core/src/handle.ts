// Handles. Owns: what anybody can ask of a run, in whichever process it is advanced.

import { sleep, type Clock } from "@sentient/db-pool";
import type { EventBus } from "@sentient/event-bus";
import type { Event } from "@sentient/schema";
import type { Chunk, Run, State } from "@sentient/state";
import { OVER, unlessAborted } from "./aborted.ts";
import { AgentError, cancelledText, RememberedError } from "./errors.ts";
import type { Ended, Notices } from "./notices.ts";
import type { Listener } from "./listener.ts";

/** What a run tells and streams, as it comes. */
export type StreamItem = { type: "event"; event: Event } | { type: "chunk"; chunk: Chunk };

export interface ResultOptions {
  /** How long to wait for it at most, in milliseconds. */
  timeout?: number;
  /** Gives up the waiting, and not the run. */
  signal?: AbortSignal;
}

export interface Ports {
  state: State;
  bus: EventBus;
  clock: Clock;
  notices: Notices;
  listener: Listener;
  /** Has the run go on as far as it goes; where a test moves the time, and nobody else does. */
  advance?: ((run: string) => Promise<void>) | undefined;
}

/** How long a reader of a stream waits before it looks again, in milliseconds, at first and at most. */
const LOOK_MS = 20;
const MOST_LOOK_MS = 250;
/** Pieces of a stream that are read at once. */
const PAGE = 500;
/** Who waits for an end looks again after so long, in case that nobody tells of it. */
const PATIENCE_MS = 2_000;

/** A run, from outside. Any process has one by `sentient.handle(id)`. */
export class RunHandle<Output = unknown> {
  readonly id: string;
  readonly #ports: Ports;
  /** How it ends, if that happens in this process before it is let go of. */
  readonly #here: Promise<Ended | undefined> | undefined;

  /** @internal @param isHeld whether a worker of this process holds it */
  constructor(id: string, ports: Ports, isHeld = false) {
    this.id = id;
    this.#ports = ports;
    this.#here = isHeld ? heardOf(id, ports.notices) : undefined;
  }

  /** As it is now. @throws `state.not_found` */
  run(): Promise<Run> {
    return this.#ports.state.load(this.id);
  }

  /** @throws `state.not_found` */
  async status(): Promise<Run["status"]> {
    return (await this.run()).status;
  }

  /**
   * Waits for its end, and answers with what it gives.
   *
   * @throws what the run failed with, as a `RememberedError`; `agent.run_cancelled`; `agent.run_parked` if it cannot go on
   * without help, saying which; `agent.result_timeout`; `state.not_found`
   * @example const report = await handle.result({ timeout: 60_000 });
   */
  async result({ timeout, signal }: ResultOptions = {}): Promise<Output> {
    const end = new AbortController();
    const limits = [...(signal ? [signal] : []), end.signal];
    const cancel = timeout === undefined ? () => {} : this.#ports.clock.after(timeout, () => end.abort(LATE));
    try {
      return outputOf(this.id, await this.#ended(AbortSignal.any(limits))) as Output;
    } catch (error) {
      throw error === LATE ? lateError(this.id, timeout!, await this.#why()) : error;
    } finally {
      cancel();
      end.abort(OVER);
    }
  }

  /** What keeps it from ending; nothing where nobody can say so soon. */
  async #why(): Promise<string> {
    const explained = unlessAborted(this.#ports.state.explain(this.id), AbortSignal.timeout(WHY_MS));
    const [first] = await explained.catch(() => []);
    return first ? ` (${first.message})` : "";
  }

  async #ended(signal: AbortSignal): Promise<Ended> {
    const { notices, listener, clock, advance } = this.#ports;
    if (advance) await unlessAborted(advance(this.id), signal);
    const here = this.#here && (await unlessAborted(this.#here, signal));
    if (here) return here;
    const leave = listener.join();
    try {
      await listener.ready;
      for (;;) {
        const woken = new AbortController();
        const forget = notices.onChanged(this.id, () => woken.abort());
        try {
          const ended = endOf(await this.run());
          if (ended) return ended;
          await sleep(clock, PATIENCE_MS, AbortSignal.any([woken.signal, signal]));
          signal.throwIfAborted();
        } finally {
          forget();
        }
      }
    } finally {
      leave();
    }
  }

  /**
   * What happens to it, from its beginning or behind a position, until it is over.
   *
   * @throws while iterating what `bus.follow` throws
   * @example for await (const event of handle.events()) console.log(event.position, event.type);
   */
  async *events({ after = 0, signal }: { after?: number; signal?: AbortSignal } = {}): AsyncGenerator<
    Event,
    void,
    undefined
  > {
    const stop = new AbortController();
    const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
    await this.#ports.advance?.(this.id);
    if (await this.#isOverBy(after)) return;
    try {
      for await (const event of this.#ports.bus.follow({ run: this.id, after, signal: either })) {
        yield event;
        if (isLast(event)) return;
      }
    } finally {
      stop.abort();
    }
  }

  /** Whether its last event is not behind a position. */
  async #isOverBy(after: number): Promise<boolean> {
    if (after === 0 || !endOf(await this.run())) return false;
    const { events } = await this.#ports.bus.history({ run: this.id, order: "desc", limit: 1 });
    return events.every(({ position }) => position <= after);
  }

  /**
   * What it streams, from the beginning or behind a piece, until it is over.
   *
   * @example for await (const { data } of handle.chunks()) process.stdout.write(String(data));
   */
  async *chunks({ after = 0, signal }: { after?: number; signal?: AbortSignal } = {}): AsyncGenerator<
    Chunk,
    void,
    undefined
  > {
    const isAborted = () => signal?.aborted === true;
    await this.#ports.advance?.(this.id);
    let isOver = false; // by then all that it has streamed is there, and is read once more
    for (let at = after, pause = LOOK_MS; !isAborted(); pause = Math.min(MOST_LOOK_MS, pause * 1.5)) {
      const woken = this.#untilStreamed();
      try {
        const pieces = await this.#ports.state.chunks.read(this.id, { after: at, limit: PAGE });
        for (const piece of pieces) {
          yield piece;
          at = piece.n;
          if (isAborted()) return;
        }
        if (pieces.length > 0) pause = LOOK_MS;
        else if (isOver) return;
        if (isOver || pieces.length === PAGE) continue;
        isOver = endOf(await this.run()) !== undefined;
        if (isOver) continue;
        const wake = signal ? AbortSignal.any([signal, woken.signal]) : woken.signal;
        await sleep(this.#ports.clock, pause, wake);
      } finally {
        woken.forget();
      }
    }
  }

  #untilStreamed(): { signal: AbortSignal; forget: () => void } {
    const { notices } = this.#ports;
    const woken = new AbortController();
    const wake = () => woken.abort();
    const forget = [notices.onStreamed(this.id, wake), notices.onChanged(this.id, wake)];
    return { signal: woken.signal, forget: () => forget.forEach((each) => each()) };
  }

  /**
   * Both, as they come.
   *
   * @param options `after` a position, and `afterChunk` a piece: where whoever goes on with it was
   * @example for await (const item of handle.stream()) if (item.type === "chunk") write(item.chunk);
   */
  async *stream(
    options: { after?: number; afterChunk?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<StreamItem, void, undefined> {
    const stop = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
    const { after = 0, afterChunk = 0 } = options;
    const sources = [
      mapped(this.events({ after, signal }), (event): StreamItem => ({ type: "event", event })),
      mapped(this.chunks({ after: afterChunk, signal }), (chunk): StreamItem => ({ type: "chunk", chunk })),
    ];
    try {
      const next = new Map(
        sources.map((source) => [source, source.next().then((result) => ({ source, result }))]),
      );
      while (next.size > 0) {
        const { source, result } = await Promise.race(next.values());
        if (result.done) next.delete(source);
        else {
          next.set(
            source,
            source.next().then((later) => ({ source, result: later })),
          );
          yield result.value;
        }
      }
    } finally {
      stop.abort();
    }
  }
}

/** Undefined once it is let go of. */
function heardOf(run: string, notices: Notices): Promise<Ended | undefined> {
  return new Promise((resolve) => {
    const forget = notices.onLetGo(run, (ended) => {
      forget();
      resolve(ended);
    });
  });
}

async function* mapped<T, U>(
  source: AsyncIterable<T>,
  map: (value: T) => U,
): AsyncGenerator<U, void, undefined> {
  for await (const value of source) yield map(value);
}

const LAST = new Set(["run.completed", "run.failed", "run.cancelled"]);

function isLast({ type }: Event): boolean {
  return LAST.has(type);
}

/** @throws `agent.run_parked` */
function endOf(run: Run): Ended | undefined {
  switch (run.status) {
    case "completed":
      return { status: run.status, output: run.output };
    case "failed":
      return { status: run.status, error: run.error };
    case "cancelled":
      return {
        status: run.status,
        ...(run.cancelledBy === undefined ? {} : { by: run.cancelledBy }),
        ...(run.reason === undefined ? {} : { reason: run.reason }),
      };
    case "parked":
      throw parkedError(run);
    default:
      return undefined;
  }
}

function outputOf(run: string, ended: Ended): unknown {
  switch (ended.status) {
    case "completed":
      return ended.output;
    case "failed":
      throw new RememberedError(ended.error);
    case "cancelled":
      throw new AgentError({
        code: "agent.run_cancelled",
        message: cancelledText(run, ended),
        details: { run, ...(ended.by === undefined ? {} : { by: ended.by }) },
      });
  }
}

function parkedError({ id, parkedFor, problem }: Extract<Run, { status: "parked" }>): AgentError {
  return new AgentError({
    code: "agent.run_parked",
    message: `the run ${id} cannot go on without help (${parkedFor}): ${problem.message}`,
    details: { run: id, parkedFor },
  });
}

const WHY_MS = 1_000;
/** The time is over that somebody had. */
const LATE = new Error("late");

function lateError(run: string, timeout: number, why: string): AgentError {
  return new AgentError({
    code: "agent.result_timeout",
    message: `the run ${run} was not over within ${timeout} ms${why}; it goes on, and can be asked again`,
    details: { run, timeout },
  });
}
