import { z } from "zod";
import { Position, RunId, StepKey } from "./ids.ts";
import { index } from "./index-kinds.ts";
import { jsonText } from "./json.ts";
import { defineTable } from "./table.ts";

const core = {
  id: z.tuple([RunId, StepKey]),
  /** Which of its run's events told that it was asked, and where in the log: the order of questions. */
  n: z.int().min(1),
  position: Position,
  text: z.string().min(1).max(16_384),
  /** JSON Schema of the answer. */
  schema: jsonText("eventBytes").optional(),
  assignee: z.string().max(256).optional(),
  askedAt: z.date(),
  deadline: z.date().optional(),
  /** The answer if nobody gives one until the deadline. */
  onTimeout: jsonText("eventBytes").optional(),
};

/** Something a run asks a person. It is answered once. */
export const Question = z.discriminatedUnion("status", [
  z.object({ ...core, status: z.literal("open") }),
  z.object({
    ...core,
    status: z.literal("answered"),
    answer: jsonText("eventBytes"),
    answeredBy: z.string().max(256),
    answeredAt: z.date(),
  }),
  z.object({ ...core, status: z.literal("expired"), expiredAt: z.date() }),
  z.object({ ...core, status: z.literal("withdrawn"), withdrawnAt: z.date() }),
]);
export type Question = z.infer<typeof Question>;

export const questionTable = defineTable({
  name: "question",
  schema: Question,
  indexes: {
    byStatus: index("status", "position"),
    byAssignee: index("assignee", "status", "position"),
  },
  comment: "something a run asks a person",
});
