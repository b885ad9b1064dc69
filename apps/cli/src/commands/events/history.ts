import { Option } from "commander";
import { defineCommand } from "../../command.ts";
import { openSentient } from "../../open.ts";
import { defined, limitOption, wholeNumber } from "../../options.ts";
import { note } from "../../print.ts";
import { eventLine } from "../../show.ts";
import { filterOf, filterOptions, type FilterFlags } from "./filter.ts";

interface Flags extends FilterFlags {
  after?: number;
  before?: number;
  oldest?: true;
  limit: number;
}

export const eventHistory = defineCommand<Flags>({
  name: "history",
  summary: "a page of the log",
  description: "A page of the log, the latest first unless --oldest is said.",
  options: [
    ...filterOptions(),
    new Option("--after <position>", "behind it").argParser(wholeNumber),
    new Option("--before <position>", "before it").argParser(wholeNumber),
    new Option("--oldest", "the oldest first"),
    limitOption("events", 20),
  ],
  examples: [
    ["sentient events history", "the last twenty"],
    ["sentient events history --run r-1f9c --oldest", "a run from its beginning"],
  ],
  run: async (_, flags) => {
    await using opened = await openSentient(flags);
    const { after, before, oldest, limit } = flags;
    const page = await opened.sentient.events.history({
      ...filterOf(flags),
      ...defined({ after, before }),
      order: oldest ? "asc" : "desc",
      limit,
    });
    if (page.events.length === 0 && !flags.json) note("no event meets that");
    return { json: page, lines: page.events.map(eventLine) };
  },
});
