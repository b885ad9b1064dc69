// Control. Owns: what people ask of a run, whoever holds it: pause, resume, cancel. Each is durable before it is answered.

import { z } from "zod";
import { changeRun, type Context } from "./changing.ts";
import { checked, StateError } from "./errors.ts";
import { By } from "./options.ts";
import type { Run } from "./run.ts";
import { defined } from "./telling.ts";

export const Control = z.strictObject({
  by: By,
  reason: z.string().max(1024).optional(),
});

export interface ControlOptions {
  /** Who asks. */
  by?: string;
  reason?: string;
}

/** A run that is held is paused by its worker, before its next step; any other at once. */
export function pause(id: string, options: ControlOptions, context: Context): Promise<Run> {
  const said = defined(checked(Control, options, "a pause"));
  return changeRun(
    id,
    ({ run }) => {
      if (run.status === "paused" || (run.status === "running" && run.asked?.what === "pause"))
        return undefined;
      if (run.asked?.what === "cancel") throw beingCancelled(run, "paused");
      return {
        events: [{ event: { type: run.status === "running" ? "pause.requested" : "run.paused", ...said } }],
      };
    },
    context,
  );
}

/** Puts a run that is paused or parked back into its queue; takes back a pause that was not done yet. */
export function resume(id: string, options: ControlOptions, context: Context): Promise<Run> {
  const { by } = checked(Control, options, "a resume");
  return changeRun(
    id,
    ({ run }) => {
      if (goesOn(run) && run.asked?.what !== "pause") return undefined;
      if (run.status === "waiting")
        throw new StateError({
          code: "state.illegal_transition",
          message: `the run ${id} is not paused: it waits, and goes on when what it waits for comes`,
          details: { run: id, status: run.status },
        });
      return { events: [{ event: { type: "run.resumed", by } }] };
    },
    context,
  );
}

const Cancel = Control.extend({ force: z.boolean().default(false) });

export interface CancelOptions extends ControlOptions {
  /** Ends it at once, whoever holds it and whatever it would undo. */
  force?: boolean;
}

/**
 * Cancels a run. Its worker is asked to, if it is held or has something to undo; else, or with `force`, it is cancelled at
 * once, and nothing of it commits any more.
 */
export function cancel(id: string, options: CancelOptions, context: Context): Promise<Run> {
  const { force, ...rest } = checked(Cancel, options, "a cancel");
  const { by, ...reason } = defined(rest);
  return changeRun(
    id,
    ({ run }) => {
      if (run.status === "cancelled") return undefined;
      const asks = !force && (run.status === "running" || run.compensates === true);
      if (asks && goesOn(run) && run.asked?.what === "cancel") return undefined;
      return {
        events: [
          {
            event: asks
              ? { type: "cancel.requested", by, ...reason }
              : { type: "run.cancelled", by, ...reason },
          },
        ],
      };
    },
    context,
  );
}

/** It has a worker, or waits for one. */
function goesOn({ status }: Run): boolean {
  return status === "queued" || status === "running";
}

function beingCancelled({ id, status }: Run, what: string): StateError {
  return new StateError({
    code: "state.illegal_transition",
    message: `the run ${id} is being cancelled, and cannot be ${what}`,
    details: { run: id, status },
  });
}
