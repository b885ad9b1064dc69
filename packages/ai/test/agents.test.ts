// Agents that have others do something, or hand over to them.

import { converse, defineAgent } from "@sentient/agent-core";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { agentTool, capabilityTool, handoffTool } from "../src/index.ts";
import { scripted } from "../src/testing/index.ts";
import { agentOf, once, testSentient, toolEvents } from "./support/assistants.ts";

const search = defineAgent({
  name: "search.files",
  description: "Searches files.",
  capabilities: ["search"],
  input: z.object({ words: z.string() }),
  run: (ctx, { words }) => ctx.step("search", () => `3 files with ${words}`),
});

describe("an agent as a tool", () => {
  test("is a run of its own, of which the model hears what it gives", async () => {
    const { agent, model } = agentOf([agentTool(search)], once("search_files", { words: "tea" }));
    const sentient = await testSentient({ agents: [agent, search] });
    const handle = await sentient.start(agent);
    expect(await handle.result()).toMatchObject({ output: 'it gave "3 files with tea"' });
    expect(model.asked[0]!.tools).toMatchObject([
      { description: "Searches files.", input: { required: ["words"] } },
    ]);
    const { runs } = await sentient.list({ parent: handle.id });
    expect(runs).toMatchObject([{ name: "search.files", status: "completed" }]);
  });

  test("hears what was said before, where it is told to", async () => {
    const heard = defineAgent({
      name: "summarise",
      input: z.object({ task: z.string(), said: z.number() }),
      run: (_, { task, said }) => Promise.resolve(`${task} after ${said}`),
    });
    const tool = agentTool(heard, {
      description: "Summarises.",
      input: (args, messages) => ({ task: (args as { task: string }).task, said: messages.length }),
    });
    const { agent } = agentOf([tool], once("summarise", { task: "short" }));
    const sentient = await testSentient({ agents: [agent, heard] });
    expect(await sentient.execute(agent)).toMatchObject({ output: 'it gave "short after 2"' });
  });

  test("is refused without a description or an input schema", () => {
    const bare = defineAgent({ name: "bare", run: () => Promise.resolve(1) });
    expect(() => agentTool(bare)).toThrow(/no description/);
    expect(() => agentTool(bare, { description: "bare" })).toThrow(/no input schema/);
  });

  test("whose arguments do not fit is not started, and the model hears why", async () => {
    const { agent } = agentOf([agentTool(search)], once("search_files", { word: "tea" }));
    const sentient = await testSentient({ agents: [agent, search] });
    const handle = await sentient.start(agent);
    expect(await handle.result()).toMatchObject({ output: expect.stringMatching(/words/) });
    expect(await toolEvents(sentient, handle.id)).toMatchObject([["tool.refused", { tool: "search_files" }]]);
    expect((await sentient.list({ name: "search.files" })).runs).toEqual([]);
  });
});

test("whoever can do it does it, where the model asks for what must be done rather than for whom", async () => {
  const tool = capabilityTool({
    name: "find",
    description: "Finds.",
    capabilities: ["search"],
    input: z.object({ words: z.string() }),
  });
  const { agent } = agentOf([tool], once("find", { words: "tea" }));
  const sentient = await testSentient({ agents: [agent, search] });
  expect(await sentient.execute(agent)).toMatchObject({ output: 'it gave "3 files with tea"' });
});

test("a conversation that is handed over ends, and the answer is the other's, who knows what was said", async () => {
  const other = scripted(({ messages }) => `I read ${messages.length} messages`);
  const billing = defineAgent({
    name: "billing",
    description: "Knows of bills.",
    input: z.object({ messages: z.array(z.any()) }),
    run: async (ctx, { messages }) => (await converse(ctx, { model: other, messages })).text,
  });
  const tool = handoffTool(billing, { input: (_, messages) => ({ messages: messages.slice(0, -1) }) });
  const { agent, model } = agentOf([tool], once("transfer_to_billing", { task: "the bill" }));
  const sentient = await testSentient({ agents: [agent, billing] });
  const handle = await sentient.start(agent);
  expect(await handle.result()).toMatchObject({ output: "I read 1 messages", end: "tool", turns: 1 });
  expect(model.asked).toHaveLength(1);
  const { events } = await sentient.events.history({ run: handle.id, types: ["agent.handoff"] });
  expect(events).toMatchObject([{ data: { to: "billing" } }]);
});
