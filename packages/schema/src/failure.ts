import { z } from "zod";
import { limits } from "./limits.ts";
import { redaction } from "./secrets.ts";

const Cause = z.object({
  name: z.string().max(200),
  message: z.string(),
  code: z.string().max(200).optional(),
});

/** An error as it is kept: bounded, without secrets, and without what it was thrown with. */
export const Failure = z.object({
  ...Cause.shape,
  stack: z.string().optional(),
  /** Whether trying again may help. */
  retryable: z.boolean(),
  /** What caused it, then what caused that, and so on. */
  causes: z.array(Cause).max(8).optional(),
});
export type Failure = z.infer<typeof Failure>;

const MOST_CAUSES = 8;
/** Characters of a text that secrets are looked for in; what is behind them is not kept. */
const LOOKED_AT = 4 * limits.errorBytes;

/**
 * What is kept of something thrown: its texts cut to `limits.errorBytes`, without what looks like a secret. It never throws,
 * whatever was thrown.
 *
 * @param retryable whether trying again may help
 * @param secrets what is a secret besides what looks like one
 * @example failureOf(new TypeError("no such file")).message
 */
export function failureOf(thrown: unknown, retryable = false, secrets: readonly string[] = []): Failure {
  try {
    return described(thrown, retryable, secrets);
  } catch {
    return described(new Error("what was thrown cannot be made a text of"), retryable, secrets);
  }
}

function described(thrown: unknown, retryable: boolean, secrets: readonly string[]): Failure {
  const redact = redaction(secrets);
  const kept = (text: string) => cut(redact(text.slice(0, LOOKED_AT)), limits.errorBytes);
  const told = (of: unknown): z.infer<typeof Cause> => {
    const error = of instanceof Error ? of : new Error(String(of));
    const { code } = error as { code?: unknown };
    return {
      name: cut(error.name, 200),
      message: kept(error.message),
      ...(typeof code === "string" ? { code: cut(code, 200) } : {}),
    };
  };
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const causes = causesOf(error).map(told);
  return {
    ...told(error),
    ...(error.stack === undefined ? {} : { stack: kept(error.stack) }),
    retryable,
    ...(causes.length > 0 ? { causes } : {}),
  };
}

/** The nearest first; a circle of them ends it. */
function causesOf(error: Error): unknown[] {
  const causes = new Set<unknown>();
  for (let { cause } = error; cause !== undefined && cause !== error && !causes.has(cause);) {
    causes.add(cause);
    if (causes.size === MOST_CAUSES || !(cause instanceof Error)) break;
    ({ cause } = cause);
  }
  return [...causes];
}

/** At most so many bytes of UTF-8, and no half character at the end. */
function cut(text: string, bytes: number): string {
  const whole = Buffer.from(text.toWellFormed());
  return whole.length <= bytes
    ? text.toWellFormed()
    : new TextDecoder().decode(whole.subarray(0, bytes - 3)).replace(/\uFFFD$/, "") + "…";
}
