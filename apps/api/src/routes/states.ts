// What runs and agents remember, changed from outside, and how runs differ.

import type { Sentient } from "@sentient/agent-core";
import { AnyJson, defined, EventId, Int, Name, OfName, OfRun, RunId, Text, WithKey, z } from "../fields.ts";
import { eventIdOf, keyOf } from "../keys.ts";
import type { Routes } from "../route.ts";
import { OwnType } from "./events.ts";

export function runStateRoutes(routes: Routes, { state }: Sentient): void {
  const tag = "runs";
  routes.add(
    {
      name: "updateState",
      method: "put",
      path: "/v1/runs/{run}/state",
      policy: "write",
      tag,
      about:
        "Changes the state or the tags of a run that no worker holds, if it is still at the revision that was seen.",
      params: OfRun,
      body: z
        .strictObject({
          revision: z.int().min(0),
          state: AnyJson.optional(),
          patch: z.array(AnyJson).max(1_000).optional(),
          tags: z.array(z.string().min(1).max(128)).max(32).optional(),
        })
        .refine(({ state: all, patch }) => all === undefined || patch === undefined, "say state or patch"),
      answer: { schema: "Workflow" },
    },
    ({ params, body, who }) =>
      state.workflows.update(params.run, { ...defined(body), by: who.name } as never),
  );

  routes.add(
    {
      name: "addHistory",
      method: "post",
      path: "/v1/runs/{run}/history",
      policy: "write",
      tag,
      about: "Adds an event of one's own to the history of a run, which changes nothing of it.",
      params: OfRun,
      headers: WithKey,
      body: z.strictObject({
        type: OwnType,
        data: AnyJson.optional(),
        id: EventId.optional(),
        correlation: Text.optional(),
        causation: EventId.optional(),
      }),
      answer: { status: 201, schema: "Added" },
    },
    ({ params, body: { id, ...entry }, who, c }) => {
      const key = keyOf(c, id);
      const named = key === undefined ? {} : { id: eventIdOf(key) };
      return state.workflows.addHistory(params.run, {
        ...defined(entry),
        ...named,
        source: who.name,
      } as never);
    },
  );

  routes.add(
    {
      name: "diffRuns",
      method: "get",
      path: "/v1/runs/{run}/diff",
      policy: "read",
      tag,
      about: "How a run, now or at a point, differs from another one, or from another point of itself.",
      params: OfRun,
      query: z.strictObject({
        n: Int.optional(),
        position: Int.optional(),
        checkpoint: Name.optional(),
        with: RunId.optional(),
        withN: Int.optional(),
        withPosition: Int.optional(),
        withCheckpoint: Name.optional(),
      }),
      answer: { schema: "Diff" },
    },
    ({ params: { run }, query: { with: other = run, withN, withPosition, withCheckpoint, ...at } }) =>
      state.diff(
        { run, ...defined(at) },
        { run: other, ...defined({ n: withN, position: withPosition, checkpoint: withCheckpoint }) },
      ),
  );
}

export function agentStateRoutes(routes: Routes, { agents, state }: Sentient): void {
  const tag = "agents";
  routes.add(
    {
      name: "getAgentState",
      method: "get",
      path: "/v1/agents/{name}/state",
      policy: "read",
      tag,
      about: "What an agent remembers across its runs.",
      params: OfName,
      answer: { schema: "AgentState" },
    },
    ({ params }) => agents.getState(params.name),
  );

  routes.add(
    {
      name: "putAgentState",
      method: "put",
      path: "/v1/agents/{name}/state",
      policy: "write",
      tag,
      about: "Changes what an agent remembers, if it is still at the revision that was seen; 0 begins it.",
      params: OfName,
      body: z.strictObject({ revision: z.int().min(0), state: AnyJson }),
      answer: { schema: "AgentState" },
    },
    ({ params: { name }, body: { revision, state: next = null } }) =>
      revision === 0
        ? agents.createState(name, next as never)
        : state.agents.updateState(name, next as never, { revision }),
  );
}
