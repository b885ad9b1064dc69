// Outbox. Owns: what is to be told with the next commit of a pass: its state, how far it is, what it logs.
// O1. What is told is told once, however often the run is replayed: where the step that was asked for next is remembered, what
//     came before it was told; else a step beside says how much was.
// O2. What a step has changed of the state is kept with its outcome, and not before.

import { requireWithin, type Json, type StepKey } from "@sentient/schema";
import type { Change } from "@sentient/state";
import { toldKey } from "./keys.ts";
import type { Memory } from "./memory.ts";
import type { OwnState } from "./own-state.ts";
import type { Marker } from "./waiting.ts";

type Events = NonNullable<Change["events"]>;
type Progress = NonNullable<Change["progress"]>;

interface Item {
  /** Of the scope that has told it. */
  path: string | undefined;
  /** The how-many-th thing that was. */
  n: number;
  /** Its place among all that is told and asked for. */
  seq: number;
  event?: Events[number];
}

/** What goes with one commit. */
export interface Told {
  change: Pick<Change, "state" | "progress" | "compensates">;
  events: Events;
  markers: Marker[];
  /** @internal */
  items: Item[];
}

/** What one commit takes at most. */
const MOST_EVENTS = 200;

export class Outbox {
  readonly #memory: Memory;
  readonly #onTold: () => void;
  readonly #state: OwnState | undefined;
  #progress: Progress | undefined;
  #compensates: boolean | undefined;
  #items: Item[] = [];
  #seq = 0;
  readonly #asked = new Map<string, number>();
  readonly #counts = new Map<string, number>();

  /** @param onTold hears that there is something to be told */
  constructor(state: OwnState | undefined, memory: Memory, onTold: () => void) {
    this.#state = state;
    this.#memory = memory;
    this.#onTold = onTold;
  }

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  /** Whether there is more to tell than one commit takes. */
  get hasMore(): boolean {
    return this.#items.length > MOST_EVENTS;
  }

  /** A key was asked for: what is told from now on comes after it. */
  asked(key: StepKey): void {
    this.#asked.set(key, ++this.#seq);
  }

  /** With the next commit, or soon. @returns whether it is new @throws `schema.limit` */
  tell(path: string, type: string, data: Json): boolean {
    requireWithin("eventBytes", Buffer.byteLength(JSON.stringify(data)), `what ${type} tells`);
    return this.#add({ path, event: { type, data } });
  }

  /** @param path none for a step, which works only while it is not remembered */
  progress(path: string | undefined, progress: Progress): void {
    if (this.#add({ path })) this.#progress = progress;
  }

  /** O1. */
  #add({ path, event }: Pick<Item, "path" | "event">): boolean {
    const n = path === undefined ? 0 : (this.#counts.get(path) ?? 0) + 1;
    if (path !== undefined) {
      this.#counts.set(path, n);
      if (this.#memory.isReadingWithin(path) || n <= this.#memory.told(path)) return false;
    }
    this.#items.push({ path, n, seq: ++this.#seq, ...(event ? { event } : {}) });
    this.#onTold();
    return true;
  }

  compensates(): void {
    this.#compensates = true;
  }

  /** @throws `agent.invalid_state` */
  take(change: Change): Told {
    const state = this.#state?.isHeld && isStep(change) ? { state: this.#state.keep() } : {};
    const items = this.#items.splice(0, MOST_EVENTS);
    const progress = this.#progress;
    const compensates = this.#compensates;
    this.#progress = this.#compensates = undefined;
    return {
      change: { ...state, ...(progress ? { progress } : {}), ...(compensates ? { compensates } : {}) },
      events: items.flatMap(({ event }) => event ?? []),
      markers: isFinal(change) ? [] : this.#markers(items, change),
      items,
    };
  }

  /** O1. */
  #markers(items: readonly Item[], { steps = [] }: Change): Marker[] {
    const told = new Map<string, number>();
    for (const { path, n, seq } of items) {
      const isCovered = steps.some(
        ({ key }) => key.startsWith(`${path}/`) && (this.#asked.get(key) ?? 0) > seq,
      );
      if (path !== undefined && !isCovered) told.set(path, n);
    }
    for (const { key } of steps) this.#asked.delete(key);
    return [...told].map(([path, n]) => ({ key: toldKey(path, n), name: "told", status: "completed" }));
  }

  /** What could not be told. */
  putBack({ change: { progress, compensates }, items }: Told): void {
    this.#progress ??= progress;
    this.#compensates ??= compensates;
    this.#items.unshift(...items);
  }

  /** Nothing of it is told, and the state stays as it is. */
  drop(): void {
    this.#items = [];
    this.#progress = undefined;
    this.#state?.reset();
  }
}

/** O2. */
function isStep({ steps = [], end }: Change): boolean {
  return end !== undefined || steps.some(({ status }) => status !== "started");
}

function isFinal({ end }: Change): boolean {
  return end !== undefined && ("complete" in end || "fail" in end || "cancel" in end);
}
