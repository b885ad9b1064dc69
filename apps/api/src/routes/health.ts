// Whether the server is there, what it counts, and what can be asked of it.

import { systemClock } from "@sentient/db-pool";
import type { Sentient } from "@sentient/agent-core";
import { ApiError } from "../errors.ts";
import type { Metrics } from "../metrics.ts";
import type { Routes } from "../route.ts";

/** How long the database may take to answer, in milliseconds. */
const PATIENCE_MS = 2_000;
const tag = "server";

export interface Health {
  sentient: Sentient;
  metrics: Metrics;
  auth: boolean;
  /** The OpenAPI document, and the page made of it. */
  document: () => object;
  page: () => string;
}

export function healthRoutes(routes: Routes, { sentient, metrics, auth, document, page }: Health): void {
  routes.add(
    {
      name: "isAlive",
      method: "get",
      path: "/healthz",
      policy: "public",
      tag,
      about: "Whether the process answers.",
      answer: { schema: "Health" },
    },
    () => ({ status: "alive" }),
  );

  routes.add(
    {
      name: "isReady",
      method: "get",
      path: "/readyz",
      policy: "public",
      tag,
      about: "Whether the database answers, and has the tables of this release.",
      answer: { schema: "Health" },
    },
    async () => {
      await requireReady(sentient);
      return { status: "ready", auth: auth ? "on" : "off" };
    },
  );

  routes.add(
    {
      name: "getMetrics",
      method: "get",
      path: "/metrics",
      policy: "read",
      tag,
      about: "What is counted, for Prometheus.",
      answer: { type: "text/plain" },
    },
    async ({ c }) => c.text(await metrics.text(), 200, { "content-type": "text/plain; version=0.0.4" }),
  );

  routes.add(
    {
      name: "getDocument",
      method: "get",
      path: "/openapi.json",
      policy: "public",
      tag,
      about: "This document.",
      answer: { type: "application/json" },
    },
    () => document(),
  );

  routes.add(
    {
      name: "getStart",
      method: "get",
      path: "/",
      policy: "public",
      tag,
      about: "Leads people to the reference.",
      answer: { type: "text/html" },
    },
    ({ c }) => c.redirect("/reference"),
  );

  routes.add(
    {
      name: "getReference",
      method: "get",
      path: "/reference",
      policy: "public",
      tag,
      about: "The same for people.",
      answer: { type: "text/html" },
    },
    ({ c }) =>
      c.html(page(), 200, { "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'" }),
  );
}

/** @throws `api.not_ready` */
async function requireReady({ events }: Sentient): Promise<void> {
  const late = Promise.withResolvers<never>();
  const cancel = systemClock.after(PATIENCE_MS, () => late.reject(new Error("it takes too long")));
  try {
    await Promise.race([
      events.ready().then(() => events.history({ order: "desc", limit: 1 })),
      late.promise,
    ]);
  } catch (cause) {
    throw new ApiError({
      code: "api.not_ready",
      message: "the database does not answer, or has not the tables of this release; the log has more",
      retryable: true,
      cause,
    });
  } finally {
    cancel();
  }
}
