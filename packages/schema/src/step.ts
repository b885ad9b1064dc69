import { z } from "zod";
import { Failure } from "./failure.ts";
import { Hash, RunId, StepKey, Token } from "./ids.ts";
import { jsonText } from "./json.ts";
import { defineTable } from "./table.ts";

const core = {
  id: z.tuple([RunId, StepKey]),
  /** The name it was given in code; another one under its key means that the code has changed. */
  name: z.string().min(1).max(512),
  inputHash: Hash.optional(),
  attempts: z.int().min(1),
  /** The lease it was committed under. */
  token: Token,
  startedAt: z.date(),
  endedAt: z.date(),
};

/** A remembered unit of work: what replay reads instead of doing it again. */
export const Step = z.discriminatedUnion("status", [
  z.object({ ...core, status: z.literal("completed"), result: jsonText("payloadBytes") }),
  /** Its result is larger than a row should be, and kept once, by its hash. */
  z.object({ ...core, status: z.literal("stored"), blob: Hash }),
  z.object({ ...core, status: z.literal("failed"), error: Failure }),
]);
export type Step = z.infer<typeof Step>;

export const stepTable = defineTable({
  name: "step",
  schema: Step,
  asserts: false,
  comment: "a remembered unit of work in a run",
});
