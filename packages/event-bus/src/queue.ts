// Queue. Owns: what waits to be appended, in the order it came in, within bounds.

import type { Statement } from "@sentient/db-pool";
import { limits } from "@sentient/schema";
import { sizeOf, type Draft, type Placed } from "./draft.ts";
import type { NewRow } from "./entry.ts";

/** What one transaction takes at most. */
const BATCH_BYTES = 4 * 1024 * 1024;
const BATCH_STATEMENTS = 1_000;

/** What waits at most. */
const QUEUED_ENTRIES = 100_000;
const QUEUED_BYTES = 256 * 1024 * 1024;

/** An entry that was not committed yet. */
export interface Pending {
  drafts: readonly Draft[];
  guards: readonly Statement[];
  /** How many events its runs have before it, by what who appends has seen. */
  expected: readonly (readonly [run: string, n: number])[];
  begins: readonly string[];
  rows: (placed: readonly Placed[], at: Date) => readonly NewRow[];
  statements: (placed: readonly Placed[], at: Date) => readonly Statement[];
  /** How many statements there are, and how many bytes they and the events have, about. */
  weight: number;
  bytes: number;
  /** Whether it is committed without those of its events that are in the log already, or answered as it was then. */
  omitsKnown: boolean;
  /** Milliseconds on the clock. */
  deadline: number;
  /** Whether who appends it does not want it any more. */
  isTakenBack: () => boolean;
  resolve: (placed: Placed[]) => void;
  reject: (error: unknown) => void;
}

export class Queue {
  #entries: Pending[] = [];
  #bytes = 0;

  get size(): number {
    return this.#entries.length;
  }

  get isFull(): boolean {
    return this.size >= QUEUED_ENTRIES || this.#bytes >= QUEUED_BYTES;
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
      bytes += entry.bytes;
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
    for (const { bytes } of entries) this.#bytes += sign * bytes;
  }
}

/** Bytes of an entry in memory, about; of statements that are made later nothing is known. */
export function bytesOf(
  drafts: readonly Draft[],
  statements: readonly Statement[],
  rows: readonly NewRow[],
): number {
  let bytes = sizeOfValue(rows);
  for (const draft of drafts) bytes += sizeOf(draft);
  for (const statement of statements) {
    const values: Record<string, unknown> = {};
    bytes += statement.render(values).text.length + sizeOfValue(values);
  }
  return bytes;
}

function sizeOfValue(value: unknown): number {
  if (typeof value === "string") return value.length;
  if (value instanceof Uint8Array) return value.length;
  if (typeof value !== "object" || value === null) return 8;
  return Object.values(value).reduce<number>((sum, each) => sum + sizeOfValue(each), 8);
}

function hasOneOf(ids: ReadonlySet<string>, { drafts }: Pending): boolean {
  return drafts.some(({ eventId }) => eventId !== undefined && ids.has(eventId));
}

/** Each as often as there is an event of it. */
export function runsOf(entries: readonly Pending[]): string[] {
  return entries.flatMap(({ drafts }) => drafts.flatMap(({ run }) => run ?? []));
}
