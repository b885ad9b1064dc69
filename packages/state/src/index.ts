export { createState } from "./state.ts";
export type { State, StateOptions } from "./state.ts";
export { apply } from "./run-machine.ts";
export type { RunEvent } from "./run-machine.ts";
export type { Lease } from "./lease.ts";
