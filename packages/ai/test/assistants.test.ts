// Assistants: what was said before is known, and what they remember is theirs.

import { openDatabase, type Database } from "@sentient/db-pool";
import { createSentient } from "@sentient/agent-core";
import { expect, onTestFinished, test } from "vitest";
import { defineAssistant, memoryTools, type AssistantOptions } from "../src/index.ts";
import { createMemory } from "../src/memory/index.ts";
import { scripted, type Line } from "../src/testing/index.ts";

async function setting(
  lines: Parameters<typeof scripted>[0],
  more: (db: Database) => Partial<AssistantOptions> = () => ({}),
) {
  const database = await openDatabase({ url: "mem://" });
  onTestFinished(() => database.close());
  const memory = createMemory(database);
  await memory.migrate();
  const model = scripted(lines);
  const helper = defineAssistant({
    name: "helper",
    model,
    memory,
    ...more(database),
    tools: memoryTools(memory),
  });
  const sentient = await createSentient({ database, agents: [helper] });
  onTestFinished(() => sentient.close());
  return { sentient, helper, model, memory };
}

const textsOf = (turn: { messages: readonly { content: readonly object[] }[] }) =>
  turn.messages.flatMap(({ content }) => content.map((part) => ("text" in part ? part.text : "")));

test("a thread goes on where it ended, in another run", async () => {
  const { sentient, helper, model } = await setting(["Hello Ada.", "You are Ada."]);
  const ask = (prompt: string, thread?: string) =>
    sentient.execute(helper, { prompt, ...(thread ? { thread } : {}) });
  expect(await ask("I am Ada.", "t-1")).toMatchObject({ text: "Hello Ada.", end: "stop", turns: 1 });
  expect(await ask("Who am I?", "t-1")).toMatchObject({ text: "You are Ada." });
  expect(textsOf(model.asked[1]!)).toEqual(["I am Ada.", "Hello Ada.", "Who am I?"]);
});

test("of a long thread the model is told the last part, from where a person speaks", async () => {
  const lines: Line[] = [
    { calls: [{ name: "remember", args: { text: "Ada drinks tea." } }] }, // four messages with the tool's
    "noted",
    "and milk?",
    "black then",
  ];
  const { sentient, helper, model } = await setting(lines, () => ({ last: 5 }));
  for (const prompt of ["I drink tea.", "Always.", "No."])
    await sentient.execute(helper, { prompt, thread: "t" });
  expect(textsOf(model.asked[2]!).at(0)).toBe("I drink tea.");
  expect(textsOf(model.asked[3]!)).toEqual(["Always.", "and milk?", "No."]);
});

test("threads know nothing of each other, and without one nothing is kept", async () => {
  const { sentient, helper, model, memory } = await setting(["a", "b", "c"]);
  for (const thread of ["t-1", "t-2"]) await sentient.execute(helper, { prompt: thread, thread });
  await sentient.execute(helper, { prompt: "none" });
  expect(model.asked.map(textsOf)).toEqual([["t-1"], ["t-2"], ["none"]]);
  expect(await memory.messages("t-1")).toHaveLength(2);
});

test("what it remembers it recalls later, and another agent does not", async () => {
  const lines: Line[] = [
    { calls: [{ name: "remember", args: { text: "Ada drinks tea without milk.", tags: ["ada"] } }] },
    "noted",
    { calls: [{ name: "recall", args: { query: "what does Ada drink?" } }] },
    ({ messages }) => JSON.stringify(messages.at(-1)),
  ];
  const { sentient, helper, memory } = await setting(lines);
  await sentient.execute(helper, { prompt: "I drink tea without milk." });
  expect((await sentient.execute(helper, { prompt: "What do I drink?" })).text).toContain("tea without milk");
  expect(await memory.search({ query: "tea", agent: "somebody" })).toEqual([]);
  expect(await memory.search({ query: "tea", agent: "helper" })).toHaveLength(1);
});

test("a thread without a memory to keep it in is an error that says so", async () => {
  const { sentient, helper } = await setting(["x"], () => ({ memory: undefined }));
  await expect(sentient.execute(helper, { prompt: "x", thread: "t" })).rejects.toThrow(/has no memory/);
});
