// Guard. Owns: what every request goes through before its route: host and origin, who asks, how often, whether they may.

import { getConnInfo } from "@hono/node-server/conninfo";
import type { Context, MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { requireAllowed, type Doorkeeper, type Policy, type Principal } from "./access.ts";
import { ApiError } from "./errors.ts";
import { requireHost, requireOrigin } from "./hosts.ts";
import type { CheckedOptions } from "./options.ts";
import type { Env, Routes } from "./route.ts";

/** Asked by machines that know an address and no name. */
const PROBES = new Set(["/healthz", "/readyz"]);
const SECURITY = {
  "x-content-type-options": "nosniff",
  "cache-control": "no-store",
  "referrer-policy": "no-referrer",
};

/** Somebody who was not let in, or not let do something. */
export interface Refused {
  code: string;
  /** Of their token, or where they ask from. */
  who: string;
  method: string;
  /** The path that they asked for, without what stands for a run or a name. */
  route: string;
}

interface Guarding {
  options: CheckedOptions;
  routes: Routes;
  doorkeeper: Doorkeeper;
  /** Hears of those; of each, some a minute. */
  refused: (refused: Refused) => void;
}

export function guard({ options, routes, doorkeeper, refused }: Guarding): MiddlewareHandler<Env> {
  const { allowedHosts, allowedOrigins, auth, limits } = options;
  const requests = new RateLimiterMemory({ points: limits.requestsPerSecond, duration: 1 });
  const failures = new RateLimiterMemory({ points: limits.failuresPerMinute, duration: 60 });
  const told = new RateLimiterMemory({ points: limits.failuresPerMinute, duration: 60 });
  return async (c, next) => {
    for (const [name, value] of Object.entries(SECURITY)) c.header(name, value);
    const { path } = c.req;
    const host = c.req.header("host") ?? new URL(c.req.url).host;
    if (!PROBES.has(path)) requireHost(host, allowedHosts);
    const origin = c.req.header("origin");
    if (requireOrigin(origin, host, allowedOrigins)) {
      allowOrigin(c, origin!);
      if (c.req.method === "OPTIONS") return c.body(null, 204);
    }
    const policy = policyOf(c, routes);
    if (policy === undefined) throw missing(c, routes); // A1
    const address = addressOf(c, options);
    const refuse = (thrown: unknown, who: string) => {
      if (!(thrown instanceof ApiError)) return;
      const said = { code: thrown.code, who, method: c.req.method, route: routeOf(c) };
      told.consume(who).then(
        () => refused(said),
        () => {}, // of whom there is enough
      );
    };
    const ask = () => principalOf(c, { address, doorkeeper, failures, refuse });
    const who = auth && policy !== "public" ? await ask() : nobody(address, auth);
    if (policy !== "public") await take(requests, who.id, "requests");
    try {
      requireAllowed(who, policy);
    } catch (error) {
      refuse(error, who.id);
      throw error;
    }
    c.set("who", who);
    return next();
  };
}

/** The path as it is in the document, and nothing that somebody has written into it. */
export function routeOf(c: Context<Env>): string {
  return matchedRoutes(c).findLast(({ path }) => path !== "*" && path !== "/*")?.path ?? "none";
}

function policyOf(c: Context<Env>, routes: Routes): Policy | undefined {
  for (const { path } of matchedRoutes(c)) {
    const policy = routes.policyOf(c.req.method, path);
    if (policy !== undefined) return policy;
  }
  return undefined;
}

function missing(c: Context<Env>, routes: Routes): ApiError {
  const methods = routes.methodsOf(c.req.path);
  if (methods.length === 0)
    return new ApiError({
      code: "api.not_found",
      message: "there is no such path; /openapi.json and /reference have all there are",
    });
  c.header("allow", methods.join(", "));
  return new ApiError({
    code: "api.method_not_allowed",
    message: `this path is there for ${methods.join(", ")}`,
    details: { allow: methods },
  });
}

function nobody(address: string, auth: boolean): Principal {
  return { name: "somebody", id: address, scopes: auth ? [] : ["admin"] };
}

interface Asking {
  address: string;
  doorkeeper: Doorkeeper;
  failures: RateLimiterMemory;
  refuse: (thrown: unknown, who: string) => void;
}

async function principalOf(
  c: Context<Env>,
  { address, doorkeeper, failures, refuse }: Asking,
): Promise<Principal> {
  const authorization = c.req.header("authorization");
  if (!doorkeeper.knows(authorization)) {
    const before = await failures.get(address);
    if (before && before.remainingPoints <= 0) throw tooMany("requests without a valid token");
  }
  try {
    return await doorkeeper.principalOf(authorization);
  } catch (error) {
    if (error instanceof ApiError) {
      await take(failures, address, "requests without a valid token");
      refuse(error, address);
      c.header("www-authenticate", "Bearer");
    }
    throw error;
  }
}

/** @throws `api.too_many_requests` */
async function take(limiter: RateLimiterMemory, key: string, what: string): Promise<void> {
  try {
    await limiter.consume(key);
  } catch (error) {
    if (error instanceof RateLimiterRes) throw tooMany(what);
    throw error;
  }
}

function tooMany(what: string): ApiError {
  return new ApiError({
    code: "api.too_many_requests",
    message: `too many ${what} in a short time; wait a little`,
    retryable: true,
  });
}

function addressOf(c: Context<Env>, { behindProxy }: CheckedOptions): string {
  const forwarded = behindProxy ? c.req.header("x-forwarded-for")?.split(",").at(-1)?.trim() : undefined;
  if (forwarded) return forwarded.slice(0, 64);
  return (c.env as object | undefined) && "incoming" in (c.env as object)
    ? (getConnInfo(c).remote.address ?? "unknown")
    : "unknown";
}

function allowOrigin(c: Context<Env>, origin: string): void {
  c.header("access-control-allow-origin", origin);
  c.header("vary", "Origin");
  if (c.req.method !== "OPTIONS") return;
  c.header("access-control-allow-methods", "GET, POST, PUT, DELETE");
  c.header("access-control-allow-headers", "authorization, content-type, idempotency-key, last-event-id");
  c.header("access-control-max-age", "600");
}
