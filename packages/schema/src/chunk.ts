import { z } from "zod";
import { RunId, StepKey } from "./ids.ts";
import { jsonText } from "./json.ts";
import { defineTable } from "./table.ts";

const core = {
  /** The run, and the how-many-th of all that it streams. */
  id: z.tuple([RunId, z.int().min(1)]),
  /** Whose stream it is. */
  step: StepKey,
  attempt: z.int().min(1),
  at: z.date(),
};

/** A piece of a stream. */
export const Chunk = z.discriminatedUnion("kind", [
  z.object({ ...core, kind: z.literal("data"), data: jsonText("chunkBytes") }),
  /** A retry begins: what came before does not count. */
  z.object({ ...core, kind: z.literal("reset") }),
  z.object({ ...core, kind: z.literal("end") }),
]);
export type Chunk = z.infer<typeof Chunk>;

export const chunkTable = defineTable({
  name: "chunk",
  schema: Chunk,
  asserts: false,
  comment: "a piece of a step's stream",
});
