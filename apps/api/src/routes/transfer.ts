// Runs that are carried away, and brought back: lines of JSON, as they come.

import type { Sentient } from "@sentient/agent-core";
import { linesIn } from "../body.ts";
import { defined, Flag, OfRun, z } from "../fields.ts";
import { linesOf } from "../lines.ts";
import type { Routes } from "../route.ts";

const tag = "runs";

export function transferRoutes(routes: Routes, { state }: Sentient, mostBytes: number): void {
  routes.add(
    {
      name: "exportRun",
      method: "get",
      path: "/v1/runs/{run}/export",
      policy: "read",
      tag,
      about: "A run and all that belongs to it as lines of JSON; what it calls secret is left out.",
      params: OfRun,
      query: z.strictObject({ tree: Flag.optional() }),
      answer: { type: "application/x-ndjson", about: "It is whole once its last line is the seal." },
    },
    ({ params, query, who, c }) =>
      linesOf(state.export(params.run, { ...defined(query), by: who.name }), c.req.method === "HEAD"),
  );

  routes.add(
    {
      name: "importRuns",
      method: "post",
      path: "/v1/runs/import",
      policy: "admin",
      tag,
      about:
        "Brings the runs of an export into this database, all or none; one that was not over is parked until it is resumed.",
      lines: true,
      answer: { status: 201, schema: "Imported", about: "They are there; said again it changes nothing." },
    },
    ({ c }) => state.import(linesIn(c.req.raw, mostBytes)),
  );
}
