import type { Context } from "./changing.ts";
import type { Sound } from "./import-check.ts";

/** An import under way. */
export interface Bringing {
  sound: Sound;
  /** Runs whose places are held. */
  wanted: ReadonlySet<string>;
  /** What they are held with. */
  by: string;
  /** How many events each of them has here. */
  last: Map<string, number>;
  context: Context;
}

/** What an event of another log is called here, if nobody gave it an id. */
export function originalId(id: string, origin: string): string {
  const position = /^event:(\d+)$/.exec(id)?.[1];
  return position === undefined ? id : `imported:${origin}:${position}`;
}
