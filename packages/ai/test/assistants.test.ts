// Assistants: what was said before is known, and what they remember is theirs.

import { openDatabase, type Database } from "@sentient/db-pool";
import { createSentient, NonRetryable, type Definition, type Message, type Tool } from "@sentient/agent-core";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import {
  agentTool,
  defineAssistant,
  defineTool,
  handoffTool,
  memoryTools,
  type AssistantOptions,
} from "../src/index.ts";
import { createMemory, type MemoryStore } from "../src/memory/index.ts";
import { shortened } from "../src/memory/shortening.ts";
import { scripted, type Line } from "../src/testing/index.ts";

async function setting(
  lines: Parameters<typeof scripted>[0],
  more: (db: Database) => Partial<AssistantOptions> = () => ({}),
  others: readonly Tool[] = [],
  agents: readonly Definition[] = [],
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
    tools: [...memoryTools(memory), ...others],
  });
  const sentient = await createSentient({ database, agents: [helper, ...agents] });
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

const remember = (text: string): Line => ({ calls: [{ name: "remember", args: { text } }] });
const recall = (query: string): Line => ({ calls: [{ name: "recall", args: { query } }] });
const heard: Line = ({ messages }) => JSON.stringify(messages.at(-1));

async function recalling(tools: (memory: MemoryStore) => Tool[], lines: Line[]) {
  const database = await openDatabase({ url: "mem://" });
  onTestFinished(() => database.close());
  const memory = createMemory(database);
  await memory.migrate();
  await memory.import([{ text: "The shop sells tea." }]);
  const helper = defineAssistant({ name: "helper", model: scripted(lines), memory, tools: tools(memory) });
  const sentient = await createSentient({ database, agents: [helper] });
  onTestFinished(() => sentient.close());
  return async (thread: string | undefined, options: { tags?: string[] } = {}) =>
    (await sentient.execute(helper, { prompt: "Go on.", thread }, options)).text;
}

test("what is remembered in one thread is recalled in that thread alone, and what is shared where it is to be", async () => {
  const turns = [recall("tea"), heard];
  for (const shared of [false, true]) {
    const ask = await recalling(
      (memory) => memoryTools(memory, { shared }),
      [remember("Ada likes tea."), "noted", ...turns, ...turns, ...turns],
    );
    await ask("ada");
    expect(await ask("ada")).toContain("Ada likes tea.");
    for (const other of ["bob", undefined]) {
      const told = await ask(other);
      expect(told).not.toContain("Ada");
      expect(told.includes("The shop sells tea.")).toBe(shared);
    }
  }
});

test("whose memories are may follow from the run, as from its tags", async () => {
  const ask = await recalling(
    (memory) =>
      memoryTools(memory, {
        scope: ({ run }) => ({ thread: run.tags.find((tag) => tag.startsWith("user:")) }),
      }),
    [remember("Ada likes tea."), "noted", recall("tea"), heard, recall("tea"), heard, recall("tea"), heard],
  );
  await ask("monday", { tags: ["user:ada"] });
  expect(await ask("tuesday", { tags: ["user:ada"] })).toContain("Ada likes tea.");
  expect(await ask("tuesday", { tags: ["user:bob"] })).not.toContain("Ada");
  expect(await ask("tuesday")).not.toContain("Ada");
});

test("no model names the thread that another assistant is asked in, and a program may", async () => {
  const other = defineAssistant({ name: "other", description: "Helps.", model: scripted(() => "hm") });
  const plain = agentTool(other);
  expect(plain.input).toMatchObject({ properties: { prompt: {} }, additionalProperties: false });
  expect(plain.input).not.toMatchObject({ properties: { thread: {} } });
  const told: unknown[] = [];
  const given = agentTool(other, {
    name: "given",
    input: (_, __, thread) => {
      told.push(thread);
      return { prompt: "Go on.", thread: undefined };
    },
  });
  const lines: Line[] = [
    { calls: [{ name: "other", args: { prompt: "What does Bob like?", thread: "bob" } }] },
    ({ messages }) => ({
      text: JSON.stringify(messages.at(-1)),
      calls: [{ name: "given", args: { task: "" } }],
    }),
    "done",
  ];
  const { sentient, helper, model } = await setting(lines, undefined, [plain, given], [other]);
  await sentient.execute(helper, { prompt: "Ask.", thread: "ada" });
  expect(model.asked[1]!.messages.at(-1)).toMatchObject({
    content: [{ isError: true, output: { error: expect.stringMatching(/thread/) as string } }],
  });
  expect(told).toEqual(["ada"]);
  const { runs } = await sentient.list({ name: "other" });
  expect(runs).toHaveLength(1);
});

