// As many as are written or given at once.

import { limits } from "@sentient/schema";

/** In one step, and in one transaction: what that costs grows with its square in an engine in memory. */
export const BATCH = 100;

export function* batches<T>(all: Iterable<T>): Generator<T[]> {
  let batch: T[] = [];
  for (const one of all) {
    batch.push(one);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** The first of them, as many as a step may give. */
export function fitting<T>(all: readonly T[]): T[] {
  let room = limits.payloadBytes - 2;
  const tooMany = all.findIndex((each) => (room -= Buffer.byteLength(JSON.stringify(each)) + 1) < 0);
  return tooMany < 0 ? [...all] : all.slice(0, tooMany);
}
