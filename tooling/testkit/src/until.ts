import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";

export interface UntilOptions {
  /** Milliseconds before giving up. */
  deadline?: number;
  /** Milliseconds between two looks. */
  every?: number;
  /** What is awaited, for the error. */
  what?: string;
}

type Truthy<T> = Exclude<T, false | 0 | 0n | "" | null | undefined>;
type Look<T> = { value: T } | { error: unknown };

/** What the last look may take at most, in milliseconds. */
const LAST_LOOK_MS = 1_000;
const TURNS = 10;

/**
 * Lets what has come be read. A process that was frozen finds its timers due before it has read anything, and would take for
 * late what has been there for long.
 */
export async function reading(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn++) await setImmediate();
}

/**
 * Resolves with the first truthy value of `condition`, in real time. A condition that throws is asked
 * again; at the deadline it is asked once more, and the error says what it last returned or threw.
 *
 * @example const run = await until(() => findRun(id), { what: "the run", deadline: 2_000 });
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { deadline = 20_000, every = 10, what = "the condition" }: UntilOptions = {},
): Promise<Truthy<T>> {
  const started = performance.now();
  let last: Look<T> | undefined;
  for (let left = deadline; left > 0; left = deadline - (performance.now() - started)) {
    if (last) await sleep(Math.min(every, Math.ceil(left)));
    const look = await within(left, lookAt(condition));
    if (look && "value" in look && look.value) return look.value as Truthy<T>;
    last = look ?? last;
  }
  await reading();
  const look = await within(Math.min(deadline, LAST_LOOK_MS), lookAt(condition));
  if (look && "value" in look && look.value) return look.value as Truthy<T>;
  throw gaveUp(what, performance.now() - started, look ?? last);
}

async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  const over = new AbortController();
  try {
    return await Promise.race([work, sleep(Math.max(1, ms), undefined, { signal: over.signal })]);
  } finally {
    over.abort();
  }
}

async function lookAt<T>(condition: () => T | Promise<T>): Promise<Look<T>> {
  try {
    return { value: await condition() };
  } catch (error) {
    return { error };
  }
}

function gaveUp(what: string, waited: number, last: Look<unknown> | undefined): Error {
  const after = `gave up waiting for ${what} after ${Math.round(waited)} ms`;
  if (!last) return new Error(`${after}; it never answered`);
  if ("error" in last)
    return new Error(`${after}; last error: ${inspect(last.error)}`, { cause: last.error });
  return new Error(`${after}; last value: ${inspect(last.value)}`);
}
