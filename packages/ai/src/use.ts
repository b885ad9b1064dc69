// A use of a tool: what is done with which arguments, and what is told where it is not.

import type { Context, StepContext } from "@sentient/agent-core";
import type { Json } from "@sentient/schema";
import { boundedJson } from "./bounded.ts";
import { AiError } from "./errors.ts";
import type { RawToolOptions } from "./tool.ts";

/** A use of a tool that is about to be made. */
export interface Use {
  ctx: Context;
  options: RawToolOptions & { maxOutput: number };
  args: Json;
  /** Of the tool, its arguments, the run and this use of it: what a person approves is this and nothing else. */
  binding: string;
  /** For who is called: the same however often it is tried. */
  idempotencyKey: string;
}

/** What it gives, no larger than it may be. */
export async function runBounded({ options, args }: Use, step: StepContext): Promise<Json> {
  const { name, run, maxOutput } = options;
  return boundedJson(await run(args, step), maxOutput, `the tool ${name}`);
}

/** Tells of it in the log. @returns what the model hears */
export async function refused(ctx: Context, tool: string, why: string, args: Json): Promise<AiError> {
  await ctx.emit("tool.refused", { tool, why: why.slice(0, 1_024), args: excerpt(args) });
  return new AiError({ code: "ai.refused", message: `${tool} was not used: ${why}` });
}

/** Enough to see what it was. */
export function excerpt(args: Json): string {
  return JSON.stringify(args).slice(0, 1_024);
}
