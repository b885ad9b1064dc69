// Tail. Owns: the newest events, in memory, for all who follow in this process, and the wait for more.
// T1. What it holds has no gap, and ends at `position`. Who is behind it reads for themselves.
// T2. One doorbell and one reader, however many follow. The bell only shortens the wait: it ticks when nobody rings.
// T3. A tick that finds what no bell told of makes the next one come sooner, down to 50 ms.
// T4. Once the database is closed it is over: who waits is woken, and is told so by the database itself.

import { backoff, DbError, sleep, type Clock, type Doorbell, type Ring } from "@sentient/db-pool";
import type { Event } from "@sentient/schema";
import { unlessAborted } from "./aborted.ts";
import { PageSize } from "./page-size.ts";
import type { EventRow } from "./queries.ts";
import { bytesOf, eventOf, type Reader } from "./reader.ts";

const TICK_MS = 1_000;
const QUICK_TICK_MS = 50;
const HELD_EVENTS = 4_096;
const HELD_BYTES = 16 * 1024 * 1024;

export interface TailOptions {
  reader: Reader;
  /** Hangs the doorbell of the log. */
  hang: () => Doorbell;
  clock: Clock;
  /** Hears what keeps it from reading; it tries again. */
  onProblem: (error: unknown) => void;
}

export class Tail {
  readonly #options: TailOptions;
  #position = 0;
  /** What was read or committed together, the newest last. */
  #chunks: Chunk[] = [];
  #events = 0;
  #bytes = 0;
  #followers = 0;
  /** T4. */
  #isOver = false;
  readonly #size = new PageSize();
  #bell: Doorbell | undefined;
  #pumping: { end: AbortController; done: Promise<void> } | undefined;
  readonly #waiting = new Set<() => void>();

  constructor(options: TailOptions) {
    this.#options = options;
  }

  /**
   * Keeps it reading until the returned function is called.
   *
   * @throws the `DbError` of a database that is closed
   */
  join(): () => void {
    if (this.#followers === 0) this.#start();
    this.#followers++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      if (--this.#followers === 0) void this.#stop();
    };
  }

  /** The next of what is held after a position; undefined if the log has to be asked. */
  since(after: number): { events: readonly Event[]; end: number } | undefined {
    if (after >= this.#position) return this.#isOver ? undefined : { events: [], end: after };
    const chunk = this.#chunks.findLast(({ from }) => from <= after);
    return chunk && { events: chunk.events.slice(after - chunk.from), end: chunk.from + chunk.events.length };
  }

  /** Waits until there may be something after a position, or the signal aborts. */
  more(after: number, signal: AbortSignal): Promise<void> {
    if (this.#position > after || this.#isOver || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }

  /** Its own, while somebody follows. */
  get bell(): Doorbell | undefined {
    return this.#bell;
  }

  /** What this process has just committed after a position. */
  push(rows: readonly EventRow[], after: number): void {
    if (this.#followers === 0) return;
    if (after > this.#position) return this.#bell?.ring(); // of what lies between others have told
    const news = rows.slice(this.#position - after);
    this.#hold(news.map(eventOf), bytesOf(news));
  }

  /** Wakes all who wait, and stops. */
  async close(): Promise<void> {
    await this.#stop();
    this.#wake();
  }

  #hold(events: readonly Event[], bytes: number): void {
    if (events.length === 0) return;
    this.#chunks.push({ from: this.#position, events, bytes });
    this.#position += events.length;
    this.#events += events.length;
    this.#bytes += bytes;
    while (this.#chunks.length > 1 && (this.#events > HELD_EVENTS || this.#bytes > HELD_BYTES)) {
      const oldest = this.#chunks.shift()!;
      this.#events -= oldest.events.length;
      this.#bytes -= oldest.bytes;
    }
    this.#wake();
  }

  #letGo(): void {
    this.#chunks = [];
    this.#events = 0;
    this.#bytes = 0;
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }

  #start(): void {
    const before = this.#pumping?.done;
    const end = new AbortController();
    const bell = this.#options.hang();
    this.#bell = bell;
    this.#pumping = { end, done: this.#pump(bell, end.signal, before) };
  }

  async #stop(): Promise<void> {
    const pumping = this.#pumping;
    pumping?.end.abort();
    this.#bell = undefined;
    this.#letGo();
    await pumping?.done;
  }

  async #pump(bell: Doorbell, end: AbortSignal, before: Promise<void> | undefined): Promise<void> {
    await before;
    await using _ = bell;
    let pause = TICK_MS;
    let isStanding = false;
    for (let failures = 0; !end.aborted;) {
      try {
        isStanding ||= await this.#stand(end);
        const ring = await bell.next({ signal: end, within: pause });
        if (!end.aborted) pause = nextPause(pause, ring, await this.#readOn(end));
        failures = 0;
      } catch (error) {
        if (end.aborted) return;
        if (error instanceof DbError && error.code === "db.closed") return this.#endForGood();
        isStanding = false;
        this.#options.onProblem(error);
        await sleep(this.#options.clock, backoff(failures++, { first: 50, max: 2_000 }), end);
      }
    }
  }

  /** T4. */
  #endForGood(): void {
    this.#isOver = true;
    this.#wake();
  }

  /** At the end of the log: who is behind reads for themselves, and is told of what is wrong there. */
  async #stand(end: AbortSignal): Promise<boolean> {
    const ends = await unlessAborted(this.#options.reader.ends(), end);
    if (!ends) return false;
    const { head } = ends;
    if (head > this.#position || this.#chunks.length === 0) {
      this.#letGo();
      this.#position = head;
    }
    this.#wake();
    return true;
  }

  /** @returns whether there was something that nobody here had committed */
  async #readOn(end: AbortSignal): Promise<boolean> {
    for (let grew = false; ; grew = true) {
      const after = this.#position;
      const reading = this.#size.read((limit) => this.#options.reader.forward({}, after, limit));
      const page = await unlessAborted(reading, end);
      if (!page || end.aborted) return grew;
      const known = this.#position - after; // committed here meanwhile
      this.#hold(page.events.slice(known), page.bytes);
      if (page.end - after <= known && page.head <= this.#position) return grew;
      if (!page.more) return true;
    }
  }
}

interface Chunk {
  /** The position before its first event. */
  from: number;
  events: readonly Event[];
  bytes: number;
}

/** T3. */
function nextPause(pause: number, ring: Ring, found: boolean): number {
  if (ring !== "tick") return found ? TICK_MS : pause;
  return found ? QUICK_TICK_MS : Math.min(TICK_MS, pause * 2);
}
