import { SentientError } from "@sentient/db-pool";

export type CliErrorCode =
  /** The command line is not what a command needs. */
  | "cli.usage"
  /** What was named is not there. */
  | "cli.not_found"
  /** A person has to say something first. */
  | "cli.waits"
  /** A function of the user's has thrown. */
  | "cli.handler_failed"
  /** It was ended before it was done. */
  | "cli.interrupted"
  /** Something nobody thought of. */
  | "cli.failed";

/** What goes wrong before anything of the runtime is asked. */
export class CliError extends SentientError<CliErrorCode> {
  override get name(): string {
    return "CliError";
  }
}

export function usage(message: string): CliError {
  return new CliError({ code: "cli.usage", message });
}
