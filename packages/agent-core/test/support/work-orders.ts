import type { DatabaseOptions } from "@sentient/db-pool";
import type { WorkerOptions } from "../../src/index.ts";

/** What a worker of the tests is told. */
export interface WorkOrders {
  connection: DatabaseOptions;
  worker: WorkerOptions;
  /** Where it notes what it does, before it says so to anybody else. */
  ledger: string;
  /** Who does something that is held back goes on once this file is there. */
  gate: string;
  /** Whether it lets nothing else of its process happen where it comes to that. */
  blocks?: boolean;
  /** Without what keeps one that has lost its lease from committing. */
  isUnfenced?: boolean;
}

/** What was really done, as it is noted. */
export interface Note extends Record<string, unknown> {
  run: string;
  /** Of the step, and the attempt at it. */
  key: string;
  /** Milliseconds since the epoch. */
  at: number;
}
