// What is printed of an error, and the status it ends with.

import { inspect } from "node:util";
import { SentientError } from "@sentient/db-pool";
import { CommanderError } from "commander";
import { CliError } from "./cli-error.ts";
import { colour } from "./colour.ts";
import { jsonText } from "./command.ts";

/** Somebody has to write something else: trying again is of no use. */
const WRONG_USAGE = new Set(["cli.usage", "db.bad_url", "db.bad_option"]);

/** Prints the error, and answers with the status to end with. */
export function fail(thrown: unknown, { json }: { json: boolean }): 1 | 2 {
  const error = known(thrown);
  const [sentence, ...more] = linesOf(error);
  const lines = [
    `${colour("red", "error:", process.stderr)} ${sentence} (${error.code})`,
    ...more.map((line) => `  ${line}`),
    ...(process.env.SENTIENT_DEBUG ? [inspect(thrown)] : []),
  ];
  process.stderr.write(`${lines.join("\n")}\n`);
  if (json) process.stdout.write(jsonText({ error }));
  return WRONG_USAGE.has(error.code) ? 2 : 1;
}

interface Known extends SentientError {
  details?: { questions?: string[]; statement?: { text: string } };
}

function known(thrown: unknown): Known {
  if (thrown instanceof SentientError) return thrown;
  if (thrown instanceof CommanderError) return new CliError({ code: "cli.usage", message: usageOf(thrown) });
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new CliError({ code: "cli.failed", message, cause: thrown });
}

/** One sentence, and below it what has lines of its own: each open question, the statement that failed. */
function linesOf({ message, details = {} }: Known): string[] {
  const { questions, statement } = details;
  if (questions) return [message.slice(0, message.indexOf(":")), ...questions];
  const [first = "", ...rest] = message.trimEnd().split("\n");
  if (statement) return [first, ...statement.text.split("\n")]; // the engine counts the lines of what was sent to it
  return [first, ...rest];
}

/** Of an option that is not known only its name: what it is given may be a password. */
function usageOf({ message }: CommanderError): string {
  return message
    .replace(/^error: /, "")
    .replace(/(unknown option '(?:--[^=']*|-.))[^]*?'(?=\n\(Did you mean|$)/, "$1'")
    .replace(/\n\(Did you mean (.*)\?\)$/, "; did you mean $1?")
    .replaceAll("\n", " ");
}
