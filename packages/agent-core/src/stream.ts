// Stream. Owns: what a pass streams, on its way to where anybody can read it: in pieces of some size, soon after it came.
// T1. What was streamed before something was remembered is written before that.
// T2. What a failed attempt, or one that was cut off, has streamed is followed by a reset.

import type { Json, StepKey } from "@sentient/schema";
import type { Lease, Piece } from "@sentient/state";
import type { Tools } from "./tools.ts";

/** How long a piece waits for others, in milliseconds. */
const FLUSH_MS = 30;
/** Pieces that are written at once. */
const AT_ONCE = 500;

/** What one step streams. */
export interface StepStream {
  write: (data: Json) => void;
  end: () => void;
}

export class Stream {
  readonly #lease: Lease;
  readonly #tools: Tools;
  #waiting: Piece[] = [];
  /** How many there are; undefined before it was asked. */
  #count: number | undefined;
  #writing: Promise<void> = Promise.resolve();
  #timer: (() => void) | undefined;

  constructor(lease: Lease, tools: Tools) {
    this.#lease = lease;
    this.#tools = tools;
  }

  of(step: StepKey, attempt: number): StepStream {
    let isBegun = false;
    const begin = () => {
      if (!isBegun && (attempt > 1 || this.#lease.run.attempts > 1))
        this.#push({ step, attempt, kind: "reset" });
      isBegun = true;
    };
    return {
      write: (data) => {
        begin();
        this.#push({ step, attempt, kind: "data", data });
      },
      end: () => {
        if (isBegun) this.#push({ step, attempt, kind: "end" });
      },
    };
  }

  #push(piece: Piece): void {
    this.#waiting.push(piece);
    this.#timer ??= this.#tools.clock.after(FLUSH_MS, () => void this.flush().catch(() => {})); // who commits next is told
  }

  /** T1. @throws what `state.chunks.append` throws */
  flush(): Promise<void> {
    this.#timer?.();
    this.#timer = undefined;
    if (this.#waiting.length === 0) return this.#writing;
    this.#writing = this.#writing.catch(() => {}).then(() => this.#write());
    return this.#writing;
  }

  async #write(): Promise<void> {
    const { state, notices } = this.#tools;
    const { id } = this.#lease.run;
    while (this.#waiting.length > 0) {
      this.#count ??= await state.chunks.count(id);
      const pieces = this.#waiting.slice(0, AT_ONCE);
      this.#count = await state.chunks.append(this.#lease, this.#count, pieces);
      this.#waiting.splice(0, pieces.length);
      notices.streamed(id);
    }
  }

  close(): void {
    this.#timer?.();
  }
}
