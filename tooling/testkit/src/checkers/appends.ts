import type { Anomaly } from "./anomaly.ts";

export interface Append {
  writer: string;
  /** Unique in the whole test. */
  value: string | number;
}

export type AppendAnomaly = Anomaly<"lost" | "duplicate" | "reordered">;

/**
 * Checks that `final` holds every acknowledged append once, and those of one writer in the order acknowledged.
 * Values nobody acknowledged may be there, once: their outcome was unknown. An empty list is a pass.
 *
 * @example expect(checkAppends(acked, await readLog())).toEqual([]);
 */
export function checkAppends(acked: readonly Append[], final: readonly Append["value"][]): AppendAnomaly[] {
  const places = Map.groupBy(final.keys(), (place) => final[place]!);
  return [...duplicates(places), ...lostOrReordered(acked, places)];
}

type Places = ReadonlyMap<Append["value"], readonly number[]>;

function* duplicates(places: Places): Generator<AppendAnomaly> {
  for (const [value, at] of places) {
    if (at.length > 1)
      yield { kind: "duplicate", text: `${value} is there ${at.length} times, at ${at.join(", ")}` };
  }
}

function* lostOrReordered(acked: readonly Append[], places: Places): Generator<AppendAnomaly> {
  const latest = new Map<string, { value: Append["value"]; place: number }>();
  for (const { writer, value } of acked) {
    const place = places.get(value)?.[0];
    if (place === undefined) {
      yield { kind: "lost", text: `${value} of ${writer} was acknowledged and is not there` };
      continue;
    }
    const before = latest.get(writer);
    if (before && place < before.place) {
      yield {
        kind: "reordered",
        text: `${value} of ${writer} is at ${place}, before ${before.value} at ${before.place}`,
      };
    }
    latest.set(writer, { value, place });
  }
}
