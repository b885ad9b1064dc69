import { isDeepStrictEqual } from "node:util";
import type { Action, Operation } from "./history.ts";
import type { Model } from "./models.ts";

const MAX_CONFIGURATIONS = 500_000;

/** A point of the search: what has been placed in the order so far, and the state that led to. */
interface Configuration<State> {
  /** Every `ok` operation below this index is placed … */
  first: number;
  /** … and above it those whose bit is set, counted from `first`. */
  beyond: bigint;
  /** The `info` operations placed, as bits. */
  unknown: bigint;
  state: State;
}

/** Sorted by invocation; `twin` is the place of the previous `info` operation with the same action. */
interface Split<A extends Action> {
  ok: Operation<A>[];
  info: (Operation<A> & { twin: number })[];
}

/** Whether some order of all `ok` operations, with any of the `info` ones in between, agrees with the model. */
export function hasOrder<State, A extends Action>(
  operations: readonly Operation<A>[],
  model: Model<State, A>,
): boolean {
  const split = splitByOutcome(operations);
  const visited = new Visited();
  let stack: Configuration<State>[] = [{ first: 0, beyond: 0n, unknown: 0n, state: model.initial }];
  while (stack.length > 0) {
    const later: Configuration<State>[] = []; // with one more `info` operation than those on the stack
    for (let at = stack.pop(); at; at = stack.pop()) {
      if (at.first === split.ok.length) return true;
      if (!visited.add(at)) continue;
      const { ok, info } = candidates(split, at);
      for (const index of info) {
        const { state } = model.apply(at.state, split.info[index]!.action);
        if (isDeepStrictEqual(state, at.state)) continue;
        later.push({ ...at, unknown: at.unknown | bit(index), state });
      }
      for (const index of ok.toReversed()) {
        const { action, result: observed } = split.ok[index]!;
        const { state, result } = model.apply(at.state, action);
        if (observed === undefined || isDeepStrictEqual(observed, result))
          stack.push(place(at, index, state));
      }
    }
    stack = later;
  }
  return false;
}

function splitByOutcome<A extends Action>(operations: readonly Operation<A>[]): Split<A> {
  const sorted = operations.toSorted((a, b) => a.invoked - b.invoked);
  const latest = new Map<string, number>();
  const info = sorted
    .filter(({ outcome }) => outcome === "info")
    .map((operation, index) => {
      const kind = JSON.stringify(operation.action);
      const twin = latest.get(kind) ?? -1;
      latest.set(kind, index);
      return { ...operation, twin };
    });
  return { ok: sorted.filter(({ outcome }) => outcome === "ok"), info };
}

/** What may come next: all that was invoked before the first pending `ok` operation completed. */
function candidates(split: Split<Action>, { first, beyond, unknown }: Configuration<unknown>) {
  const ok: number[] = [];
  let horizon = Infinity;
  for (let index = first; index < split.ok.length; index++) {
    if (has(beyond, index - first)) continue;
    const { invoked, completed } = split.ok[index]!;
    if (invoked > horizon) break;
    horizon = Math.min(horizon, completed);
    ok.push(index);
  }
  const info: number[] = [];
  for (const [index, { invoked, twin }] of split.info.entries()) {
    if (invoked > horizon) break;
    // Of equal ones the earliest will do.
    if (!has(unknown, index) && (twin < 0 || has(unknown, twin))) info.push(index);
  }
  return { ok, info };
}

function place<State>(at: Configuration<State>, index: number, state: State): Configuration<State> {
  let { first, beyond } = at;
  beyond |= bit(index - first);
  while (has(beyond, 0)) {
    beyond >>= 1n;
    first++;
  }
  return { first, beyond, unknown: at.unknown, state };
}

/** The memory of the search. Whatever failed with few `info` operations placed fails with more of them. */
class Visited {
  readonly #unknowns = new Map<string, bigint[]>();
  #size = 0;

  /** False when there is no need to look here again. */
  add({ first, beyond, unknown, state }: Configuration<unknown>): boolean {
    const key = `${first} ${beyond.toString(32)} ${JSON.stringify(state)}`;
    const before = this.#unknowns.get(key);
    if (before?.some((fewer) => (fewer & unknown) === fewer)) return false;
    if (++this.#size > MAX_CONFIGURATIONS) {
      throw new RangeError(
        `undecided after ${MAX_CONFIGURATIONS} configurations: too much was concurrent or unknown`,
      );
    }
    if (before) before.push(unknown);
    else this.#unknowns.set(key, [unknown]);
    return true;
  }
}

const bit = (index: number) => 1n << BigInt(index);
const has = (bits: bigint, index: number) => ((bits >> BigInt(index)) & 1n) === 1n;
