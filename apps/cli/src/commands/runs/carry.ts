// Carrying runs away and bringing them back, as lines of JSON.

import { createInterface } from "node:readline";
import { Argument, Option } from "commander";
import { defineCommand } from "../../command.ts";
import { openSentient } from "../../open.ts";
import { byOption, runArgument } from "../../options.ts";
import { note, out } from "../../print.ts";

export const exportRun = defineCommand<{ out?: string; by: string }>({
  name: "export",
  summary: "write a run and all that belongs to it as lines of JSON",
  description:
    "Writes a run, the runs that it has started and all that belongs to them as lines of JSON, to stdout or to a file that only you can read. What runs call secret reads [redacted].",
  args: [runArgument()],
  options: [new Option("-o, --out <file>", "there whole, or not at all"), byOption()],
  examples: [
    ["sentient runs export r-1f9c -o run.jsonl", "to a file"],
    ["sentient runs export r-1f9c | gzip > run.jsonl.gz", "to a pipe"],
  ],
  run: async ([id], { by, ...flags }) => {
    await using opened = await openSentient(flags);
    const { state } = opened.sentient;
    if (flags.out !== undefined) {
      await state.exportToFile(id!, flags.out, { by });
      return { json: { run: id, file: flags.out }, lines: [`${id} is in ${flags.out}`] };
    }
    for await (const line of state.export(id!, { by })) out(line);
    return undefined;
  },
});

export const importRuns = defineCommand({
  name: "import",
  summary: "bring exported runs into this database",
  description:
    "Brings the runs of an export into this database. Everything is checked before anything is written. A run that was not over is parked, and goes on once it is resumed.",
  args: [new Argument("<file>", "what export wrote; - for stdin")],
  examples: [["sentient runs import run.jsonl --url rocksdb://./copy", "into another database"]],
  run: async ([file], flags) => {
    await using opened = await openSentient(flags, { mayMake: true });
    const { state } = opened.sentient;
    const result =
      file === "-"
        ? await state.import(createInterface({ input: process.stdin, crlfDelay: Infinity }))
        : await state.importFromFile(file!);
    if (result.existed.length > 0 && !flags.json) note(`${result.existed.length} of them were there already`);
    return { json: result, lines: result.imported };
  },
});
