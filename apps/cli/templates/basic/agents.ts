import { defineAgent, defineWorkflow } from "@sentient/agent-core";
import { z } from "zod";

/** Each step is remembered: kill the process whenever you like, and it goes on behind the last one. */
export const hello = defineAgent({
  name: "hello",
  description: "greets somebody",
  input: z.object({ to: z.string() }),
  output: z.string(),
  run: async (ctx, { to }) => {
    const greeting = await ctx.step("greet", () => `Hello, ${to}!`);
    await ctx.sleep(500);
    return greeting;
  },
});

/** Several agents beside each other, and a person who has the last word. */
export const party = defineWorkflow({
  name: "party",
  description: "greets everybody, if somebody says so",
  input: z.object({ guests: z.array(z.string()).min(1) }),
  output: z.array(z.string()),
  run: async (ctx, { guests }) => {
    const answer = await ctx.ask("begin", { text: `Greet ${guests.length} guests?`, schema: z.boolean() });
    if (!answer.value) return [];
    return ctx.map(guests, (branch, to) => branch.call(hello, { to }));
  },
});
