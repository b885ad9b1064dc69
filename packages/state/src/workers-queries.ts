// Statements about workers. They are no run's, and nothing is decided from them: what is written is the worker's own row.

import { RecordId, surql } from "@sentient/db-pool";

const workerId = (id: string): RecordId<"worker"> => new RecordId("worker", id);

export const saveWorker = (id: string, row: Record<string, unknown>, now: Date | null) => surql`{
  LET $now = ${now} ?? time::now();
  LET $before = (SELECT VALUE startedAt FROM ONLY ${workerId(id)});
  UPSERT ONLY ${workerId(id)} CONTENT object::extend(${row}, { startedAt: $before ?? $now, seenAt: $now })
}`;

export const readWorkers = (now: Date | null) => surql<{ now: Date; rows: unknown[] }>`
  RETURN { now: ${now} ?? time::now(), rows: (SELECT * FROM worker) }`;

export interface LiveWorker {
  id: string;
  queues: string[];
  slots: number;
  running: number;
}

/** Those that were heard of within so many milliseconds, in an order that is the same for everybody. */
export const readLive = (live: number, now: Date | null) => surql<LiveWorker[]>`{
  LET $since = (${now} ?? time::now()) - duration::from_millis(${live});
  (SELECT record::id(id) AS id, queues, slots, running FROM worker WHERE seenAt > $since ORDER BY id)
}`;

export const readWorker = (id: string, now: Date | null) => surql<{ now: Date; row: unknown }>`
  RETURN { now: ${now} ?? time::now(), row: (SELECT * FROM ONLY ${workerId(id)}) }`;

/** The workers of a process, and the runs that they hold. */
export const readHeldIn = (pid: number, host: string) => surql<{ workers: string[]; runs: string[] }>`{
  LET $workers = (SELECT VALUE record::id(id) FROM worker WHERE pid = ${pid} AND host = ${host});
  {
    workers: $workers,
    runs: IF array::len($workers) = 0 { [] } ELSE {
      SELECT VALUE record::id(id) FROM run WHERE status = "running" AND lease.worker IN $workers
    }
  }
}`;

export const removeWorker = (id: string) => surql`DELETE ONLY ${workerId(id)} RETURN BEFORE`;

/** Those that were not heard of for so many milliseconds. */
export const removeSilent = (silent: number, now: Date | null) => surql<string[]>`{
  LET $last = (${now} ?? time::now()) - duration::from_millis(${silent});
  (DELETE worker WHERE seenAt < $last RETURN BEFORE).map(|$worker| record::id($worker.id))
}`;
