// Looking after the log: whether it is whole, what takes up room, who reads it from where.

import type { Sentient } from "@sentient/agent-core";
import { Hash } from "@sentient/schema";
import { defined, Flag, OfName, OfRun, z } from "../fields.ts";
import type { Routes } from "../route.ts";

export function upkeepRoutes(routes: Routes, { events, state }: Sentient): void {
  routes.add(
    {
      name: "verifyRun",
      method: "get",
      path: "/v1/runs/{run}/verify",
      policy: "read",
      tag: "runs",
      about: "Whether the events of a run are those that were told, where the log has hashes.",
      params: OfRun,
      query: z.strictObject({ hash: Hash.optional() }),
      answer: { schema: "Verified" },
    },
    ({ params, query }) => events.verify(params.run, defined(query)),
  );

  routes.add(
    {
      name: "getStorage",
      method: "get",
      path: "/v1/runs/{run}/storage",
      policy: "read",
      tag: "runs",
      about: "How many bytes a run takes up, or with `tree` all of its tree.",
      params: OfRun,
      query: z.strictObject({ tree: Flag.optional() }),
      answer: { schema: "Storage" },
    },
    ({ params, query }) => state.storage(params.run, defined(query)),
  );

  routes.add(
    {
      name: "trimEvents",
      method: "post",
      path: "/v1/events/trim",
      policy: "admin",
      tag: "events",
      about: "Removes the oldest events for ever: of several conditions the most cautious wins.",
      body: z
        .strictObject({
          before: z.int().min(1).optional(),
          olderThan: z.int().min(0).optional(),
          keep: z.int().min(0).optional(),
          force: z.boolean().optional(),
        })
        .refine(
          ({ before, olderThan, keep }) => [before, olderThan, keep].some((each) => each !== undefined),
          "say before, olderThan or keep",
        ),
      answer: { schema: "Trimmed" },
    },
    async ({ body, who }) => {
      const trimmed = await events.trim(defined(body));
      const { floor, trimmed: count } = trimmed;
      if (count > 0)
        await state.audit.record({ what: "events.trimmed", by: who.name, data: { floor, events: count } });
      return trimmed;
    },
  );

  routes.add(
    {
      name: "moveConsumer",
      method: "post",
      path: "/v1/consumers/{name}/move",
      policy: "worker",
      tag: "consumers",
      about:
        "Has a consumer go on with the event at `from`: back, to handle events again, or forward, to skip some.",
      params: OfName,
      body: z.strictObject({ from: z.int().min(1) }),
      answer: { schema: "Consumer" },
    },
    async ({ params: { name }, body: { from } }) => {
      await events.replay(name, { from });
      return events.consumers.status(name);
    },
  );

  routes.add(
    {
      name: "removeConsumer",
      method: "delete",
      path: "/v1/consumers/{name}",
      policy: "admin",
      tag: "consumers",
      about: "Forgets a consumer, with its dead letters.",
      params: OfName,
      answer: { schema: "Removed" },
    },
    async ({ params: { name }, who }) => {
      const removed = (await events.consumers.list()).includes(name);
      await events.consumers.remove(name);
      if (removed) await state.audit.record({ what: "consumer.removed", by: who.name, data: { name } });
      return { removed };
    },
  );
}
