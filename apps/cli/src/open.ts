// Opening. Owns: which database a command means, and the way there.
// O1. To look makes nothing: a folder that is not there is an error, and not a new and empty database.
// O2. A folder that another process owns is reached through that process, if it serves it; else it is waited for, for a while.

import { existsSync } from "node:fs";
import { createSentient, type Definition, type Sentient } from "@sentient/agent-core";
import {
  databaseOptionsOf,
  folderOf,
  loadConfig,
  loadDefinitions,
  openOrReach,
  type Config,
  type LoadedConfig,
  type ReachOptions,
} from "@sentient/agent-core/config";
import type { Database } from "@sentient/db-pool";
import { CliError } from "./cli-error.ts";
import type { CommonFlags } from "./command.ts";

/** @throws `agent.bad_config` */
export function configFrom(flags: CommonFlags, more: Config = {}): Promise<LoadedConfig> {
  const { config: file, url, namespace, database } = flags;
  const given = Object.entries({ url, namespace, database }).filter(([, value]) => value !== undefined);
  return loadConfig({
    flags: { ...more, ...(given.length > 0 ? { database: Object.fromEntries(given) } : {}) },
    ...(file === undefined ? {} : { file }),
  });
}

/** O1, O2. @param mayMake whether a folder that is not there is made */
export async function openConfigured(
  config: Config,
  { mayMake = false, ...how }: { mayMake?: boolean } & ReachOptions = {},
): Promise<Database> {
  const options = databaseOptionsOf(config);
  const folder = folderOf(options.url!);
  if (folder !== undefined && !mayMake && !existsSync(folder))
    throw new CliError({
      code: "cli.not_found",
      message: `there is no database at ${options.url}: start one with sentient dev or sentient demo, or name another with --url`,
    });
  return openOrReach(options, how);
}

/** A runtime that advances nothing, to look and to ask. */
export interface Opened extends AsyncDisposable {
  sentient: Sentient;
  db: Database;
}

export async function openSentient(
  flags: CommonFlags,
  { mayMake = false, definitions = [] }: { mayMake?: boolean; definitions?: readonly Definition[] } = {},
): Promise<Opened> {
  const { config } = await configFrom(flags);
  const db = await openConfigured(config, { mayMake });
  return opened(db, await createSentient({ database: db, worker: false, agents: definitions }));
}

function opened(db: Database, sentient: Sentient): Opened {
  return {
    sentient,
    db,
    [Symbol.asyncDispose]: async () => {
      await sentient.close();
      await db.close();
    },
  };
}

/** What the configuration names, or a flag; made with this database, where their module wants one. */
export async function definitionsFrom(
  { config, folder }: LoadedConfig,
  database: Database,
): Promise<Definition[]> {
  return config.agents === undefined ? [] : loadDefinitions(config.agents, folder, { database });
}
