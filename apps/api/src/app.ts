// The app. Owns: the only wiring: routes, guard, streams, metrics, errors.

import { OpenAPIHono } from "@hono/zod-openapi";
import type { Sentient } from "@sentient/agent-core";
import { systemClock } from "@sentient/db-pool";
import type { Context } from "hono";
import { randomUUID } from "node:crypto";
import { Doorkeeper } from "./access.ts";
import { describe, documentOf } from "./document.ts";
import { guard, routeOf } from "./guard.ts";
import { Refusals } from "./refusals.ts";
import { Metrics } from "./metrics.ts";
import { checkOptions, type AppOptions, type RequestLogger } from "./options.ts";
import { problemOf, problemResponse } from "./problems.ts";
import { pageOf } from "./reference.ts";
import { Routes, type Env, type Listed } from "./route.ts";
import { auditRoutes } from "./routes/audit.ts";
import { checkpointRoutes, eventRoutes, questionRoutes } from "./routes/events.ts";
import { agentRoutes, consumerRoutes, limitRoutes, scheduleRoutes } from "./routes/fleet.ts";
import { healthRoutes } from "./routes/health.ts";
import { runDetailRoutes, runRoutes } from "./routes/runs.ts";
import { pastRoutes, steeringRoutes } from "./routes/steering.ts";
import { agentStateRoutes, runStateRoutes } from "./routes/states.ts";
import { streamRoutes } from "./routes/streams.ts";
import { tokenRoutes } from "./routes/tokens.ts";
import { transferRoutes } from "./routes/transfer.ts";
import { upkeepRoutes } from "./routes/upkeep.ts";
import { Streams } from "./streams.ts";
import { VERSION } from "./version.ts";

/** The API of a runtime. Made by `createApp`. */
export interface App {
  /** Answers a request, as any server of the web platform asks it to. */
  fetch(request: Request, env?: object): Response | Promise<Response>;
  /** The same for a path, in tests. */
  request(path: string, init?: RequestInit): Response | Promise<Response>;
  /** Every route, with who may ask. */
  readonly routes: readonly Listed[];
  /** The OpenAPI 3.1 document. */
  document(): object;
  /** How many streams are open. */
  readonly streams: number;
  /** Ends the streams, and lets nobody open another. The runtime stays. */
  close(): Promise<void>;
}

/**
 * The API of a runtime: every verb of it under `/v1`.
 *
 * @throws `api.bad_config`
 * @example const app = createApp(sentient); const response = await app.request("/healthz");
 */
export function createApp(sentient: Sentient, options: AppOptions = {}): App {
  const checked = checkOptions(options);
  const hono = new OpenAPIHono<Env>();
  const doorkeeper = new Doorkeeper(sentient.state.accessTokens, checked.recheck, systemClock);
  const streams = new Streams(checked, doorkeeper, systemClock);
  const metrics = new Metrics(sentient, streams);
  const routes = new Routes(hono, checked.limits);
  let document: object | undefined;
  let page: string | undefined;
  const documented = () => (document ??= documentOf(hono, VERSION));

  hono.use("*", async (c, next) => {
    c.set("request", randomUUID());
    c.header("x-request-id", c.get("request"));
    const began = performance.now();
    await next();
    tell(c, performance.now() - began, metrics, checked.logger);
  });
  const refusals = new Refusals(sentient.state.audit, checked.logger);
  hono.use(
    "*",
    guard({ options: checked, routes, doorkeeper, refused: (refused) => refusals.tell(refused) }),
  );
  hono.onError((error, c) => answerProblem(c, error, checked.logger));
  describe(hono);
  for (const add of [runRoutes, runDetailRoutes, runStateRoutes, steeringRoutes, pastRoutes])
    add(routes, sentient);
  transferRoutes(routes, sentient, checked.limits.importBytes);
  streamRoutes(routes, sentient, streams);
  eventRoutes(routes, sentient);
  questionRoutes(routes, sentient);
  checkpointRoutes(routes, sentient);
  agentRoutes(routes, sentient);
  agentStateRoutes(routes, sentient);
  scheduleRoutes(routes, sentient);
  consumerRoutes(routes, sentient);
  limitRoutes(routes, sentient);
  upkeepRoutes(routes, sentient);
  tokenRoutes(routes, sentient, doorkeeper);
  auditRoutes(routes, sentient);
  healthRoutes(routes, {
    sentient,
    metrics,
    auth: checked.auth,
    document: documented,
    page: () => (page ??= pageOf(documented())),
  });

  return {
    fetch: (request, env) => hono.fetch(request, env),
    request: (path, init) => hono.request(path, init),
    routes: routes.list,
    document: documented,
    get streams() {
      return streams.count;
    },
    close: async () => {
      streams.close();
      await refusals.told();
      await metrics.close();
    },
  };
}

function answerProblem(c: Context<Env>, error: unknown, logger: RequestLogger | undefined): Response {
  const problem = problemOf(error, c.get("request"));
  if (problem.status >= 500) logger?.error({ request: problem.request, err: error }, "a request failed");
  const response = problemResponse(problem);
  for (const [name, value] of response.headers) c.header(name, value);
  return c.newResponse(c.req.method === "HEAD" ? null : response.body, problem.status as 500);
}

function tell(c: Context<Env>, took: number, metrics: Metrics, logger: RequestLogger | undefined): void {
  const route = routeOf(c);
  const { status } = c.res;
  metrics.count(c.req.method, route, status, took);
  logger?.info(
    {
      request: c.get("request"),
      method: c.req.method,
      route,
      status,
      ms: Math.round(took * 10) / 10,
      who: (c.get("who") as { id: string } | undefined)?.id,
    },
    "request",
  );
}
