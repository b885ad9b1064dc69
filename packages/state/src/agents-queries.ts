// Statements about agents, and what they remember.

import { BoundExcluded, BoundIncluded, RecordId, RecordIdRange, surql } from "@sentient/db-pool";
import { agentId, agentsNamed } from "./claim-queries.ts";
import { LAST, THROWN } from "./queries.ts";

const stateId = (name: string): RecordId<"agent_state"> => new RecordId("agent_state", name);

interface Count {
  name: string;
  version: string;
  running: number;
}

export interface AgentRows {
  rows: Record<string, unknown>[];
  running: Count[];
  /** For each row, how many of its runs wait to be claimed, up to `MOST_QUEUED`. */
  queued: number[];
  /** Of those who were heard of lately. */
  workers: { serves: string[]; queues: string[] }[];
}

/** More are not counted. */
const MOST_QUEUED = 1_000;

/** What the rows are about to do, and who is there to do it. */
const around = (live: number, now: Date | null) => surql`
  queued: $rows.map(|$row| {
    LET $id = record::id($row.id);
    LET $lane = string::concat($row.queue, "/", $id[0], "/", $id[1]);
    array::len((SELECT VALUE id FROM run WHERE seek.ready = $lane LIMIT ${MOST_QUEUED}))
  }),
  workers: (SELECT serves, queues FROM worker
    WHERE seenAt >= (${now} ?? time::now()) - duration::from_millis(${live}))`;

export const readAgents = (name: string, live: number, now: Date | null) => surql<AgentRows>`{
  LET $rows = (SELECT * FROM ${agentsNamed(name)});
  RETURN {
    rows: $rows,
    running: (SELECT name, version, count() AS running FROM
      (SELECT name, version FROM run WHERE status = "running") WHERE name = ${name} GROUP BY name, version),
    ${around(live, now)}
  }
}`;

/** After one, by name and version. */
export const readAgentsAfter = (
  [name, version]: readonly [string, string],
  { capability, queue }: { capability: string | null; queue: string | null },
  limit: number,
  live: number,
  now: Date | null,
) => {
  const rest = new RecordIdRange(
    "agent",
    new BoundExcluded([name, version] as never),
    new BoundIncluded([LAST, LAST] as never),
  );
  return surql<AgentRows>`{
    LET $capability = ${capability};
    LET $queue = ${queue};
    LET $rows = (SELECT * FROM (SELECT * FROM ${rest})
      WHERE ($capability = NULL OR capabilities CONTAINS $capability) AND ($queue = NULL OR queue = $queue) LIMIT ${limit});
    RETURN {
      rows: $rows,
      running: (SELECT name, version, count() AS running FROM run WHERE status = "running" GROUP BY name, version),
      ${around(live, now)}
    }
  }`;
};

export const readAgent = (name: string, version: string) =>
  surql<Record<string, unknown> | undefined>`SELECT * FROM ONLY ${agentId(name, version)}`;

const DESCRIBED = [
  "description",
  "capabilities",
  "queue",
  "kind",
  "secrets",
  "timeout",
  "input",
  "output",
] as const;

/** What is described of an agent, as it can be compared. */
export const describedBy = (row: Record<string, unknown>): unknown[] =>
  DESCRIBED.map((field) => row[field] ?? null);

/** As it was seen, or nothing; a new version of an agent that is paused is paused too. */
export const saveAgent = (
  { id, ...row }: { id: RecordId; [field: string]: unknown },
  seen: unknown[] | null,
  at: Date,
) => surql`{
  LET $before = (SELECT * FROM ONLY ${id});
  LET $described = IF $before = NONE { NULL } ELSE {
    ${DESCRIBED}.map(|$field| $before[$field] ?? NULL) };
  IF $described != ${seen} { THROW ${THROWN.stale} };
  LET $paused = $before ?? (SELECT pausedAt, pausedBy FROM ${agentsNamed((id.id as unknown as [string])[0])} WHERE pausedAt != NONE)[0];
  UPSERT ${id} CONTENT object::extend(${row}, {
    pausedAt: $paused.pausedAt, pausedBy: $paused.pausedBy, registeredAt: $before.registeredAt ?? ${at}
  }) RETURN NONE
}`;

/** All versions; there is one at least that is not paused. */
export const pauseAgent = (name: string, by: string, at: Date) => surql`{
  LET $paused = (UPDATE ${agentsNamed(name)} SET pausedAt = ${at}, pausedBy = ${by} WHERE pausedAt = NONE RETURN VALUE id);
  IF array::len($paused) = 0 { THROW ${THROWN.stale} }
}`;

/** All versions; there is one at least that is paused. */
export const resumeAgent = (name: string) => surql`{
  LET $resumed = (UPDATE ${agentsNamed(name)} SET pausedAt = NONE, pausedBy = NONE WHERE pausedAt != NONE RETURN VALUE id);
  IF array::len($resumed) = 0 { THROW ${THROWN.stale} }
}`;

export const readAgentState = (name: string) => surql`SELECT * FROM ONLY ${stateId(name)}`;

export const saveAgentState = ({ id, ...row }: Record<string, unknown>, revision: number) => surql`{
  LET $saved = (UPDATE ONLY ${id} CONTENT ${row} WHERE revision = ${revision} RETURN VALUE revision);
  IF $saved = NONE { THROW ${THROWN.stale} }
}`;
