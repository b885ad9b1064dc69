import { z } from "zod";
import { Hash } from "./ids.ts";
import { defineTable } from "./table.ts";

export const ACCESS_SCOPES = ["read", "write", "worker", "admin"] as const;
/** What somebody may do over the network; `admin` is everything. */
export const AccessScope = z.enum(ACCESS_SCOPES);
export type AccessScope = z.infer<typeof AccessScope>;

/** What somebody shows to be let in. Its secret is nowhere but with them. */
export const AccessToken = z.object({
  /** The part that may be shown, and by which it is found. */
  id: z.string().regex(/^[0-9a-f]{12}$/, "12 hexadecimal digits"),
  /** Of all of it. */
  hash: Hash,
  /** Whose it is. */
  name: z.string().min(1).max(256),
  scopes: z.array(AccessScope).min(1).max(ACCESS_SCOPES.length),
  createdAt: z.date(),
  createdBy: z.string().max(256),
  expiresAt: z.date().optional(),
  revokedAt: z.date().optional(),
  revokedBy: z.string().max(256).optional(),
});
export type AccessToken = z.infer<typeof AccessToken>;

export const accessTokenTable = defineTable({
  name: "access_token",
  schema: AccessToken,
  comment: "what somebody shows to be let in",
});
