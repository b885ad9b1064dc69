// Configuration. Owns: what can be set, how each of it is called in a file, in the environment and by a person.

import type { DatabaseOptions } from "@sentient/db-pool";
import { z } from "zod";
import type { Definition } from "../define.ts";
import { AgentError, saidOf } from "../errors.ts";

export interface Config {
  /** Where everything is kept: `rocksdb://.sentient/data` if nothing is said. */
  database?: Omit<DatabaseOptions, "clock" | "token"> & { token?: DatabaseOptions["token"] };
  /** Modules that export agents and workflows, from where the file of the configuration is; or these themselves. */
  agents?: string | readonly (string | Definition)[];
  worker?: {
    /** Runs at once: 64 if left out. */
    slots?: number;
    /** After so many milliseconds others take over, should it die: 15,000 if left out. */
    lease?: number;
    queues?: readonly string[];
    capabilities?: readonly string[];
    /** Where it answers whether it lives: a port; 0 for any that is free. Nowhere if left out. */
    healthPort?: number;
    /** The address of that port: `127.0.0.1` if left out, which only this machine reaches. */
    healthHost?: string;
  };
  api?: {
    /** `127.0.0.1` if left out. */
    host?: string;
    /** 4,840 if left out. */
    port?: number;
  };
  log?: {
    /** `info` if left out. */
    level?: "debug" | "info" | "warn" | "error" | "silent";
  };
}

const text = z.string().min(1);
const count = z.int().min(0);
const flag = z.boolean();
const texts = z.array(text);
const port = z.int().min(0).max(65_535);

interface Described {
  /** What it is, for people. */
  about: string;
  schema: z.ZodType;
  /** Its variable. */
  env: string;
  isSecret?: true;
  preset?: unknown;
}

