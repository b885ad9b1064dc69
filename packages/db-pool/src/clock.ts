/** Where time comes from. Hand in your own to move time by hand in tests. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls `fn` once after `ms` milliseconds; the returned function cancels it. */
  after(ms: number, fn: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, fn) {
    const timer = setTimeout(fn, ms);
    return () => clearTimeout(timer);
  },
};

/**
 * As `clock.after`, for who gives up then: what has come in the meantime is read first. A process that was frozen finds its
 * timers due before it has read anything.
 */
export function afterReading(clock: Clock, ms: number, fn: () => void): () => void {
  let reading: NodeJS.Immediate | undefined;
  const cancel = clock.after(ms, () => (reading = setImmediate(fn)));
  return () => {
    cancel();
    clearImmediate(reading);
  };
}

/** Waits for `work` to settle, but no longer than `ms` milliseconds. @returns whether it settled in time */
export async function settlesWithin(clock: Clock, ms: number, work: Promise<unknown>): Promise<boolean> {
  const settled = new AbortController();
  void work.catch(() => {}).finally(() => settled.abort());
  await sleep(clock, ms, settled.signal);
  return settled.signal.aborted;
}

/** Resolves after `ms` milliseconds, or as soon as `signal` aborts: look at the signal to tell which. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const wake = () => {
      cancel();
      signal?.removeEventListener("abort", wake);
      resolve();
    };
    const cancel = clock.after(ms, wake);
    signal?.addEventListener("abort", wake, { once: true });
  });
}
