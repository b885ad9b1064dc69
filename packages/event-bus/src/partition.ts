import { hashOf, type Event } from "@sentient/schema";

/** What events are kept in order by: those of one run, and of one source where there is no run. */
export function laneOf({ run, source }: Pick<Event, "run" | "source">): string {
  return run === undefined ? `source ${source}` : `run ${run}`;
}

/** Which partition an event belongs to. The same in every process and release. */
export function partitionOf(event: Pick<Event, "run" | "source">, partitions: number): number {
  if (partitions === 1) return 0;
  return Number.parseInt(hashOf(laneOf(event)).slice(0, 8), 16) % partitions;
}
