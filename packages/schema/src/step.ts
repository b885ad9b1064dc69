import { z } from "zod";
import { Failure } from "./failure.ts";
import { Hash, RunId, StepKey, Token } from "./ids.ts";
import { jsonText } from "./json.ts";
import { defineTable } from "./table.ts";

/** How it stood when it was first said that it is begun, once more is known of it. */
const Begun = z.object({
  n: z.int().min(1),
  attempts: z.int().min(1),
  token: Token,
  startedAt: z.date(),
  endedAt: z.date(),
});

const core = {
  /** The run, how often it had been restored by then, and the step: what was done before is kept. */
  id: z.tuple([RunId, z.int().min(0), StepKey]),
  /** Which of its run's events told of it. */
  n: z.int().min(1),
  /** The name it was given in code; another one under its key means that the code has changed. */
  name: z.string().min(1).max(512),
  inputHash: Hash.optional(),
  attempts: z.int().min(1),
  /** The lease it was committed under. */
  token: Token,
  startedAt: z.date(),
  endedAt: z.date(),
  begun: Begun.optional(),
};

/** A remembered unit of work: what replay reads instead of doing it again. Of one that is not over, how far it came. */
export const Step = z.discriminatedUnion("status", [
  z.object({ ...core, status: z.literal("completed"), result: jsonText("payloadBytes") }),
  /** Its result is larger than a row should be, and kept once, by its hash. */
  z.object({ ...core, status: z.literal("stored"), blob: Hash }),
  z.object({ ...core, status: z.literal("failed"), error: Failure }),
  /** What it is about to do cannot be undone or repeated blindly, so it was said before. */
  z.object({ ...core, status: z.literal("started") }),
  /** It failed, and is tried again then. */
  z.object({ ...core, status: z.literal("retrying"), error: Failure, retryAt: z.date() }),
]);
export type Step = z.infer<typeof Step>;

export const stepTable = defineTable({
  name: "step",
  schema: Step,
  types: false,
  comment: "a remembered unit of work in a run",
});
