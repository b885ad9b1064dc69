import { RUN_STATUSES, type RunStatus } from "@sentient/schema";
import { Option } from "commander";
import { defineCommand } from "../../command.ts";
import { openSentient } from "../../open.ts";
import { collect, defined, limitOption, wholeNumber } from "../../options.ts";
import { note } from "../../print.ts";
import { runsTable } from "../../show.ts";
import { usage } from "../../cli-error.ts";

interface Flags {
  status?: string[];
  name?: string;
  tag?: string;
  queue?: string;
  root?: string;
  before?: number;
  limit: number;
}

export const listRuns = defineCommand<Flags>({
  name: "list",
  summary: "list runs, the newest first",
  description: "Lists runs, the newest first; those that meet all that is asked for.",
  options: [
    new Option("-s, --status <status>", `one or several of ${RUN_STATUSES.join(", ")}`).argParser(collect),
    new Option("--name <name>", "of one agent or workflow"),
    new Option("--tag <tag>", "with this tag"),
    new Option("--queue <queue>", "of one queue"),
    new Option("--root <run>", "of one tree"),
    new Option("--before <position>", "the next page: what --json calls next").argParser(wholeNumber),
    limitOption("runs", 20),
  ],
  examples: [
    ["sentient runs list", "the last twenty"],
    ["sentient runs list -s waiting,parked", "what does not go on by itself"],
    ["sentient runs list --json | jq -r '.runs[].id'", "their ids"],
  ],
  run: async (_, flags) => {
    const { status, name, tag, queue, root, before, limit } = flags;
    const unknown = status?.find((each) => !(RUN_STATUSES as readonly string[]).includes(each));
    if (unknown !== undefined)
      throw usage(`there is no status ${unknown}; there are ${RUN_STATUSES.join(", ")}`);
    await using opened = await openSentient(flags);
    const options = defined({
      status: status as RunStatus[] | undefined,
      name,
      tag,
      queue,
      root,
      before,
      limit,
    });
    const page = await opened.sentient.list(options);
    if (page.runs.length === 0 && !flags.json) note("no run meets that");
    return { json: page, lines: page.runs.length === 0 ? [] : runsTable(page.runs) };
  },
});
