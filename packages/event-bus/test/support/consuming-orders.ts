import { surql, type DatabaseOptions } from "@sentient/db-pool";
import type { ConsumerOptions } from "../../src/index.ts";

/** What a process that works on a consumer is told. */
export interface ConsumeOrders {
  connection: DatabaseOptions;
  name: string;
  options: ConsumerOptions;
  /** Counts each event: in a commit with its position, apart from it, or with it but without asking for the lease. */
  effect: "commit" | "apart" | "unfenced";
  /** Where each call is noted. */
  ledger: string;
  /** At these positions the handler waits until there is a file of this name and the position, `gate-20`. */
  gate: string;
  holdBefore?: number[];
  holdAfter?: number[];
  /** The process ends when it handles this. */
  deadly?: number;
}

/** A number that counts effects in the database. */
export const COUNT = surql`UPSERT counter:effects SET n += 1`;
