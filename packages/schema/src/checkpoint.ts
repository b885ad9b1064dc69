import { z } from "zod";
import { Hash, Name, Position, RunId, Token, Version } from "./ids.ts";
import { jsonText } from "./json.ts";
import { defineTable } from "./table.ts";

/** A named point in a run that one can list, restore and fork from. */
export const Checkpoint = z.object({
  id: z.tuple([RunId, Name]),
  /** How many events of the run lie before it, and the position of the last of them. */
  n: z.int().min(1),
  position: Position,
  stateHash: Hash,
  steps: z.int().min(0),
  attempt: z.int().min(0),
  token: Token,
  version: Version,
  metadata: jsonText("eventBytes").optional(),
  createdAt: z.date(),
});
export type Checkpoint = z.infer<typeof Checkpoint>;

export const checkpointTable = defineTable({
  name: "checkpoint",
  schema: Checkpoint,
  comment: "a named point in a run to restore or fork from",
});
