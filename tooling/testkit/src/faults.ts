import { randomInt } from "node:crypto";

export interface SeededRandom {
  /** Print it, so that `SEED=…` repeats the run. */
  readonly seed: number;
  /** The next number in [0, 1). */
  next(): number;
  /** The next whole number in [0, max). */
  int(max: number): number;
  pick<T>(list: readonly T[]): T;
}

/**
 * Numbers that repeat for the same seed: mulberry32 by Tommy Ettinger (public domain). The seed is, in this
 * order, the one given, the environment's `SEED`, or a random one.
 *
 * @example
 * const random = seeded();
 * console.log(`SEED=${random.seed}`);
 * await random.pick(workers).kill();
 */
export function seeded(seed: number = seedFromEnvironment() ?? randomInt(2 ** 32)): SeededRandom {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const int = (max: number) => {
    if (!(max >= 1)) throw new RangeError(`no whole number is below ${max}`);
    return Math.floor(next() * max);
  };
  const pick = <T>(list: readonly T[]) => list[int(list.length)] as T;
  return { seed: state, next, int, pick };
}

function seedFromEnvironment(): number | undefined {
  const text = process.env.SEED;
  if (!text) return undefined;
  const seed = Number(text);
  if (!Number.isInteger(seed)) throw new TypeError(`SEED must be a whole number, not "${text}"`);
  return seed;
}

/**
 * Asserts that a check fails once the protection it watches is off; otherwise the check proves nothing.
 * Resolves with the failure.
 *
 * @example await sabotage("fencing off", () => twoWorkersOneRun({ fencing: false }));
 */
export async function sabotage(name: string, run: () => unknown): Promise<unknown> {
  try {
    await run();
  } catch (failure) {
    return failure;
  }
  throw new Error(`sabotage control "${name}" did not fail`);
}
