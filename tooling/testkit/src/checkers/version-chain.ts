import type { Anomaly } from "./anomaly.ts";

/** When an operation ran, in one real-time order: a `History`'s ticks, or a monotonic clock. */
interface Interval {
  invoked: number;
  /** `Infinity` when no acknowledgement was seen. */
  completed: number;
}

export interface VersionedWrite extends Interval {
  version: number;
  /** The version it replaced. */
  parent: number;
}

export interface VersionedRead extends Interval {
  version: number;
}

export type VersionAnomaly = Anomaly<
  | "duplicate version"
  | "gap"
  | "wrong parent"
  | "reordered write"
  | "stale read"
  | "future read"
  | "unknown version"
>;

/**
 * Checks in O(n log n) that writes form one chain (versions unique and gap-free, each parent one below), that a
 * write begun after another completed has a higher version, and that no read is older than a write completed before
 * it began, or newer than what had been written. Returns what is wrong; an empty list is a pass.
 *
 * @example expect(checkVersionChain(writes, reads)).toEqual([]);
 */
export function checkVersionChain(
  writes: readonly VersionedWrite[],
  reads: readonly VersionedRead[] = [],
): VersionAnomaly[] {
  const newestBefore = indexOfCompleted(writes);
  return [
    ...brokenLinks(writes),
    ...reorderedWrites(writes, newestBefore),
    ...wrongReads(writes, reads, newestBefore),
  ];
}

function* brokenLinks(writes: readonly VersionedWrite[]): Generator<VersionAnomaly> {
  let previous: VersionedWrite | undefined;
  for (const write of writes.toSorted((a, b) => a.version - b.version)) {
    const { version, parent } = write;
    if (previous?.version === version) {
      yield { kind: "duplicate version", text: `version ${version} was written twice` };
    } else if (previous && previous.version !== version - 1) {
      yield { kind: "gap", text: `no write made the versions between ${previous.version} and ${version}` };
    }
    if (parent !== version - 1) {
      yield { kind: "wrong parent", text: `version ${version} replaced ${parent}, not ${version - 1}` };
    }
    previous = write;
  }
}

function* reorderedWrites(
  writes: readonly VersionedWrite[],
  newestBefore: NewestBefore,
): Generator<VersionAnomaly> {
  for (const { version, invoked } of writes) {
    const newest = newestBefore(invoked);
    if (version > newest) continue;
    yield {
      kind: "reordered write",
      text: `version ${version} began at ${invoked}, after ${newest} had completed`,
    };
  }
}

function* wrongReads(
  writes: readonly VersionedWrite[],
  reads: readonly VersionedRead[],
  newestBefore: NewestBefore,
): Generator<VersionAnomaly> {
  const begun = new Map(writes.map(({ version, invoked }) => [version, invoked]));
  const first = writes.reduce((lowest, { version }) => Math.min(lowest, version), Infinity);
  for (const { version, invoked, completed } of reads) {
    const read = `a read from ${invoked} to ${completed} saw version ${version}`;
    const written = begun.get(version);
    const newest = newestBefore(invoked);
    if (version < newest) yield { kind: "stale read", text: `${read}, though ${newest} had completed` };
    if (written === undefined && version >= first) {
      yield { kind: "unknown version", text: `${read}, which nobody wrote` };
    }
    if (written !== undefined && completed < written) {
      yield { kind: "future read", text: `${read}, whose write began at ${written}` };
    }
  }
}

/** The highest version whose write completed before a given time. */
type NewestBefore = (time: number) => number;

function indexOfCompleted(writes: readonly VersionedWrite[]): NewestBefore {
  const ordered = writes.toSorted((a, b) => a.completed - b.completed);
  const newest = [-Infinity];
  for (const { version } of ordered) newest.push(Math.max(newest.at(-1)!, version));
  return (time) => {
    let [low, high] = [0, ordered.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ordered[middle]!.completed < time) low = middle + 1;
      else high = middle;
    }
    return newest[low]!;
  };
}
