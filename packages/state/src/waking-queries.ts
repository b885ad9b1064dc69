// Statements about who waits for a run to end.

import { RecordId, surql } from "@sentient/db-pool";
import { LAST, THROWN, within } from "./queries.ts";

const waiterId = (run: string, waiter: string) => new RecordId("waiter", [run, waiter]);
const waitersOf = (run: string) => within("waiter", [run, ""], [run, LAST]);

export const addWaiter = (waiter: string, runs: readonly string[]) => surql`
  INSERT IGNORE INTO waiter ${runs.map((run) => ({ id: waiterId(run, waiter) }))} RETURN NONE`;

export const readWaiters = (run: string) => surql<{ id: string; run: unknown }[]>`
  RETURN (SELECT VALUE record::id(id)[1] FROM ${waitersOf(run)})
    .map(|$id| { id: $id, run: (SELECT * FROM type::record("run", $id))[0] })`;

/** Nobody else waits for it by now; and nobody does any more. */
export const requireWaiters = (run: string, waiters: readonly string[]) =>
  waiters.length === 0
    ? surql`(SELECT VALUE id FROM ${waitersOf(run)})[0] = NONE OR { THROW ${THROWN.stale} }`
    : surql`{
  IF (SELECT VALUE record::id(id)[1] FROM ${waitersOf(run)}) != ${waiters} { THROW ${THROWN.stale} };
  DELETE ${waiters.map((waiter) => waiterId(run, waiter))} RETURN NONE
}`;
