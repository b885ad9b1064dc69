// Going back: to a point of a run's history, in the same run or in a new one.

import { Option } from "commander";
import { usage } from "../../cli-error.ts";
import { defineCommand } from "../../command.ts";
import { openSentient } from "../../open.ts";
import {
  byOption,
  collect,
  defined,
  jsonFrom,
  pointOf,
  pointOptions,
  runArgument,
  type PointFlags,
} from "../../options.ts";
import { statusText } from "../../show.ts";

interface RestoreFlags {
  by: string;
  checkpoint?: string;
  n?: number;
}

export const restoreRun = defineCommand<RestoreFlags>({
  name: "restore",
  summary: "put a run back to a point of its history, from which it goes on",
  description:
    "Puts a run that no worker holds back to a point of its history: what it did since then is done again. Nothing of the past is overwritten.",
  args: [runArgument()],
  options: [...pointOptions("to").slice(0, 2), byOption()],
  examples: [["sentient runs restore r-1f9c --checkpoint before-send", "back to where it was then"]],
  run: async ([id], flags) => {
    const { n, checkpoint, by } = flags;
    if (n === undefined && checkpoint === undefined)
      throw usage("say to which point: --checkpoint <name> or --n <number>");
    await using opened = await openSentient(flags);
    const run = await opened.sentient.restore(id!, checkpoint === undefined ? { n: n! } : { checkpoint }, {
      by,
    });
    return { json: run, lines: [`${run.id} was put back and is ${statusText(run.status)}`] };
  },
});

interface ForkFlags extends PointFlags {
  by: string;
  input?: string;
  step?: string[];
  code?: string;
  tag?: string[];
}

export const forkRun = defineCommand<ForkFlags>({
  name: "fork",
  summary: "begin a new run from a point of another one, with what is edited",
  description:
    "Begins a new run from a point of another one, whatever became of that: it remembers what that one did up to there, with what is edited.",
  args: [runArgument()],
  options: [
    ...pointOptions("from"),
    new Option("--input <json>", "another input; @file or - for stdin"),
    new Option("--step <key=json>", "another result of a step; may be given again").argParser(another),
    new Option("--code <version>", "another version of the code"),
    new Option("--tag <tag>", "of the new run").argParser(collect),
    byOption(),
  ],
  examples: [
    ["sentient runs fork r-1f9c --n 12", "from its 12th event"],
    [`sentient runs fork r-1f9c --step 'main/fetch#1={"ok":true}'`, "as if that step had answered so"],
  ],
  run: async ([id], flags) => {
    const { by, input, step = [], code, tag } = flags;
    const steps = Object.fromEntries(await Promise.all(step.map(stepEdit)));
    const edits = {
      ...pointOf(flags),
      ...(input === undefined ? {} : { input: await jsonFrom(input, "--input") }),
      ...(step.length > 0 ? { steps } : {}),
      ...defined({ version: code, tags: tag }),
    };
    await using opened = await openSentient(flags);
    const handle = await opened.sentient.fork(id!, { ...edits, by });
    return { json: { run: handle.id, forkOf: id }, lines: [`${handle.id} begins from ${id}`] };
  },
});

function another(text: string, before: string[] = []): string[] {
  return [...before, text];
}

async function stepEdit(text: string): Promise<[string, Awaited<ReturnType<typeof jsonFrom>>]> {
  const at = text.indexOf("=");
  if (at < 1) throw usage(`--step takes key=json, not ${text}`);
  return [text.slice(0, at), await jsonFrom(text.slice(at + 1), `--step ${text.slice(0, at)}`)];
}
