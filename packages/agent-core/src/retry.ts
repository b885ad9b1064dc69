// Retry. Owns: whether what failed is tried again, and when.

import { z } from "zod";
import { NonRetryable } from "./errors.ts";

export const RetryPolicy = z.strictObject({
  attempts: z.int().min(1).max(1_000).default(3),
  delay: z.int().min(0).max(86_400_000).default(500),
  factor: z.number().min(1).max(10).default(2),
  maxDelay: z.int().min(0).max(86_400_000).default(60_000),
});

/** How often something is tried, and how long to wait in between; longer where an error has `details.retryAfter`, in milliseconds. */
export interface RetryPolicy {
  /** In all, with the first: 3 if left out. */
  attempts?: number;
  /** Before the second attempt, in milliseconds: 500 if left out. Each wait is a random one up to twice that. */
  delay?: number;
  /** By which each delay is longer than the one before: 2 if left out. */
  factor?: number;
  /** In milliseconds, 60,000 if left out. */
  maxDelay?: number;
}

export type CheckedPolicy = z.output<typeof RetryPolicy>;

/**
 * Milliseconds until the next attempt, after so many; undefined if there is none. Spread by chance: who fails together does not
 * come back together. Where the error says when to come again, not before that.
 */
export function delayAfter(policy: CheckedPolicy, attempts: number, error: unknown): number | undefined {
  if (attempts >= policy.attempts || isFinal(error)) return undefined;
  const delay = Math.min(policy.maxDelay, policy.delay * policy.factor ** (attempts - 1));
  return Math.max(Math.round(delay * (0.5 + Math.random())), retryAfterOf(error));
}

/** No longer than a day: nobody has to believe a server that says more. */
const MOST_RETRY_AFTER = 86_400_000;

function retryAfterOf(error: unknown): number {
  const { retryAfter } = ((error as { details?: unknown } | null)?.details ?? {}) as { retryAfter?: unknown };
  return typeof retryAfter === "number" && retryAfter > 0 ? Math.min(retryAfter, MOST_RETRY_AFTER) : 0;
}

/** Whether whoever threw it says that it is in vain to try again. */
function isFinal(error: unknown): boolean {
  if (error instanceof NonRetryable) return true;
  const { name, retryable } = (error ?? {}) as { name?: unknown; retryable?: unknown };
  return name === "NonRetryable" || retryable === false;
}
