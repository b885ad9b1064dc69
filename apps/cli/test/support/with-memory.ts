// The module of a project whose agents have a memory and a budget, in the database of whoever runs them.

export const WITH_MEMORY = `import { converse, defineAgent, defineAgents } from "@sentient/agent-core";
import { createBudgets } from "@sentient/ai";
import { createMemory } from "@sentient/ai/memory";
import { scripted } from "@sentient/ai/testing";
import { z } from "zod";

export default defineAgents(async ({ database }) => {
  const memory = createMemory(database);
  await memory.migrate();
  const budgets = await createBudgets(database);
  return [
    defineAgent({
      name: "keep",
      input: z.string(),
      run: async (ctx, text) => typeof (await memory.remember(ctx, { text })),
    }),
    defineAgent({
      name: "recall",
      input: z.string(),
      run: async (ctx, query) => (await memory.recall(ctx, { query })).map(({ text }) => text),
    }),
    defineAgent({
      name: "thrifty",
      run: async (ctx) => {
        const meter = budgets.meter({ calls: 1 });
        return (await converse(ctx, { model: scripted(["Tea."]), prompt: "What then?", meter })).text;
      },
    }),
  ];
});
`;
