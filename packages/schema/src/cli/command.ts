// What all commands share: their options, the form of an answer, and how it is printed.

import { Command, InvalidArgumentError, Option } from "commander";
import { colour } from "./colour.ts";

/** What a command has to say. */
export interface Answer {
  /** Whether all is as it should be; the exit code is 1 if not. */
  ok: boolean;
  json: object;
  lines: readonly string[];
}

interface CommandInit<Options> {
  name: string;
  summary: string;
  description: string;
  options: readonly Option[];
  /** How it is typed, and what it does then. */
  examples: readonly [line: string, what: string][];
  run: (options: Options) => Promise<Answer>;
}

export function defineCommand<Options>(init: CommandInit<Options>): Command {
  const command = new Command(init.name).summary(init.summary).description(init.description);
  for (const option of init.options) command.addOption(option);
  const width = Math.max(...init.examples.map(([line]) => line.length));
  const examples = init.examples.map(([line, what]) => `  $ ${line.padEnd(width)}  ${what}`);
  return command
    .addOption(new Option("--json", "print one JSON document and nothing else"))
    .addHelpText("after", `\n${["Examples:", ...examples].join("\n")}`)
    .action(async (options: Options & { json?: true }) => {
      const { ok, json, lines } = await init.run(options);
      process.stdout.write(options.json ? jsonText(json) : `${lines.join("\n")}\n`);
      if (!ok) process.exitCode = 1;
    });
}

export function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

export const tablesOption = new Option(
  "--tables <module>",
  "the module that exports the tables (default: ./schema.ts, else ./src/schema.ts)",
);

export const folderOption = new Option("--folder <dir>", "where the migrations are").default("./surql");

export interface DatabaseFlags {
  url?: string;
  namespace?: string;
  database?: string;
}

export const databaseOptions = [
  new Option("--url <url>", "the database (default: SENTIENT_URL, else rocksdb://.sentient/data)"),
  new Option("--namespace <name>", "its namespace (default: SENTIENT_NAMESPACE, else sentient)"),
  new Option("--database <name>", "its name (default: SENTIENT_DATABASE, else sentient)"),
];

export const historyOption = new Option(
  "--history <name>",
  "whose migrations these are, where several programs share a database",
).default("default");

/** For an option that may be given again. */
export function collect(value: string, before: string[] = []): string[] {
  return [...before, value];
}

/** For an option such as `--rename old=new` that may be given again. */
export function collectPair(value: string, before: Record<string, string> = {}): Record<string, string> {
  const at = value.indexOf("=");
  const [left, right] = [value.slice(0, at).trim(), value.slice(at + 1).trim()];
  if (at < 0 || !left || !right) throw new InvalidArgumentError("Write it as left=right.");
  if (Object.hasOwn(before, left)) throw new InvalidArgumentError(`There is one for ${left} already.`);
  return { ...before, [left]: right };
}

/** `1 table`, `2 tables`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

export const good = (text: string) => colour("green", text, process.stdout);
export const bad = (text: string) => colour("red", text, process.stdout);
