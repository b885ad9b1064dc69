// Points. Owns: which point of a run's history somebody means.

import { checkpointTable, Name, type Checkpoint } from "@sentient/schema";
import { z } from "zod";
import type { Context } from "./changing.ts";
import { StateError } from "./errors.ts";
import * as queries from "./history-queries.ts";

/** A point of a run's history; it is now if nothing is said. */
export interface Point {
  /** After its n-th event. */
  n?: number;
  /** After the event at this position of the log, or its last one before. */
  position?: number;
  checkpoint?: string;
}

export const pointFields = {
  n: z.int().min(1).optional(),
  position: z.int().min(1).optional(),
  checkpoint: Name.optional(),
};

/** For the options that hold a point. */
export const isOnePoint = ({ n, position, checkpoint }: Point): boolean =>
  [n, position, checkpoint].filter((one) => one !== undefined).length <= 1;
export const ONE_POINT = "say n, or position, or checkpoint; one of them";

export const PointOptions = z.strictObject(pointFields).refine(isOnePoint, ONE_POINT);

export interface Resolved {
  n: number;
  checkpoint?: Checkpoint;
}

/**
 * @throws `state.position_ahead`, `state.not_found` for a checkpoint or a run that did not exist yet, `state.details_removed`
 * if events were trimmed of which it is to be known where they stood
 */
export async function resolve(run: string, point: Point, { db }: Pick<Context, "db">): Promise<Resolved> {
  const { n, position, checkpoint } = point;
  if (n !== undefined && (await db.query(queries.readPositionOf(run, n))) !== undefined) return { n };
  const asked = position ?? Number.MAX_SAFE_INTEGER;
  const [place, named] = await Promise.all([
    db.query(queries.readPlace(run, asked)),
    checkpoint === undefined ? undefined : requireCheckpoint(run, checkpoint, { db }),
  ]);
  if (position !== undefined) return atPosition(run, position, place);
  const last = place.n ?? place.trimmed ?? 0;
  if ((n ?? 0) > last)
    throw aheadError(run, `the run ${run} has ${last} events, and not ${n} yet`, { n, last });
  return { n: named?.n ?? n ?? last, ...(named ? { checkpoint: named } : {}) };
}

/** @throws `state.not_found` */
export async function requireCheckpoint(
  run: string,
  name: string,
  { db }: Pick<Context, "db">,
): Promise<Checkpoint> {
  const row = await db.query(queries.readCheckpoint(run, name));
  if (row === undefined)
    throw new StateError({
      code: "state.not_found",
      message: `the run ${run} has no checkpoint ${name}`,
      details: { run, checkpoint: name },
    });
  return checkpointTable.parse(row);
}

function atPosition(run: string, position: number, place: queries.Place): Resolved {
  const { head, floor, first, trimmed } = place;
  if (position > head)
    throw aheadError(run, `the log ends at position ${head}, and ${position} is not there yet`, {
      position,
      head,
    });
  const wasTrimmed = first === undefined ? trimmed : first - 1;
  const n = place.n ?? (position >= floor ? wasTrimmed : undefined);
  if (n) return { n };
  throw wasTrimmed
    ? new StateError({
        code: "state.details_removed",
        message: `the events up to position ${floor} were trimmed, so which of the run ${run} stood at ${position} is not known; say n, or a later position`,
        details: { run, position, floor },
      })
    : new StateError({
        code: "state.not_found",
        message: `there was no run ${run} at position ${position} yet; ask for a later one`,
        details: { run, position },
      });
}

function aheadError(run: string, message: string, details: Record<string, unknown>): StateError {
  return new StateError({
    code: "state.position_ahead",
    message: `${message}; look again when it is`,
    details: { run, ...details },
  });
}
