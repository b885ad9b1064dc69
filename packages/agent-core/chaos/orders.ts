import type { DatabaseOptions } from "@sentient/db-pool";
import type { WorkerOptions } from "../src/index.ts";
import type { Sabotage } from "./options.ts";

/** What a worker of a chaos run is told. */
export interface Orders {
  connection: DatabaseOptions;
  worker: WorkerOptions;
  ledger: string;
  lane: number;
  /** A file that says by how much its clock is wrong, read at SIGUSR2. */
  clock: string;
  sabotage: Sabotage | undefined;
}
