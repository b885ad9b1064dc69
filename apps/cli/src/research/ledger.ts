// Ledger. Owns: what steps really did, told outside the database: on disk before a step begins, and again once it is done.
// What was done twice is counted from here, and from nothing that the runtime says of itself.

import { appendFileSync, closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname } from "node:path";

interface Entry {
  what: "began" | "done";
  /** Of the run and its step: the same at every attempt. */
  step: string;
  pid: number;
  at: number;
}

export class Ledger {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
    mkdirSync(dirname(path), { recursive: true });
  }

  note(what: Entry["what"], step: string): void {
    const file = openSync(this.path, "a", 0o600);
    try {
      appendFileSync(file, `${JSON.stringify({ what, step, pid: process.pid, at: Date.now() })}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  }

  /** What is there whole; a process may have been killed in the middle of a line. */
  entries(): Entry[] {
    if (!existsSync(this.path)) return [];
    return readFileSync(this.path, "utf8")
      .split("\n")
      .flatMap((line) => {
        try {
          return [JSON.parse(line) as Entry];
        } catch {
          return [];
        }
      });
  }
}

export interface Counted {
  /** Steps that were begun at all. */
  steps: number;
  /** Begun, cut off before they were remembered, and begun again. */
  again: number;
  /** Remembered, and begun again after that. */
  twice: string[];
}

/** @param remembered when each step was remembered, by the clock of the database on this machine */
export function count(entries: readonly Entry[], remembered: ReadonlyMap<string, number>): Counted {
  const begun = new Map<string, number[]>();
  for (const { what, step, at } of entries)
    if (what === "began") begun.set(step, [...(begun.get(step) ?? []), at]);
  const twice = [...begun]
    .filter(([step, times]) => times.some((at) => at > (remembered.get(step) ?? Infinity)))
    .map(([step]) => step);
  const again = [...begun.values()].filter((times) => times.length > 1).length - twice.length;
  return { steps: begun.size, again, twice };
}
