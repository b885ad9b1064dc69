// Runs: started, found, looked at.

import type { Sentient } from "@sentient/agent-core";
import { ParkReason, RunKind, RunStatus } from "@sentient/schema";
import type { Run } from "@sentient/state";
import {
  AnyJson,
  defined,
  Int,
  Name,
  OfRun,
  Page,
  RunFields,
  RunId,
  several,
  Text,
  WithKey,
  z,
} from "../fields.ts";
import { keyOf } from "../keys.ts";
import type { Routes } from "../route.ts";

const tag = "runs";

const Start = z
  .strictObject({
    name: Name.optional(),
    capabilities: z.array(Name).min(1).max(64).optional(),
    input: AnyJson.optional(),
    state: AnyJson.optional(),
    limits: z
      .array(z.strictObject({ key: Name, max: z.int().min(1) }))
      .max(8)
      .optional(),
    ...RunFields,
  })
  .refine(
    ({ name, capabilities }) => (name === undefined) !== (capabilities === undefined),
    "say the name of an agent or a workflow, or the capabilities of who is to do it",
  );

const List = z.strictObject({
  status: several(RunStatus).optional(),
  name: Name.optional(),
  kind: RunKind.optional(),
  queue: Name.optional(),
  tag: z.string().min(1).max(128).optional(),
  parkedFor: ParkReason.optional(),
  root: RunId.optional(),
  parent: RunId.optional(),
  correlation: Text.optional(),
  before: Int.optional(),
  ...Page,
});

const History = z.strictObject({
  after: Int.optional(),
  before: Int.optional(),
  order: z.enum(["asc", "desc"]).optional(),
  ...Page,
});

const At = z.strictObject({ n: Int.optional(), position: Int.optional(), checkpoint: Name.optional() });

/** As long as one may wait for a result in one request, in milliseconds. */
const MOST_WAIT_MS = 60_000;
const Wait = z.strictObject({
  wait: Int.refine((ms) => ms <= MOST_WAIT_MS, `at most ${MOST_WAIT_MS} milliseconds`).optional(),
});

export function runRoutes(routes: Routes, sentient: Sentient): void {
  routes.add(
    {
      name: "startRun",
      method: "post",
      path: "/v1/runs",
      policy: "write",
      tag,
      about: "Starts a run, and answers once it is on disk.",
      headers: WithKey,
      body: Start,
      answer: { status: 201, schema: "Started", about: "It was started, or had been under the same key." },
    },
    async ({ body, c }) => {
      const { name, capabilities, input, key, ...options } = body;
      const what = name ?? { capabilities: capabilities! };
      const said = defined({ ...options, key: keyOf(c, key) });
      const { id } = await sentient.start(what, (input ?? null) as never, said as never);
      c.header("location", `/v1/runs/${encodeURIComponent(id)}`);
      return { id };
    },
  );

  routes.add(
    {
      name: "listRuns",
      method: "get",
      path: "/v1/runs",
      policy: "read",
      tag,
      about: "A page of runs, the newest first.",
      query: List,
      answer: { schema: "Runs" },
    },
    ({ query }) => sentient.list(defined(query)),
  );

  routes.add(
    {
      name: "getRun",
      method: "get",
      path: "/v1/runs/{run}",
      policy: "read",
      tag,
      about: "A run as it is now.",
      params: OfRun,
      answer: { schema: "Run" },
    },
    ({ params }) => sentient.get(params.run),
  );

  routes.add(
    {
      name: "getResult",
      method: "get",
      path: "/v1/runs/{run}/result",
      policy: "read",
      tag,
      about: "How a run has ended; with `wait` in milliseconds, as soon as it has.",
      params: OfRun,
      query: Wait,
      answer: { schema: "Outcome", about: "How it has ended, or where it is if it has not." },
    },
    async ({ params: { run }, query: { wait = 0 }, signal }) => {
      if (wait > 0)
        await sentient
          .handle(run)
          .result({ timeout: wait, signal })
          .catch(() => {}); // whatever became of it stands in the run
      return outcomeOf(await sentient.get(run));
    },
  );
}

/** More about one of them. */
export function runDetailRoutes(routes: Routes, sentient: Sentient): void {
  for (const [name, about] of [
    ["explain", "Why a run is where it is."],
    ["ancestors", "The runs that led to a run."],
    ["descendants", "The runs that came of a run."],
  ] as const)
    routes.add(
      {
        name: `${name}Run`,
        method: "get",
        path: `/v1/runs/{run}/${name}`,
        policy: "read",
        tag,
        about,
        params: OfRun,
        answer: { schema: name === "explain" ? "Explanations" : "Relatives" },
      },
      async ({ params: { run } }) => {
        if (name === "explain") return { explanations: await sentient.explain(run) };
        return sentient.state[name](run);
      },
    );

  routes.add(
    {
      name: "getRunHistory",
      method: "get",
      path: "/v1/runs/{run}/history",
      policy: "read",
      tag,
      about: "A page of what happened to a run.",
      params: OfRun,
      query: History,
      answer: { schema: "Events" },
    },
    ({ params, query }) => sentient.history(params.run, defined(query)),
  );

  routes.add(
    {
      name: "getState",
      method: "get",
      path: "/v1/runs/{run}/state",
      policy: "read",
      tag,
      about: "The state of a run, now or at a point of its history.",
      params: OfRun,
      query: At,
      answer: { schema: "State" },
    },
    async ({ params, query }) => ({ state: await sentient.stateAt(params.run, defined(query)) }),
  );

  routes.add(
    {
      name: "getSteps",
      method: "get",
      path: "/v1/runs/{run}/steps",
      policy: "read",
      tag,
      about: "What a run remembers of its steps, now or at a point of its history.",
      params: OfRun,
      query: At,
      answer: { schema: "Steps" },
    },
    async ({ params, query }) => {
      const journal = await sentient.state.journal(params.run, { at: defined(query) });
      return { steps: [...journal.values()] };
    },
  );

  routes.add(
    {
      name: "readChunks",
      method: "get",
      path: "/v1/runs/{run}/chunks",
      policy: "read",
      tag,
      about: "A page of what a run has streamed, from the beginning or behind a piece.",
      params: OfRun,
      query: z.strictObject({ after: Int.optional(), ...Page }),
      answer: { schema: "Chunks" },
    },
    async ({ params, query }) => ({
      chunks: await sentient.state.chunks.read(params.run, defined(query)),
    }),
  );
}

type Outcome = Pick<Run, "status"> & { run: string };

function outcomeOf(run: Run): Outcome & Record<string, unknown> {
  const outcome = { run: run.id, status: run.status };
  switch (run.status) {
    case "completed":
      return { ...outcome, output: run.output };
    case "failed":
      return { ...outcome, error: run.error };
    case "parked":
      return { ...outcome, reason: run.parkedFor, problem: run.problem };
    case "cancelled":
    case "paused":
      return { ...outcome, ...(run.reason === undefined ? {} : { reason: run.reason }) };
    default:
      return outcome;
  }
}
