// What a chaos run prints at its end.

import type { Event } from "@sentient/schema";
import type { Seen } from "./check-runs.ts";
import { dataOf, LETS_GO } from "./check-log.ts";
import type { Finding, Wrong } from "./findings.ts";
import { FAULTS } from "./plan.ts";
import { SLOW, type Struck } from "./strike.ts";
import type { Note } from "./work.ts";

const SHOWN = 25;
const WRONGS: readonly Wrong[] = ["lost", "doubled", "reordered", "stuck"];

export interface Outcome {
  events: readonly Event[];
  seen: readonly Seen[];
  effects: readonly Note[];
  struck: readonly Struck[];
  findings: readonly Finding[];
  /** Of processes that ended by themselves, and of calls that failed for good. */
  problems: readonly string[];
  said: ReadonlyMap<string, number>;
}

const tally = (names: readonly string[]): Map<string, number> =>
  new Map([...Map.groupBy(names, (name) => name)].map(([name, all]) => [name, all.length]));

/** Leases that nobody has given back. */
function takenOver(events: readonly Event[]): number {
  const held = new Set<string>();
  let count = 0;
  for (const event of events) {
    const run = event.run!;
    const isExpired = event.type === "run.released" && dataOf(event).reason === "lease_expired";
    if (isExpired || (event.type === "run.started" && held.has(run))) count++;
    if (event.type === "run.started") held.add(run);
    else if (LETS_GO.test(event.type)) held.delete(run);
  }
  return count;
}

/** Names and numbers, in lines. */
function rowsOf(
  counts: ReadonlyMap<string, number>,
  order: readonly string[] = [...counts.keys()].toSorted(),
): string[] {
  const width = Math.max(0, ...order.map((name) => name.length));
  return order.map((name) => `  ${name.padEnd(width)}  ${String(counts.get(name) ?? 0).padStart(6)}`);
}

export function table({ events, seen, effects, struck, findings, problems, said }: Outcome): string {
  const types = tally(events.map(({ type }) => type));
  const doings = tally(effects.map(({ run, key, attempt }) => `${run} ${key} ${attempt}`));
  const again = [...doings.values()].reduce((sum, count) => sum + count - 1, 0);
  const story = new Map([
    ["events", events.length],
    ["claims", types.get("run.started") ?? 0],
    ["leases that ran out", takenOver(events)],
    ["steps done", effects.length],
    ["of them again", again],
  ]);
  return [
    `faults (${struck.length})`,
    ...rowsOf(tally(struck.map(({ fault }) => fault)), [...FAULTS, SLOW]),
    `runs by end (${seen.length})`,
    ...rowsOf(tally(seen.map(({ run }) => `${run.name} ${run.status}`))),
    "on the way",
    ...rowsOf(story, [...story.keys()]),
    ...(said.size > 0 ? ["told by workers", ...rowsOf(said)] : []),
    ...listed(
      "what must not be",
      findings.map(({ wrong, text }) => `${wrong}: ${text}`),
    ),
    ...listed("what went wrong besides", problems),
    WRONGS.map((wrong) => `${wrong} ${findings.filter((finding) => finding.wrong === wrong).length}`).join(
      ", ",
    ),
  ].join("\n");
}

function listed(title: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [];
  const more = lines.length > SHOWN ? [`  … and ${lines.length - SHOWN} more`] : [];
  return [`${title} (${lines.length})`, ...lines.slice(0, SHOWN).map((line) => `  ${line}`), ...more];
}
