// Agents that talk with a model over HTTP, in this process or another.

import { converse, defineAgent, type Definition, type Model } from "@sentient/agent-core";
import { z } from "zod";
import { defineTool } from "../../src/tool.ts";

const weather = defineTool({
  name: "weather",
  description: "The weather of a city.",
  effect: "read",
  input: z.object({ city: z.string() }),
  run: ({ city }) => ({ city, sky: "blue" }),
});

const Ask = z.object({ ask: z.string() });

const retry = { attempts: 4, delay: 20 };

/** Says what its model says, which may look at the weather. */
export const talkOf = (model: Model) =>
  defineAgent({
    name: "talk",
    input: Ask,
    output: z.string(),
    retry,
    run: async (ctx, { ask }) => (await converse(ctx, { model, prompt: ask, tools: [weather] })).text,
  });

/** The same, by two at once. */
export const chorusOf = (model: Model) =>
  defineAgent({
    name: "chorus",
    input: Ask,
    output: z.array(z.string()),
    retry,
    run: (ctx, { ask }) =>
      ctx.map(["alto", "bass"], async (branch, voice) => {
        const { text } = await converse(branch, { model, prompt: `${voice}: ${ask}` });
        return text;
      }),
  });

/** Whose turns may take so long. */
export const hurriedOf = (model: Model, timeout: number) =>
  defineAgent({
    name: "hurried",
    input: Ask,
    output: z.string(),
    retry: { attempts: 50, delay: 20, factor: 1 },
    run: async (ctx, { ask }) => (await converse(ctx, { model, prompt: ask, timeout })).text,
  });

export const talkersOf = (model: Model): Definition[] => [talkOf(model), chorusOf(model)];
