// Memory. Owns: what a run remembers, and the order in which a pass is told of it.
// R1. What is remembered is answered in the order in which it was remembered, one after the other, each once all stands still that
//     the one before has set going. So branches go on beside each other as they did before, and what they do to what they share,
//     be it the run's state or a variable, comes out the same.
// R2. The handler is not asked for what undoes, nor for how much a branch has told.

import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import type { Replay, Step } from "@sentient/state";
import { isToldKey, isUndo, isWithin, toldOf } from "./keys.ts";

/**
 * For how many looks, some milliseconds apart, code may do something else before it asks for what is remembered: fewer where only
 * one thing goes on, as nothing else is known of that could ask.
 */
const LOOKS = 200;
const LOOKS_ALONE = 20;
const LOOK_MS = 5;

export interface MemoryOptions {
  /** Hears of each step that is answered, before whoever has asked for it. */
  onRead: (step: Step) => void;
  /** Whether whoever asks is the only one who may. */
  isAlone: () => boolean;
}

export class Memory {
  readonly #replay: Replay;
  readonly #options: MemoryOptions;
  readonly #order = new Map<string, number>();
  /** Keys that were not asked for yet, in order. */
  readonly #unread = new Set<string>();
  /** The same of what undoes. */
  readonly #undoes = new Set<string>();
  /** How many of `#unread` a fork has from its parent. */
  #inherited = 0;
  readonly #told = new Map<string, number>();
  readonly #asked = new Map<string, () => void>();
  #answering = false;

  constructor(replay: Replay, options: MemoryOptions) {
    this.#replay = replay;
    this.#options = options;
    for (const key of replay.journal.keys()) {
      this.#order.set(key, this.#order.size);
      if (isToldKey(key)) this.#skipTold(key);
      else if (isUndo(key)) this.#undoes.add(key);
      else {
        this.#unread.add(key);
        if (replay.inherited.has(key)) this.#inherited++;
      }
    }
  }

  #skipTold(key: string): void {
    const { path, n } = toldOf(key);
    this.#told.set(path, Math.max(n, this.#told.get(path) ?? 0));
    this.#replay.skip(key);
  }

  /** How much is remembered. */
  get size(): number {
    return this.#order.size;
  }

  /** Whether there is something that was not asked for. */
  get isReading(): boolean {
    return this.#unread.size > 0;
  }

  /** The same of a part of the run, and of what stands in it. */
  isReadingWithin(path: string): boolean {
    if (this.#unread.size === 0) return false;
    for (const key of this.#unread) if (key.startsWith(`${path}/`)) return true;
    return false;
  }

  /** Whether a fork does what its parent did. */
  get isInherited(): boolean {
    return this.#inherited > 0;
  }

  /** What was not asked for: the first of it. */
  get unread(): Step | undefined {
    const [first] = this.#unread.size > 0 ? this.#unread : this.#undoes;
    return first === undefined ? undefined : this.#replay.journal.get(first);
  }

  /** Whether it has begun to undo what it did. */
  get isUndoing(): boolean {
    return this.#undoes.size > 0;
  }

  /** Whether a step is remembered that was not asked for yet. */
  has(key: string): boolean {
    return this.#unread.has(key);
  }

  /** Whether a fork has it from its parent. */
  isFromParent(key: string): boolean {
    return this.#replay.inherited.has(key);
  }

  isBegun(key: string): boolean {
    return this.#order.has(key);
  }

  /** How much a part of the run has told of itself, as far as that is remembered. */
  told(path: string): number {
    return this.#told.get(path) ?? 0;
  }

  /** R1. What is remembered under a key. */
  async recall(key: string): Promise<Step | undefined> {
    if (this.#undoes.has(key)) return this.#read(key);
    if (!this.#unread.has(key)) return this.#replay.journal.get(key);
    await Promise.resolve(); // others are asked for in the same breath
    if (this.#asked.size > 0 || !this.#options.isAlone()) await this.#turnOf(key);
    return this.#read(key);
  }

  #turnOf(key: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#asked.set(key, resolve);
    if (!this.#answering) void this.#answer();
    return promise;
  }

  async #answer(): Promise<void> {
    this.#answering = true;
    for (;;) {
      await turn();
      const [first] = [...this.#asked.keys()].sort((one, other) => this.#place(one) - this.#place(other));
      if (first === undefined) break;
      this.#asked.get(first)!();
      this.#asked.delete(first);
    }
    this.#answering = false;
  }

  #place(key: string): number {
    return this.#order.get(key)!;
  }

  #read(key: string): Step {
    const step = this.#replay.journal.get(key)!;
    if (!this.#unread.delete(key) && !this.#undoes.delete(key)) return step;
    if (this.#replay.inherited.has(key)) this.#inherited--;
    this.#options.onRead(step);
    return step;
  }

  /** Nobody asks for what branches remember that were decided. */
  skipWithin(key: string): void {
    for (const other of this.#unread) if (isWithin(other, key)) this.#read(other);
  }

  /** Whether the handler, which has ended, has left out something. */
  async hasUnread(): Promise<boolean> {
    if (this.isReading) await this.settled();
    return this.isReading;
  }

  /** Resolves once nobody asks any more, or whoever does has to do something else before. */
  async settled(): Promise<void> {
    do await turn();
    while (this.#asked.size > 0);
  }

  /**
   * Whether all was asked for that is remembered; it looks for a while, as code may do something else before it asks.
   *
   * @param isUndo whether what undoes is asked for @param isOver whether nobody wants to know any more
   */
  async isAllRead(isUndo: boolean, isOver: () => boolean): Promise<boolean> {
    for (let looks = 0; ; looks++) {
      await this.settled();
      if (isOver()) return false;
      if (!this.isReading && (isUndo || !this.isUndoing)) return true;
      if (looks > (this.#options.isAlone() ? LOOKS_ALONE : LOOKS)) return false;
      await sleep(LOOK_MS);
    }
  }
}
