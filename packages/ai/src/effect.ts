// Effects. Owns: doing something once that changes the world, and what is known of it.
// F1. Three things are told, in this order: what is about to be done, and what came of it: `done`, `failed`, or `unknown`.
// F2. Unknown is what was cut off: by a crash, by its time, or by its own word. It is looked into before anything else happens.
// F3. What has come back was done, whatever it brings along: what cannot be kept of that is told, and is no failure.

import type { Json } from "@sentient/schema";
import { z } from "zod";
import { AiError } from "./errors.ts";
import type { Verified } from "./tool.ts";
import { beginningOf, excerpt, givenBy, MOST_TOLD, type Use } from "./use.ts";

/** How often it is done anew where it was found not to have been done. */
const MOST_ROUNDS = 5;
const UNKNOWN = ["agent.outcome_unknown", "agent.step_timeout", "ai.outcome_unknown"];

/** Does it once. @throws what it fails with; `ai.outcome_unknown` once it was cut off too often */
export async function performOnce(use: Use): Promise<Json> {
  const { ctx, options, args, binding, idempotencyKey } = use;
  const { name, effect, timeout } = options;
  await ctx.emit("tool.intent", { tool: name, effect, binding, args: excerpt(args) });
  for (let round = 1; round <= MOST_ROUNDS; round++) {
    try {
      return await ctx.step(
        name,
        async (step) => {
          const { output, problem } = givenBy(use, await options.run(args, step)); // F3
          const why = problem === undefined ? {} : { why: beginningOf(problem, MOST_TOLD) };
          step.emit("tool.outcome", { tool: name, binding, outcome: "done", ...why });
          return output;
        },
        { once: true, idempotencyKey, ...(timeout === undefined ? {} : { timeout }) },
      );
    } catch (error) {
      if (ctx.signal.aborted) throw error;
      if (!isUnknown(error)) {
        await tell(use, "failed", (error as Error).message);
        throw error;
      }
      await tell(use, "unknown", (error as Error).message);
      const found = await foundOut(use);
      if (found.done) {
        await tell(use, "done", "as was found out");
        return found.output;
      }
    }
  }
  throw new AiError({
    code: "ai.outcome_unknown",
    message: `${name} was cut off ${MOST_ROUNDS} times, and was not done; look at what it calls`,
    retryable: false,
  });
}

function isUnknown(error: unknown): boolean {
  return UNKNOWN.includes((error as { code?: string }).code ?? "");
}

function tell({ ctx, options, binding }: Use, outcome: string, why: string): Promise<void> {
  return ctx.emit("tool.outcome", { tool: options.name, binding, outcome, why: beginningOf(why, MOST_TOLD) });
}

/** F2. Where the tool cannot find out, a person says. */
async function foundOut(use: Use): Promise<Verified<Json>> {
  const { ctx, options } = use;
  if (!options.verify) return saidByPerson(use);
  try {
    return await verified(use);
  } catch (error) {
    if (ctx.signal.aborted) throw error;
    return saidByPerson(use, ` It could not find out itself: ${(error as Error).message}.`);
  }
}

/** E2. */
function verified(use: Use): Promise<Verified<Json>> {
  const { ctx, options, args, idempotencyKey } = use;
  const { name, verify, timeout } = options;
  return ctx.step(
    `${name}:verify`,
    async ({ signal }): Promise<Verified<Json>> => {
      const found = await verify!(args, { signal, idempotencyKey });
      if (typeof (found as { done?: unknown } | undefined)?.done !== "boolean") throw badVerifyError(name);
      return found.done ? { done: true, output: givenBy(use, found.output).output } : { done: false };
    },
    timeout === undefined ? {} : { timeout },
  );
}

function badVerifyError(name: string): AiError {
  return new AiError({
    code: "ai.bad_option",
    message: `the tool ${name}: \`verify\` answers { done: true, output } or { done: false }, and gave neither; mend it`,
    retryable: false,
  });
}

/** Of the arguments and of what went wrong, in characters: a question has 16,384 at most. */
const MOST_ARGUMENTS = 14_000;
const MOST_WHY = 1_024;

/** E2. */
async function saidByPerson({ ctx, options, args, binding }: Use, why = ""): Promise<Verified<Json>> {
  const { name } = options;
  const shown = beginningOf(JSON.stringify(args), MOST_ARGUMENTS);
  const { value } = await ctx.ask(`outcome:${name}`, {
    text: `${name} with ${shown} was begun and cut off (${binding.slice(0, 16)}).${beginningOf(why, MOST_WHY)} Was it done? Say { "done": true, "output": … }, or { "done": false } to have it done.`,
    schema: z.discriminatedUnion("done", [
      z.object({ done: z.literal(true), output: z.json().default(null) }),
      z.object({ done: z.literal(false) }),
    ]),
  });
  return value;
}