test("a thread without a memory to keep it in is an error that says so", async () => {
  const { sentient, helper } = await setting(["x"], () => ({ memory: undefined }));
  await expect(sentient.execute(helper, { prompt: "x", thread: "t" })).rejects.toThrow(/has no memory/);
});

const rolesOf = (said: readonly { message: Message }[]) => said.map(({ message }) => message.role);
const bytesOf = (value: unknown) => Buffer.byteLength(JSON.stringify(value));

const bulky = defineTool({
  name: "read",
  description: "Reads.",
  effect: "read",
  maxOutput: 1_000_000,
  input: z.object({ characters: z.int() }),
  run: ({ characters }) => "x".repeat(characters),
});

test("what a tool gave is kept shortened, where a message has no room for all of it, and the rest as it is", async () => {
  const read = (characters: number) => ({ name: "read", args: { characters } });
  const lines: Line[] = [{ calls: [read(70_000), read(10), read(40_000)] }, "read", "and again"];
  const { sentient, helper, model, memory } = await setting(lines, undefined, [bulky]);
  expect(await sentient.execute(helper, { prompt: "Read.", thread: "t" })).toMatchObject({ text: "read" });
  const [, , results] = await memory.messages("t");
  expect(bytesOf(results!.message)).toBeLessThanOrEqual(65_536);
  const outputs = results!.message.content.map((part) => (part as { output: string }).output);
  expect(outputs[0]).toMatch(/^x{32000}.*\n\[shortened: 70000 characters in all\]$/);
  expect(outputs[1]).toBe("x".repeat(10));
  expect(outputs[2]).toMatch(/\[shortened: 40000 characters in all\]$/);
  await sentient.execute(helper, { prompt: "Again?", thread: "t" });
  expect(model.asked[1]!.messages.at(-1)).toMatchObject({
    content: [{ output: "x".repeat(70_000) }, {}, {}],
  });
  expect(model.asked[2]!.messages.at(2)).toEqual(results!.message);
});

test("a prompt that a thread has no room for is refused before a model is asked", async () => {
  const { sentient, helper, model, memory } = await setting(["x"]);
  const asked = sentient.execute(helper, { prompt: "x".repeat(70_000), thread: "t" });
  await expect(asked).rejects.toMatchObject({ code: "ai.memory_too_large" });
  expect(model.asked).toEqual([]);
  expect(await memory.messages("t")).toEqual([]);
});

test("what was asked stays in its thread, also where no answer came", async () => {
  const lines: Line[] = [new NonRetryable("no luck"), "You are Ada."];
  const { sentient, helper, model } = await setting(lines);
  await expect(sentient.execute(helper, { prompt: "I am Ada.", thread: "t" })).rejects.toThrow("no luck");
  await sentient.execute(helper, { prompt: "Who am I?", thread: "t" });
  expect(textsOf(model.asked[1]!)).toEqual(["I am Ada.", "Who am I?"]);
});

test("of an exchange that is longer than what the model is told, it is told what was asked, and the last part", async () => {
  const look = recall("tea");
  const lines: Line[] = [look, look, look, look, "nothing", new NonRetryable("no luck"), "as I said"];
  const { sentient, helper, model } = await setting(lines, () => ({ last: 4 }));
  const rolesAsked = () => model.asked.at(-1)!.messages.map(({ role }) => role);
  await sentient.execute(helper, { prompt: "Look four times.", thread: "t" });
  await expect(sentient.execute(helper, { prompt: "And?", thread: "t" })).rejects.toThrow("no luck");
  expect(rolesAsked()).toEqual(["user", "assistant", "tool", "assistant", "user"]);
  expect(textsOf(model.asked.at(-1)!).filter(Boolean)).toEqual(["Look four times.", "nothing", "And?"]);
  await sentient.execute(helper, { prompt: "Well?", thread: "t" });
  expect(rolesAsked()).toEqual(["user", "assistant", "tool", "assistant", "user", "user"]);
});

