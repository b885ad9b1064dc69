import { hashOf, type Hash } from "@sentient/schema";
import type { EventRow } from "./queries.ts";

/** What a link is made of, in this order: all that an event says, and the link before it in its run. */
const SAID = [
  "eventId",
  "run",
  "n",
  "type",
  "source",
  "target",
  "workflow",
  "correlation",
  "causation",
  "data",
] as const satisfies (keyof EventRow)[];

/** The hash of an event and, through `before`, of all that came before it in its run. */
export function hashOfEvent(row: EventRow, before: Hash | undefined): Hash {
  const said = SAID.map((key) => row[key] ?? null);
  return hashOf(JSON.stringify([before ?? null, row.id.id, row.at.getTime(), ...said]));
}
