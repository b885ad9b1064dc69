import { Argument, Option } from "commander";
import { defineCommand } from "../../command.ts";
import { openSentient } from "../../open.ts";
import { byOption, defined, jsonFrom, runArgument } from "../../options.ts";
import { printable } from "../../print.ts";

interface Flags {
  by: string;
  data?: string;
  id?: string;
}

export const signalRun = defineCommand<Flags>({
  name: "signal",
  summary: "send a run a signal that it waits for, or will",
  description:
    "Sends a run a signal. It is kept until the run waits for it, also if nobody advances the run now. sentient runs why says what a run waits for.",
  args: [runArgument(), new Argument("<name>", "of the signal")],
  options: [
    new Option("-d, --data <json>", "what it carries; @file or - for stdin (default: null)"),
    new Option("--id <id>", "sent twice under one id, it was sent once"),
    byOption("who sends it"),
  ],
  examples: [
    ["sentient runs signal r-1f9c go", "without anything"],
    [
      `sentient runs signal r-1f9c paid --data '{"total":12}' --id payment-17`,
      "once, however often it is said",
    ],
  ],
  run: async ([run, name], { data, id, by, ...flags }) => {
    const carried = data === undefined ? null : await jsonFrom(data, "--data");
    await using opened = await openSentient(flags);
    const signal = await opened.sentient.signal(run!, name!, carried, { source: by, ...defined({ id }) });
    return { json: signal, lines: [`${run} has the signal ${printable(name!)}`] };
  },
});
