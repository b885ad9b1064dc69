// Configuration. Owns: what the environment says of the API. What of the database: `optionsFromEnv`.

import { readFileSync } from "node:fs";
import { z } from "zod";
import { ApiError } from "./errors.ts";
import type { ServeOptions } from "./server.ts";

const Flag = z.enum(["true", "false"], "true or false").transform((text) => text === "true");
const Int = z
  .string()
  .regex(/^\d{1,9}$/, "a whole number")
  .transform(Number);
const Names = z.string().transform((text) =>
  text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== ""),
);

const Variables = z.strictObject({
  SENTIENT_API_HOST: z.string().optional(),
  SENTIENT_API_PORT: Int.optional(),
  SENTIENT_API_INSECURE: Flag.optional(),
  SENTIENT_API_TLS_KEY: z.string().optional(),
  SENTIENT_API_TLS_CERT: z.string().optional(),
  SENTIENT_API_BEHIND_PROXY: Flag.optional(),
  SENTIENT_API_ALLOWED_HOSTS: Names.optional(),
  SENTIENT_API_ALLOWED_ORIGINS: Names.optional(),
  SENTIENT_API_REQUESTS_PER_SECOND: Int.optional(),
  SENTIENT_API_STREAMS: Int.optional(),
  SENTIENT_API_TOKEN_FILE: z.string().optional(),
  SENTIENT_API_LOG_LEVEL: z.enum(["debug", "info", "warn", "error", "silent"]).optional(),
});

export interface ApiConfig {
  serve: ServeOptions;
  /** Where the first token is written to, if there is none yet. */
  tokenFile: string;
  logLevel: string;
}

const TOKEN_FILE = ".sentient/api-token";

/**
 * What `SENTIENT_API_HOST`, `_PORT`, `_INSECURE`, `_TLS_KEY` and `_TLS_CERT` (files), `_BEHIND_PROXY`, `_ALLOWED_HOSTS`,
 * `_ALLOWED_ORIGINS` (with commas), `_REQUESTS_PER_SECOND`, `_STREAMS`, `_TOKEN_FILE` and `_LOG_LEVEL` say. Empty ones count as
 * absent.
 *
 * @throws `api.bad_config` naming the variable
 * @example const { serve } = configFromEnv(); await serveApi(sentient, serve);
 */
export function configFromEnv(env: Record<string, string | undefined> = process.env): ApiConfig {
  const own = Object.entries(env).filter(([name, value]) => name.startsWith("SENTIENT_API_") && value);
  const parsed = Variables.safeParse(Object.fromEntries(own));
  if (!parsed.success)
    throw badConfig(parsed.error.issues.map(({ path, message }) => [...path, message].join(": ")).join("; "));
  const said = parsed.data;
  const tls = tlsOf(said.SENTIENT_API_TLS_KEY, said.SENTIENT_API_TLS_CERT);
  const limits = {
    requestsPerSecond: said.SENTIENT_API_REQUESTS_PER_SECOND,
    streams: said.SENTIENT_API_STREAMS,
  };
  const serve = {
    host: said.SENTIENT_API_HOST,
    port: said.SENTIENT_API_PORT,
    auth: said.SENTIENT_API_INSECURE === undefined ? undefined : !said.SENTIENT_API_INSECURE,
    behindProxy: said.SENTIENT_API_BEHIND_PROXY,
    allowedHosts: said.SENTIENT_API_ALLOWED_HOSTS,
    allowedOrigins: said.SENTIENT_API_ALLOWED_ORIGINS,
    tls,
    limits: withoutUndefined(limits),
  };
  return {
    serve: withoutUndefined(serve),
    tokenFile: said.SENTIENT_API_TOKEN_FILE ?? TOKEN_FILE,
    logLevel: said.SENTIENT_API_LOG_LEVEL ?? "info",
  };
}

function tlsOf(key: string | undefined, cert: string | undefined): ServeOptions["tls"] {
  if (key === undefined && cert === undefined) return undefined;
  if (key === undefined || cert === undefined)
    throw badConfig("SENTIENT_API_TLS_KEY and SENTIENT_API_TLS_CERT go together; one is missing");
  return { key: textIn(key, "SENTIENT_API_TLS_KEY"), cert: textIn(cert, "SENTIENT_API_TLS_CERT") };
}

function textIn(file: string, variable: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw badConfig(`${variable}: ${(cause as Error).message}`);
  }
}

function withoutUndefined<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

function badConfig(said: string): ApiError {
  return new ApiError({ code: "api.bad_config", message: `the configuration of the API: ${said}` });
}
