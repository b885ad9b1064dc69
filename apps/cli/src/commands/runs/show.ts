import type { Run, Step } from "@sentient/state";
import { Option } from "commander";
import { defineCommand } from "../../command.ts";
import { openSentient } from "../../open.ts";
import { limitOption, runArgument } from "../../options.ts";
import { colour, printable } from "../../print.ts";
import { ago, cut, eventLine, facts, stepsTable, statusText } from "../../show.ts";

interface Flags {
  limit: number;
  full?: true;
}

export const showRun = defineCommand<Flags>({
  name: "show",
  summary: "show a run: where it is, what it has done, what happened last",
  description: "Shows a run: where it is and why, its steps, and the last of its events.",
  args: [runArgument()],
  options: [limitOption("events", 8), new Option("--full", "its input and its output, whatever their size")],
  examples: [
    ["sentient runs show r-1f9c", "all of it"],
    ["sentient runs show r-1f9c --json | jq .run.status", "one word"],
  ],
  run: async ([id], flags) => {
    await using opened = await openSentient(flags);
    const { sentient } = opened;
    const run = await sentient.get(id!);
    const [why, journal, { events }] = await Promise.all([
      sentient.explain(id!),
      stepsOf(() => sentient.state.journal(id!)),
      sentient.history(id!, { order: "desc", limit: Math.max(1, flags.limit) }),
    ]);
    const steps = [...journal.values()].toSorted((a, b) => a.n - b.n);
    return {
      json: { run, why, steps, events },
      lines: [
        ...facts([
          ...factsOf(run, flags.full === true),
          ["why", why.map(({ message }) => printable(message)).join("; ")],
        ]),
        ...(steps.length > 0 ? ["", ...stepsTable(steps)] : []),
        "",
        colour("dim", "the last of its events, the latest first"),
        ...events.map(eventLine),
      ],
    };
  },
});

/** Of a run whose details were removed nothing is left of them. */
function stepsOf(read: () => Promise<ReadonlyMap<string, Step>>): Promise<ReadonlyMap<string, Step>> {
  return read().catch((error: unknown) => {
    if ((error as { code?: unknown }).code === "state.details_removed") return new Map<string, Step>();
    throw error;
  });
}

function causesOf(run: Run) {
  return (run.status === "failed" ? run.error.causes : undefined) ?? [];
}

/** Who has stopped it. */
function byOf(run: Run): string | undefined {
  const by =
    run.status === "paused" ? run.pausedBy : run.status === "cancelled" ? run.cancelledBy : undefined;
  return by && printable(by);
}

function factsOf(run: Run, isFull: boolean): [string, string | undefined][] {
  const shown = (value: unknown) => cut(JSON.stringify(value) ?? "null", isFull ? Infinity : 160);
  return [
    ["run", run.id],
    ["of", printable(`${run.kind} ${run.name}, version ${run.version}, in the queue ${run.queue}`)],
    ["status", statusText(run.status)],
    ["started", `${run.createdAt.toISOString()}, ${ago(run.createdAt)}`],
    ["by", byOf(run)],
    ["because", "reason" in run && run.reason !== undefined ? printable(run.reason) : undefined],
    ["ended", "endedAt" in run ? run.endedAt.toISOString() : undefined],
    ["parent", run.parent],
    ["fork of", run.forkOf && `${run.forkOf.run}, at its event ${run.forkOf.n}`],
    ["tags", run.tags.length > 0 ? run.tags.map(printable).join(" ") : undefined],
    ["input", shown(run.input)],
    ["output", run.status === "completed" ? shown(run.output) : undefined],
    ["error", run.status === "failed" ? printable(run.error.message) : undefined],
    ...causesOf(run).map(({ name, message }): [string, string] => [
      "caused by",
      printable(`${name}: ${message}`),
    ]),
  ];
}
