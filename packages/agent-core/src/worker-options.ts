import { z } from "zod";

export const WorkerOptions = z.strictObject({
  id: z.string().optional(),
  slots: z.int().min(1).max(10_000).default(64),
  queues: z.array(z.string()).min(1).optional(),
  capabilities: z.array(z.string()).optional(),
  lease: z.int().min(300).max(3_600_000).default(15_000),
});

export interface WorkerOptions {
  /** One for each start of a process; made up if left out. */
  id?: string;
  /** Runs at once: 64 if left out. */
  slots?: number;
  /** Those of its agents and workflows if left out. */
  queues?: readonly string[];
  /** What it can do; runs that ask for more are left to others. All is claimed if left out. */
  capabilities?: readonly string[];
  /** How long others wait until they take over its runs should it die, in milliseconds: 15,000 if left out. */
  lease?: number;
}
