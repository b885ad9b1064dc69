// What is asked of a run, and of its past, from outside.

import type { Sentient } from "@sentient/agent-core";
import {
  AnyJson,
  defined,
  EventId,
  Flag,
  Int,
  Name,
  OfRun,
  Page,
  Point,
  RunFields,
  WithKey,
  z,
} from "../fields.ts";
import { eventIdOf, keyOf } from "../keys.ts";
import type { Routes } from "../route.ts";

const tag = "runs";
const Why = { reason: z.string().max(1024).optional() };

export function steeringRoutes(routes: Routes, sentient: Sentient): void {
  for (const [verb, about] of [
    ["pause", "Pauses a run before its next step."],
    ["resume", "Has a run go on that was paused or parked."],
  ] as const)
    routes.add(
      {
        name: `${verb}Run`,
        method: "post",
        path: `/v1/runs/{run}/${verb}`,
        policy: "write",
        tag,
        about,
        params: OfRun,
        body: z.strictObject(Why),
        answer: { schema: "Run" },
      },
      ({ params, body, who }) => sentient[verb](params.run, { ...defined(body), by: who.name }),
    );

  routes.add(
    {
      name: "cancelRun",
      method: "post",
      path: "/v1/runs/{run}/cancel",
      policy: "write",
      tag,
      about: "Cancels a run and all that it has started; with `force` at once, and without undoing.",
      params: OfRun,
      body: z.strictObject({ ...Why, force: z.boolean().optional() }),
      answer: { schema: "Run" },
    },
    ({ params, body, who }) => sentient.cancel(params.run, { ...defined(body), by: who.name }),
  );

  routes.add(
    {
      name: "restoreRun",
      method: "post",
      path: "/v1/runs/{run}/restore",
      policy: "write",
      tag,
      about: "Puts a run back to a checkpoint, or after its n-th event, from where it goes on.",
      params: OfRun,
      body: z.union([z.strictObject({ checkpoint: Name }), z.strictObject({ n: z.int().min(1) })]),
      answer: { schema: "Run" },
    },
    ({ params, body, who }) => sentient.restore(params.run, body, { by: who.name }),
  );
}

/** Runs from points of the past, and what is said to them. */
export function pastRoutes(routes: Routes, sentient: Sentient): void {
  const { at: _, ...forkFields } = RunFields;
  routes.add(
    {
      name: "forkRun",
      method: "post",
      path: "/v1/runs/{run}/fork",
      policy: "write",
      tag,
      about: "A new run that begins from a point of another one, with what is edited.",
      params: OfRun,
      headers: WithKey,
      body: z.strictObject({
        ...Point,
        ...forkFields,
        input: AnyJson.optional(),
        state: AnyJson.optional(),
        steps: z.record(z.string().min(1).max(512), AnyJson).optional(),
        version: Name.optional(),
      }),
      answer: { status: 201, schema: "Started" },
    },
    async ({ params, body, who, c }) => {
      const said = defined({ ...body, key: keyOf(c, body.key), by: who.name });
      const { id } = await sentient.fork(params.run, said as never);
      c.header("location", `/v1/runs/${encodeURIComponent(id)}`);
      return { id };
    },
  );

  routes.add(
    {
      name: "signalRun",
      method: "post",
      path: "/v1/runs/{run}/signals",
      policy: "write",
      tag,
      about: "Says something to a run; it is kept until the run takes it.",
      params: OfRun,
      headers: WithKey,
      body: z.strictObject({ name: Name, data: AnyJson.optional(), id: EventId.optional() }),
      answer: { status: 201, schema: "Signal" },
    },
    ({ params, body: { name, data = null, id }, who, c }) => {
      const key = keyOf(c, id);
      const options = { source: who.name, ...(key === undefined ? {} : { id: eventIdOf(key) }) };
      return sentient.signal(params.run, name, data as never, options);
    },
  );

  routes.add(
    {
      name: "listSignals",
      method: "get",
      path: "/v1/runs/{run}/signals",
      policy: "read",
      tag,
      about: "A page of what was said to a run, the oldest first.",
      params: OfRun,
      query: z.strictObject({
        name: Name.optional(),
        taken: Flag.optional(),
        after: Int.optional(),
        ...Page,
      }),
      answer: { schema: "Signals" },
    },
    ({ params, query }) => sentient.state.signals(params.run, defined(query)),
  );
}
