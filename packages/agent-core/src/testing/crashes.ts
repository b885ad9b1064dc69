// Crashes. Owns: at which commit a process is to die, and which commits there were.
// A commit is named by what it remembers: the name or the key of a step, `run.completed` and its like for how a run is let go of.

import type { Change } from "@sentient/state";

/** Where a process died. */
export interface Crash {
  /** Which commit it was, as they are counted from the call of `crashAt`: 1 for the first. */
  n: number;
  /** What it was to remember. */
  commit: string;
  /** `before` it was on disk, or right after. */
  when: "before" | "after";
}

export interface CrashOptions {
  /** `before` if left out: what was done is done, and nobody remembers it. `after`: it is remembered, and nobody was told. */
  when?: Crash["when"];
}

interface Planned {
  at: number | string;
  when: Crash["when"];
  seen: number;
}

export class Crashes {
  /** Those that came about. */
  readonly all: Crash[] = [];
  /** What was committed, or was to be. */
  readonly commits: string[] = [];
  #planned: Planned | undefined;

  plan(at: number | string, { when = "before" }: CrashOptions = {}): void {
    this.#planned = { at, when, seen: 0 };
  }

  /** To be asked before each commit. @returns the crash, if this is where it is to be */
  next(change: Change): Crash | undefined {
    const names = namesOf(change);
    const commit = names[0] ?? "told";
    this.commits.push(commit);
    const planned = this.#planned;
    if (!planned) return undefined;
    const { at, when } = planned;
    const n = ++planned.seen;
    if (typeof at === "number" ? n !== at : !names.includes(at)) return undefined;
    this.#planned = undefined;
    const crash = { n, commit, when };
    this.all.push(crash);
    return crash;
  }
}

const ENDS = {
  wait: "run.waiting",
  complete: "run.completed",
  fail: "run.failed",
  cancel: "run.cancelled",
  pause: "run.paused",
  park: "run.parked",
  release: "run.released",
} as const;

/** The fullest first. That something was begun is no news. */
function namesOf({ steps = [], asks = [], end }: Change): string[] {
  const told = steps.filter(({ status }) => status !== "started");
  const keys = [...told, ...asks].map(({ key }): string => key);
  const ends = Object.keys(end ?? {}).map((how) => ENDS[how as keyof typeof ENDS]);
  return [...keys, ...ends, ...keys.map(nameIn)];
}

/** `charge` of `main/charge#1`. */
export function nameIn(key: string): string {
  return /([^/]+)#\d+$/.exec(key)?.[1] ?? key;
}
