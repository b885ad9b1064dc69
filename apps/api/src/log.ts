// Requests in the log. Owns: one line for each, without what came in or went out.

import pino, { type Logger } from "pino";

/** What must never stand in a line, wherever it comes from. */
const SECRET = [
  "authorization",
  "*.authorization",
  "headers.cookie",
  "secret",
  "*.secret",
  "token.secret",
  "password",
  "*.password",
];

/**
 * A log of JSON lines on standard error.
 *
 * @example const app = createApp(sentient, { logger: createLogger("info") });
 */
export function createLogger(
  level = "info",
  to: { write(line: string): void } = pino.destination(2),
): Logger {
  return pino({ level, base: { name: "sentient-api" }, redact: { paths: SECRET, censor: "[redacted]" } }, to);
}
