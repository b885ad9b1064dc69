import { z } from "zod";
import { Hash } from "./ids.ts";
import { jsonText } from "./json.ts";
import { defineTable } from "./table.ts";

/** Who was let do something that somebody may ask for later, or was not. Never changed, and each holds the hash of all before. */
export const AuditRecord = z.object({
  /** 1, 2, 3 … without gaps. */
  n: z.int().min(1),
  /** `noun.past`, as in `token.created`. */
  what: z
    .string()
    .regex(/^[a-z]+\.[a-z]+$/, "two small words with a dot")
    .max(64),
  by: z.string().min(1).max(256),
  at: z.date(),
  data: jsonText("eventBytes"),
  /** Of this record and the hash of the one before. */
  hash: Hash,
});
export type AuditRecord = z.infer<typeof AuditRecord>;

export const auditTable = defineTable({
  name: "audit",
  schema: AuditRecord,
  key: "n",
  comment: "who was let do what, each record with the hash of all before it",
});

/** The last record: whoever adds one moves it. */
export const AuditHead = z.object({ id: z.literal("chain"), n: z.int().min(1), hash: Hash });
export type AuditHead = z.infer<typeof AuditHead>;

export const auditHeadTable = defineTable({
  name: "audit_head",
  schema: AuditHead,
  comment: "the last record of the audit",
});
