import type { Action } from "./history.ts";

/** How an object behaves when only one client uses it. States and results are JSON values. */
export interface Model<State, A extends Action> {
  initial: State;
  apply(state: State, action: A): { state: State; result: unknown };
}

export type RegisterAction =
  | { op: "read" }
  | { op: "write"; value: unknown }
  /** `[expected, next]`; returns whether it was swapped. */
  | { op: "cas"; value: readonly [unknown, unknown] };

/**
 * A register: `read` returns the value, `write` the value written, `cas` whether it swapped.
 *
 * @example checkLinearizable(history.operations, registerModel(0));
 */
export function registerModel(initial: unknown = null): Model<unknown, RegisterAction> {
  return {
    initial,
    apply(state, action) {
      switch (action.op) {
        case "read":
          return { state, result: state };
        case "write":
          return { state: action.value, result: action.value };
        case "cas": {
          const [expected, next] = action.value;
          const swaps = JSON.stringify(state) === JSON.stringify(expected);
          return { state: swaps ? next : state, result: swaps };
        }
      }
    },
  };
}

export type CounterAction = { op: "read" } | { op: "add"; value: number };

/**
 * A counter: `read` and `add` return the count, after adding.
 *
 * @example checkLinearizable(history.operations, counterModel());
 */
export function counterModel(initial = 0): Model<number, CounterAction> {
  return {
    initial,
    apply(state, action) {
      const count = action.op === "add" ? state + action.value : state;
      return { state: count, result: count };
    },
  };
}
