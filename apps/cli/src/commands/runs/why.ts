import { defineCommand } from "../../command.ts";
import { openSentient } from "../../open.ts";
import { runArgument } from "../../options.ts";
import { colour, printable } from "../../print.ts";

export const whyRun = defineCommand({
  name: "why",
  summary: "say why a run is where it is, and what led to it",
  description:
    "Says why a run is where it is: what it waits for, who holds it, what keeps it from being claimed; and the chain of runs and events that led to it.",
  args: [runArgument()],
  examples: [["sentient runs why r-1f9c", "in words"]],
  run: async ([id], flags) => {
    await using opened = await openSentient(flags);
    const { sentient } = opened;
    const reasons = await sentient.explain(id!);
    const { events } = await sentient.history(id!, { order: "desc", limit: 1 });
    const [last] = events;
    const story = last && (await sentient.state.why(last.position));
    return {
      json: { run: id, reasons, ...(story ? { chain: story.chain } : {}) },
      lines: [
        ...reasons.map(({ code, message }) => `${printable(message)} ${colour("dim", `(${code})`)}`),
        ...(story
          ? ["", colour("dim", "what led to its last event"), ...story.text.split("\n").map(printableTree)]
          : []),
      ],
    };
  },
});

/** The spaces that show the depth stay. */
function printableTree(line: string): string {
  const [indent = ""] = /^ */.exec(line)!;
  return `${indent}${printable(line.slice(indent.length))}`;
}
