import { defineCommand } from "../command.ts";
import { openSentient } from "../open.ts";
import { limitOption, runArgument } from "../options.ts";
import { note, printable, table } from "../print.ts";
import { cut } from "../show.ts";

export const checkpointsCommand = defineCommand<{ limit: number }>({
  name: "checkpoints",
  summary: "list the checkpoints of a run",
  description: "Lists the named points of a run, the latest first: restore and fork take them.",
  args: [runArgument()],
  options: [limitOption("checkpoints", 20)],
  examples: [["sentient checkpoints r-1f9c", "its named points"]],
  run: async ([id], flags) => {
    await using opened = await openSentient(flags);
    const page = await opened.sentient.checkpoints.list(id!, { limit: flags.limit });
    if (page.checkpoints.length === 0 && !flags.json) note("it has no checkpoint");
    const rows = page.checkpoints.map(({ name, n, createdAt, metadata }) => [
      printable(name),
      String(n),
      createdAt.toISOString(),
      metadata === undefined ? "" : cut(JSON.stringify(metadata)),
    ]);
    return { json: page, lines: rows.length === 0 ? [] : table(["CHECKPOINT", "N", "AT", "METADATA"], rows) };
  },
});
