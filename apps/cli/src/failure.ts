// What is printed of an error, and the status it ends with.

import { inspect } from "node:util";
import { SentientError } from "@sentient/db-pool";
import { CommanderError } from "commander";
import { CliError } from "./cli-error.ts";
import { exitCodeOf } from "./exit-codes.ts";
import { colour, jsonText, note, printable } from "./print.ts";

/** Prints the error, and answers with the status to end with. */
export function fail(thrown: unknown, { json }: { json: boolean }): number {
  const error = known(thrown);
  const [sentence = "", ...more] = error.message.trimEnd().split("\n").map(printable);
  note(`${colour("red", "error:", process.stderr)} ${sentence} (${error.code})`);
  for (const line of more) note(`  ${line}`);
  if (process.env.SENTIENT_DEBUG) note(inspect(thrown));
  if (json) process.stdout.write(`${jsonText({ error })}\n`);
  return exitCodeOf(error.code);
}

function known(thrown: unknown): SentientError {
  if (thrown instanceof SentientError) return thrown;
  if (thrown instanceof CommanderError) return new CliError({ code: "cli.usage", message: usageOf(thrown) });
  const { message, code } = (thrown ?? {}) as { message?: unknown; code?: unknown };
  const text = typeof message === "string" && message !== "" ? message : String(thrown);
  if (typeof code === "string" && /^[a-z_]+\.[a-z_.]+$/.test(code))
    return new SentientError({ code, message: text, cause: thrown }); // what a run failed with
  return new CliError({ code: "cli.failed", message: text, cause: thrown });
}

/** Of an option that is not known only its name: what it is given may be a secret. */
function usageOf({ message }: CommanderError): string {
  return message
    .replace(/^error: /, "")
    .replace(/(unknown option '(?:--[^=']*|-.))[^]*?'(?=\n\(Did you mean|$)/, "$1'")
    .replace(/\n\(Did you mean (.*)\?\)$/, "; did you mean $1?")
    .replaceAll("\n", " ");
}
