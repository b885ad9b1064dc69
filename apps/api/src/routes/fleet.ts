// Who does the work, when, and how much of it at once: agents, schedules, consumers, workers, limits.

import type { Sentient } from "@sentient/agent-core";
import { AnyJson, defined, Flag, Int, Name, OfName, Page, z } from "../fields.ts";
import type { Routes } from "../route.ts";

const Reason = z.strictObject({ reason: z.string().max(1024).optional() });

export function agentRoutes(routes: Routes, { agents }: Sentient): void {
  const tag = "agents";
  routes.add(
    {
      name: "listAgents",
      method: "get",
      path: "/v1/agents",
      policy: "read",
      tag,
      about: "A page of agents, each version for itself.",
      query: z.strictObject({
        capability: Name.optional(),
        queue: Name.optional(),
        after: z.string().min(1).max(257).optional(),
        ...Page,
      }),
      answer: { schema: "Agents" },
    },
    ({ query }) => agents.list(defined(query)),
  );

  routes.add(
    {
      name: "getAgent",
      method: "get",
      path: "/v1/agents/{name}",
      policy: "read",
      tag,
      about: "The versions of an agent, and what it does at the moment.",
      params: OfName,
      answer: { schema: "Versions" },
    },
    async ({ params }) => ({ agents: await agents.get(params.name) }),
  );

  for (const [verb, about] of [
    ["pause", "Nobody claims the runs of an agent until it is resumed."],
    ["resume", "The runs of an agent are claimed again."],
  ] as const)
    routes.add(
      {
        name: `${verb}Agent`,
        method: "post",
        path: `/v1/agents/{name}/${verb}`,
        policy: "write",
        tag,
        about,
        params: OfName,
        body: Reason,
        answer: { schema: "Versions" },
      },
      async ({ params, body, who }) => ({
        agents: await agents[verb](params.name, { ...defined(body), by: who.name }),
      }),
    );
}

export function scheduleRoutes(routes: Routes, { schedules }: Sentient): void {
  const tag = "schedules";
  routes.add(
    {
      name: "listSchedules",
      method: "get",
      path: "/v1/schedules",
      policy: "read",
      tag,
      about: "A page of schedules, by name.",
      query: z.strictObject({ after: Name.optional(), ...Page }),
      answer: { schema: "Schedules" },
    },
    ({ query }) => schedules.list(defined(query)),
  );

  routes.add(
    {
      name: "putSchedule",
      method: "put",
      path: "/v1/schedules/{name}",
      policy: "write",
      tag,
      about: "Makes a schedule, or changes it; said again it changes nothing.",
      params: OfName,
      body: z.strictObject({
        run: Name.describe("the agent or workflow that it starts"),
        input: AnyJson.optional(),
        cron: z.string().min(1).max(256),
        timeZone: z.string().min(1).max(64).optional(),
        missed: z.enum(["skip", "once", "all"]).optional(),
        queue: Name.optional(),
        priority: z.int().min(-1000).max(1000).optional(),
        tags: z.array(z.string().min(1).max(128)).max(31).optional(),
        maxAttempts: z.int().min(1).optional(),
        revision: z.int().min(1).optional(),
      }),
      answer: { schema: "Schedule" },
    },
    ({ params, body: { run, input, ...options } }) =>
      schedules.put(params.name, run, (input ?? null) as never, defined(options) as never),
  );

  routes.add(
    {
      name: "getSchedule",
      method: "get",
      path: "/v1/schedules/{name}",
      policy: "read",
      tag,
      about: "A schedule, and when it is next.",
      params: OfName,
      answer: { schema: "Schedule" },
    },
    ({ params }) => schedules.get(params.name),
  );

  routes.add(
    {
      name: "removeSchedule",
      method: "delete",
      path: "/v1/schedules/{name}",
      policy: "write",
      tag,
      about: "Forgets a schedule; runs that it has started go on.",
      params: OfName,
      answer: { schema: "Removed" },
    },
    async ({ params }) => ({ removed: await schedules.remove(params.name) }),
  );

  for (const [verb, about] of [
    ["pause", "A schedule starts nothing until it is resumed."],
    ["resume", "A schedule starts runs again."],
  ] as const)
    routes.add(
      {
        name: `${verb}Schedule`,
        method: "post",
        path: `/v1/schedules/{name}/${verb}`,
        policy: "write",
        tag,
        about,
        params: OfName,
        answer: { schema: "Schedule" },
      },
      ({ params }) => schedules[verb](params.name),
    );
}

