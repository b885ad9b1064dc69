// Components. Owns: what answers look like, as JSON Schema. The nouns are those of @sentient/schema, as they stand in JSON.

import {
  AccessToken,
  Agent,
  AgentState,
  AuditRecord,
  Checkpoint,
  Chunk,
  Event,
  Failure,
  FINAL_STATUSES,
  Hash,
  Name,
  Position,
  Question,
  Run,
  RunId,
  RunStatus,
  Schedule,
  Signal,
  Step,
  StepKey,
  Version,
  Worker,
} from "@sentient/schema";
import { z } from "zod";

interface Union {
  options: readonly z.ZodObject[];
}

/** Each variant of a union with other fields. */
function each(union: Union, change: (variant: z.ZodObject) => z.ZodObject): z.ZodType {
  return z.union(union.options.map(change) as [z.ZodObject, ...z.ZodObject[]]);
}

const without = (...names: string[]) => {
  return (variant: z.ZodObject) => {
    const shape = Object.entries(variant.shape).filter(([name]) => !names.includes(name));
    return z.object(Object.fromEntries(shape));
  };
};

const keyed = { run: RunId, key: StepKey };
const numbered = { run: RunId, n: z.int().min(1) };
const next = { next: z.int().optional() };
const run = each(Run, without("seek"));
const listedRun = each(Run, without("seek", "input", "output"));
const question = each(Question, (variant) => without("id")(variant).extend(keyed));
const listedQuestion = each(Question, (variant) =>
  without("id", "schema", "onTimeout", "answer")(variant).extend(keyed),
);
const checkpoint = Checkpoint.omit({ id: true }).extend({ run: RunId, name: Name, counts: z.boolean() });
const signal = Signal.omit({ id: true, untaken: true }).extend(numbered);
const agent = Agent.omit({ id: true }).extend({
  name: Name,
  version: Version,
  status: z.enum(["paused", "running", "idle"]),
  running: z.int(),
  queued: z.int(),
  workers: z.int(),
});
const worker = Worker.extend({ live: z.boolean() });
const token = AccessToken.omit({ hash: true });
const remembered = Step.options.filter(({ shape }) => shape.status.value !== "stored");
const step = each({ options: remembered }, (variant) =>
  without("id", "begun")(variant).extend({ key: StepKey, era: z.int().min(0) }),
);
const json = z.unknown().describe("any JSON");

const explanation = z.looseObject({
  code: z.string(),
  message: z.string(),
  until: z.date().optional(),
});
const related = z.object({
  run: RunId,
  depth: z.int(),
  by: z.enum(["spawned", "forked", "caused"]),
  of: RunId,
  step: StepKey.optional(),
  n: z.int().optional(),
  position: Position.optional(),
});
const partition = z.object({
  partition: z.int(),
  position: z.int(),
  lag: z.int(),
  worker: z.string().optional(),
  leasedUntil: z.date().optional(),
  handled: z.int(),
  rate: z.number(),
});
const limit = z.object({
  key: Name,
  concurrency: z.int().optional(),
  rate: z.object({ count: z.int(), per: z.int() }).optional(),
  holders: z.array(RunId),
  startsLeft: z.int().optional(),
  updatedAt: z.date(),
});
const traceNode = z.looseObject({ event: Event, children: z.array(z.looseObject({ event: Event })) });

const bytes = {
  input: z.int(),
  output: z.int(),
  steps: z.int(),
  state: z.int(),
  checkpoints: z.int(),
  signals: z.int(),
  questions: z.int(),
  chunks: z.int(),
  events: z.int(),
};

