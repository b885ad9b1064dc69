// Loading. Owns: what is set in the end, and where each of it came from.
// The weaker first: what nobody says, the file, .env, the environment, flags.

import { existsSync, readFileSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseEnv } from "node:util";
import type { DatabaseOptions } from "@sentient/db-pool";
import { badConfig, flatten, requireFits, SETTINGS, type Config } from "./define-config.ts";

export interface LoadConfigOptions {
  /** Where the files are looked for: the working directory if left out. */
  folder?: string;
  /** Another file than `sentient.config.ts` (or `.js`, `.mjs`). */
  file?: string;
  env?: Readonly<Record<string, string | undefined>>;
  /** What was said on the command line, as it would stand in the file. */
  flags?: Config;
}

export type SettingSource = "default" | "file" | ".env" | "environment" | "flag";

export interface Setting {
  /** Its place in the file, such as `worker.slots`. */
  name: string;
  /** Undefined if nobody said anything; a secret reads `[hidden]`. */
  value: unknown;
  source: SettingSource;
  /** The file, the variable, or the flag. */
  at: string;
}

export interface LoadedConfig {
  config: Config;
  /** The file that was read, if there was one. */
  file: string | undefined;
  /** From where modules that are named in it are looked for. */
  folder: string;
  settings: Setting[];
  /** The variables that counted: those of the environment, and of `.env` where it has none. */
  env: Readonly<Record<string, string | undefined>>;
}

const FILES = ["sentient.config.ts", "sentient.config.mts", "sentient.config.js", "sentient.config.mjs"];
const HIDDEN = "[hidden]";

interface Said {
  value: unknown;
  source: SettingSource;
  at: string;
}

/**
 * What is set: by nobody, by `sentient.config.ts`, by `.env`, by the environment, by flags; the later ones win.
 *
 * @throws `agent.bad_config` naming the setting and where it was said
 * @example const { config } = await loadConfig({ flags: { worker: { slots: 10 } } });
 */
export async function loadConfig(options: LoadConfigOptions = {}): Promise<LoadedConfig> {
  const { folder = process.cwd(), env = process.env, flags = {} } = options;
  const file = fileOf(folder, options.file);
  const said = new Map<string, Said>();
  const say = (
    settings: Iterable<[string, unknown]>,
    source: SettingSource,
    at: (name: string) => string,
  ) => {
    for (const [name, value] of settings) said.set(name, { value, source, at: at(name) });
  };
  const presets = Object.entries(SETTINGS).map(([name, { preset }]): [string, unknown] => [name, preset]);
  say(presets, "default", () => "");
  if (file) {
    const shown = relative(folder, file);
    say(flatten(await importConfig(file), shown), "file", () => shown);
  }
  const envFile = readEnvFile(folder);
  say(fromVariables(envFile, ".env"), ".env", variable);
  say(fromVariables(env, "the environment"), "environment", variable);
  say(flatten(flags, "the command line"), "flag", (name) => `--${name.split(".").at(-1)!}`);
  return {
    config: nested(said),
    file,
    folder: file ? dirname(file) : folder,
    settings: [...said].map(([name, each]) => ({ name, ...each, value: shownValue(name, each.value) })),
    env: { ...envFile, ...Object.fromEntries(Object.entries(env).filter(([, value]) => value)) },
  };
}

function variable(name: string): string {
  return SETTINGS[name]!.env;
}

/** For `openDatabase` and `createSentient`. */
export function databaseOptionsOf({ database = {} }: Config): DatabaseOptions {
  return database;
}

function fileOf(folder: string, given: string | undefined): string | undefined {
  if (given === undefined) return FILES.map((name) => resolve(folder, name)).find((path) => existsSync(path));
  const path = resolve(folder, given);
  if (existsSync(path)) return path;
  throw badConfig(`there is no file ${given}; leave it out to use ${FILES[0]}, or none at all`);
}

async function importConfig(file: string): Promise<object> {
  let exported: { default?: unknown };
  try {
    exported = (await import(pathToFileURL(file).href)) as typeof exported;
  } catch (cause) {
    throw badConfig(`${file} cannot be read: ${(cause as Error).message}`, cause);
  }
  if (typeof exported.default === "object" && exported.default !== null) return exported.default;
  throw badConfig(`${file} exports nothing by default: write export default defineConfig({ … })`);
}

function readEnvFile(folder: string): Record<string, string | undefined> {
  const path = resolve(folder, ".env");
  return existsSync(path) ? parseEnv(readFileSync(path, "utf8")) : {};
}

/** Empty variables count as absent. */
function fromVariables(
  variables: Readonly<Record<string, string | undefined>>,
  where: string,
): [string, unknown][] {
  return Object.entries(SETTINGS).flatMap(([name, { env }]): [string, unknown][] => {
    const text = variables[env];
    if (!text) return [];
    return [[name, requireFits(name, valueOf(name, text), `${env} in ${where}`)]];
  });
}

/** Text as what the setting takes: the first reading that fits. */
function valueOf(name: string, text: string): unknown {
  const { schema } = SETTINGS[name]!;
  const readings = [text, Number(text), text === "true" ? true : text === "false" ? false : text];
  const list = text.split(",").map((each) => each.trim());
  const fits = [...readings, list].find((each) => schema.safeParse(each).success);
  return name === "agents" && list.length > 1 ? list : (fits ?? text);
}

function nested(said: ReadonlyMap<string, Said>): Config {
  const config: Record<string, unknown> = {};
  for (const [name, { value }] of said) {
    if (value === undefined) continue;
    const [group, key] = name.split(".") as [string, string | undefined];
    if (key === undefined) config[group] = value;
    else config[group] = { ...(config[group] as object | undefined), [key]: value };
  }
  return config;
}

function shownValue(name: string, value: unknown): unknown {
  if (value === undefined) return undefined;
  return SETTINGS[name]!.isSecret ? HIDDEN : value;
}
