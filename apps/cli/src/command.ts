// What all commands share: their form, their common options, and how an answer is printed.

import { type Argument, Command, Option } from "commander";
import { jsonText } from "./print.ts";

/** What a command has to say. */
export interface Answer {
  json: unknown;
  lines: readonly string[];
  /** 0 if left out. */
  status?: number;
}

export interface CommonFlags {
  json?: true;
  config?: string;
  url?: string;
  namespace?: string;
  database?: string;
}

export interface CommandInit<Flags> {
  name: string;
  summary: string;
  description: string;
  args?: readonly Argument[];
  options?: readonly Option[];
  /** How it is typed, and what it does then; at least one. */
  examples: readonly (readonly [line: string, what: string])[];
  /** Whether it takes no database: then it has none of its options. */
  offline?: true;
  run: (args: string[], flags: Flags & CommonFlags) => Promise<Answer | void>;
}

export function defineCommand<Flags = CommonFlags>(init: CommandInit<Flags>): Command {
  const command = new Command(init.name).summary(init.summary).description(init.description);
  for (const argument of init.args ?? []) command.addArgument(argument);
  for (const option of init.options ?? []) command.addOption(option);
  command.addOption(
    new Option("--json", "print JSON and nothing else (one document a line where it follows)"),
  );
  if (!init.offline) for (const option of databaseOptions()) command.addOption(option);
  return command.addHelpText("after", examplesText(init.examples)).action(async (...given: unknown[]) => {
    const flags = command.opts<Flags & CommonFlags>();
    const args = given.slice(0, init.args?.length ?? 0).flat() as string[];
    const answer = await init.run(args, flags);
    if (!answer) return;
    process.stdout.write(`${flags.json ? jsonText(answer.json) : answer.lines.join("\n")}\n`);
    if (answer.status) process.exitCode = answer.status;
  });
}

/** A word that only holds other commands. */
export function defineGroup(name: string, description: string, commands: readonly Command[]): Command {
  const group = new Command(name).summary(description).description(sentence(description)).helpCommand(false);
  for (const command of commands) group.addCommand(command);
  const first = commands[0]!.name();
  return group.addHelpText("after", `\nEach has a page of its own: sentient ${name} ${first} --help`);
}

function sentence(text: string): string {
  return `${text[0]!.toUpperCase()}${text.slice(1)}.`;
}

function examplesText(examples: CommandInit<never>["examples"]): string {
  const width = Math.max(...examples.map(([line]) => line.length));
  return `\n${["Examples:", ...examples.map(([line, what]) => `  $ ${line.padEnd(width)}  ${what}`)].join("\n")}`;
}

function databaseOptions(): Option[] {
  return [
    new Option("--config <file>", "settings (default: sentient.config.ts, if there is one)"),
    new Option("--url <url>", "the database (default: SENTIENT_URL, else rocksdb://.sentient/data)"),
    new Option("--namespace <name>", "its namespace (default: SENTIENT_NAMESPACE, else sentient)"),
    new Option("--database <name>", "its name (default: SENTIENT_DATABASE, else sentient)"),
  ];
}
