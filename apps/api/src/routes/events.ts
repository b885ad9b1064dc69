// Events, questions and checkpoints: what happened, what is asked, which points have names.

import type { Sentient } from "@sentient/agent-core";
import { EVENT_TYPES } from "@sentient/schema";
import {
  AnyJson,
  defined,
  EventFilterFields,
  EventId,
  Int,
  Name,
  OfRun,
  Page,
  RunId,
  StepKey,
  Text,
  WithKey,
  z,
} from "../fields.ts";
import { eventIdOf, keyOf } from "../keys.ts";
import type { Routes } from "../route.ts";

/** What the runtime tells of itself is nobody else's to tell. */
const OWN = new Set(EVENT_TYPES.map((type) => type.split(".")[0]!));

/** Of an event of one's own. */
export const OwnType = z
  .string()
  .min(1)
  .max(128)
  .refine((type) => !OWN.has(type.split(".")[0]!), "an event of the runtime; choose another first word");

const Publish = z.strictObject({
  type: OwnType,
  data: AnyJson.optional(),
  eventId: EventId.optional(),
  target: Text.optional(),
  workflow: Name.optional(),
  correlation: Text.optional(),
  causation: EventId.optional(),
});

/** A position, or an id. */
const OfEvent = z.object({ event: EventId });
const eventOf = (said: string): string | number => (/^[1-9]\d{0,14}$/.test(said) ? Number(said) : said);

export function eventRoutes(routes: Routes, sentient: Sentient): void {
  const tag = "events";
  routes.add(
    {
      name: "getHistory",
      method: "get",
      path: "/v1/events/history",
      policy: "read",
      tag,
      about: "A page of the log, by position.",
      query: z.strictObject({
        run: RunId.optional(),
        ...EventFilterFields,
        after: Int.optional(),
        before: Int.optional(),
        order: z.enum(["asc", "desc"]).optional(),
        ...Page,
      }),
      answer: { schema: "Events" },
    },
    ({ query }) => sentient.events.history(defined(query)),
  );

  routes.add(
    {
      name: "publishEvent",
      method: "post",
      path: "/v1/events",
      policy: "write",
      tag,
      about: "Tells of an event of one's own, and answers with its position once it is on disk.",
      headers: WithKey,
      body: Publish,
      answer: { status: 201, schema: "Published" },
    },
    async ({ body: { eventId, ...event }, who, c }) => {
      const key = keyOf(c, eventId);
      const said = {
        ...defined(event),
        source: who.name,
        ...(key === undefined ? {} : { eventId: eventIdOf(key) }),
      };
      return { position: await sentient.events.publish(said) };
    },
  );

  routes.add(
    {
      name: "whyEvent",
      method: "get",
      path: "/v1/events/{event}/why",
      policy: "read",
      tag,
      about: "Why an event happened: its run, what started that, and so on up to the first cause.",
      params: OfEvent,
      answer: { schema: "Why" },
    },
    ({ params }) => sentient.state.why(eventOf(params.event)),
  );

  routes.add(
    {
      name: "traceEvent",
      method: "get",
      path: "/v1/events/{event}/trace",
      policy: "read",
      tag,
      about: "What led to an event, and what came of it.",
      params: OfEvent,
      query: z.strictObject(Page),
      answer: { schema: "Trace" },
    },
    ({ params, query }) => sentient.events.trace(eventOf(params.event), defined(query)),
  );
}

export function questionRoutes(routes: Routes, sentient: Sentient): void {
  const tag = "questions";
  const OfQuestion = OfRun.extend({ key: StepKey });
  routes.add(
    {
      name: "listQuestions",
      method: "get",
      path: "/v1/questions",
      policy: "read",
      tag,
      about: "A page of what runs ask people, in the order in which it was asked.",
      query: z.strictObject({
        run: RunId.optional(),
        assignee: Text.optional(),
        status: z.enum(["open", "answered", "expired", "withdrawn"]).optional(),
        after: Int.optional(),
        ...Page,
      }),
      answer: { schema: "Questions" },
    },
    ({ query }) => sentient.questions.list(defined(query)),
  );

  routes.add(
    {
      name: "getQuestion",
      method: "get",
      path: "/v1/runs/{run}/questions/{key}",
      policy: "read",
      tag,
      about: "A question with the schema of its answer. Its key holds slashes: write them as %2F.",
      params: OfQuestion,
      answer: { schema: "Question" },
    },
    ({ params }) => sentient.questions.get(params.run, params.key),
  );

  routes.add(
    {
      name: "answerQuestion",
      method: "post",
      path: "/v1/runs/{run}/questions/{key}/answer",
      policy: "write",
      tag,
      about: "Answers a question, once.",
      params: OfQuestion,
      body: z.strictObject({ value: AnyJson }),
      answer: { schema: "Question" },
    },
    ({ params, body, who }) =>
      sentient.answer(params.run, params.key, (body.value ?? null) as never, { by: who.name }),
  );
}

export function checkpointRoutes(routes: Routes, sentient: Sentient): void {
  const tag = "checkpoints";
  routes.add(
    {
      name: "listCheckpoints",
      method: "get",
      path: "/v1/runs/{run}/checkpoints",
      policy: "read",
      tag,
      about: "The named points of a run, the latest first.",
      params: OfRun,
      query: z.strictObject({ before: Int.optional(), ...Page }),
      answer: { schema: "Checkpoints" },
    },
    ({ params, query }) => sentient.checkpoints.list(params.run, defined(query)),
  );

  routes.add(
    {
      name: "getCheckpoint",
      method: "get",
      path: "/v1/runs/{run}/checkpoints/{name}",
      policy: "read",
      tag,
      about: "A named point of a run.",
      params: OfRun.extend({ name: Name }),
      answer: { schema: "Checkpoint" },
    },
    ({ params }) => sentient.checkpoints.get(params.run, params.name),
  );

  routes.add(
    {
      name: "createCheckpoint",
      method: "post",
      path: "/v1/runs/{run}/checkpoints",
      policy: "write",
      tag,
      about: "Names the point where a run stands that no worker holds.",
      params: OfRun,
      body: z.strictObject({ name: Name, metadata: AnyJson.optional() }),
      answer: { status: 201, schema: "Checkpoint" },
    },
    ({ params, body: { name, ...more }, who }) =>
      sentient.checkpoints.create(params.run, name, { ...defined(more), by: who.name } as never),
  );
}
