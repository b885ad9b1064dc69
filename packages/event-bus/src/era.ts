// Eras. Owns: telling a log from the one that it was restored from a backup of.
// Positions and counts of a restored log come to be what they were in the one that was lost, and mean something else. So the
// upper part of the head's epoch says which log it is: whoever knew another one appends nothing to this one.

import { randomInt } from "node:crypto";

const ERA = 2 ** 32;
const MOST_ERAS = 2 ** 20;

export function eraOf(epoch: number): number {
  return Math.floor(epoch / ERA);
}

/**
 * The epoch with which a log goes on that was restored: nobody has seen its era before.
 *
 * @example const head = { ...saved, epoch: epochOfNewEra(saved.epoch) };
 */
export function epochOfNewEra(epoch: number): number {
  const era = 1 + randomInt(MOST_ERAS - 1);
  return (era === eraOf(epoch) ? MOST_ERAS : era) * ERA;
}