export function consumerRoutes(routes: Routes, { events: { consumers } }: Sentient): void {
  const tag = "consumers";
  routes.add(
    {
      name: "listConsumers",
      method: "get",
      path: "/v1/consumers",
      policy: "read",
      tag,
      about: "The names of all consumers of the log.",
      answer: { schema: "Consumers" },
    },
    async () => ({ consumers: await consumers.list() }),
  );

  routes.add(
    {
      name: "getConsumer",
      method: "get",
      path: "/v1/consumers/{name}",
      policy: "read",
      tag,
      about: "How far a consumer is, and who works on it.",
      params: OfName,
      answer: { schema: "Consumer" },
    },
    ({ params }) => consumers.status(params.name),
  );

  routes.add(
    {
      name: "listDeadLetters",
      method: "get",
      path: "/v1/consumers/{name}/dead-letters",
      policy: "read",
      tag,
      about: "The events that a consumer could not handle.",
      params: OfName,
      query: z.strictObject({ after: Int.optional(), ...Page }),
      answer: { schema: "DeadLetters" },
    },
    async ({ params, query }) => ({ letters: await consumers.deadLetters(params.name, defined(query)) }),
  );

  routes.add(
    {
      name: "redriveConsumer",
      method: "post",
      path: "/v1/consumers/{name}/redrive",
      policy: "worker",
      tag,
      about: "Has dead letters tried again: all, or those at some positions.",
      params: OfName,
      body: z.strictObject({ positions: z.array(z.int().min(1)).min(1).max(1_000).optional() }),
      answer: { schema: "Redriven" },
    },
    async ({ params, body }) => ({ redriven: await consumers.redrive(params.name, body.positions) }),
  );
}

export function limitRoutes(routes: Routes, { limits, state: { workers } }: Sentient): void {
  const tag = "fleet";
  const OfKey = z.object({ key: Name });
  routes.add(
    {
      name: "listWorkers",
      method: "get",
      path: "/v1/workers",
      policy: "read",
      tag,
      about: "The workers that were heard of of late, or with `live=false` all that are known.",
      query: z.strictObject({ live: Flag.optional() }),
      answer: { schema: "Workers" },
    },
    async ({ query }) => ({ workers: await workers.list(defined(query)) }),
  );

  routes.add(
    {
      name: "listLimits",
      method: "get",
      path: "/v1/limits",
      policy: "read",
      tag,
      about: "What queues and agents may do at most, and what is left of it.",
      answer: { schema: "Limits" },
    },
    async () => ({ limits: await limits.list() }),
  );

  routes.add(
    {
      name: "getLimit",
      method: "get",
      path: "/v1/limits/{key}",
      policy: "read",
      tag,
      about: "What a queue or an agent may do at most.",
      params: OfKey,
      answer: { schema: "Limit" },
    },
    ({ params }) => limits.get(params.key),
  );

  routes.add(
    {
      name: "putLimit",
      method: "put",
      path: "/v1/limits/{key}",
      policy: "admin",
      tag,
      about: "Says what a queue (`queue:<name>`) or an agent (`agent:<name>`) may do at most.",
      params: OfKey,
      body: z.strictObject({
        concurrency: z.int().min(1).max(100_000).optional(),
        rate: z
          .strictObject({ count: z.int().min(1).max(1_000_000), per: z.int().min(1).max(2_678_400_000) })
          .optional(),
      }),
      answer: { schema: "Limit" },
    },
    ({ params, body }) => limits.set(params.key, defined(body)),
  );

  routes.add(
    {
      name: "removeLimit",
      method: "delete",
      path: "/v1/limits/{key}",
      policy: "admin",
      tag,
      about: "Lets a queue or an agent do what it can.",
      params: OfKey,
      answer: { schema: "Removed" },
    },
    async ({ params }) => ({ removed: await limits.remove(params.key) }),
  );
}
