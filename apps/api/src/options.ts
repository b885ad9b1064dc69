// Options. Owns: what an API may be told when it is made, and what holds if nothing is said.

import { z } from "zod";
import { ApiError } from "./errors.ts";

const Limits = z.strictObject({
  bodyBytes: z
    .int()
    .min(1)
    .default(2 * 1024 * 1024),
  importBytes: z
    .int()
    .min(1)
    .default(256 * 1024 * 1024),
  depth: z.int().min(1).default(64),
  streams: z.int().min(1).default(100),
  requestsPerSecond: z.int().min(1).default(1_000),
  failuresPerMinute: z.int().min(1).default(60),
});

const Options = z.strictObject({
  auth: z.boolean().default(true),
  allowedHosts: z.array(z.string().min(1)).optional(),
  allowedOrigins: z.array(z.url()).default([]),
  behindProxy: z.boolean().default(false),
  heartbeat: z.int().min(10).max(15_000).default(15_000),
  recheck: z.int().min(10).max(60_000).default(30_000),
  stall: z.int().min(10).default(60_000),
  limits: Limits.prefault({}),
  logger: z
    .custom<RequestLogger>((value) => typeof (value as RequestLogger | undefined)?.info === "function")
    .optional(),
});

/** What of pino is used here. */
export interface RequestLogger {
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface AppOptions {
  /** Whether who asks has to show a token; `false` lets everybody do everything. */
  auth?: boolean;
  /** Names that this server goes by, as in `Host`, without ports; any if left out. */
  allowedHosts?: readonly string[];
  /** Web pages of other origins that may ask. */
  allowedOrigins?: readonly string[];
  /** Whether `X-Forwarded-For` says who asks. */
  behindProxy?: boolean;
  /** A stream is never silent for longer, in milliseconds; at most and by default 15,000. */
  heartbeat?: number;
  /** How long a token is taken for what it was, in milliseconds; at most 60,000, by default 30,000. */
  recheck?: number;
  /** A stream whose reader takes nothing for so long is closed, in milliseconds; it resumes where it was. */
  stall?: number;
  limits?: {
    /** Of a request; 2 MiB. */
    bodyBytes?: number;
    /** Of an import, which is written to a file and read as it comes; 256 MiB. */
    importBytes?: number;
    /** Levels of JSON; 64. */
    depth?: number;
    /** Open at once, for each token; 100. */
    streams?: number;
    /** For each token; 1,000. */
    requestsPerSecond?: number;
    /** Requests without a valid token, for each address; 60. */
    failuresPerMinute?: number;
  };
  /** Hears of each request: nobody if left out. */
  logger?: RequestLogger;
}

export type CheckedOptions = z.output<typeof Options>;

/** @throws `api.bad_config` naming the option */
export function checkOptions(options: AppOptions): CheckedOptions {
  const parsed = Options.safeParse(options);
  if (parsed.success) return parsed.data;
  const said = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new ApiError({ code: "api.bad_config", message: `the options of the API: ${said.join("; ")}` });
}
