import { Option } from "commander";
import { defineCommand } from "../../command.ts";
import { openSentient } from "../../open.ts";
import { wholeNumber } from "../../options.ts";
import { jsonLine, out } from "../../print.ts";
import { eventLine } from "../../show.ts";
import { untilInterrupted } from "../../interrupted.ts";
import { filterOf, filterOptions, type FilterFlags } from "./filter.ts";

interface Flags extends FilterFlags {
  after?: number;
  most?: number;
}

export const tailEvents = defineCommand<Flags>({
  name: "tail",
  summary: "follow the log",
  description:
    "Follows the log: each event as it happens, in order, until you end it. With --json one document a line; go on behind the last position with --after.",
  options: [
    ...filterOptions(),
    new Option(
      "--after <position>",
      "what happened behind it too; 0 for all (default: from now on)",
    ).argParser(wholeNumber),
    new Option("--most <number>", "end after so many").argParser(wholeNumber),
  ],
  examples: [
    ["sentient events tail", "all that happens"],
    ["sentient events tail -t run.failed --json | jq .run", "of what fails"],
    ["sentient events tail --run r-1f9c --after 0", "a run from its beginning"],
  ],
  run: async (_, flags) => {
    await using opened = await openSentient(flags);
    const { after = "now", most = Infinity } = flags;
    using stop = untilInterrupted();
    let left = most;
    for await (const event of opened.sentient.events.follow({
      ...filterOf(flags),
      after,
      signal: stop.signal,
    })) {
      out(flags.json ? jsonLine(event) : eventLine(event));
      if (--left <= 0 || process.stdout.destroyed || process.stdout.errored) break;
    }
  },
});
