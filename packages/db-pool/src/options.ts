import { resolve } from "node:path";
import { z } from "zod";
import { systemClock, type Clock } from "./clock.ts";
import type { EmbeddedLocation } from "./engine.ts";
import { DbError } from "./errors.ts";
import { Secret } from "./secret.ts";

const DEFAULT_URL = "rocksdb://.sentient/data";
const DEFAULT_NAME = "sentient";

const name = z.string().regex(/^[A-Za-z_][\w-]{0,127}$/, "letters, digits, _ and -, at most 128 of them");
const milliseconds = z
  .number()
  .int()
  .positive()
  .max(2 ** 31 - 1);
const secret = z.union([z.string().min(1), z.instanceof(Secret)]);
const tokenSource = z.custom<() => string | Promise<string>>((value) => typeof value === "function");

const OptionsSchema = z.strictObject({
  url: z.string().min(1).optional(),
  namespace: name.optional(),
  database: name.optional(),
  user: z.string().min(1).optional(),
  password: secret.optional(),
  token: z.union([secret, tokenSource]).optional(),
  signInAs: z.enum(["database", "namespace", "root"]).optional(),
  anonymous: z.boolean().optional(),
  insecure: z.boolean().optional(),
  poolSize: z.number().int().min(1).max(1_000).optional(),
  poolMin: z.number().int().min(0).max(1_000).optional(),
  maxWaiters: z.number().int().min(1).max(1_000_000).optional(),
  acquireTimeout: milliseconds.optional(),
  connectTimeout: milliseconds.optional(),
  timeout: milliseconds.optional(),
  heartbeat: milliseconds.optional(),
  clock: z
    .custom<Clock>((value) => typeof value === "object" && value !== null && "after" in value)
    .optional(),
});

/**
 * How to reach a database. Everything has a default: with none at all it is embedded, in `.sentient/data`.
 * Times are milliseconds.
 */
export interface DatabaseOptions {
  /** `rocksdb://path` (default `.sentient/data`), `surrealkv://path`, `mem://`, `ws://`, `wss://`, `http://`, `https://` */
  url?: string;
  /** Default `sentient`. */
  namespace?: string;
  /** Default `sentient`. */
  database?: string;
  user?: string;
  password?: string | Secret;
  /** An access token, or what fetches a fresh one; asked again before the old one ends. */
  token?: string | Secret | (() => string | Promise<string>);
  /** Where the user is defined. Default `database`, the least. */
  signInAs?: "database" | "namespace" | "root";
  /** A remote database without any credentials must be asked for by name. */
  anonymous?: boolean;
  /** Allows `ws://` and `http://` to another machine: credentials and data then travel in the clear. */
  insecure?: boolean;
  /** At most so many connections to a remote database. Default 10. */
  poolSize?: number;
  /** So many are kept open when idle. Default 1. */
  poolMin?: number;
  /** At most so many calls wait for a connection. Default 10,000. */
  maxWaiters?: number;
  /** How long a call waits for a connection. Default 10 s. */
  acquireTimeout?: number;
  /** How long opening may take. Default 5 s, embedded 30 s (a large log is recovered first). */
  connectTimeout?: number;
  /** How long one call may take in all, unless it says otherwise. Default 30 s. */
  timeout?: number;
  /** How often a connection is asked whether it lives; it is given up after twice that without an answer. Default 3 s. */
  heartbeat?: number;
  clock?: Clock;
}

export interface RemoteLocation {
  kind: "ws" | "http";
  url: string;
}

export type Location = (EmbeddedLocation & { url: string }) | RemoteLocation;

export type Credentials =
  | { kind: "password"; user: string; password: Secret; level: "database" | "namespace" | "root" }
  | { kind: "token"; fetch: () => Promise<Secret> };

export interface Settings {
  location: Location;
  namespace: string;
  database: string;
  credentials: Credentials | undefined;
  poolSize: number;
  poolMin: number;
  maxWaiters: number;
  acquireTimeout: number;
  connectTimeout: number;
  timeout: number;
  heartbeat: number;
  clock: Clock;
}

export function isEmbedded(location: Location): location is EmbeddedLocation & { url: string } {
  return location.kind !== "ws" && location.kind !== "http";
}

/** @throws `db.bad_option`, `db.bad_url`: one sentence that says what to write instead */
export function settingsFrom(options: DatabaseOptions): Settings {
  const parsed = OptionsSchema.safeParse(options);
  if (!parsed.success) throw badOption(parsed.error.issues[0]!);
  const given = parsed.data;
  const location = locate(given.url ?? DEFAULT_URL, given.insecure ?? false);
  const poolSize = given.poolSize ?? 10;
  return {
    location,
    namespace: given.namespace ?? DEFAULT_NAME,
    database: given.database ?? DEFAULT_NAME,
    credentials: credentialsFrom(given, location),
    poolSize,
    poolMin: Math.min(given.poolMin ?? 1, poolSize),
    maxWaiters: given.maxWaiters ?? 10_000,
    acquireTimeout: given.acquireTimeout ?? 10_000,
    connectTimeout: given.connectTimeout ?? (isEmbedded(location) ? 30_000 : 5_000),
    timeout: given.timeout ?? 30_000,
    heartbeat: given.heartbeat ?? 3_000,
    clock: given.clock ?? systemClock,
  };
}

