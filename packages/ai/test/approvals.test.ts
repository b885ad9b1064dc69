// A person's word on what a tool is about to do: bound to it, once, and never the agent's own.

import type { Json } from "@sentient/schema";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineTool, type ApprovalOptions } from "../src/index.ts";
import { agentOf, once, testSentient, toolEvents } from "./support/assistants.ts";

function dropping(approve: ApprovalOptions<{ table: string }> = {}, effect: "danger" | "write" = "danger") {
  const dropped: string[] = [];
  const tool = defineTool({
    name: "drop",
    description: "drops a table",
    effect,
    approve,
    input: z.object({ table: z.string() }),
    run: ({ table }) => {
      dropped.push(table);
      return "dropped";
    },
  });
  return { tool, dropped };
}

async function asked(
  at: ReturnType<typeof dropping>,
  lines: Parameters<typeof agentOf>[1] = once("drop", { table: "old" }),
) {
  const { agent } = agentOf([at.tool], lines);
  const sentient = await testSentient({ agents: [agent] });
  const handle = await sentient.start(agent);
  await sentient.settle();
  const question = async () => {
    await sentient.settle();
    const { questions } = await sentient.questions.list();
    return questions[0]!;
  };
  const answer = async (value: Json, by: string) =>
    sentient.answer(handle.id, (await question()).key, value, { by });
  return { sentient, handle, question, answer };
}

/** What the question says it is bound to. */
const bindingOf = ({ text }: { text: string }) => /binding (\w+)/.exec(text)![1]!;

describe("what is dangerous", () => {
  test("waits for a person, who sees what is to be done, and is done with a yes", async () => {
    const at = dropping();
    const { handle, question, answer, sentient } = await asked(at);
    const open = await question();
    expect(open.text).toContain('May agent use drop (danger) with {"table":"old"}?');
    expect(at.dropped).toEqual([]);
    await answer({ approve: true, binding: bindingOf(open) }, "ada");
    expect(await handle.result()).toMatchObject({ output: 'it gave "dropped"' });
    expect(at.dropped).toEqual(["old"]);
    expect(await toolEvents(sentient, handle.id)).toMatchObject([
      ["tool.approved", { tool: "drop", by: "ada" }],
      ["tool.intent", {}],
      ["tool.outcome", { outcome: "done" }],
    ]);
  });

  test.each([
    [
      "a no",
      {},
      async ({ answer, question }: Awaited<ReturnType<typeof asked>>): Promise<string> => {
        await answer({ approve: false, binding: bindingOf(await question()), note: "not today" }, "ada");
        return "ada said no: not today";
      },
    ],
    [
      "silence",
      { deadline: 60_000 },
      async ({ sentient }: Awaited<ReturnType<typeof asked>>): Promise<string> => {
        await sentient.advance(60_000);
        return "nobody answered in time";
      },
    ],
  ] as const)("is not done after %s, which the model hears, and the log", async (_, approve, say) => {
    const at = dropping(approve);
    const one = await asked(at);
    const why = await say(one);
    expect(await one.handle.result()).toMatchObject({
      output: `it gave {"error":"drop was not approved: ${why}","code":"ai.denied"}`,
    });
    expect(at.dropped).toEqual([]);
    expect(await toolEvents(one.sentient, one.handle.id)).toMatchObject([["tool.refused", { why }]]);
  });

  test("takes no word that is bound to something else", async () => {
    const at = dropping();
    const { answer } = await asked(at);
    for (const binding of ["0".repeat(16), ""])
      await expect(answer({ approve: true, binding }, "ada")).rejects.toMatchObject({
        code: "state.invalid_answer",
      });
    await expect(answer({ approve: true }, "ada")).rejects.toMatchObject({ code: "state.invalid_answer" });
    await expect(answer(true, "ada")).rejects.toMatchObject({ code: "state.invalid_answer" });
    expect(at.dropped).toEqual([]);
  });

  test("asks anew each time, and the word for one use is none for the next, though it is the same", async () => {
    const at = dropping();
    const twice = ({ messages }: { messages: readonly unknown[] }) =>
      messages.length < 5 ? { calls: [{ name: "drop", args: { table: "old" }, id: "same" }] } : "done";
    const { question, answer, handle } = await asked(at, twice);
    const first = bindingOf(await question());
    await answer({ approve: true, binding: first }, "ada");
    const second = await question();
    expect(bindingOf(second)).not.toBe(first);
    await expect(answer({ approve: true, binding: first }, "ada")).rejects.toMatchObject({
      code: "state.invalid_answer",
    });
    await answer({ approve: false, binding: bindingOf(second) }, "ada");
    await handle.result();
    expect(at.dropped).toEqual(["old"]);
  });

  test.each([
    ["the agent", "agent"],
    ["who speaks for one", "mcp:claude"],
    ["a run", "run:1"],
    ["who is not among those who may", "bob"],
  ])("takes no word from %s, and asks again, until it is too much", async (_, by) => {
    const at = dropping({ by: (person) => person !== "bob" });
    const { question, answer, handle, sentient } = await asked(at);
    for (let i = 0; i < 3; i++) await answer({ approve: true, binding: bindingOf(await question()) }, by);
    expect(await handle.result()).toMatchObject({ output: expect.stringContaining("ai.denied") });
    expect(at.dropped).toEqual([]);
    const refused = (await toolEvents(sentient, handle.id)).filter(([type]) => type === "tool.refused");
    expect(refused).toHaveLength(4);
  });

  test("takes the word of who may after that of who may not", async () => {
    const at = dropping();
    const { question, answer, handle } = await asked(at);
    await answer({ approve: true, binding: bindingOf(await question()) }, "agent");
    await answer({ approve: true, binding: bindingOf(await question()) }, "ada");
    expect(await handle.result()).toMatchObject({ output: 'it gave "dropped"' });
  });
});

describe("who approves sees all that is done", () => {
  const lengthened = (more: number, cmd = "rm -rf /") =>
    once("drop", { table: "harmless ".repeat(more) + cmd });

  test("also where it is long", async () => {
    const at = dropping();
    const { question } = await asked(at, lengthened(1_500));
    expect((await question()).text).toContain('harmless rm -rf /"}? Answer');
  });

  test("and what is too long to be shown is not asked for, which the model hears, and the log", async () => {
    const at = dropping();
    const { handle, sentient } = await asked(at, lengthened(2_000));
    const why = "its arguments of 18020 characters cannot be shown to who approves it; make them shorter";
    expect(await handle.result()).toMatchObject({
      output: `it gave {"error":"drop was not used: ${why}","code":"ai.refused"}`,
    });
    expect((await sentient.questions.list({ status: "answered" })).questions).toEqual([]);
    expect(at.dropped).toEqual([]);
    expect(await toolEvents(sentient, handle.id)).toMatchObject([
      ["tool.refused", { why, args: expect.stringMatching(/… and 16,996 characters more$/) }],
    ]);
  });
});

test("what is only sometimes dangerous asks only then", async () => {
  for (const [table, asks] of [
    ["draft", 0],
    ["main", 1],
  ] as const) {
    const at = dropping({ when: (args) => args.table === "main" }, "write");
    const { sentient } = await asked(at, once("drop", { table }));
    expect((await sentient.questions.list()).questions).toHaveLength(asks);
    expect(at.dropped).toHaveLength(1 - asks);
  }
});
