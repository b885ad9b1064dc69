// Keys. Owns: where in its run something stands, the same on every replay: `scope/name#n`.

import { StepKey, type StepKey as Key } from "@sentient/schema";
import { AgentError } from "./errors.ts";

const NAME = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;

/** A branch of a run, in which the names that are said count from 1 on. */
export class Scope {
  readonly path: string;
  readonly #counts = new Map<string, number>();

  constructor(path = "main") {
    this.path = path;
  }

  /** @throws `agent.bad_option` for a name that cannot be one, or where branches stand in branches too deep */
  next(name: string): Key {
    if (typeof name !== "string" || !NAME.test(name)) throw badNameError(name);
    const n = (this.#counts.get(name) ?? 0) + 1;
    this.#counts.set(name, n);
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
