import type { RecordId, Statement } from "@sentient/db-pool";
import type { NewEvent, Placed } from "./draft.ts";

/** What is committed together, or not at all. */
export interface Entry {
  events?: readonly NewEvent[];
  /**
   * Conditions: a statement each, which must answer something and throw nothing. One that others may invalidate meanwhile
   * has to write the row it looks at: SurrealDB isolates by snapshot, and a row that was only read is not watched. One that
   * entries share which come one after the other, being the same object, is asked once for all of them.
   */
  guards?: readonly Statement[];
  /**
   * Where runs of the entry stand: by run, how many events it has. If somebody else has appended to one of them meanwhile
   * the entry is refused, at no cost where nobody has. It needs an event of each of these runs.
   */
  expected?: Readonly<Record<string, number>>;
  /** Runs that nobody can have told of before, as their ids were made up just now: it is not asked where they stand. */
  begins?: readonly string[];
  /** Rows to create, of any tables. Those of one table are inserted at once, for all entries of a commit, before any guard. */
  rows?: readonly NewRow[] | ((placed: readonly Placed[], at: Date) => readonly NewRow[]);
  /** What changes along with it; or what makes them, once it is known which places the events get. */
  statements?: readonly Statement[] | ((placed: readonly Placed[], at: Date) => readonly Statement[]);
}

/** A row to create; of several tables if need be. */
export interface NewRow {
  id: RecordId;
  [field: string]: unknown;
}

export interface AppendOptions {
  /** Takes the entry back, unless it is being committed: then it is too late, or if that fails it is not tried again. */
  signal?: AbortSignal;
  /**
   * What becomes of an entry whose events are in the log already, by their ids: it was appended before, so it is answered
   * with their places, and nothing of it is run (`answer`, as if left out); or its guards and statements are committed
   * without them (`omit`).
   */
  onKnown?: "answer" | "omit";
}
