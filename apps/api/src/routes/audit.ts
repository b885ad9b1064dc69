// Who was let do what.

import type { Sentient } from "@sentient/agent-core";
import { AuditRecord, Hash } from "@sentient/schema";
import { defined, Int, Page, Text, z } from "../fields.ts";
import type { Routes } from "../route.ts";

export function auditRoutes(routes: Routes, { state: { audit } }: Sentient): void {
  const tag = "audit";
  routes.add(
    {
      name: "listAudit",
      method: "get",
      path: "/v1/audit",
      policy: "admin",
      tag,
      about: "A page of who was let do what, and who was not let in, the latest first.",
      query: z.strictObject({
        what: AuditRecord.shape.what.optional(),
        by: Text.optional(),
        before: Int.optional(),
        ...Page,
      }),
      answer: { schema: "Audit" },
    },
    ({ query }) => audit.list(defined(query)),
  );

  routes.add(
    {
      name: "verifyAudit",
      method: "get",
      path: "/v1/audit/verify",
      policy: "admin",
      tag,
      about:
        "Whether all records are as they were made; with `n` and `hash` also whether one is that which was noted.",
      query: z.strictObject({ n: Int.optional(), hash: Hash.optional() }),
      answer: { schema: "AuditVerified" },
    },
    ({ query }) => audit.verify(defined(query)),
  );
}
