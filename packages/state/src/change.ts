// What a worker may change in one commit, checked.

import { Statement } from "@sentient/db-pool";
import { EVENT_TYPES, Failure, Name, StepKey, Wait, type EventType, type Json } from "@sentient/schema";
import { z } from "zod";
import { readAnswerSchema } from "./answer-schema.ts";
import { issuesOf, StateError } from "./errors.ts";
import { JsonValue, Person } from "./options.ts";

const Reason = z.string().max(1024).optional();

const step = {
  key: StepKey,
  /** The name it was given in code. */
  name: z.string().min(1).max(512),
  inputHash: z.string().optional(),
  attempts: z.int().min(1).default(1),
  startedAt: z.date().optional(),
};

/** What is to be remembered of a step. */
const StepChange = z.discriminatedUnion("status", [
  z.strictObject({ ...step, status: z.literal("completed"), result: JsonValue.default(null) }),
  z.strictObject({ ...step, status: z.literal("failed"), error: Failure }),
  z.strictObject({ ...step, status: z.literal("started") }),
  z.strictObject({ ...step, status: z.literal("retrying"), error: Failure, retryAt: z.date() }),
]);
export type StepChange = z.input<typeof StepChange>;

/** Something to ask a person. */
const Ask = z.strictObject({
  key: StepKey,
  text: z.string().min(1).max(16_384),
  /** JSON Schema of the answer. */
  schema: JsonValue.optional(),
  assignee: z.string().max(256).optional(),
  /** Nobody can answer after it; a run that waits for the answer goes on then. */
  deadline: z.date().optional(),
  /** For the worker, which takes it where it finds that the deadline has passed, and says that the question `expires`. */
  onTimeout: JsonValue.optional(),
});
export type Ask = z.input<typeof Ask>;

/** An event of somebody's own: none of those that the runtime tells of runs. */
export const OwnEventType = z
  .string()
  .refine(
    (type) => !EVENT_TYPES.includes(type as EventType),
    "the runtime alone tells of events of this type",
  );

/** What becomes of the run. */
const End = z.union([
  z.strictObject({ wait: z.array(Wait).min(1).max(1_000) }),
  z.strictObject({ complete: JsonValue }),
  z.strictObject({ fail: Failure }),
  z.strictObject({ cancel: z.strictObject({ by: Person.optional(), reason: Reason }) }),
  /** With `asked` only if somebody still asks for it: they may have changed their mind meanwhile. */
  z.strictObject({
    pause: z.strictObject({ by: Person, reason: Reason, asked: z.literal(true).optional() }),
  }),
  z.strictObject({
    park: z.strictObject({
      reason: z.enum(["no_worker", "journal_mismatch", "attempts_exhausted", "too_long", "asked"]),
      problem: Failure,
    }),
  }),
  z.strictObject({ release: z.literal(true) }),
]);

export const Change = z.strictObject({
  steps: z.array(StepChange).max(500).optional(),
  /** All of the run's state as it is from now on; what is kept is the difference. */
  state: JsonValue.optional(),
  checkpoint: z.strictObject({ name: Name, metadata: JsonValue.optional() }).optional(),
  /** Signals that a step takes. */
  takes: z
    .array(z.strictObject({ n: z.int().min(1), key: StepKey }))
    .max(500)
    .optional(),
  asks: z.array(Ask).max(500).optional(),
  /** Questions whose deadline has passed, and those that nobody needs answered any more. */
  expires: z.array(StepKey).max(500).optional(),
  withdraws: z.array(StepKey).max(500).optional(),
  progress: z
    .strictObject({ done: z.number(), total: z.number().optional(), note: z.string().max(1024).optional() })
    .optional(),
  /** Events of its own. */
  events: z
    .array(
      z.strictObject({
        type: OwnEventType,
        data: JsonValue.optional(),
        eventId: z.string().optional(),
        source: z.string().optional(),
        target: z.string().optional(),
        correlation: z.string().optional(),
        causation: z.string().optional(),
      }),
    )
    .max(400)
    .optional(),
  /** Statements about rows of somebody else's, to be committed along: one that fails refuses all of it. */
  statements: z.array(z.instanceof(Statement)).max(500).optional(),
  /** Whether the run has something to undo from now on, when it is cancelled. */
  compensates: z.boolean().optional(),
  /** Ends the lease. */
  end: End.optional(),
});

/**
 * What a worker changes in one commit: all of it, or nothing.
 *
 * @example { steps: [{ key: "main/fetch#1", name: "fetch", status: "completed", result: 42 }], state: { seen: 1 } }
 */
export type Change = z.input<typeof Change>;
export type CheckedChange = z.output<typeof Change>;
export type End = NonNullable<Change["end"]>;

/** @throws `state.bad_change`, naming the field; `schema.limit` comes with the rows */
export function checkChange(change: Change): CheckedChange {
  const parsed = Change.safeParse(change);
  if (!parsed.success) throw badChange(issuesOf(parsed.error).join("; "));
  const keys = parsed.data.steps?.map(({ key }) => key) ?? [];
  const twice = keys.find((key, i) => keys.indexOf(key) < i);
  if (twice !== undefined) throw badChange(`the step ${twice} stands in it twice`);
  for (const { key, schema } of parsed.data.asks ?? []) if (schema !== undefined) requireSchema(key, schema);
  if (Object.values(parsed.data).every((value) => value === undefined))
    throw badChange(`it changes nothing; say at least one of ${Object.keys(Change.shape).join(", ")}`);
  return withDeadlines(parsed.data);
}

/** Who waits for an answer that is asked for in the same change goes on at its deadline. */
function withDeadlines(change: CheckedChange): CheckedChange {
  const { asks = [], end } = change;
  if (!end || !("wait" in end)) return change;
  const deadlines = new Map(asks.map(({ key, deadline }) => [key, deadline]));
  const wait = end.wait.map((each) => {
    const until = each.for === "question" && !each.until ? deadlines.get(each.at) : undefined;
    return until ? { ...each, until } : each;
  });
  return { ...change, end: { wait } };
}

function requireSchema(key: string, schema: Json): void {
  try {
    readAnswerSchema(schema);
  } catch (cause) {
    throw badChange(`the schema of the question ${key} cannot be read: ${(cause as Error).message}`, cause);
  }
}

export function badChange(why: string, cause?: unknown): StateError {
  return new StateError({
    code: "state.bad_change",
    message: `the change cannot be committed: ${why}`,
    ...(cause === undefined ? {} : { cause }),
  });
}
