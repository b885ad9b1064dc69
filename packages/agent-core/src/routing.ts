// Routing. Owns: who does a task that asks for what somebody must be able to do, rather than for somebody.
// It is a workflow like any other: whom it has chosen is remembered, and so is what came of it.

import type { Agent, State } from "@sentient/state";
import { z } from "zod";
import { defineWorkflow, type Definition } from "./define.ts";
import { NonRetryable } from "./errors.ts";

/** Whoever can do all of this. */
export interface ByCapability {
  capabilities: readonly string[];
  /** A definition says who does it, and is not meant. */
  run?: never;
}

/** What who has no limit is taken to do at once: as much as a worker does. */
const UNLIMITED = 64;

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

/**
 * Of those who have least to do for what they may do at once, one by chance. Whom no worker serves that was heard of lately is
 * left out, unless that is so of all of them: then the task waits for the first worker that comes.
 */
async function choose(state: State, capabilities: readonly string[]): Promise<string> {
  const able = await ableOf(state, capabilities);
  const served = able.filter(({ workers }) => workers > 0);
  const loads = await loadsOf(state, served.length > 0 ? served : able);
  const least = Math.min(...loads.values());
  const free = [...loads.keys()].filter((name) => loads.get(name) === least);
  const chosen = free[Math.floor(Math.random() * free.length)];
  if (chosen !== undefined) return chosen;
  throw new NonRetryable(
    `no agent that is registered and not paused can do all of: ${capabilities.join(", ")}. Start a worker with one that can, or resume it`,
  );
}

/** Where a task waits for who chooses: beside those who can do it, as whoever serves them can choose too. */
export async function queueFor(state: State, { capabilities }: ByCapability): Promise<{ queue?: string }> {
  const able = capabilities.length > 0 ? await ableOf(state, capabilities) : [];
  const { queue } = able.find(({ workers }) => workers > 0) ?? able[0] ?? {};
  return queue === undefined ? {} : { queue };
}

/** Every version of those who can do all of it. */
async function ableOf(state: State, capabilities: readonly string[]): Promise<Agent[]> {
  const [capability] = capabilities as [string];
  const able: Agent[] = [];
  for (let after: string | undefined; ;) {
    const page = { capability, ...(after === undefined ? {} : { after }) };
    const { agents, next } = await state.agents.list(page);
    const isAble = ({ status, capabilities: own }: Agent) =>
      status !== "paused" && capabilities.every((each) => (own as string[]).includes(each));
    able.push(...agents.filter(isAble));
    if (next === undefined) return able;
    after = next;
  }
}

/** How much each would have to do with one more, in all its versions, for what it may do at once. */
async function loadsOf({ limits }: State, agents: readonly Agent[]): Promise<Map<string, number>> {
  const most = new Map((await limits.list()).map(({ key, concurrency }) => [key, concurrency]));
  const atOnce = (name: string) => most.get(`agent:${name}`) ?? UNLIMITED;
  const loads = new Map<string, number>();
  for (const { name, running, queued } of agents)
    loads.set(name, (loads.get(name) ?? 1 / atOnce(name)) + (running + queued) / atOnce(name));
  return loads;
}
