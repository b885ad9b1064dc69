import { inspect } from "node:util";
import { DbError } from "../../src/index.ts";

/** The `DbError` that `work` fails with; anything else, success among it, fails the test. */
export async function failureOf(work: () => unknown): Promise<DbError> {
  let answer: unknown;
  try {
    answer = await work();
  } catch (error) {
    if (error instanceof DbError) return error;
    throw error;
  }
  throw new Error(`it did not fail but answered ${inspect(answer)}`);
}
