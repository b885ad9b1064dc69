import { z } from "zod";
import { limits } from "./limits.ts";

/** An error as it is kept: bounded, and without what it was thrown with. */
export const Failure = z.object({
  name: z.string().max(200),
  message: z.string(),
  code: z.string().max(200).optional(),
  stack: z.string().optional(),
  /** Whether trying again may help. */
  retryable: z.boolean(),
});
export type Failure = z.infer<typeof Failure>;

/**
 * What is kept of something thrown: its texts cut to `limits.errorBytes`, its cause told in one line. It never throws,
 * whatever was thrown.
 *
 * @example failureOf(new TypeError("no such file")).message
 */
export function failureOf(thrown: unknown, retryable = false): Failure {
  try {
    return described(thrown, retryable);
  } catch {
    return described(new Error("what was thrown cannot be made a text of"), retryable);
  }
}

function described(thrown: unknown, retryable: boolean): Failure {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const { code } = error as { code?: unknown };
  const cause =
    error.cause instanceof Error ? ` (because of ${error.cause.name}: ${error.cause.message})` : "";
  return {
    name: cut(error.name, 200),
    message: cut(`${error.message}${cause}`, limits.errorBytes),
    ...(typeof code === "string" ? { code: cut(code, 200) } : {}),
    ...(error.stack === undefined ? {} : { stack: cut(error.stack, limits.errorBytes) }),
    retryable,
  };
}

/** At most so many bytes of UTF-8, and no half character at the end. */
function cut(text: string, bytes: number): string {
  const whole = Buffer.from(text.toWellFormed());
  return whole.length <= bytes
    ? text.toWellFormed()
    : new TextDecoder().decode(whole.subarray(0, bytes - 3)).replace(/\uFFFD$/, "") + "…";
}
