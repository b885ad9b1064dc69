// The statement that asks why a run is where it is.

import { surql } from "@sentient/db-pool";
import type { FlowLimitRow } from "./claim-queries.ts";
import { LAST } from "./queries.ts";
import { runId } from "./run.ts";

export interface Circumstances {
  now: Date;
  row: unknown;
  /** Versions of its agent that are paused. */
  paused: { by?: string; at: Date }[];
  /** Of its queue and its agent. */
  limits: FlowLimitRow[];
  /** By the keys of its queue, its agent and its own limits: the runs that count against them. */
  holders: Record<string, string[]>;
  /** Those that were heard of since. */
  workers: {
    id: string;
    queues: string[];
    serves: string[];
    capabilities?: string[];
    slots: number;
    running: number;
    drainingAt?: Date;
  }[];
}

/** @param live for how many milliseconds a worker may have been silent */
export const readCircumstances = (run: string, live: number, now: Date | null) => surql<
  Circumstances | undefined
>`{
  LET $now = ${now} ?? time::now();
  LET $row = (SELECT * FROM ONLY ${runId(run)});
  LET $since = $now - duration::from_millis(${live});
  LET $shared = [string::concat("queue:", $row.queue), string::concat("agent:", $row.name)];
  LET $name = $row.name;
  LET $keys = array::concat($shared, $row.limits.key ?? []);
  RETURN IF $row = NONE { NONE } ELSE { {
    now: $now,
    row: $row,
    paused: (SELECT pausedBy AS by, pausedAt AS at FROM agent:[$name, ""]..=[$name, ${LAST}] WHERE pausedAt != NONE),
    limits: (SELECT * FROM $shared.map(|$key| type::record("flow_limit", $key))),
    holders: object::from_entries($keys.map(|$key|
      [$key, (SELECT VALUE record::id(id)[1] FROM slot:[$key, ""]..=[$key, ${LAST}])])),
    workers: (SELECT *, record::id(id) AS id FROM worker WHERE seenAt > $since)
  } }
}`;