test("an agent that is handed over to knows what was asked, where both speak in one thread", async () => {
  const database = await openDatabase({ url: "mem://" });
  onTestFinished(() => database.close());
  const memory = createMemory(database);
  await memory.migrate();
  const bills = scripted(["It is paid."]);
  const billing = defineAssistant({ name: "billing", description: "Bills.", model: bills, memory });
  const handOver = handoffTool(billing, {
    input: (_, __, thread) => ({ prompt: "Say if it is paid.", thread }),
  });
  const desk = scripted([
    { calls: [{ name: handOver.name, args: { task: "the bill" } }] },
    ({ messages }) => `I read ${messages.length} messages`,
  ]);
  const front = defineAssistant({ name: "front", model: desk, memory, tools: [handOver] });
  const sentient = await createSentient({ database, agents: [front, billing] });
  onTestFinished(() => sentient.close());
  const answer = await sentient.execute(front, { prompt: "Is bill 7 paid?", thread: "ada" });
  expect(answer).toMatchObject({ end: "tool", output: { text: "It is paid." } });
  expect(textsOf(bills.asked[0]!)).toEqual(["Is bill 7 paid?", "Say if it is paid."]);
  const said = await memory.messages("ada");
  expect(rolesOf(said)).toEqual(["user", "user", "assistant", "assistant", "tool"]);
  expect(await sentient.execute(front, { prompt: "And?", thread: "ada" })).toMatchObject({
    text: "I read 6 messages",
  });
});

test("whatever a model has said is shortened to what a message may be", () => {
  const long = '"ü😀\u0001'.repeat(20_000);
  const call = { type: "tool-call" as const, id: "a", name: "read", args: { long } };
  const said: Message[] = [
    { role: "user", content: [{ type: "text", text: long }] },
    {
      role: "assistant",
      content: [
        { type: "reasoning", text: long, metadata: { sealed: "yes" } },
        { type: "text", text: "I read." },
        { ...call, metadata: { sealed: "yes" } },
      ],
    },
    { role: "tool", content: [{ type: "tool-result", id: "a", name: "read", output: { long } }] },
  ];
  const [asked, answer, result] = shortened(said);
  for (const message of [asked, answer, result]) {
    expect(bytesOf(message)).toBeLessThanOrEqual(65_536);
    expect(bytesOf(message)).toBeGreaterThan(65_000);
    expect(JSON.stringify(message)).not.toMatch(/\\ud8/); // no half characters
  }
  const cut = { isShortened: true, characters: JSON.stringify({ long }).length };
  expect(answer!.content).toMatchObject([{ text: "I read." }, { id: "a", args: cut }]);
  expect(answer!.content.some((part) => "metadata" in part)).toBe(false);
  expect(result).toMatchObject({ content: [{ id: "a", output: cut }] });
  const fits: Message[] = [
    { role: "assistant", content: [{ type: "reasoning", text: "hm", metadata: { sealed: "yes" } }] },
  ];
  expect(shortened(fits)).toEqual(fits);
});

test("of a turn with more calls than a message has room for, what it said in words is kept", () => {
  const ids = Array.from({ length: 2_000 }, (_, i) => `call-${i}`);
  const said: Message[] = [
    {
      role: "assistant",
      content: [
        { type: "text", text: "I read." },
        ...ids.map((id) => ({ type: "tool-call" as const, id, name: "read", args: {} })),
      ],
    },
    { role: "tool", content: ids.map((id) => ({ type: "tool-result", id, name: "read", output: "x" })) },
  ];
  expect(shortened(said)).toEqual([{ role: "assistant", content: [{ type: "text", text: "I read." }] }]);
});
