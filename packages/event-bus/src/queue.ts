// Queue. Owns: what waits to be appended, in the order it came in, within bounds.

import type { Statement } from "@sentient/db-pool";
import { limits } from "@sentient/schema";
import { sizeOf, type Draft, type Placed } from "./draft.ts";

/** What one transaction takes at most. */
const BATCH_BYTES = 4 * 1024 * 1024;
const BATCH_STATEMENTS = 1_000;

/** An entry that was not committed yet. */
export interface Pending {
  drafts: readonly Draft[];
  guards: readonly Statement[];
  statements: (placed: readonly Placed[], at: Date) => readonly Statement[];
  /** How many statements there are, about. */
  weight: number;
  /** Milliseconds on the clock. */
  deadline: number;
  resolve: (placed: Placed[]) => void;
  reject: (error: unknown) => void;
}

export class Queue {
  #entries: Pending[] = [];
  /** Bytes and events that wait. */
  bytes = 0;
  events = 0;

  get size(): number {
    return this.#entries.length;
  }

  get first(): Pending | undefined {
    return this.#entries[0];
  }

  push(entry: Pending): void {
    this.#entries.push(entry);
    this.#count([entry], 1);
  }

  /** The next ones, as many as fit into one transaction; no two events of one id among them. */
  take(): Pending[] {
    const ids = new Set<string>();
    let [count, events, bytes, statements] = [0, 0, 0, 0];
    for (const entry of this.#entries) {
      events += entry.drafts.length;
      bytes += bytesOf(entry);
      statements += entry.weight;
      const isFull = events > limits.batch || bytes > BATCH_BYTES || statements > BATCH_STATEMENTS;
      if (count > 0 && (isFull || hasOneOf(ids, entry))) break;
      for (const { eventId } of entry.drafts) if (eventId !== undefined) ids.add(eventId);
      count++;
    }
    const batch = this.#entries.slice(0, count);
    this.#entries = this.#entries.slice(count);
    this.#count(batch, -1);
    return batch;
  }

  /** To the front again: they come next. */
  putBack(entries: readonly Pending[]): void {
    this.#entries = [...entries, ...this.#entries];
    this.#count(entries, 1);
  }

  /** Takes out those that `isOver`. */
  remove(isOver: (entry: Pending) => boolean): Pending[] {
    const over = this.#entries.filter(isOver);
    if (over.length === 0) return over;
    this.#entries = this.#entries.filter((entry) => !over.includes(entry));
    this.#count(over, -1);
    return over;
  }

  #count(entries: readonly Pending[], sign: 1 | -1): void {
    for (const entry of entries) {
      this.events += sign * entry.drafts.length;
      this.bytes += sign * bytesOf(entry);
    }
  }
}

function bytesOf({ drafts }: Pending): number {
  return drafts.reduce((sum, draft) => sum + sizeOf(draft), 0);
}

function hasOneOf(ids: ReadonlySet<string>, { drafts }: Pending): boolean {
  return drafts.some(({ eventId }) => eventId !== undefined && ids.has(eventId));
}
