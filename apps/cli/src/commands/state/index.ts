import type { DiffSide } from "@sentient/state";
import { Argument } from "commander";
import { usage } from "../../cli-error.ts";
import { defineCommand, defineGroup } from "../../command.ts";
import { openSentient } from "../../open.ts";
import { pointOf, pointOptions, runArgument, type PointFlags } from "../../options.ts";
import { colour, printable } from "../../print.ts";
import { cut, jsonLines } from "../../show.ts";

const showState = defineCommand<PointFlags>({
  name: "show",
  summary: "show the state of a run, now or at a point of its history",
  description: "Shows the state of a run as it is now, or as it was at a point of its history.",
  args: [runArgument()],
  options: pointOptions("as it was at"),
  examples: [
    ["sentient state show r-1f9c", "now"],
    ["sentient state show r-1f9c --checkpoint before-send", "as it was then"],
  ],
  run: async ([id], flags) => {
    await using opened = await openSentient(flags);
    const state = await opened.sentient.stateAt(id!, pointOf(flags));
    return { json: state, lines: jsonLines(state) };
  },
});

const diffState = defineCommand({
  name: "diff",
  summary: "how two runs differ, or two points of them",
  description:
    "Shows how two runs differ, or two points of them: their states and inputs as JSON Patch, and their steps.",
  args: [
    new Argument("<a>", "a run, with @n or @name of a checkpoint for a point of it"),
    new Argument("<b>", "the same"),
  ],
  examples: [
    ["sentient state diff r-1f9c r-2b07", "two runs"],
    ["sentient state diff r-1f9c@5 r-1f9c", "what came after its fifth event"],
  ],
  run: async ([a, b], flags) => {
    const sides = [sideOf(a!), sideOf(b!)] as const;
    await using opened = await openSentient(flags);
    const diff = await opened.sentient.state.diff(...sides);
    const { onlyA, onlyB, changed } = diff.steps;
    return {
      json: diff,
      lines: [
        colour("dim", "state"),
        ...patchLines(diff.state),
        colour("dim", "input"),
        ...patchLines(diff.input),
        colour("dim", "steps"),
        ...onlyA.map(({ key }) => `  - ${printable(key)}`),
        ...onlyB.map(({ key }) => `  + ${printable(key)}`),
        ...changed.map(({ key }) => `  ~ ${printable(key)}`),
      ],
    };
  },
});

function sideOf(text: string): DiffSide {
  const [run = "", point, more] = text.split("@");
  if (run === "" || point === "" || more !== undefined) throw usage(`${text} is no run and no run@point`);
  if (point === undefined) return run;
  return /^\d+$/.test(point) ? { run, n: Number(point) } : { run, checkpoint: point };
}

function patchLines(patch: unknown): string[] {
  const operations = Array.isArray(patch) ? patch : [patch];
  return operations.length === 0
    ? ["  the same"]
    : operations.map((each) => `  ${cut(JSON.stringify(each), 200)}`);
}

export const stateCommand = defineGroup("state", "what runs know", [showState, diffState]);
