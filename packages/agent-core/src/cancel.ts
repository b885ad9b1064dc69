// Cancelling. Owns: a run is cancelled with all that it has started, and those with theirs.
// Who it is asked of first is the run itself: what it waits for must not end before it knows why.

import { StateError, type CancelOptions, type Run, type State } from "@sentient/state";
import { LEFT } from "./children.ts";

/** Those that can be cancelled. */
const OPEN = ["queued", "running", "waiting", "paused", "parked"] as const;

/** @throws what `state.cancel` throws */
export async function cancelTree(state: State, run: string, options: CancelOptions): Promise<Run> {
  const cancelled = await state.cancel(run, options);
  // One that is held does so itself, once its handler has ended.
  if (cancelled.status === "cancelled") await cancelChildren(state, run, () => true, options.reason);
  return cancelled;
}

/** Cancels what a run has started, unless it is to be left. */
export async function cancelChildren(
  state: State,
  parent: string,
  isMeant: (step: string | undefined) => boolean,
  reason = `the run ${parent} was cancelled`,
): Promise<void> {
  for (let before: number | undefined; ;) {
    const page = { parent, status: OPEN, limit: 100, ...(before === undefined ? {} : { before }) };
    const { runs, next } = await state.list(page);
    const meant = runs.filter(({ tags, parentStep }) => !tags.includes(LEFT) && isMeant(parentStep));
    for (const { id } of meant)
      await cancelTree(state, id, { by: `run:${parent}`, reason }).catch(unlessEnded);
    if (next === undefined) return;
    before = next;
  }
}

function unlessEnded(error: unknown): void {
  if (!(error instanceof StateError) || error.code !== "state.illegal_transition") throw error;
}
