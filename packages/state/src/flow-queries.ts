// Statements about limits.

import { surql } from "@sentient/db-pool";
import { limitId, type FlowLimitRow, type LimitSaid } from "./claim-queries.ts";
import { LAST, THROWN } from "./queries.ts";

export interface LimitRows {
  now: Date;
  rows: (FlowLimitRow & { updatedAt: Date })[];
  /** For each row, the runs that count against it. */
  holders: string[][];
}

/** All of them, or those of some keys. */
export const readLimits = (keys: readonly string[] | null, now: Date | null) => surql<LimitRows>`{
  LET $rows = ${keys === null ? surql`(SELECT * FROM flow_limit)` : surql`(SELECT * FROM ${keys.map(limitId)})`};
  RETURN {
    now: ${now} ?? time::now(),
    rows: $rows,
    holders: $rows.map(|$row| {
      LET $key = record::id($row.id);
      (SELECT VALUE record::id(id)[1] FROM slot:[$key, ""]..=[$key, ${LAST}])
    })
  }
}`;

/**
 * If it says still what was seen. The bucket of a rate that was there is as full as it has become by it; that of a new one is
 * full.
 */
export const saveLimit = (
  key: string,
  row: { rate?: { count: number; per: number }; [field: string]: unknown },
  seen: LimitSaid | null,
  now: Date | null,
) => surql`{
  LET $now = ${now} ?? time::now();
  LET $before = (SELECT * FROM ONLY ${limitId(key)});
  LET $said = IF $before = NONE { NULL } ELSE {
    [$before.concurrency ?? 0, $before.rate.count ?? 0, $before.rate.per ?? 0] };
  IF $said != ${seen} { THROW ${THROWN.stale} };
  LET $rate = ${row.rate ?? null};
  LET $old = $before.bucket;
  LET $bucket = IF $rate = NULL OR $before.rate = NONE OR $old = NONE { NONE }
    ELSE IF $before.rate = $rate { $old }
    ELSE {
      LET $passed = IF $old.at >= $now { 0f } ELSE { duration::nanos($now - $old.at) / 1000000f };
      LET $left = $old.left + $passed * $before.rate.count / $before.rate.per;
      { left: math::min([$left, $before.rate.count, $rate.count]), at: IF $old.at > $now { $old.at } ELSE { $now } }
    };
  UPSERT ${limitId(key)} CONTENT object::extend(${row}, { bucket: $bucket }) RETURN NONE
}`;

/** What counts against it counts on, until the runs leave their workers. @param seen what it is to say still, if anything */
export const removeLimit = (key: string, seen: LimitSaid | null = null) => surql`{
  LET $seen = ${seen};
  LET $removed = (DELETE ONLY ${limitId(key)} RETURN BEFORE);
  IF $removed = NONE { THROW ${THROWN.stale} };
  LET $said = [$removed.concurrency ?? 0, $removed.rate.count ?? 0, $removed.rate.per ?? 0];
  IF $seen != NULL AND $said != $seen { THROW ${THROWN.stale} }
}`;
