import { z } from "zod";
import { Hash, RunId } from "./ids.ts";
import { jsonText } from "./json.ts";
import { defineTable } from "./table.ts";

const core = {
  /** The run, and which of its events told of the change. */
  id: z.tuple([RunId, z.int().min(1)]),
  /** Of the state after it. */
  hash: Hash,
  at: z.date(),
};

/** A change of a run's state. */
export const Patch = z.discriminatedUnion("kind", [
  /** JSON Patch (RFC 6902). */
  z.object({ ...core, kind: z.literal("patch"), ops: jsonText("payloadBytes") }),
  /** All of it, so that what lies before need not be read. */
  z.object({ ...core, kind: z.literal("snapshot"), state: jsonText("payloadBytes") }),
  /** All of it, too large for a row. */
  z.object({ ...core, kind: z.literal("stored"), blob: Hash }),
]);
export type Patch = z.infer<typeof Patch>;

export const patchTable = defineTable({
  name: "patch",
  schema: Patch,
  types: false,
  comment: "a change of a run's state",
});
