// One command from its words to its status. Owns: what is said of what went wrong, and how that ends.

import { requireNode } from "@sentient/agent-core/config";
import { CommanderError } from "commander";
import { EXIT } from "./exit-codes.ts";
import { fail } from "./failure.ts";
import { createProgram } from "./program.ts";

/** @returns the status to end with, undefined where the command has set one or none is due */
export async function cli(args: readonly string[]): Promise<number | undefined> {
  try {
    requireNode();
    await createProgram().parseAsync(args, { from: "user" });
    return undefined;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return undefined; // --help, --version
    return error instanceof CommanderError && error.code === "commander.help"
      ? EXIT.usage // the help is what it says when no command was given
      : fail(error, { json: args.includes("--json") });
  }
}
