import { defineAgent, defineWorkflow } from "@sentient/agent-core";
import { z } from "zod";

export const hello = defineAgent({
  name: "hello",
  capabilities: ["greet"],
  description: "greets",
  input: z.object({ to: z.string() }),
  output: z.string(),
  run: async (ctx, { to }) => ctx.step("greet", async () => `hello ${to}`),
});

/** Counts, tells and streams, and waits for a word between. */
export const counter = defineAgent({
  name: "counter",
  input: z.object({ to: z.int() }),
  state: z.object({ at: z.int().default(0) }),
  run: async (ctx, { to }) => {
    for (let i = 1; i <= to; i++) {
      await ctx.step(`count-${i}`, (step) => {
        step.chunk(`${i} `);
        return i;
      });
      ctx.state.at = i;
    }
    return to;
  },
});

export const careful = defineWorkflow({
  name: "careful",
  run: async (ctx) => {
    await ctx.checkpoint("before");
    const { value } = await ctx.ask("approve", { text: "may I?", schema: z.boolean(), assignee: "ada" });
    const paid = await ctx.waitFor("paid");
    return { value, paid };
  },
});

export const broken = defineAgent({
  name: "broken",
  retry: { attempts: 1 },
  run: async () => {
    throw new TypeError("it never works");
  },
});
