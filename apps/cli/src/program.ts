// The command line. Owns: the commands together.

import { readFileSync } from "node:fs";
import completion from "@bomb.sh/tab/commander";
import { Command } from "commander";
import { commands } from "./commands/index.ts";
import { EXIT_HELP } from "./exit-codes.ts";

const SURROUNDINGS = `
What a command answers goes to stdout, words about it to stderr. With --json the answer is JSON, errors too.
Settings come from sentient.config.ts, .env, SENTIENT_* and flags, the later ones first; sentient config shows them.
SENTIENT_DEBUG=1 adds the stack to an error. NO_COLOR=1 takes colours and animation off.`;

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};

export function createProgram(): Command {
  const program = new Command("sentient")
    .description("Durable agents and workflows on SurrealDB: run them, look at them, steer them.")
    .version(version)
    .helpCommand(false) // there is --help at every word
    .addHelpText("after", SURROUNDINGS)
    .addHelpText("afterAll", EXIT_HELP);
  for (const [heading, group] of commands) {
    program.commandsGroup(heading);
    for (const command of group) program.addCommand(command);
  }
  program.commandsGroup("Else:");
  completion(program, { completionCommandName: "completion" });
  program.commands
    .find((command) => command.name() === "completion")!
    .description("print what completes commands in your shell")
    .addHelpText(
      "after",
      "\nExamples:\n  $ source <(sentient completion bash)  for this shell, until it ends",
    );
  prepare(program);
  return program;
}

/** Errors are thrown, and said in one place. */
function prepare(command: Command): void {
  command
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .showSuggestionAfterError();
  for (const each of command.commands) prepare(each);
}
