// Effects. Owns: doing something once that changes the world, and what is known of it.
// F1. Three things are told, in this order: what is about to be done, and what came of it: `done`, `failed`, or `unknown`.
// F2. Unknown is what was cut off: by a crash, by its time, or by its own word. It is looked into before anything else happens.

import type { Json } from "@sentient/schema";
import { z } from "zod";
import { AiError } from "./errors.ts";
import type { Verified } from "./tool.ts";
import { excerpt, runBounded, type Use } from "./use.ts";

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
          const output = await runBounded(use, step);
          step.emit("tool.outcome", { tool: name, binding, outcome: "done" });
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
      const found = await (options.verify ? verified(use) : saidByPerson(use));
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
  return ctx.emit("tool.outcome", { tool: options.name, binding, outcome, why: why.slice(0, 1_024) });
}

/** E2. */
function verified({ ctx, options, args, idempotencyKey }: Use): Promise<Verified<Json>> {
  const { name, verify, timeout } = options;
  return ctx.step(
    `${name}:verify`,
    ({ signal }) => verify!(args, { signal, idempotencyKey }),
    timeout === undefined ? {} : { timeout },
  );
}

/** E2. */
async function saidByPerson({ ctx, options, args, binding }: Use): Promise<Verified<Json>> {
  const { name } = options;
  const { value } = await ctx.ask(`outcome:${name}`, {
    text: `${name} with ${excerpt(args)} was begun and cut off (${binding.slice(0, 16)}). Was it done? Say { "done": true, "output": … }, or { "done": false } to have it done.`,
    schema: z.discriminatedUnion("done", [
      z.object({ done: z.literal(true), output: z.json().default(null) }),
      z.object({ done: z.literal(false) }),
    ]),
  });
  return value;
}
