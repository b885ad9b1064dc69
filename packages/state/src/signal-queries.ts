// Statements about signals.

import { BoundIncluded, RecordIdRange, surql, type RecordId, type Statement } from "@sentient/db-pool";
import { untaken } from "./queries.ts";

/** The oldest that nobody has taken. */
export const readNextSignal = (run: string, name: string) => surql`{
  LET $untaken = ${untaken(run, name)};
  (SELECT * FROM signal WHERE untaken = $untaken LIMIT 1)[0]
}`;

export interface SignalFilter {
  name?: string | undefined;
  taken?: boolean | undefined;
}

/** The first of those told of by one of the events `first` to `last` of the run. */
export const readSignals = (
  run: string,
  [first, last]: [number, number],
  { name, taken }: SignalFilter,
  limit: number,
) => {
  const window = new RecordIdRange("signal", new BoundIncluded([run, first]), new BoundIncluded([run, last]));
  const conditions: Statement[] = [
    ...(name === undefined ? [] : [surql`name = ${name}`]),
    ...(taken === undefined ? [] : [taken ? surql`takenBy != NONE` : surql`takenBy = NONE`]),
  ];
  if (conditions.length === 0) return surql<unknown[]>`SELECT * FROM ${window} LIMIT ${limit}`;
  const all = conditions.reduce((every, condition) => surql`${every} AND ${condition}`);
  return surql<unknown[]>`SELECT * FROM ${window} WHERE ${all} LIMIT ${limit}`;
};

export interface ToldSignal {
  id: RecordId<"event">;
  run?: string;
  n?: number;
  type: string;
  data: string;
}

/** The event that was told under an id. */
export const findTold = (eventId: string) => surql<ToldSignal | undefined>`{
  LET $id = ${eventId};
  (SELECT id, run, n, type, data FROM event WHERE eventId = $id LIMIT 1)[0]
}`;

export const readSignal = (id: RecordId) => surql`SELECT * FROM ONLY ${id}`;
