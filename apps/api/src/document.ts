// The document. Owns: what is told of the API in OpenAPI 3.1, beside its routes: what answers look like, and problems.

import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Policy } from "./access.ts";
import { componentsOf } from "./components.ts";
import { PROBLEM_JSON } from "./problems.ts";
import type { Answer, Env } from "./route.ts";

const reference = (name: string) => ({ $ref: `#/components/schemas/${name}` });

export function answersOf({ status = 200, schema, type, about }: Answer, policy: Policy) {
  const problem = (description: string) => ({
    description,
    content: { [PROBLEM_JSON]: { schema: reference("Problem") } },
  });
  const what = type ?? "application/json";
  const content = { [what]: { schema: schema ? reference(schema) : { type: "string" as const } } };
  return {
    [status]: {
      description: about ?? "As it was asked.",
      ...(status === 204 ? {} : { content }),
    },
    ...(policy === "public"
      ? {}
      : { 401: problem("No valid token was shown."), 403: problem("The token has not the scope.") }),
    default: problem("What went wrong, by its code."),
  };
}

/** Adds what routes refer to. */
export function describe(app: OpenAPIHono<Env>): void {
  const registry = app.openAPIRegistry;
  registry.registerComponent("securitySchemes", "token", {
    type: "http",
    scheme: "bearer",
    description: "A token with the scope read, write, worker or admin; admin is everything.",
  });
  for (const [name, schema] of Object.entries(componentsOf()))
    registry.registerComponent("schemas", name, schema);
}

/** The OpenAPI 3.1 document. */
export function documentOf(app: OpenAPIHono<Env>, version: string): object {
  return app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Sentient",
      version,
      description: "Durable agents and workflows: start runs, follow them live, ask and steer them.",
      license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" },
    },
    servers: [{ url: "/" }],
  });
}
