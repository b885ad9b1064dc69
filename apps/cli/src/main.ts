#!/usr/bin/env node
// Owns: how the process ends. Every database is closed before, and it ends by itself: nothing that was written is cut off.

import { Console } from "node:console";
import { CommanderError } from "commander";
import { EXIT } from "./exit-codes.ts";
import { fail } from "./failure.ts";
import { createProgram } from "./program.ts";

async function main(args: readonly string[]): Promise<void> {
  globalThis.console = new Console(process.stderr); // for what modules of agents print
  for (const stream of [process.stdout, process.stderr]) stream.on("error", ignoreBrokenPipe);
  try {
    await createProgram().parseAsync(args, { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return; // --help, --version
    process.exitCode =
      error instanceof CommanderError && error.code === "commander.help"
        ? EXIT.usage // the help is what it says when no command was given
        : fail(error, { json: args.includes("--json") });
  }
}

/** Nobody reads on; what was begun is still brought to its end. */
function ignoreBrokenPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
}

await main(process.argv.slice(2));
