// Routes. Owns: what one route is: its method and path, who may ask, what comes in, what goes out. The check of what comes in,
// the document and the table of policies are made of the same description, so none of them can differ from the others.

import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { z } from "zod";
import type { Policy, Principal } from "./access.ts";
import { readJson, type BodyLimits } from "./body.ts";
import { badRequest } from "./errors.ts";
import { answersOf } from "./document.ts";

export type Method = "get" | "post" | "put" | "delete";

/** What is answered: a component of the document by its name, or something that is no JSON. */
export interface Answer {
  status?: 200 | 201 | 202 | 204;
  schema?: string;
  type?: "text/event-stream" | "application/x-ndjson" | "text/plain" | "text/html" | "application/json";
  about?: string;
}

type Out<S> = S extends z.ZodType ? z.output<S> : undefined;

export interface RouteOptions<
  P extends z.ZodObject | undefined,
  Q extends z.ZodObject | undefined,
  B extends z.ZodType | undefined,
> {
  /** What it is called in the document. */
  name: string;
  method: Method;
  /** As in `/v1/runs/{run}`. */
  path: string;
  policy: Policy;
  /** What it does, in one sentence. */
  about: string;
  tag: string;
  params?: P;
  query?: Q;
  /** Of JSON. */
  body?: B;
  /** The handler reads the body itself: lines of JSON. */
  lines?: true;
  headers?: z.ZodObject;
  answer: Answer;
}

/** What a handler is given. */
export interface Asked<P, Q, B> {
  params: Out<P>;
  query: Out<Q>;
  body: Out<B>;
  who: Principal;
  /** Aborts when whoever asks is gone. */
  signal: AbortSignal;
  c: Context<Env>;
}

export interface Env {
  Variables: { who: Principal; request: string };
}

/** A route as it is found. */
export interface Listed {
  name: string;
  method: Method;
  path: string;
  policy: Policy;
}

const LINES = {
  content: { "application/x-ndjson": { schema: { type: "string" as const } } },
  required: true,
};

/** All routes of an API. */
export class Routes {
  readonly list: Listed[] = [];
  readonly #app: OpenAPIHono<Env>;
  readonly #limits: BodyLimits;
  readonly #policies = new Map<string, Policy>();

  constructor(app: OpenAPIHono<Env>, limits: BodyLimits) {
    this.#app = app;
    this.#limits = limits;
  }

  /** Adds one; what its handler answers is JSON, unless it is a `Response`. */
  add<
    P extends z.ZodObject | undefined = undefined,
    Q extends z.ZodObject | undefined = undefined,
    B extends z.ZodType | undefined = undefined,
  >(route: RouteOptions<P, Q, B>, handle: (asked: Asked<P, Q, B>) => unknown): void {
    const { name, method, path, policy, about, tag, params, query, body, lines, headers, answer } = route;
    this.#app.openAPIRegistry.registerPath({
      operationId: name,
      method,
      path,
      summary: about,
      tags: [tag],
      ...(policy === "public" ? { security: [] } : { security: [{ token: [policy] }] }),
      request: {
        ...(params ? { params } : {}),
        ...(query ? { query } : {}),
        ...(headers ? { headers } : {}),
        ...(body ? { body: { content: { "application/json": { schema: body } }, required: true } } : {}),
        ...(lines ? { body: LINES } : {}),
      },
      responses: answersOf(answer, policy),
    });
    const pattern = path.replace(/\{(\w+)\}/g, ":$1");
    this.#policies.set(`${method.toUpperCase()} ${pattern}`, policy);
    this.list.push({ name, method, path, policy });
    this.#app.on(method.toUpperCase(), pattern, async (c) => {
      const given = {
        params: params && checked(params, c.req.param(), "the path"),
        query: query ? checked(query, queryOf(c.req.url), "the query") : undefined,
        body: body && checked(body, (await readJson(c.req.raw, this.#limits)) ?? {}, "the body"),
      };
      const asked = { ...given, who: c.get("who"), signal: c.req.raw.signal, c } as Asked<P, Q, B>;
      const answered = await handle(asked);
      if (answered instanceof Response) {
        const { body: sent, status, headers: said } = answered;
        return c.newResponse(sent, status as 200, Object.fromEntries(said)); // with what the guard has said
      }
      if (answer.status === 204) return c.body(null, 204);
      return c.json(answered as object, answer.status ?? 200);
    });
  }

  /** Of what a pattern of the router is for; undefined if nobody has said. */
  policyOf(method: string, pattern: string): Policy | undefined {
    return this.#policies.get(`${method === "HEAD" ? "GET" : method} ${pattern}`);
  }

  /** The methods that a path is there for. */
  methodsOf(path: string): string[] {
    return this.list
      .filter((route) => patternOf(route.path).test(path))
      .map(({ method }) => method.toUpperCase());
  }
}

function patternOf(path: string): RegExp {
  const parts = path.split("/").map((part) => (part.startsWith("{") ? "[^/]+" : part.replaceAll(".", "\\.")));
  return new RegExp(`^${parts.join("/")}$`);
}

/** One value, or several of one name; nothing of a prototype. */
function queryOf(url: string): Record<string, string | string[]> {
  const start = url.indexOf("?");
  const found: Record<string, string | string[]> = Object.create(null);
  if (start < 0) return found;
  const search = new URLSearchParams(url.slice(start).split("#", 1)[0]);
  for (const key of new Set(search.keys())) {
    const values = search.getAll(key);
    found[key] = values.length === 1 ? values[0]! : values;
  }
  return found;
}

/** @throws `api.bad_request` */
function checked<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw badRequest(what, parsed.error);
}
