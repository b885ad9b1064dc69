import { inspect } from "node:util";
import { SentientError } from "@sentient/db-pool";

/** The error of this family that `work` fails with; anything else, success among it, fails the test. */
export async function failureOf(work: () => unknown): Promise<SentientError & { details?: object }> {
  let answer: unknown;
  try {
    answer = await work();
  } catch (error) {
    if (error instanceof SentientError) return error;
    throw error;
  }
  throw new Error(`it did not fail but answered ${inspect(answer)}`);
}
