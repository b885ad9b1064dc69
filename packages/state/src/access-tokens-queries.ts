// Statements about access tokens.

import { RecordId, surql } from "@sentient/db-pool";
import { THROWN } from "./queries.ts";

const tokenId = (id: string): RecordId<"access_token"> => new RecordId("access_token", id);

export const insertToken = (id: string, row: Record<string, unknown>) =>
  surql`CREATE ONLY ${tokenId(id)} CONTENT ${row} RETURN NONE`;

/** With the database's time, by which it expires. */
export const readToken = (id: string, now: Date | null) => surql<{ now: Date; row: unknown }>`
  RETURN { now: ${now} ?? time::now(), row: (SELECT * FROM ONLY ${tokenId(id)}) }`;

export const readTokens = () => surql<unknown[]>`SELECT * FROM access_token`;

export const revokeToken = (id: string, by: string, at: Date) => surql`{
  LET $revoked = (UPDATE ONLY ${tokenId(id)} SET revokedAt = ${at}, revokedBy = ${by} WHERE revokedAt = NONE);
  IF $revoked = NONE { THROW ${THROWN.stale} }
}`;
