// Who is let in.

import type { Sentient } from "@sentient/agent-core";
import { AccessScope } from "@sentient/schema";
import type { Doorkeeper } from "../access.ts";
import { defined, Instant, Text, z } from "../fields.ts";
import type { Routes } from "../route.ts";

export function tokenRoutes(routes: Routes, { state }: Sentient, doorkeeper: Doorkeeper): void {
  const { accessTokens } = state;
  const tag = "tokens";
  routes.add(
    {
      name: "listTokens",
      method: "get",
      path: "/v1/tokens",
      policy: "admin",
      tag,
      about: "All tokens that were made, without their secrets.",
      answer: { schema: "Tokens" },
    },
    async () => ({ tokens: await accessTokens.list() }),
  );

  routes.add(
    {
      name: "createToken",
      method: "post",
      path: "/v1/tokens",
      policy: "admin",
      tag,
      about: "Makes a token. Its secret is told now and never again.",
      body: z.strictObject({
        name: Text,
        scopes: z.array(AccessScope).min(1).max(4),
        expiresAt: Instant.optional(),
      }),
      answer: { status: 201, schema: "NewToken" },
    },
    ({ body, who }) => accessTokens.create({ ...defined(body), by: who.name }),
  );

  routes.add(
    {
      name: "revokeToken",
      method: "delete",
      path: "/v1/tokens/{token}",
      policy: "admin",
      tag,
      about: "Whoever shows it is not let in any more, after a minute at most.",
      params: z.object({ token: z.string().regex(/^[0-9a-f]{12}$/, "the id of a token") }),
      answer: { schema: "Token" },
    },
    async ({ params, who }) => {
      const revoked = await accessTokens.revoke(params.token, { by: who.name });
      doorkeeper.forget(params.token);
      return revoked;
    },
  );
}
