import { Option } from "commander";
import { defineCommand } from "../command.ts";
import { collect, wholeNumber } from "../options.ts";
import { dev, type DevFlags } from "../dev/dev.ts";
import { watch } from "../dev/watch.ts";

export const devCommand = defineCommand<DevFlags & { watch: boolean }>({
  name: "dev",
  summary: "database, worker and API in one process, for your own machine",
  description:
    "Runs all there is in one process, until you end it: the database, served to your other terminals; a worker for your agents; the API. It begins anew when a file of your agents changes, and runs go on where they were.",
  options: [
    new Option(
      "--agents <module>",
      "a module that exports your agents; may be given again (default: ./agents.ts, if it is there)",
    ).argParser(collect),
    new Option("--host <address>", "of the API (default: 127.0.0.1)"),
    new Option("--port <number>", "of the API (default: 4840; 0 for any that is free)").argParser(
      wholeNumber,
    ),
    new Option("--no-watch", "do not begin anew when a file changes"),
  ],
  examples: [
    ["sentient dev", "with ./agents.ts or what sentient.config.ts names"],
    ["sentient dev --agents ./src/agents.ts --port 8080", "elsewhere"],
  ],
  run: async (_, flags) => (flags.watch ? watch() : dev(flags)),
});
