// Places. Owns: where in a stream somebody was, as the id of a frame: a position, and behind a dot how many pieces came.

import { z } from "zod";
import { ApiError } from "./errors.ts";

export interface Place {
  position: number;
  /** Of what the run streams. */
  chunk: number;
}

const PLACE = /^(\d{1,15})(?:\.(\d{1,15}))?$/;

export const PlaceText = z.string().regex(PLACE, "a position, as in 17, or with pieces, as in 17.4");

export function textOfPlace({ position, chunk }: Place): string {
  return chunk === 0 ? `${position}` : `${position}.${chunk}`;
}

/**
 * Where to go on: what the header `Last-Event-ID` says, else the query; undefined if neither does.
 *
 * @throws `api.bad_request`
 */
export function placeOf(header: string | undefined, query: string | undefined): Place | undefined {
  const said = header ?? query;
  if (said === undefined || said === "") return undefined;
  const [, position, chunk = "0"] = PLACE.exec(said) ?? [];
  if (position === undefined)
    throw new ApiError({
      code: "api.bad_request",
      message: `Last-Event-ID is a position, as in 17, or with pieces, as in 17.4; and not ${JSON.stringify(said.slice(0, 64))}`,
    });
  return { position: Number(position), chunk: Number(chunk) };
}
