// A use of a tool: what is done with which arguments, and what is told where it is not.

import type { Context, StepContext } from "@sentient/agent-core";
import type { Json } from "@sentient/schema";
import { boundedJson, givenByDone, type Given } from "./bounded.ts";
import { AiError } from "./errors.ts";
import type { RawToolOptions } from "./tool.ts";

export type Fits = (gave: unknown) => unknown;

/** A use of a tool that is about to be made. */
export interface Use {
  ctx: Context;
  options: RawToolOptions & { maxOutput: number };
  args: Json;
  /** What it gives, as it is described. @throws what does not fit */
  fits: Fits;
  /** Of the tool, its arguments, the run and this use of it: what a person approves is this and nothing else. */
  binding: string;
  /** For who is called: the same however often it is tried. */
  idempotencyKey: string;
}

/** What it gives, no larger than it may be. @throws what does not fit, or is too large */
export async function runBounded({ options, args, fits }: Use, step: StepContext): Promise<Json> {
  const { name, run, maxOutput } = options;
  return boundedJson(fits(await run(args, step)), maxOutput, `the tool ${name}`);
}

/** The same of what was done, of which nothing is an error any more. */
export function givenBy({ options, fits }: Use, gave: unknown): Given {
  return givenByDone(() => fits(gave), options.maxOutput);
}

/** Tells of it in the log. @returns what the model hears */
export async function refused(ctx: Context, tool: string, why: string, args: Json): Promise<AiError> {
  await ctx.emit("tool.refused", { tool, why: beginningOf(why, MOST_TOLD), args: excerpt(args) });
  return new AiError({ code: "ai.refused", message: `${tool} was not used: ${why}` });
}

/** Of a text in an event, in characters. */
export const MOST_TOLD = 1_024;

/** Enough to see what it was. */
export function excerpt(args: Json): string {
  return beginningOf(JSON.stringify(args), MOST_TOLD);
}

/** So much of a text, and how much more there is. */
export function beginningOf(text: string, most: number): string {
  if (text.length <= most) return text.toWellFormed();
  const more = (text.length - most).toLocaleString("en-US");
  return `${text.slice(0, most).toWellFormed()}… and ${more} characters more`;
}
