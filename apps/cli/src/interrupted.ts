// Ctrl-C ends what follows, and not in the middle of something.

export interface Interruption extends Disposable {
  signal: AbortSignal;
}

/** Aborts at Ctrl-C, at SIGTERM, or when nobody reads what is written any more. A second Ctrl-C ends the process at once. */
export function untilInterrupted(): Interruption {
  const stop = new AbortController();
  const end = () => stop.abort();
  process.once("SIGINT", end).once("SIGTERM", end);
  process.stdout.once("error", end).once("close", end);
  return {
    signal: stop.signal,
    [Symbol.dispose]: () => {
      process.removeListener("SIGINT", end).removeListener("SIGTERM", end);
      process.stdout.removeListener("error", end).removeListener("close", end);
    },
  };
}
