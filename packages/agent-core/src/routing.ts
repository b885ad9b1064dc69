// Routing. Owns: who does a task that asks for what somebody must be able to do, rather than for somebody.
// It is a workflow like any other: whom it has chosen is remembered, and so is what came of it.

import type { State } from "@sentient/state";
import { z } from "zod";
import { defineWorkflow, type Definition } from "./define.ts";
import { NonRetryable } from "./errors.ts";

/** Whoever can do all of this. */
export interface ByCapability {
  capabilities: readonly string[];
  /** A definition says who does it, and is not meant. */
  run?: never;
}

export function routing(state: State): Definition {
  return defineWorkflow({
    name: "route",
    description: "hands a task to an agent that can do it",
    input: z.object({ capabilities: z.array(z.string()).min(1), input: z.json() }),
    retry: { attempts: 1 },
    run: async (ctx, { capabilities, input }) => {
      const name = await ctx.step("choose", () => choose(state, capabilities));
      return ctx.call(name, input, { name: "do" });
    },
  });
}

/** Of those who do least at the moment, one by chance. */
async function choose(state: State, capabilities: readonly string[]): Promise<string> {
  const [first] = capabilities;
  const able: { name: string; running: number }[] = [];
  for (let after: string | undefined; ;) {
    const { agents, next } = await state.agents.list({
      capability: first!,
      ...(after === undefined ? {} : { after }),
    });
    const all = agents.filter((agent) =>
      capabilities.every((each) => (agent.capabilities as string[]).includes(each)),
    );
    able.push(...all.filter(({ status }) => status !== "paused"));
    if (next === undefined) break;
    after = next;
  }
  const least = Math.min(...able.map(({ running }) => running));
  const idle = able.filter(({ running }) => running === least);
  const chosen = idle[Math.floor(Math.random() * idle.length)];
  if (chosen) return chosen.name;
  throw new NonRetryable(
    `no agent that is registered and not paused can do all of: ${capabilities.join(", ")}. Start a worker with one that can, or resume it`,
  );
}