/** Every setting there is, by its place in the file. Those of the database have the variables of `optionsFromEnv`. */
export const SETTINGS: Readonly<Record<string, Described>> = {
  "database.url": {
    about: "where everything is kept: a folder, `mem://`, or a server",
    schema: text,
    env: "SENTIENT_URL",
    preset: "rocksdb://.sentient/data",
  },
  "database.namespace": {
    about: "of the server's namespaces, the one to use",
    schema: text,
    env: "SENTIENT_NAMESPACE",
    preset: "sentient",
  },
  "database.database": {
    about: "of its databases",
    schema: text,
    env: "SENTIENT_DATABASE",
    preset: "sentient",
  },
  "database.user": { about: "who signs in at a server", schema: text, env: "SENTIENT_USER" },
  "database.password": { about: "of that user", schema: z.any(), env: "SENTIENT_PASSWORD", isSecret: true },
  "database.token": {
    about: "instead of a user and a password",
    schema: z.any(),
    env: "SENTIENT_TOKEN",
    isSecret: true,
  },
  "database.signInAs": {
    about: "where that user is defined: `database` if left out",
    schema: z.enum(["database", "namespace", "root"]),
    env: "SENTIENT_SIGN_IN_AS",
  },
  "database.anonymous": {
    about: "a server without any credentials has to be asked for by name",
    schema: flag,
    env: "SENTIENT_ANONYMOUS",
  },
  "database.insecure": {
    about: "a server without TLS elsewhere than on this machine",
    schema: flag,
    env: "SENTIENT_INSECURE",
  },
  "database.poolSize": { about: "connections to a server at most", schema: count, env: "SENTIENT_POOL_SIZE" },
  "database.poolMin": { about: "connections that are kept open", schema: count, env: "SENTIENT_POOL_MIN" },
  "database.maxWaiters": {
    about: "calls that wait for a connection at most",
    schema: count,
    env: "SENTIENT_MAX_WAITERS",
  },
  "database.acquireTimeout": {
    about: "how long a call waits for a connection, in milliseconds",
    schema: count,
    env: "SENTIENT_ACQUIRE_TIMEOUT",
  },
  "database.connectTimeout": {
    about: "how long connecting may take, in milliseconds",
    schema: count,
    env: "SENTIENT_CONNECT_TIMEOUT",
  },
  "database.timeout": {
    about: "how long a call may take, in milliseconds",
    schema: count,
    env: "SENTIENT_TIMEOUT",
  },
  "database.heartbeat": {
    about: "how often a connection is looked after, in milliseconds",
    schema: count,
    env: "SENTIENT_HEARTBEAT",
  },
  agents: {
    about: "modules that export agents and workflows, from where the file of settings is",
    schema: z.union([text, z.array(z.union([text, z.looseObject({})]))]),
    env: "SENTIENT_AGENTS",
  },
  "worker.slots": { about: "runs at once", schema: count, env: "SENTIENT_WORKER_SLOTS", preset: 64 },
  "worker.lease": {
    about: "after so many milliseconds others take over, should it die",
    schema: count,
    env: "SENTIENT_WORKER_LEASE",
    preset: 15_000,
  },
  "worker.queues": {
    about: "only these queues; those of its agents if left out",
    schema: texts,
    env: "SENTIENT_WORKER_QUEUES",
  },
  "worker.capabilities": {
    about: "only runs that ask for no more than these",
    schema: texts,
    env: "SENTIENT_WORKER_CAPABILITIES",
  },
  "worker.healthPort": {
    about: "where `sentient-worker` answers whether it lives; nowhere if left out",
    schema: port,
    env: "SENTIENT_WORKER_HEALTH_PORT",
  },
  "worker.healthHost": {
    about: "the address where it answers that; `0.0.0.0` for other machines too",
    schema: text,
    env: "SENTIENT_WORKER_HEALTH_HOST",
    preset: "127.0.0.1",
  },
  "api.host": {
    about: "where `sentient-api` and `sentient dev` have the API",
    schema: text,
    env: "SENTIENT_API_HOST",
    preset: "127.0.0.1",
  },
  "api.port": {
    about: "its port; 0 for any that is free",
    schema: port,
    env: "SENTIENT_API_PORT",
    preset: 4_840,
  },
  "log.level": {
    about: "of what is logged, the least that is told",
    schema: z.enum(["debug", "info", "warn", "error", "silent"]),
    env: "SENTIENT_LOG_LEVEL",
    preset: "info",
  },
};

/**
 * What `sentient.config.ts` exports by default.
 *
 * @throws `agent.bad_config` naming the setting
 * @example export default defineConfig({ agents: "./agents.ts", worker: { slots: 10 } });
 */
export function defineConfig(config: Config): Config {
  flatten(config, "sentient.config.ts");
  return Object.freeze(config);
}

/** Settings by their place, checked. @throws `agent.bad_config` for one that is not known, or not what it can be */
export function flatten(config: object, where: string): Map<string, unknown> {
  const settings = new Map<string, unknown>();
  const visit = (value: object, above: string) => {
    for (const [key, each] of Object.entries(value)) {
      const name = above === "" ? key : `${above}.${key}`;
      if (each === undefined) continue;
      if (Object.hasOwn(SETTINGS, name)) settings.set(name, requireFits(name, each, where));
      else if (isGroup(name) && typeof each === "object" && each !== null) visit(each, name);
      else
        throw badConfig(
          `${where} sets ${name}, which is not known; there are ${Object.keys(SETTINGS).join(", ")}`,
        );
    }
  };
  visit(config, "");
  return settings;
}

function isGroup(name: string): boolean {
  return Object.keys(SETTINGS).some((each) => each.startsWith(`${name}.`));
}

export function requireFits(name: string, value: unknown, where: string): unknown {
  const parsed = SETTINGS[name]!.schema.safeParse(value);
  if (parsed.success) return value;
  throw badConfig(`${where} sets ${name} to something that it cannot be: ${saidOf(parsed.error)}`);
}

export function badConfig(message: string, cause?: unknown): AgentError {
  return new AgentError({ code: "agent.bad_config", message, cause });
}
