import { z } from "zod";
import { Name, RunId, StepKey } from "./ids.ts";
import { unique } from "./index-kinds.ts";
import { jsonText } from "./json.ts";
import { defineTable } from "./table.ts";

/** A message to a run from outside; it is kept until the run takes it. */
export const Signal = z.object({
  /** The run, and which of its events told of it. */
  id: z.tuple([RunId, z.int().min(1)]),
  name: Name,
  data: jsonText("eventBytes"),
  source: z.string().max(256).optional(),
  sentAt: z.date(),
  /** The step that took it. */
  takenBy: StepKey.optional(),
  /** `run/name`, as long as nobody has taken it: where it is looked for. */
  untaken: z.string().optional(),
});
export type Signal = z.infer<typeof Signal>;

export const signalTable = defineTable({
  name: "signal",
  schema: Signal,
  types: false,
  indexes: { untaken: unique("untaken", "id") },
  comment: "a message to a run from outside",
});
