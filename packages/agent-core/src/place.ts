/** Where in a run something is done. */
export interface Place {
  /** Of its scope. */
  readonly path: string;
  /** Aborts with the branch. */
  readonly signal: AbortSignal;
  /** Whether it undoes what was done: that goes on where the run is cancelled. */
  readonly isUndo: boolean;
  /** What the time is there: that of what it last remembered, the same at every replay. */
  readonly time: { now: Date };
}
