import { openDatabase, optionsFromEnv, type Database } from "@sentient/db-pool";
import type { DatabaseFlags } from "./command.ts";

/** The database that the flags name, else the environment. */
export function openFrom({ url, namespace, database }: DatabaseFlags): Promise<Database> {
  const flags = Object.entries({ url, namespace, database }).filter(([, value]) => value !== undefined);
  return openDatabase({ ...optionsFromEnv(), ...Object.fromEntries(flags) });
}

export function placeOf({ url, namespace, database }: Database) {
  return { url, namespace, database };
}

/** Said with each answer about a database, since a mistyped URL of a folder is a new and empty one. */
export function placeText({ url, namespace, database }: Database): string {
  return `${url} (${namespace}/${database})`;
}
