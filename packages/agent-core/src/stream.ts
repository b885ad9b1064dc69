// Stream. Owns: what a pass streams, on its way to where anybody can read it: in pieces of some size, soon after it came.
// T1. What was streamed before something was remembered is written before that.
// T2. What a step has streamed that is done again, as it failed or was cut off, is followed by a reset.
// T3. What the run streams between its steps is streamed once, however often it is replayed: what is there already is left out.
// T4. What a step streams as `{ type, text }` is packed: what waits to be written at one time is one piece, as a model says a word
//     at a time. What was tried to be written stays as it is, as it may be there.

import { requireWithin, type Json, type StepKey } from "@sentient/schema";
import { StateError, type Lease, type Piece } from "@sentient/state";
import type { Tools } from "./tools.ts";

/** How long a piece waits for others, in milliseconds. */
const FLUSH_MS = 30;
/** Pieces that are written at once. */
const AT_ONCE = 500;
/** Characters of a packed piece. */
const MOST_PACKED = 4_096;

/** What one step streams. */
export interface StepStream {
  write: (data: Json) => void;
  end: () => void;
}

interface Waiting {
  piece: Piece;
  /** The how-many-th it is of what the run streams there. */
  nth?: number;
  /** Whether what its step has streamed before does not count. */
  begins?: boolean;
  isTried?: boolean;
}

export class Stream {
  readonly #lease: Lease;
  readonly #tools: Tools;
  #waiting: Waiting[] = [];
  /** How many there are; undefined before it was asked. */
  #count: number | undefined;
  /** How many of each step there are, and of each attempt at it. */
  readonly #counts = new Map<string, number>();
  #writing: Promise<void> = Promise.resolve();
  #timer: (() => void) | undefined;

  constructor(lease: Lease, tools: Tools) {
    this.#lease = lease;
    this.#tools = tools;
    if (lease.token === 1) this.#count = 0; // nobody was there before
  }

  of(step: StepKey, attempt: number): StepStream {
    let begins = true;
    return {
      write: (data) => {
        this.#push({ piece: pieceOf(step, attempt, data), begins });
        begins = false;
      },
      end: () => {
        if (!begins) this.#push({ piece: { step, attempt, kind: "end" } });
      },
    };
  }

  /** T3. @param nth of those that the run streams at this point, from 1 on */
  say(step: StepKey, nth: number, data: Json): void {
    const { restores = [] } = this.#lease.run; // what was streamed before the run was put back does not count
    this.#push({ piece: pieceOf(step, restores.length + 1, data), nth });
  }

  #push(waiting: Waiting): void {
    this.#waiting.push(waiting);
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
      this.#count ??= await this.#look();
      const taken = this.#pack();
      const pieces = taken.flatMap((waiting) => this.#piecesOf(waiting));
      try {
        if (pieces.length > 0) this.#count = await state.chunks.append(this.#lease, this.#count, pieces);
      } catch (error) {
        if (!(error instanceof StateError) || error.code !== "state.revision_mismatch") throw error;
        this.#count = undefined; // something was still on its way from who held the run before
        continue;
      }
      for (const { step, attempt, kind } of pieces) if (kind === "data") this.#add(step, attempt, 1);
      this.#waiting.splice(0, taken.length);
      notices.streamed(id);
    }
  }

  /** T4. */
  #pack(): Waiting[] {
    const packed: Waiting[] = [];
    for (const waiting of this.#waiting.splice(0, AT_ONCE)) {
      const joined = joinedOf(packed.at(-1), waiting);
      if (joined) packed[packed.length - 1] = joined;
      else packed.push(waiting);
    }
    for (const waiting of packed) waiting.isTried = true;
    this.#waiting.unshift(...packed);
    return packed;
  }

  async #look(): Promise<number> {
    const counts = await this.#tools.state.chunks.counts(this.#lease.run.id);
    this.#counts.clear();
    for (const { step, attempt, count } of counts) this.#add(step, attempt, count);
    return counts.reduce((sum, { count }) => sum + count, 0);
  }

  #add(step: string, attempt: number, count: number): void {
    for (const key of [step, `${step} ${attempt}`])
      this.#counts.set(key, (this.#counts.get(key) ?? 0) + count);
  }

  #piecesOf({ piece, nth, begins }: Waiting): Piece[] {
    const { step, attempt } = piece;
    if (nth !== undefined && nth <= (this.#counts.get(`${step} ${attempt}`) ?? 0)) return []; // T3
    const isAgain = begins === true && this.#counts.has(step); // T2
    return isAgain ? [{ step, attempt, kind: "reset" }, piece] : [piece];
  }

  close(): void {
    this.#timer?.();
  }
}

/** Two that follow one another, as one; undefined if they are not the same text. */
function joinedOf(one: Waiting | undefined, two: Waiting): Waiting | undefined {
  if (!one || one.isTried || two.begins) return undefined;
  if (one.piece.step !== two.piece.step || one.piece.attempt !== two.piece.attempt) return undefined;
  const [first, second] = [textOf(one), textOf(two)];
  if (!first || first.type !== second?.type) return undefined;
  const text = first.text + second.text;
  if (text.length > MOST_PACKED) return undefined;
  return { ...one, piece: { ...one.piece, data: { type: first.type, text } } };
}

function textOf({ piece: { data }, nth }: Waiting): { type: string; text: string } | undefined {
  if (nth !== undefined || typeof data !== "object" || data === null) return undefined;
  const { type, text, ...more } = data as { type?: Json; text?: Json };
  const isText = typeof type === "string" && typeof text === "string" && Object.keys(more).length === 0;
  return isText ? { type, text } : undefined;
}

/** @throws `schema.limit` */
function pieceOf(step: string, attempt: number, data: Json): Piece {
  requireWithin("chunkBytes", Buffer.byteLength(JSON.stringify(data)), `a chunk of ${step}`);
  return { step, attempt, kind: "data", data };
}