/** By what they are called in the document. */
const schemas: Record<string, z.ZodType> = {
  Problem: z.object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.string(),
    detail: z.string(),
    retryable: z.boolean(),
    outcome: z.enum(["not_applied", "unknown"]),
    request: z.string(),
    details: z.record(z.string(), json).optional(),
  }),
  Started: z.object({ id: RunId }),
  Run: run,
  Runs: z.object({ runs: z.array(listedRun), ...next }),
  Outcome: z.object({
    run: RunId,
    status: RunStatus.describe(`it is over once it is ${FINAL_STATUSES.join(", ")}`),
    output: json.optional(),
    error: Failure.optional(),
    reason: z.string().optional(),
    problem: Failure.optional(),
  }),
  State: z.object({ state: json }),
  Explanations: z.object({ explanations: z.array(explanation) }),
  Relatives: z.object({ runs: z.array(related), truncated: z.boolean() }),
  Steps: z.object({ steps: z.array(step) }),
  Event,
  Events: z.object({ events: z.array(Event), ...next }),
  Published: z.object({ position: Position }),
  Why: z.looseObject({
    event: Event,
    run: RunId.optional(),
    chain: z.array(z.looseObject({ what: z.enum(["event", "run", "missing"]), depth: z.int() })),
    text: z.string(),
    truncated: z.boolean(),
  }),
  Trace: z.object({
    event: Event,
    root: traceNode,
    missing: z.string().optional(),
    correlation: z.array(Event),
    text: z.string(),
    truncated: z.boolean(),
  }),
  Chunks: z.object({ chunks: z.array(each(Chunk, (v) => without("id")(v).extend(numbered))) }),
  Checkpoint: checkpoint,
  Checkpoints: z.object({ checkpoints: z.array(checkpoint), ...next }),
  Signal: signal,
  Signals: z.object({ signals: z.array(signal), ...next }),
  Question: question,
  Questions: z.object({ questions: z.array(listedQuestion), ...next }),
  Agent: agent,
  Agents: z.object({ agents: z.array(agent), next: z.string().optional() }),
  Versions: z.object({ agents: z.array(agent) }),
  Schedule,
  Schedules: z.object({ schedules: z.array(Schedule), next: z.string().optional() }),
  Removed: z.object({ removed: z.boolean() }),
  Consumers: z.object({ consumers: z.array(z.string()) }),
  Consumer: z.object({
    name: Name,
    filter: z.record(z.string(), json),
    position: z.int(),
    lag: z.int(),
    handled: z.int(),
    rate: z.number(),
    dead: z.int(),
    queued: z.int(),
    partitions: z.array(partition),
  }),
  DeadLetters: z.object({
    letters: z.array(
      z.object({
        consumer: Name,
        position: Position,
        event: Event,
        reason: Failure,
        attempts: z.int(),
        redrives: z.int(),
        status: z.enum(["dead", "queued"]),
        createdAt: z.date(),
        updatedAt: z.date(),
      }),
    ),
  }),
  Redriven: z.object({ redriven: z.int() }),
  Imported: z.object({ run: RunId, imported: z.array(RunId), existed: z.array(RunId) }),
  Workflow: z.object({ run, state: json }),
  Added: z.object({ n: z.int(), position: Position }),
  Diff: z.object({
    state: json,
    input: json,
    steps: z.object({
      onlyA: z.array(step),
      onlyB: z.array(step),
      changed: z.array(z.object({ key: StepKey, a: step, b: step })),
    }),
  }),
  AgentState: AgentState.omit({ id: true }).extend({ name: Name }),
  Verified: z.union([
    z.object({ ok: z.literal(true), events: z.int(), from: z.int(), hash: Hash }),
    z.object({
      ok: z.literal(false),
      position: z.int().optional(),
      n: z.int(),
      damage: z.enum(["changed", "missing", "unhashed", "disordered"]),
      message: z.string(),
    }),
  ]),
  Audit: z.object({ records: z.array(AuditRecord), ...next }),
  AuditVerified: z.union([
    z.object({ ok: z.literal(true), records: z.int(), hash: Hash.optional() }),
    z.object({
      ok: z.literal(false),
      n: z.int(),
      damage: z.enum(["changed", "missing"]),
      message: z.string(),
    }),
  ]),
  Storage: z.object({
    runs: z.int(),
    ...bytes,
    blobs: z.object({ own: z.int(), shared: z.int() }),
    total: z.int(),
  }),
  Trimmed: z.object({
    floor: z.int(),
    trimmed: z.int(),
    heldBy: z.object({ consumer: z.string(), position: z.int() }).optional(),
  }),
  Workers: z.object({ workers: z.array(worker) }),
  Limit: limit,
  Limits: z.object({ limits: z.array(limit) }),
  Token: token,
  NewToken: z.object({ secret: z.string(), token }),
  Tokens: z.object({ tokens: z.array(token) }),
  Health: z.object({ status: z.enum(["alive", "ready"]), auth: z.enum(["on", "off"]).optional() }),
};

type JsonSchema = z.core.JSONSchema.BaseSchema;

export function componentsOf(): Record<string, object> {
  const entries = Object.entries(schemas).map(([name, schema]) => [name, jsonSchemaOf(schema)]);
  return Object.fromEntries(entries) as Record<string, object>;
}

/** As it stands in JSON: instants as text. */
function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  const { $schema: _, ...described } = z.toJSONSchema(schema, {
    io: "output",
    unrepresentable: "any",
    reused: "inline",
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema._zod.def.type === "date")
        Object.assign(jsonSchema, { type: "string", format: "date-time" });
    },
  });
  return described;
}
