import { setTimeout as sleep } from "node:timers/promises";
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

/**
 * Resolves with the first truthy value of `condition`, in real time. A condition that throws is asked
 * again; at the deadline the error says what it last returned or threw.
 *
 * @example const run = await until(() => findRun(id), { what: "the run", deadline: 2_000 });
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { deadline = 20_000, every = 10, what = "the condition" }: UntilOptions = {},
): Promise<Truthy<T>> {
  const started = performance.now();
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), deadline);
  let last: Look<T> | undefined;
  try {
    for (;;) {
      const look = await Promise.race([lookAt(condition), late.promise]);
      if (look && "value" in look && look.value) return look.value as Truthy<T>;
      last = look ?? last;
      const waited = performance.now() - started;
      if (!look || waited >= deadline) throw gaveUp(what, waited, last);
      await sleep(Math.min(every, Math.ceil(deadline - waited)));
    }
  } finally {
    clearTimeout(timer);
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