function locate(url: string, insecure: boolean): Location {
  const [, scheme, rest] = /^([a-z]+):\/\/(.*)$/s.exec(url) ?? [];
  switch (scheme) {
    case "mem":
      if (rest)
        throw badUrl(
          `mem:// takes no path, and keeps nothing; for a folder write rocksdb://${withoutCredentials(rest)}`,
        );
      return { kind: "mem", folder: "", url };
    case "rocksdb":
    case "surrealkv":
      return embedded(scheme, rest!, url);
    case "ws":
    case "wss":
    case "http":
    case "https":
      return remote(url, insecure);
    default:
      throw badUrl(
        `${JSON.stringify(withoutCredentials(url))} is not a database URL: write rocksdb://folder, surrealkv://folder, mem://, ` +
          "ws://, wss://, http:// or https://",
      );
  }
}

function embedded(kind: "rocksdb" | "surrealkv", rest: string, url: string): Location {
  const [path = "", query = ""] = rest.split("?");
  if (path === "") throw badUrl(`${kind}:// needs a folder, such as ${kind}://.sentient/data`);
  const options = new URLSearchParams(query);
  for (const key of options.keys())
    if (key !== "sync") throw badUrl(`${kind}:// has no option ${key}; there is only sync`);
  const sync = options.get("sync") ?? undefined;
  if (sync !== undefined && !/^(every|never|\d+(ms|s))$/.test(sync)) {
    throw badUrl(`sync=${sync} is not known: write every (the default), never, or a time such as 1s`);
  }
  if (kind === "rocksdb" && sync !== undefined && /\d/.test(sync)) {
    throw badUrl(
      "rocksdb with a sync interval loses acknowledged writes when the process is killed; write every or never",
    );
  }
  return { kind, folder: resolve(path), sync, url };
}

function remote(text: string, insecure: boolean): RemoteLocation {
  if (!URL.canParse(text)) throw badUrl(`${JSON.stringify(withoutCredentials(text))} is not a URL`);
  const url = new URL(text);
  if (url.username || url.password)
    throw badUrl("credentials do not belong in the URL: use user and password, or token");
  const encrypted = url.protocol === "wss:" || url.protocol === "https:";
  if (!encrypted && !insecure && !isLoopback(url.hostname)) {
    throw badUrl(
      `${url.protocol}//${url.host} would send credentials and data in the clear: use ${url.protocol === "ws:" ? "wss" : "https"}:// (or insecure: true inside a trusted network)`,
    );
  }
  const path = url.pathname.replace(/\/$/, "");
  url.pathname = path.endsWith("/rpc") ? path : `${path}/rpc`;
  return { kind: url.protocol.startsWith("ws") ? "ws" : "http", url: url.toString() };
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

function credentialsFrom(given: z.infer<typeof OptionsSchema>, location: Location): Credentials | undefined {
  const { user, password, token, anonymous } = given;
  if (isEmbedded(location) && (user ?? password ?? token) !== undefined) {
    throw badOptionText(
      "an embedded database asks nobody to sign in: leave user, password and token out, or give the URL of a server",
    );
  }
  if (token !== undefined && (user !== undefined || password !== undefined)) {
    throw badOptionText("give either token, or user and password, not both");
  }
  if ((user === undefined) !== (password === undefined)) throw badOptionText("user and password go together");
  if (token !== undefined) {
    return {
      kind: "token",
      fetch: async () => asSecret(typeof token === "function" ? await token() : token),
    };
  }
  if (user !== undefined) {
    return { kind: "password", user, password: asSecret(password!), level: given.signInAs ?? "database" };
  }
  if (!isEmbedded(location) && !anonymous) {
    throw badOptionText(
      `${location.url} needs credentials: give user and password, or token (SENTIENT_USER and SENTIENT_PASSWORD, or SENTIENT_TOKEN); ` +
        "anonymous: true if it really has none",
    );
  }
  return undefined;
}

function asSecret(value: string | Secret): Secret {
  return typeof value === "string" ? new Secret(value) : value;
}

function badOption(issue: z.core.$ZodIssue): DbError {
  if (issue.code === "unrecognized_keys") {
    const known = Object.keys(OptionsSchema.shape).join(", ");
    return badOptionText(`there is no option ${issue.keys.join(", ")}; there are ${known}`);
  }
  return badOptionText(`option ${issue.path.join(".") || "s"}: ${issue.message}`);
}

function badOptionText(message: string): DbError {
  return new DbError({ code: "db.bad_option", message });
}

function badUrl(message: string): DbError {
  return new DbError({ code: "db.bad_url", message });
}

function withoutCredentials(url: string): string {
  return url.replace(/^([a-z]+:\/\/)?.*@/s, "$1…@");
}
