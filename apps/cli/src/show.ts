// How runs, events and steps are shown to people.

import type { Event } from "@sentient/schema";
import type { ListedRun, Run, Step } from "@sentient/state";
import { colour, duration, jsonText, printable, table } from "./print.ts";

const COLOURS: Record<Run["status"], Parameters<typeof colour>[0]> = {
  queued: "cyan",
  running: "blue",
  waiting: "yellow",
  paused: "magenta",
  parked: "red",
  completed: "green",
  failed: "red",
  cancelled: "dim",
};

export function statusText(status: Run["status"]): string {
  return colour(COLOURS[status], status);
}

/** How long ago. */
export function ago(at: Date): string {
  return `${duration(Math.max(0, Date.now() - at.getTime()))} ago`;
}

export function runsTable(runs: readonly ListedRun[]): string[] {
  const rows = runs.map((run) => [
    run.id,
    printable(run.name),
    run.status,
    ago(run.createdAt),
    run.tags.map(printable).join(" "),
  ]);
  return table(["RUN", "NAME", "STATUS", "STARTED", "TAGS"], rows);
}

export function eventLine({ position, at, type, run, data }: Event): string {
  const told = JSON.stringify(data);
  const short = told.length > 160 ? `${told.slice(0, 159)}…` : told;
  return [
    colour("dim", `#${position} ${at.toISOString()}`),
    printable(type),
    ...(run === undefined ? [] : [colour("dim", run)]),
    printable(short),
  ].join("  ");
}

export function stepsTable(steps: readonly Step[]): string[] {
  const rows = steps.map((step) => [
    String(step.n),
    printable(step.key),
    step.status,
    String(step.attempts),
    outcomeOf(step),
  ]);
  return table(["N", "STEP", "STATUS", "ATTEMPTS", "RESULT"], rows);
}

function outcomeOf(step: Step): string {
  if (step.status === "completed") return cut(JSON.stringify(step.result) ?? "");
  return "error" in step ? cut(step.error.message) : "";
}

export function cut(text: string, length = 80): string {
  const shown = printable(text);
  return shown.length > length ? `${shown.slice(0, length - 1)}…` : shown;
}

/** JSON for people: over several lines, with nothing in it that a terminal obeys. */
export function jsonLines(value: unknown): string[] {
  return jsonText(value).split("\n");
}

/** Names on the left, what is known of them on the right. */
export function facts(entries: readonly (readonly [name: string, value: string | undefined])[]): string[] {
  const known = entries.filter((entry): entry is readonly [string, string] => entry[1] !== undefined);
  const width = Math.max(...known.map(([name]) => name.length));
  return known.map(([name, value]) => `${colour("dim", name.padEnd(width))}  ${value}`);
}
