#!/usr/bin/env node
// The process. Owns: its signals, and the status it ends with.

import { loadConfig, requireNode } from "@sentient/agent-core/config";
import { SentientError } from "@sentient/db-pool";
import { CommanderError } from "commander";
import { destination, pino } from "pino";
import { AgentError } from "@sentient/agent-core";
import { flagsFrom } from "./options.ts";
import { serveAgents } from "./serve-agents.ts";

/** Somebody has to write something else: starting it again is of no use. */
const WRONG = /\.bad_(?:config|option|url|definition)$/;

async function main(args: readonly string[]): Promise<void> {
  requireNode();
  const { file, config: flags } = flagsFrom(args);
  const loaded = await loadConfig({ flags, ...(file === undefined ? {} : { file }) });
  if (loaded.config.agents === undefined)
    throw new AgentError({
      code: "agent.bad_config",
      message: "a worker needs agents: say with --agents which module exports them, or in sentient.config.ts",
    });
  const logger = pino(
    { level: loaded.config.log?.level ?? "info", redact: ["*.password", "*.token"] },
    destination({ dest: 2, sync: true }),
  );
  await serveAgents(loaded, { logger, signal: asked() });
}

/** The first signal ends it in order, the second at once. */
function asked(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      process.once(signal, () => process.exit(1));
      stop.abort();
    });
  }
  return stop.signal;
}

/** Prints what went wrong, and answers with the status to end with. */
function fail(error: unknown): number {
  if (error instanceof CommanderError && error.exitCode === 0) return 0; // --help, --version
  const isKnown = error instanceof SentientError || error instanceof CommanderError;
  const text = isKnown ? error.message.replace(/^error: /, "") : String((error as Error).stack ?? error);
  process.stderr.write(`sentient-worker: ${text}\n`);
  return error instanceof CommanderError || (error instanceof SentientError && WRONG.test(error.code))
    ? 2
    : 1;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.exitCode = fail(error);
}
