import type { Schedule } from "@sentient/state";
import { Argument, Option } from "commander";
import { defineCommand, defineGroup } from "../../command.ts";
import { openSentient } from "../../open.ts";
import { defined, jsonFrom, limitOption } from "../../options.ts";
import { note, printable, table } from "../../print.ts";

const scheduleArgument = () => new Argument("<schedule>", "its name");

function schedulesTable(schedules: readonly Schedule[]): string[] {
  const rows = schedules.map(({ id, name, cron, timeZone, nextAt, pausedAt, lastRun }) => [
    id,
    name,
    printable(cron),
    timeZone,
    pausedAt ? "paused" : (nextAt?.toISOString() ?? "never again"),
    lastRun ?? "",
  ]);
  return table(["SCHEDULE", "OF", "CRON", "ZONE", "NEXT", "LAST RUN"], rows);
}

const listSchedules = defineCommand<{ limit: number }>({
  name: "list",
  summary: "list what starts runs by the clock",
  description: "Lists what starts runs by the clock, and when it does so next.",
  options: [limitOption("schedules", 100)],
  examples: [["sentient schedules list", "all of them"]],
  run: async (_, flags) => {
    await using opened = await openSentient(flags);
    const page = await opened.sentient.schedules.list({ limit: flags.limit });
    if (page.schedules.length === 0 && !flags.json) note("nothing starts by the clock");
    return { json: page, lines: page.schedules.length === 0 ? [] : schedulesTable(page.schedules) };
  },
});

interface PutFlags {
  cron: string;
  input?: string;
  timeZone?: string;
  missed?: "skip" | "once" | "all";
}

const putSchedule = defineCommand<PutFlags>({
  name: "put",
  summary: "make a schedule, or change it",
  description:
    "Makes a schedule, or changes it: a run of an agent or a workflow at each time that the cron expression names.",
  args: [scheduleArgument(), new Argument("<name>", "of the agent or the workflow")],
  options: [
    new Option("--cron <expression>", "five parts, or six with seconds in front").makeOptionMandatory(),
    new Option("--input <json>", "of each run; @file or - for stdin"),
    new Option("--time-zone <zone>", "an IANA name (default: UTC)"),
    new Option(
      "--missed <how>",
      "what becomes of times while nobody was there: no run, one, or all (default: once)",
    ).choices(["skip", "once", "all"]),
  ],
  examples: [
    [
      `sentient schedules put nightly report --cron "0 3 * * *" --time-zone Europe/Berlin`,
      "at three each night",
    ],
  ],
  run: async ([id, name], flags) => {
    const { cron, input, timeZone, missed } = flags;
    const json = input === undefined ? null : await jsonFrom(input, "--input");
    await using opened = await openSentient(flags, { mayMake: true });
    const schedule = await opened.sentient.schedules.put(id!, name!, json, {
      cron,
      ...defined({ timeZone, missed }),
    });
    return { json: schedule, lines: schedulesTable([schedule]) };
  },
});

const changing = (name: "pause" | "resume", summary: string) =>
  defineCommand({
    name,
    summary,
    description: `${summary[0]!.toUpperCase()}${summary.slice(1)}.`,
    args: [scheduleArgument()],
    examples: [[`sentient schedules ${name} nightly`, summary]],
    run: async ([id], flags) => {
      await using opened = await openSentient(flags);
      const schedule = await opened.sentient.schedules[name](id!);
      return { json: schedule, lines: schedulesTable([schedule]) };
    },
  });

const removeSchedule = defineCommand({
  name: "remove",
  summary: "remove a schedule",
  description: "Removes a schedule. The runs that it has started go on.",
  args: [scheduleArgument()],
  examples: [["sentient schedules remove nightly", "no more of it"]],
  run: async ([id], flags) => {
    await using opened = await openSentient(flags);
    const removed = await opened.sentient.schedules.remove(id!);
    return {
      json: { schedule: id, removed },
      lines: [removed ? `${id} is removed` : `there was no schedule ${id}`],
    };
  },
});

export const schedulesCommand = defineGroup("schedules", "what starts runs by the clock", [
  listSchedules,
  putSchedule,
  changing("pause", "pause a schedule: it starts no runs until it is resumed"),
  changing("resume", "start runs again"),
  removeSchedule,
]);
