// Replay. Owns: what whoever takes a run up again has to know of it, in one look: its steps, and its state as it was after each.
// R1. The state after a step is what was committed with it or before, also where branches came to their steps in another order.
// R2. A fork begins with what it was told to begin with once all is replayed that it shares with its parent.
// R3. A step without an outcome has no state of its own: what had changed by the time it was said to have begun, whoever does it
//     again changes again.

import { patchTable, type Json, type Patch } from "@sentient/schema";
import { readContents } from "./blobs.ts";
import type { Context } from "./changing.ts";
import { applied, EMPTY } from "./document.ts";
import { removedError } from "./errors.ts";
import { readHistory, type Journal, type Part } from "./journal.ts";
import type { HeldLease } from "./lease.ts";
import * as queries from "./queries.ts";

/** What is remembered of a run, for who replays it. */
export interface Replay {
  /** By key. */
  journal: Journal;
  /** Its state before its first step. */
  first: Json;
  /** Its state once a step of the journal was replayed; undefined if that has not changed. */
  stateAfter: (key: string) => Json | undefined;
  /** The same of one that whoever replays it does not come to: what was committed with it is nobody's state. */
  skip: (key: string) => Json | undefined;
  /** Steps that it shares with the run it was forked from. */
  inherited: ReadonlySet<string>;
  /** The run that it begins with, which is itself unless it is a fork. */
  origin: { run: string; startedAt: Date | undefined };
}

export interface ReplayOptions {
  /** Whether its state is asked for; `first` is `{}` and `stateAfter` nothing otherwise. */
  state?: boolean;
}

const nothing = () => undefined;
const STATELESS = { first: {}, stateAfter: nothing, skip: nothing };

/** @throws `state.details_removed`, `state.damaged` */
export async function replay(
  lease: HeldLease,
  options: ReplayOptions,
  context: Pick<Context, "db">,
): Promise<Replay> {
  const { id, steps, forkOf, startedAt } = lease.run;
  if (steps === 0 && !forkOf && !options.state)
    return { ...STATELESS, journal: new Map(), inherited: new Set(), origin: { run: id, startedAt } };
  const read = await replayOf(id, options, context);
  for (const { key, status } of read.journal.values())
    if (status === "started" || status === "retrying") lease.begun.add(key);
  return read;
}

/** The same of a run that is only looked at. @throws `state.not_found`, `state.details_removed`, `state.damaged` */
export async function replayOf(
  run: string,
  { state = false }: ReplayOptions,
  { db }: Pick<Context, "db">,
): Promise<Replay> {
  const { journal, parts } = await readHistory(run, undefined, db);
  const [origin] = parts;
  const known = {
    journal,
    inherited: new Set(parts.slice(0, -1).flatMap(({ steps }) => [...steps.keys()])),
    origin: { run: origin!.run, startedAt: origin!.startedAt },
  };
  if (!state) return { ...STATELESS, ...known };
  const patches = await Promise.all(parts.map(({ run, upTo }) => patchesOf(run, upTo, db)));
  const rows = patches.flat();
  const contents = await readContents(
    db,
    rows.flatMap((row) => (row.kind === "stored" ? row.blob : [])),
  );
  const timeline = new Timeline(parts, patches, contents);
  const isOpen = (key: string) => journal.get(key)?.status === "started"; // R3
  return {
    ...known,
    first: timeline.first,
    stateAfter: (key) => (isOpen(key) ? timeline.skip(key) : timeline.after(key)),
    skip: (key) => timeline.skip(key),
  };
}

async function patchesOf(run: string, upTo: number | undefined, db: Context["db"]): Promise<Patch[]> {
  return (await db.query(queries.readPatches(run, 0, upTo ?? Number.MAX_SAFE_INTEGER))).map(patchTable.parse);
}

/** The state of a run as time goes by, through the runs that it was forked from. */
class Timeline {
  readonly first: Json;
  readonly #patches: { part: number; n: number; row: Patch }[];
  readonly #places = new Map<string, { part: number; n: number }>();
  readonly #contents: ReadonlyMap<string, string>;
  /** For each run, how many of its steps were not replayed yet. */
  readonly #left: number[];
  #next = 0;
  #entered = -1;
  #state: Json = EMPTY.state;

  constructor(parts: readonly Part[], patches: readonly Patch[][], contents: ReadonlyMap<string, string>) {
    this.#patches = patches.flatMap((rows, part) =>
      rows.filter(({ id }) => parts[part]!.counts(id[1])).map((row) => ({ part, n: row.id[1], row })),
    );
    this.#contents = contents;
    parts.forEach(({ steps }, part) => {
      // What a fork was told to remember instead stands where its parent has it.
      for (const [key, n] of steps) if (n > 1 || !this.#places.has(key)) this.#places.set(key, { part, n });
    });
    const places = [...this.#places.values()];
    this.#left = parts.map((_, part) => places.filter((place) => place.part === part).length);
    this.#enter();
    this.first = structuredClone(this.#state);
  }

  after(key: string): Json | undefined {
    return this.#take(key, ({ part, n }) => this.#upTo(part, n)); // R1: never back
  }

  skip(key: string): Json | undefined {
    return this.#take(key, () => {});
  }

  #take(key: string, move: (place: { part: number; n: number }) => void): Json | undefined {
    const place = this.#places.get(key);
    if (!place || !this.#places.delete(key)) return undefined;
    const before = this.#next;
    move(place);
    this.#left[place.part]!--;
    this.#enter();
    return this.#next === before ? undefined : structuredClone(this.#state);
  }

  /** R2. One that was told nothing goes on with what it has: what else its parent had changed by then, it changes again. */
  #enter(): void {
    const left = this.#left.findIndex((steps) => steps > 0);
    const part = left < 0 ? this.#left.length - 1 : left;
    if (part === this.#entered) return;
    this.#entered = part;
    if (this.#patches.some((patch) => patch.part === part && patch.n === 1)) this.#upTo(part, 1);
  }

  #upTo(part: number, n: number): void {
    for (; this.#next < this.#patches.length; this.#next++) {
      const patch = this.#patches[this.#next]!;
      if (patch.part > part || (patch.part === part && patch.n > n)) return;
      this.#apply(patch.row);
    }
  }

  #apply(row: Patch): void {
    if (row.kind === "patch") this.#state = applied(this.#state, row);
    else if (row.kind === "snapshot") this.#state = structuredClone(row.state);
    else {
      const text = this.#contents.get(row.blob);
      if (text === undefined) throw removedError(row.id[0]);
      this.#state = JSON.parse(text) as Json;
    }
  }
}

/** Of the leases of one worker, what was asked of their runs; a run that is another's by now is missing. */
export async function askedOf(leases: readonly HeldLease[], { db }: Pick<Context, "db">) {
  const rows = await db.query(queries.readAsked(leases.map(({ run }) => run.id)));
  const byRun = new Map(rows.map((row) => [row.run, row]));
  return leases.flatMap((lease) => {
    const row = byRun.get(lease.run.id);
    return row?.token === lease.token && row.asked ? [{ lease, asked: row.asked }] : [];
  });
}
