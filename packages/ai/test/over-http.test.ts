// Conversations with a model behind HTTP, through its real provider: what tools do, who approves it, and what it may cost.

import { converse, createSentient, defineAgent, defineWorkflow, type Tool } from "@sentient/agent-core";
import { atEveryCrash } from "@sentient/agent-core/testing";
import { openDatabase } from "@sentient/db-pool";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { createBudgets, defineTool, fromAiSdk } from "../src/index.ts";
import { MODEL, type Answer, type Asked } from "./support/model-server.ts";
import { serverFor } from "./support/models.ts";
import { testSentient } from "./support/assistants.ts";

/** What a tool gave last, as the server was told. */
const heard = ({ body }: Asked) => String(body.messages.at(-1)!.content);
const isFirst = ({ body }: Asked) => body.messages.every(({ role }) => role !== "tool");

/** Calls the tool, and then says what came of it. */
const uses =
  (name: string, args: object): Answer =>
  (asked) =>
    isFirst(asked) ? { calls: [{ id: "call-1", name, args }] } : { text: `so it is: ${heard(asked)}` };

async function agentAt(answer: Answer, tools: readonly Tool[]) {
  const server = await serverFor(answer);
  const model = fromAiSdk(server.provider()(MODEL));
  const agent = defineAgent({
    name: "agent",
    run: async (ctx) => (await converse(ctx, { model, tools, prompt: "go" })).text,
  });
  return { server, agent };
}

/** Sends money, keeps a book of it, and finds in that what became of it. */
function transferring(effect: "write" | "danger") {
  const book: string[] = [];
  const tool = defineTool({
    name: "transfer",
    description: "Transfers money.",
    effect,
    input: z.object({ cents: z.int().min(1) }),
    output: z.string(),
    verify: (_, { idempotencyKey }) =>
      Promise.resolve(book.includes(idempotencyKey) ? { done: true, output: "sent 5" } : { done: false }),
    run: ({ cents }, { idempotencyKey }) => {
      book.push(idempotencyKey);
      return `sent ${cents}`;
    },
  });
  return { book, tool };
}

test("what a model asks for is done once, wherever the process dies, and the model is asked again for nothing that it said", async () => {
  const { book, tool } = transferring("write");
  const { agent, server } = await agentAt(uses("transfer", { cents: 5 }), [tool]);
  let before = 0;
  const begin = () => {
    book.length = 0;
    before = server.asked.length;
    return { agents: [agent] };
  };
  let plays = 0;
  for await (const { result, crash } of atEveryCrash(begin, (sentient) => sentient.execute("agent"))) {
    expect(result).toMatch(/^so it is: .*sent 5/);
    expect(book).toHaveLength(1);
    const isForgotten = crash.commit.includes("model") && crash.when === "before";
    expect(server.asked.length - before).toBe(isForgotten ? 3 : 2);
    plays++;
  }
  expect(plays).toBeGreaterThan(8);
});

test("what is dangerous is done as a person has approved it, and with no other arguments", async () => {
  const { book, tool } = transferring("danger");
  const { agent, server } = await agentAt(uses("transfer", { cents: 5 }), [tool]);
  const sentient = await testSentient({ agents: [agent] });
  const handle = await sentient.start(agent);
  await sentient.settle();
  const { questions } = await sentient.questions.list();
  const { key, text } = questions[0]!;
  expect(text).toContain('{"cents":5}');
  const approving = (binding: string, by: string) =>
    sentient.answer(handle.id, key, { approve: true, binding }, { by });
  await expect(approving("f".repeat(16), "ada")).rejects.toMatchObject({ code: "state.invalid_answer" });
  expect([book.length, server.asked.length]).toEqual([0, 1]);
  await approving(/binding (\w+)/.exec(text)![1]!, "ada");
  expect(await handle.result()).toContain("sent 5");
  expect(book).toHaveLength(1);
});

test("50 children at once never ask for more than the budget of their tree has", async () => {
  const server = await serverFor(() => ({ text: "yes", usage: { input: 60, output: 40 } }));
  const model = fromAiSdk(server.provider()(MODEL));
  const database = await openDatabase({ url: "mem://" });
  onTestFinished(() => database.close());
  const budgets = await createBudgets(database);
  const meter = budgets.meter({ tokens: 1_000, maxOutput: 40, estimate: () => 60 });
  const child = defineAgent({
    name: "child",
    input: z.number(),
    run: async (ctx) => (await converse(ctx, { model, prompt: "may I?", meter })).text,
  });
  const parent = defineWorkflow({
    name: "parent",
    run: (ctx) =>
      ctx.map(
        Array.from({ length: 50 }, (_, n) => n),
        (branch, n) => branch.call(child, n).catch((error: { code: string }) => error.code),
        { concurrency: 50 },
      ),
  });
  const sentient = await createSentient({ database, agents: [child], workflows: [parent] });
  onTestFinished(() => sentient.close());
  const handle = await sentient.start(parent);
  const said = (await handle.result()) as string[];
  expect(said.filter((each) => each === "yes")).toHaveLength(10);
  expect(said.filter((each) => each === "ai.budget_exceeded")).toHaveLength(40);
  expect(server.asked).toHaveLength(10);
  expect(server.asked.map(({ body }) => body.max_tokens)).toEqual(server.asked.map(() => 40)); // it is held to that
  expect(await budgets.of(handle.id)).toMatchObject({
    used: { tokens: 1_000, calls: 10 },
    held: { tokens: 0 },
  });
});

test("a provider that says when to come again is asked no sooner", async () => {
  const { agent, server } = await agentAt(
    (_, nth) => (nth === 1 ? { status: 429, headers: { "retry-after": "3600" } } : { text: "now" }),
    [],
  );
  const sentient = await testSentient({ agents: [agent] });
  const handle = await sentient.start(agent);
  await sentient.settle();
  await sentient.advance(3_599_000);
  expect(server.asked).toHaveLength(1);
  await sentient.advance(2_000);
  expect(await handle.result()).toBe("now");
});
