// A place that is held for a run until all of it is there.

import type { Failure } from "@sentient/schema";
import { StateError } from "./errors.ts";

/** What a run that is being imported is parked with. */
const UNFINISHED = "import_unfinished";

/** @param sha256 of the file */
export function reservedBy(sha256: string): Failure {
  return {
    name: "ImportUnfinished",
    code: UNFINISHED,
    message: `its import from the file ${sha256} is not finished: import that file again, to its end`,
    retryable: true,
  };
}

export function isReserved(run: { status: string; problem?: Failure }): boolean {
  return run.status === "parked" && run.problem?.code === UNFINISHED;
}

/** @throws `state.illegal_transition` for one that is not all there yet */
export function requireThere(run: { id: string; status: string; problem?: Failure }): void {
  if (!isReserved(run)) return;
  throw new StateError({
    code: "state.illegal_transition",
    message: `the run ${run.id} is not all there yet: ${run.problem!.message}`,
    details: { run: run.id, status: run.status },
  });
}
