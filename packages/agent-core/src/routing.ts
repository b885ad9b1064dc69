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

/** What hands tasks to whoever can do them. */
export const ROUTE = "sentient.route";

/** Whom to call for it, with what, and how that step is named. */
export function calledFor(what: Definition | string | ByCapability, input: unknown) {
  if (typeof what === "string") return { what, input, name: what };
  if (what.run) return { what, input, name: what.name };
  const { capabilities } = what;
  return {
    what: ROUTE,
    input: { capabilities: [...capabilities], input: input ?? null },
    name: capabilities[0] ?? ROUTE,
  };
}

export function routing(state: State): Definition {
  return defineWorkflow({
    name: ROUTE,
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
  const running = await ableOf(state, capabilities);
  const least = Math.min(...running.values());
  const idle = [...running.keys()].filter((name) => running.get(name) === least);
  const chosen = idle[Math.floor(Math.random() * idle.length)];
  if (chosen !== undefined) return chosen;
  throw new NonRetryable(
    `no agent that is registered and not paused can do all of: ${capabilities.join(", ")}. Start a worker with one that can, or resume it`,
  );
}

/** Who can do all of it, and how many runs they have, in all their versions. */
async function ableOf(state: State, capabilities: readonly string[]): Promise<Map<string, number>> {
  const [capability] = capabilities as [string];
  const running = new Map<string, number>();
  for (let after: string | undefined; ;) {
    const page = { capability, ...(after === undefined ? {} : { after }) };
    const { agents, next } = await state.agents.list(page);
    for (const { name, status, running: runs, ...agent } of agents)
      if (
        status !== "paused" &&
        capabilities.every((each) => (agent.capabilities as string[]).includes(each))
      )
        running.set(name, (running.get(name) ?? 0) + runs);
    if (next === undefined) return running;
    after = next;
  }
}
