// Limits. Owns: how large things may be, for the whole process.

import { SchemaError } from "./errors.ts";

const DEFAULTS = {
  /** Bytes of a run's input or output, of a step's result, of a state. */
  payloadBytes: 1024 * 1024,
  /** Bytes of an event's data. */
  eventBytes: 256 * 1024,
  /** Bytes of one chunk of a stream. */
  chunkBytes: 64 * 1024,
  /** Bytes of a stored error's text. */
  errorBytes: 4 * 1024,
  /** Levels of nesting in JSON. */
  depth: 64,
  /** Keys of one object in JSON. */
  keys: 1_000,
  /** Events in one append. */
  batch: 500,
  /** Rows in one page. */
  page: 1_000,
  /** Attempts of a run before it is parked. */
  attempts: 5,
  /** Steps of a run after which it has to continue as a new one; a warning comes at a quarter. */
  steps: 20_000,
  /** Bytes of what a run remembers after which it has to continue as a new one; a warning comes at a quarter. */
  historyBytes: 32 * 1024 * 1024,
  /** Runs that may wait in the queues of one database. */
  queued: 100_000,
};

export type Limits = Readonly<typeof DEFAULTS>;
export type Limit = keyof Limits;

const current = { ...DEFAULTS };

/** The limits in force. */
export const limits: Limits = current;

/**
 * Changes limits for this process, before anything is written. What was stored under wider ones can still be read.
 *
 * @param raise has to be true for a limit above its default: the defaults are what was tested
 * @throws `schema.limit`
 * @example configureLimits({ payloadBytes: 64 * 1024 });
 */
export function configureLimits(changes: Partial<Limits>, { raise = false }: { raise?: boolean } = {}): void {
  for (const [name, value] of Object.entries(changes)) {
    if (!Object.hasOwn(DEFAULTS, name)) throw bad(`there is no limit ${name}`);
    if (!Number.isSafeInteger(value) || value < 1)
      throw bad(`${name} is a positive integer, and not ${value}`);
    if (value > DEFAULTS[name as Limit] && !raise)
      throw bad(
        `${name} is at most ${DEFAULTS[name as Limit]}; to go beyond what was tested say { raise: true }`,
      );
  }
  Object.assign(current, changes);
}

/** @throws `schema.limit`, with `details: { limit, max, actual }` */
export function requireWithin(limit: Limit, actual: number, what: string): void {
  if (actual <= limits[limit]) return;
  throw new SchemaError({
    code: "schema.limit",
    message: `${what} has ${actual} ${unitOf(limit)}, and ${limits[limit]} are allowed`,
    details: { limit, max: limits[limit], actual },
  });
}

export function unitOf(limit: Limit): string {
  return limit.endsWith("Bytes") ? "bytes" : limit === "depth" ? "levels" : limit;
}

function bad(message: string): SchemaError {
  return new SchemaError({ code: "schema.limit", message });
}
