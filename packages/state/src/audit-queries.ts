// Statements of the audit; values are bound where they are used.

import { BoundIncluded, RecordId, RecordIdRange, surql } from "@sentient/db-pool";

const HEAD = new RecordId("audit_head", "chain");

interface Added {
  what: string;
  by: string;
  at: Date;
  data: string;
}

/** Behind the last one. Who adds one at the same time conflicts with this at the head, and one of them does it anew. */
export const add = (row: Added, text: string) => surql`{
  LET $last = (SELECT n, hash FROM ONLY ${HEAD});
  LET $n = ($last.n ?? 0) + 1;
  LET $hash = crypto::sha256(string::concat($last.hash ?? "", "\n", <string> $n, "\n", ${text}));
  UPSERT ${HEAD} CONTENT { n: $n, hash: $hash } RETURN NONE;
  CREATE type::record("audit", $n) CONTENT object::extend(${row}, { hash: $hash }) RETURN NONE
}`;

export const readHead = () => surql<{ n: number; hash: string } | undefined>`
  SELECT n, hash FROM ONLY ${HEAD}`;

/** Both ends are included. */
export const read = (first: number, last: number) => surql<unknown[]>`
  SELECT * FROM ${new RecordIdRange("audit", new BoundIncluded(first), new BoundIncluded(last))}`;
