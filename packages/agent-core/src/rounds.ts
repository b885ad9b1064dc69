import { sleep, type Clock } from "@sentient/db-pool";

export interface Rounds {
  clock: Clock;
  /** Ends them. */
  signal: AbortSignal;
  /** What is done again and again, so many milliseconds after the last time. */
  work: () => Promise<unknown>;
  every: number;
  /** After how many milliseconds what has failed is tried again: `every` if left out. */
  again?: number;
  onProblem: (error: unknown) => void;
}

export async function goRounds({
  clock,
  signal,
  work,
  every,
  again = every,
  onProblem,
}: Rounds): Promise<void> {
  await sleep(clock, every * Math.random(), signal); // workers that start together do not all ask at once
  while (!signal.aborted) {
    let pause = every;
    try {
      await work();
    } catch (error) {
      onProblem(error);
      pause = again;
    }
    await sleep(clock, pause, signal);
  }
}
