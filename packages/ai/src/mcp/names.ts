// Names. Owns: what a model may call the tools of a server.

import { createHash } from "node:crypto";
import { AiError } from "../errors.ts";

const LONGEST = 64;
const HASH_LENGTH = 8;

/** Letters, digits, `_` and `-`, at most 64: what is too long ends in a hash of all of it. */
export function toolName(name: string, prefix = ""): string {
  const mapped = `${prefix}${name}`.replaceAll(/[^a-zA-Z0-9_-]/g, "_");
  if (mapped.length <= LONGEST) return mapped;
  const hash = createHash("sha256").update(name).digest("hex").slice(0, HASH_LENGTH);
  return `${mapped.slice(0, LONGEST - HASH_LENGTH - 1)}_${hash}`;
}

/** @throws `ai.tool_name_clash` naming both */
export function requireUnique(names: readonly { theirs: string; ours: string }[]): void {
  const before = new Map<string, string>();
  for (const { theirs, ours } of names) {
    const other = before.get(ours);
    if (other !== undefined)
      throw new AiError({
        code: "ai.tool_name_clash",
        message: `the tools ${other} and ${theirs} would both be called ${ours}: leave one out with only`,
        details: { name: ours, tools: [other, theirs] },
      });
    before.set(ours, theirs);
  }
}
