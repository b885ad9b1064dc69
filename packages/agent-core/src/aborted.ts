/** Why nobody waits any longer, one for all: to make an error for each takes as long as much of the rest of a step. */
export const OVER = new Error("it is over");

/** Rejects with the reason of the abort, whatever the work does then: it may not listen. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason as Error);
  if (signal.aborted) abort();
  else signal.addEventListener("abort", abort, { once: true });
  return Promise.race([work, promise]).finally(() => signal.removeEventListener("abort", abort));
}
