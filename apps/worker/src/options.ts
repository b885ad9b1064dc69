// The command line. Owns: what a worker can be told, and how it is refused.

import { readFileSync } from "node:fs";
import type { Config } from "@sentient/agent-core/config";
import { Command, InvalidArgumentError } from "commander";

export interface WorkerFlags {
  /** Another file of settings. */
  file: string | undefined;
  config: Config;
}

interface Given {
  config?: string;
  agents?: string[];
  url?: string;
  namespace?: string;
  database?: string;
  slots?: number;
  lease?: number;
  queues?: string[];
  capabilities?: string[];
  healthPort?: number;
  healthHost?: string;
  logLevel?: "debug" | "info" | "warn" | "error" | "silent";
}

const EXIT = `
Exit status: 0 after SIGTERM or SIGINT, 1 if it could not start, serve or stop, 2 if it was set up wrongly.
Settings come from sentient.config.ts, .env, SENTIENT_* and flags, the later ones first.

Examples:
  $ sentient-worker --agents ./agents.ts                      advances runs of these agents
  $ SENTIENT_URL=wss://db.example.com/rpc sentient-worker     one of many, on a database elsewhere`;

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};

/** @throws commander's own error for what it does not know; for `--help` and `--version` too, with the status 0 */
export function flagsFrom(args: readonly string[]): WorkerFlags {
  const command = new Command("sentient-worker")
    .description(
      "Advances runs of your agents and workflows until it is asked to stop; then it hands them over.",
    )
    .version(version)
    .option("--agents <module>", "a module that exports your agents; may be given again", collect)
    .option("--config <file>", "settings (default: sentient.config.ts, if there is one)")
    .option("--url <url>", "the database (default: rocksdb://.sentient/data)")
    .option("--namespace <name>", "its namespace")
    .option("--database <name>", "its name")
    .option("--slots <number>", "runs at once (default: 64)", wholeNumber)
    .option("--lease <ms>", "after how long others take over, should it die (default: 15000)", wholeNumber)
    .option("--queues <names>", "only these queues, with commas", collect)
    .option("--capabilities <names>", "only runs that ask for no more than these, with commas", collect)
    .option(
      "--health-port <number>",
      "answers /healthz and /readyz there; 0 for any that is free",
      wholeNumber,
    )
    .option(
      "--health-host <address>",
      "of that port (default: 127.0.0.1, for this machine alone; 0.0.0.0 for others too)",
    )
    .option("--log-level <level>", "debug, info, warn, error or silent (default: info)")
    .addHelpText("after", EXIT)
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  command.parse(args, { from: "user" });
  return { file: command.opts<Given>().config, config: configOf(command.opts<Given>()) };
}

function configOf(given: Given): Config {
  const { agents, url, namespace, database, logLevel } = given;
  const { slots, lease, queues, capabilities, healthPort, healthHost } = given;
  return {
    ...(agents ? { agents } : {}),
    database: defined({ url, namespace, database }),
    worker: defined({ slots, lease, queues, capabilities, healthPort, healthHost }),
    log: defined({ level: logLevel }),
  };
}

function defined(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function collect(text: string, before: string[] = []): string[] {
  return [...before, ...text.split(",").filter(Boolean)];
}

function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("Write a whole number.");
}
