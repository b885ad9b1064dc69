// Statements about schedules. Each is written under its revision.

import { BoundExcluded, BoundIncluded, RecordId, RecordIdRange, surql } from "@sentient/db-pool";
import { LAST, THROWN } from "./queries.ts";
import { runId } from "./run.ts";

const scheduleId = (name: string): RecordId<"schedule"> => new RecordId("schedule", name);

export const readSchedule = (name: string, now: Date | null) => surql<{ now: Date; row: unknown }>`
  RETURN { now: ${now} ?? time::now(), row: (SELECT * FROM ONLY ${scheduleId(name)}) }`;

export const readSchedulesAfter = (name: string, limit: number) => {
  const rest = new RecordIdRange("schedule", new BoundExcluded(name), new BoundIncluded(LAST));
  return surql<unknown[]>`SELECT * FROM ${rest} LIMIT ${limit}`;
};

/** Whose time has come, those first that wait longest. */
export const readDueSchedules = (limit: number, now: Date | null) => surql<{ now: Date; rows: unknown[] }>`{
  LET $now = ${now} ?? time::now();
  LET $before = $now + 1s; -- an index sorts times as text (claim-queries.ts B1)
  LET $epoch = d"1970-01-01T00:00:00Z";
  LET $rows = (SELECT * FROM schedule WHERE nextAt > $epoch AND nextAt < $before LIMIT ${limit});
  RETURN { now: $now, rows: (SELECT * FROM $rows WHERE nextAt <= $now) }
}`;

/** Which of them there are. */
export const readThere = (runs: readonly string[]) => surql<string[]>`{
  LET $ids = ${runs.map(runId)};
  RETURN $ids.filter(|$id| record::exists($id)).map(|$id| record::id($id))
}`;

export const createSchedule = ({ id, ...row }: Record<string, unknown>) =>
  surql`CREATE ${id} CONTENT ${row} RETURN NONE`;

export const saveSchedule = ({ id, ...row }: Record<string, unknown>, revision: number) => surql`{
  LET $saved = (UPDATE ONLY ${id} CONTENT ${row} WHERE revision = ${revision} RETURN VALUE revision);
  IF $saved = NONE { THROW ${THROWN.stale} }
}`;

export const removeSchedule = (name: string, revision: number) => surql`{
  LET $removed = (DELETE ONLY ${scheduleId(name)} WHERE revision = ${revision} RETURN BEFORE);
  IF $removed = NONE { THROW ${THROWN.stale} }
}`;
