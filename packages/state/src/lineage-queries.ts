// Statements about what led to what: the edges `spawned`, `forked` and `caused`, gone along in either direction.

import { RecordId, surql } from "@sentient/db-pool";
import type { RunKind } from "@sentient/schema";
import { runId, type Run } from "./run.ts";

/** An edge of the graph, from what led to it. */
export interface Edge {
  from: string;
  to: string;
  at: Date;
  step?: string;
  n?: number;
  /** Of the event that caused it; `from` is its run then, if it has one. */
  position?: number;
}

/** By what it is. */
export interface Edges {
  spawned: Edge[];
  forked: Edge[];
  caused: (Omit<Edge, "from"> & { from?: string })[];
}

export const readCauses = (runs: readonly string[]) => surql<Edges>`{
  LET $runs = ${runs.map(runId)};
  RETURN {
    spawned: (SELECT record::id(in) AS from, record::id(out) AS to, step, at FROM $runs<-spawned),
    forked: (SELECT record::id(in) AS from, record::id(out) AS to, n, at FROM $runs<-forked),
    caused: (SELECT run AS from, record::id(out) AS to, record::id(in) AS position, at FROM $runs<-caused)
  }
}`;

/** What the events of a run led to is looked for by the run: its events may be many, and most lead to nothing. */
export const readEffects = (runs: readonly string[]) => surql<Edges>`{
  LET $runs = ${runs.map(runId)};
  LET $caused = array::flatten(${runs}.map(|$run| (SELECT * FROM caused WHERE run = $run)));
  RETURN {
    spawned: (SELECT record::id(in) AS from, record::id(out) AS to, step, at FROM $runs->spawned),
    forked: (SELECT record::id(in) AS from, record::id(out) AS to, n, at FROM $runs->forked),
    caused: (SELECT run AS from, record::id(out) AS to, record::id(in) AS position, at FROM $caused)
  }
}`;

/** What is to be said of a run that led to something. */
export interface NamedRun {
  id: string;
  kind: RunKind;
  name: string;
  status: Run["status"];
  causation?: string;
}

export const readNamed = (run: string) => surql<NamedRun | undefined>`
  SELECT record::id(id) AS id, kind, name, status, causation FROM ONLY ${runId(run)}`;

export const readEventAt = (position: number) => surql`SELECT * FROM ONLY ${new RecordId("event", position)}`;

export const readEventById = (eventId: string) =>
  surql<unknown[]>`SELECT * FROM event WHERE eventId = ${eventId} LIMIT 1`;
