// The first time. Owns: what is asked for that is not remembered, where it is done by the runtime itself.

import type { StepKey } from "@sentient/schema";
import type { Step } from "@sentient/state";
import { RememberedError } from "./errors.ts";
import type { Pass } from "./pass.ts";
import type { Place } from "./place.ts";

interface Asked {
  key: StepKey;
  name: string;
  inputHash?: string;
}

/**
 * Does something new. What is wrong with it is remembered like what it gives: a handler that goes on after it has caught that
 * catches it again when it is replayed.
 */
export async function forTheFirstTime<T>(
  pass: Pass,
  place: Place,
  asked: Asked,
  work: () => Promise<T>,
): Promise<T> {
  await pass.fresh(place, asked.key);
  try {
    return await work();
  } catch (error) {
    if (error instanceof RememberedError || place.signal.aborted) throw error;
    const failure = pass.failureOf(error);
    pass.state?.keepSound();
    await pass.commit({ steps: [{ ...asked, status: "failed", error: failure }] });
    throw new RememberedError(failure);
  }
}

/** @throws what it failed with, if that is what is remembered */
export function requireNotFailed(before: Step | undefined): void {
  if (before?.status === "failed") throw new RememberedError(before.error);
}
