// What is asked of a run from outside. Each is on disk when the command ends, and reaches the run within two seconds.

import type { ControlOptions, Run } from "@sentient/state";
import type { Sentient } from "@sentient/agent-core";
import { Option, type Command } from "commander";
import { defineCommand, type Answer } from "../../command.ts";
import { openSentient } from "../../open.ts";
import { byOption, defined, runArgument } from "../../options.ts";
import { statusText } from "../../show.ts";

interface Flags {
  by: string;
  reason?: string;
  force?: true;
}

interface Asking {
  name: string;
  summary: string;
  description: string;
  options?: Option[];
  ask: (sentient: Sentient, run: string, options: ControlOptions & { force?: boolean }) => Promise<Run>;
}

function controlCommand({ name, summary, description, options = [], ask }: Asking): Command {
  return defineCommand<Flags>({
    name,
    summary,
    description,
    args: [runArgument()],
    options: [byOption(), new Option("--reason <text>", "why, for who looks at it later"), ...options],
    examples: [[`sentient runs ${name} r-1f9c --reason "the order was wrong"`, summary]],
    run: async ([id], flags): Promise<Answer> => {
      await using opened = await openSentient(flags);
      const { by, reason, force } = flags;
      const run = await ask(opened.sentient, id!, { by, ...defined({ reason, force }) });
      const asked = run.asked && run.status === "running" ? ", and is asked to" : "";
      return { json: run, lines: [`${run.id} is ${statusText(run.status)}${asked}`] };
    },
  });
}

export const cancelRun = controlCommand({
  name: "cancel",
  summary: "cancel a run and all that it has started",
  description:
    "Cancels a run and all that it has started. One that a worker holds is asked to, and has a few seconds to undo what it has done.",
  options: [new Option("--force", "at once: nothing of it happens any more, nothing is undone")],
  ask: (sentient, run, options) => sentient.cancel(run, options),
});

export const pauseRun = controlCommand({
  name: "pause",
  summary: "pause a run before its next step",
  description: "Pauses a run before its next step, until it is resumed. No worker is held meanwhile.",
  ask: (sentient, run, options) => sentient.pause(run, options),
});

export const resumeRun = controlCommand({
  name: "resume",
  summary: "have a run go on that was paused or parked",
  description: "Has a run go on that was paused, or that could not go on without help.",
  ask: (sentient, run, options) => sentient.resume(run, options),
});
