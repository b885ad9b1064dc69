// What led to what, as edges of a graph.

import { z } from "zod";
import { RunId, StepKey } from "./ids.ts";
import { index } from "./index-kinds.ts";
import { defineTable } from "./table.ts";

/** A run started another one. */
export const Spawned = z.object({ step: StepKey.optional(), at: z.date() });
export type Spawned = z.infer<typeof Spawned>;

export const spawnedTable = defineTable({
  name: "spawned",
  schema: Spawned,
  relation: { in: "run", out: "run", enforced: false },
  comment: "a run started another one",
});

/** A run began from what another one had done. */
export const Forked = z.object({
  /** How many of its events they share. */
  n: z.int().min(1),
  at: z.date(),
});
export type Forked = z.infer<typeof Forked>;

export const forkedTable = defineTable({
  name: "forked",
  schema: Forked,
  relation: { in: "run", out: "run", enforced: false },
  comment: "a run began from what another one had done",
});

/** An event led to a run. */
export const Caused = z.object({
  /** Of the event, if it is one of a run. */
  run: RunId.optional(),
  at: z.date(),
});
export type Caused = z.infer<typeof Caused>;

export const causedTable = defineTable({
  name: "caused",
  schema: Caused,
  relation: { in: "event", out: "run", enforced: false },
  indexes: { byRun: index("run") },
  comment: "an event led to a run",
});
