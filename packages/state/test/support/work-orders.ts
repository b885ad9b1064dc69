import type { DatabaseOptions } from "@sentient/db-pool";

/** What a worker of the tests is told. */
export interface WorkOrders {
  connection: DatabaseOptions;
  /** Where it notes what it does, before it says so to anybody else. */
  ledger: string;
  /** Milliseconds. */
  lease: number;
  /** Steps of a run. */
  steps: number;
  /** Runs at the same time. */
  atOnce: number;
  /** How long a step takes. */
  pause?: number;
  /** Before this step of each run it stops, until the gate is there. */
  holdBefore?: number;
  gate?: string;
  /** Without what keeps one that has lost its lease from committing. */
  isUnfenced?: boolean;
}
