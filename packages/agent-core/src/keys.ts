// Keys. Owns: where in its run something stands, the same on every replay: `scope/name#n`.

import { StepKey, type StepKey as Key } from "@sentient/schema";
import { AgentError } from "./errors.ts";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;

/** The scope of a handler. */
export const MAIN = "main";
/** The scope of what undoes. */
export const UNDO = "undo";

/** A branch of a run, in which the names that are said count from 1 on. */
export class Scope {
  readonly path: string;
  readonly #counts = new Map<string, number>();
  #taken = 0;

  constructor(path: string) {
    this.path = path;
  }

  /** How many keys it has given. */
  get taken(): number {
    return this.#taken;
  }

  /** @throws `agent.bad_option` for a name that cannot be one, or where branches stand in branches too deep */
  next(name: string): Key {
    if (typeof name !== "string" || !NAME.test(name)) throw badNameError(name);
    const n = (this.#counts.get(name) ?? 0) + 1;
    this.#counts.set(name, n);
    this.#taken++;
    const key = StepKey.safeParse(`${this.path}/${name}#${n}`);
    if (!key.success) throw tooDeepError(this.path);
    return key.data;
  }
}

/** The scope of a branch of what stands at `key`. */
export function branchOf(key: string, branch: string | number): Scope {
  if (typeof branch === "string" && !NAME.test(branch)) throw badNameError(branch);
  return new Scope(`${key}.${branch}`);
}

/** Whether a key stands in a branch of what stands at `of`. */
export function isWithin(key: string, of: string): boolean {
  return key.startsWith(`${of}.`);
}

export function isUndo(key: string): boolean {
  return key.startsWith(`${UNDO}/`);
}

// No step has a name that begins with a dash: these are never those of a step.

/** Remembers that a scope has told so much of itself. */
export function toldKey(path: string, n: number): Key {
  return `${path}/-told#${n}` as Key;
}

export function toldOf(key: string): { path: string; n: number } {
  const [, path, n] = /^(.*)\/-told#(\d+)$/.exec(key)!;
  return { path: path!, n: Number(n) };
}

export function isToldKey(key: string): boolean {
  return key.includes("/-told#");
}

/** What a scope streams after so many of its keys. */
export function chunksKey({ path, taken }: Scope): Key {
  return `${path}/-chunks#${taken + 1}` as Key;
}

function badNameError(name: unknown): AgentError {
  return new AgentError({
    code: "agent.bad_option",
    message: `${JSON.stringify(name)} cannot be the name of a step: letters, digits and . _ : - only, beginning with a letter or digit, at most 128`,
  });
}

function tooDeepError(path: string): AgentError {
  return new AgentError({
    code: "agent.bad_option",
    message: `branches stand too deep in branches at ${path}: a key has at most 512 characters`,
  });
}
