// How a command ends, for scripts: the one table from error codes to exit statuses.

export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  waits: 4,
  database: 5,
  interrupted: 130,
} as const;

export const EXIT_HELP = `
Exit status:
  0    done
  1    it failed, or is not as it should be
  2    it was asked wrongly: an option, an input, a file that cannot be used
  3    there is no such run, agent, question, database …
  4    a person has to say something first, or it was not over in the time you gave
  5    the database is in use, cannot be reached, or refuses
  130  it was interrupted`;

const USAGE = new Set([
  "cli.usage",
  "db.bad_url",
  "db.bad_option",
  "state.bad_option",
  "state.bad_export",
  "state.bad_backup",
  "state.invalid_answer",
  "event_bus.bad_option",
  "event_bus.bad_filter",
  "agent.bad_option",
  "agent.bad_config",
  "agent.bad_definition",
  "agent.invalid_input",
  "agent.invalid_signal",
  "agent.unknown",
  "schema.limit",
]);

export function exitCodeOf(code: string): number {
  if (USAGE.has(code)) return EXIT.usage;
  if (code.endsWith(".not_found")) return EXIT.notFound;
  if (code === "cli.waits" || code === "agent.result_timeout") return EXIT.waits;
  if (code === "cli.interrupted") return EXIT.interrupted;
  return code.startsWith("db.") ? EXIT.database : EXIT.failed;
}
