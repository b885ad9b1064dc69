import { type Action, describe, type Operation } from "./history.ts";
import type { Model } from "./models.ts";
import { hasOrder } from "./order-search.ts";

const MAX_CLIENTS = 10;
const MAX_OPERATIONS_PER_CLIENT = 100;
const SHOWN = 12;

export type Linearizability<A extends Action> =
  | { ok: true }
  | {
      ok: false;
      key: string;
      /** The shortest beginning of this key's history that no order explains, as far as it was known then. */
      prefix: Operation<A>[];
      text: string;
    };

/**
 * Whether each key's operations could have happened one at a time, each at some moment between its invocation and
 * its completion, as `model` says. Throws when a key has more than 10 clients or 100 operations of one client, or
 * too many unknown outcomes to decide.
 *
 * The search is that of J. M. Wing and C. Gong, "Testing and verifying concurrent objects" (1993), with the
 * memoisation of G. Lowe, "Testing for linearizability" (2017).
 *
 * @example expect(checkLinearizable(history.operations, registerModel())).toEqual({ ok: true });
 */
export function checkLinearizable<State, A extends Action>(
  operations: readonly Operation<A>[],
  model: Model<State, A>,
): Linearizability<A> {
  for (const [key, ofKey] of Map.groupBy(operations, ({ key }) => key)) {
    refuseTooLarge(key, ofKey);
    if (hasOrder(ofKey, model)) continue;
    const prefix = shortestUnexplained(ofKey, model);
    return { ok: false, key, prefix, text: explain(key, prefix) };
  }
  return { ok: true };
}

function refuseTooLarge(key: string, operations: readonly Operation[]): void {
  const clients = Map.groupBy(operations, ({ process }) => process);
  if (clients.size > MAX_CLIENTS) {
    throw new RangeError(`key "${key}" has ${clients.size} clients; the search is bounded to ${MAX_CLIENTS}`);
  }
  for (const [process, { length }] of clients) {
    if (length <= MAX_OPERATIONS_PER_CLIENT) continue;
    throw new RangeError(
      `key "${key}": ${process} has ${length} operations; the search is bounded to ${MAX_OPERATIONS_PER_CLIENT}`,
    );
  }
}

/** Every beginning of a linearizable history is linearizable, so the first that is not can be found by halving. */
function shortestUnexplained<State, A extends Action>(
  operations: readonly Operation<A>[],
  model: Model<State, A>,
): Operation<A>[] {
  const ends = operations
    .map(({ completed }) => completed)
    .filter(Number.isFinite)
    .sort((a, b) => a - b);
  let [low, high] = [0, ends.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (hasOrder(upTo(ends[middle]!, operations), model)) low = middle + 1;
    else high = middle;
  }
  return upTo(ends[low]!, operations);
}

/** The history as it stood at `time`: what had not completed was still unknown. */
function upTo<A extends Action>(time: number, operations: readonly Operation<A>[]): Operation<A>[] {
  return operations
    .filter(({ invoked }) => invoked <= time)
    .map((operation) =>
      operation.completed <= time
        ? operation
        : { ...operation, outcome: "info", result: undefined, completed: Infinity },
    );
}

function explain(key: string, prefix: readonly Operation[]): string {
  const completed = prefix.filter((operation) => operation.completed < Infinity);
  const last = completed.reduce((latest, operation) =>
    operation.completed > latest.completed ? operation : latest,
  );
  const before = prefix.filter((operation) => operation !== last);
  const hidden = before.length - SHOWN;
  return [
    `key "${key}": no order explains ${describe(last)}, after`,
    ...(hidden > 0 ? [`  (${hidden} earlier operations)`] : []),
    ...before.slice(-SHOWN).map((operation) => `  ${describe(operation)}`),
  ].join("\n");
}
