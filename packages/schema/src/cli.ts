#!/usr/bin/env node
// The command line. Owns: the commands together, and how the process ends.
// C1. What a command answers goes to stdout, all else to stderr; with --json that is one document, errors too.
// C2. Every database is closed before the process ends, and it ends by itself: nothing that was written is cut off.

import { Console } from "node:console";
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { checkCommand } from "./cli/check.ts";
import { fail } from "./cli/failure.ts";
import { generateCommand } from "./cli/generate.ts";
import { migrateCommand } from "./cli/migrate.ts";
import { statusCommand } from "./cli/status.ts";

const SURROUNDINGS = `
The database is the one that SENTIENT_URL, SENTIENT_NAMESPACE and SENTIENT_DATABASE name; credentials are read from
SENTIENT_USER and SENTIENT_PASSWORD, or SENTIENT_TOKEN, and from nowhere else.

SENTIENT_DEBUG=1 adds the stack to an error. NO_COLOR=1 takes the colours off.`;

const STATUSES = `
Exit status:
  0  all is as it should be
  1  it differs, or it failed
  2  it was asked wrongly: an option, a URL, a file that is not there`;

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};

const commands = [generateCommand, checkCommand, statusCommand, migrateCommand];

function createProgram(): Command {
  const program = new Command("sentient-schema")
    .description("Tables described in zod, kept by SurrealDB: writes migrations, applies them, compares.")
    .version(version)
    .addHelpText("after", SURROUNDINGS)
    .addHelpText("afterAll", STATUSES);
  for (const command of commands) program.addCommand(command.copyInheritedSettings(program));
  for (const command of [program, ...commands])
    command.exitOverride().configureOutput({ outputError: () => {} }); // fail() says it
  return program;
}

async function main(args: readonly string[]): Promise<void> {
  globalThis.console = new Console(process.stderr); // C1: for what the modules of tables and migrations print
  for (const stream of [process.stdout, process.stderr]) stream.on("error", ignoreBrokenPipe);
  try {
    await createProgram().parseAsync(args, { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return; // --help, --version
    process.exitCode =
      error instanceof CommanderError && error.code === "commander.help"
        ? 2 // the help is what it says when no command was given
        : fail(error, { json: args.includes("--json") });
  }
}

/** Nobody reads on; what was begun is still brought to its end. */
function ignoreBrokenPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
}

await main(process.argv.slice(2));
