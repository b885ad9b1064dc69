import { SentientError } from "@sentient/db-pool";

export type CliErrorCode =
  /** The command line, or the folder it stands in, is not what a command needs. */
  | "cli.usage"
  /** The module of tables cannot be imported. */
  | "cli.bad_module"
  /** Something nobody thought of. */
  | "cli.failed";

/** What goes wrong before anything of this package is asked. */
export class CliError extends SentientError<CliErrorCode> {
  override get name(): string {
    return "CliError";
  }
}
