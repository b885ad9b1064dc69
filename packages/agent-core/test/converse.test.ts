// Models that speak and use tools, through crashes, with what is wrong in what they say.

import { describe, expect, test } from "vitest";
import { z } from "zod";
import {
  converse,
  defineWorkflow,
  type ConverseOptions,
  type Meter,
  type Tool,
  type TurnEvent,
} from "../src/index.ts";
import {
  dies,
  eventsOf,
  failureOf,
  fresh,
  freshProcess,
  later,
  LEASE_MS,
  played,
  processOn,
} from "./support/fresh.ts";
import { scripted, USAGE } from "./support/scripted.ts";

const flowOf = (options: ConverseOptions) =>
  defineWorkflow({ name: "flow", run: (ctx) => converse(ctx, { prompt: "hello", ...options }) });

/** Adds in a step, and counts how often. */
function adder(): { add: Tool; count: () => number } {
  let count = 0;
  const add: Tool = {
    name: "add",
    description: "adds",
    input: { type: "object" },
    call: (ctx, { args }) =>
      ctx.step("add", () => {
        count++;
        const { a, b } = args as { a: number; b: number };
        if (typeof a !== "number") throw new TypeError("a is no number");
        return a + b;
      }),
  };
  return { add, count: () => count };
}

describe("a conversation", () => {
  test("is what the model says, and what that cost", async () => {
    const { model, asked } = scripted("hello to you");
    const sentient = await fresh({ workflows: [flowOf({ model, instructions: "be kind" })] });
    const handle = await sentient.start("flow");
    expect(await handle.result()).toMatchObject({
      output: "hello to you",
      text: "hello to you",
      turns: 1,
      end: "stop",
      usage: USAGE,
      messages: [{ role: "user" }, { role: "assistant" }],
    });
    expect(asked).toMatchObject([{ instructions: "be kind", tools: [] }]);
    const turns = (await eventsOf(sentient, handle.id)).filter(({ type }) => type === "model.turn");
    expect(turns).toMatchObject([{ data: { reason: "stop", usage: USAGE } }]);
  });

  test("uses tools beside each other, and tells the model what each gave", async () => {
    const { add } = adder();
    const { model, asked } = scripted(
      { tools: [["add", { a: 1, b: 2 }], ["add", { a: "x" }], ["fly", {}]] }, // prettier-ignore
      "three",
    );
    const flow = flowOf({ model, tools: [add], retry: { attempts: 1 } });
    const sentient = await fresh({ workflows: [{ ...flow, retry: { ...flow.retry, attempts: 1 } }] });
    const handle = await sentient.start("flow");
    expect(await handle.result()).toMatchObject({ output: "three", turns: 2, usage: { inputTokens: 20 } });
    expect(asked[1]!.messages.at(-1)).toEqual({
      role: "tool",
      content: [
        { type: "tool-result", id: "call-1-0", name: "add", output: 3 },
        expect.objectContaining({ output: { error: "a is no number" }, isError: true }),
        expect.objectContaining({ output: { error: "there is no tool fly; there are: add" }, isError: true }),
      ],
    });
    const refused = (await eventsOf(sentient, handle.id)).filter(({ type }) => type === "tool.refused");
    expect(refused).toMatchObject([{ data: { tool: "fly", why: "there is no tool fly; there are: add" } }]);
  });

  test("streams its pieces, with what its tools gave", async () => {
    const { add } = adder();
    const { model } = scripted({ tools: [["add", { a: 1, b: 2 }]] }, "it is 3");
    const sentient = await fresh({ workflows: [flowOf({ model, tools: [add] })] });
    const handle = await sentient.start("flow");
    const chunks = [];
    for await (const chunk of handle.chunks()) if ("data" in chunk) chunks.push(chunk.data);
    expect(chunks.slice(0, 2)).toEqual([
      { type: "tool-call", id: "call-1-0", name: "add", args: { a: 1, b: 2 } },
      { type: "tool-result", id: "call-1-0", name: "add", output: 3 },
    ]);
    expect(
      chunks
        .slice(2)
        .map((chunk) => (chunk as { text: string }).text)
        .join(""),
    ).toBe("it is 3");
  });

  test("ends with a tool that ends it", async () => {
    const { add } = adder();
    const { model, asked } = scripted({ tools: [["add", { a: 1, b: 2 }]] });
    const sentient = await fresh({ workflows: [flowOf({ model, tools: [{ ...add, ends: true }] })] });
    expect(await sentient.execute("flow")).toMatchObject({ output: 3, end: "tool", turns: 1 });
    expect(asked).toHaveLength(1);
  });

  test.each([
    ["after so many turns", { maxTurns: 3 }, "turns"],
    ["where it is told to", { stopWhen: ({ turns }) => turns === 3 }, "stopped"],
  ] satisfies [string, Partial<ConverseOptions>, string][])(
    "ends %s, whatever the model says",
    async (_, options, end) => {
      const { add, count } = adder();
      const { model } = scripted({ tools: [["add", { a: 1, b: 1 }]] });
      const sentient = await fresh({ workflows: [flowOf({ model, tools: [add], ...options })] });
      expect(await sentient.execute("flow")).toMatchObject({ end, turns: 3 });
      expect(count()).toBe(3);
    },
  );

  test("with nothing to say, or two tools of one name, is refused", async () => {
    const { model } = scripted("no");
    const { add } = adder();
    const bare = defineWorkflow({ name: "bare", run: (ctx) => converse(ctx, { model }) });
    const text = [{ role: "user", content: "hi" }] as never;
    const said = defineWorkflow({ name: "said", run: (ctx) => converse(ctx, { model, messages: text }) });
    const sentient = await fresh({ workflows: [bare, said, flowOf({ model, tools: [add, add] })] });
    for (const name of ["bare", "said", "flow"])
      expect(await failureOf(() => sentient.execute(name))).toMatchObject({ code: "agent.bad_option" });
  });

  test("is counted by the meter of its runtime, in a branch and in a child too, unless it has one of its own", async () => {
    const counted: string[] = [];
    const meterOf =
      (name: string): Meter =>
      (_, ask) => (counted.push(name), ask());
    const { model } = scripted("yes");
    const child = defineWorkflow({ name: "child", run: (ctx) => converse(ctx, { model, prompt: "hello" }) });
    const flow = defineWorkflow({
      name: "flow",
      run: async (ctx) => {
        await ctx.all([
          (branch) => converse(branch, { model, prompt: "hello" }),
          (branch) => branch.call(child),
        ]);
        await converse(ctx, { model, prompt: "hello", meter: meterOf("own") });
      },
    });
    const sentient = await fresh({ workflows: [flow, child], meter: meterOf("runtime") });
    await sentient.execute(flow);
    expect(counted).toEqual(["runtime", "runtime", "own"]);
  });
});

describe("an answer that is data", () => {
  const output = z.object({ isPrime: z.boolean() });

  test.each([
    ["as it is", '{"isPrime": true}'],
    ["in a block of Markdown", '```json\n{"isPrime": true}\n```'],
  ])("is taken %s", async (_, text) => {
    const { model, asked } = scripted(text);
    const sentient = await fresh({ workflows: [flowOf({ model, output })] });
    expect(await sentient.execute("flow")).toMatchObject({ output: { isPrime: true }, turns: 1 });
    expect(asked[0]!.output).toMatchObject({ type: "object", required: ["isPrime"] });
  });

  test("that does not fit is asked for again, with what is wrong", async () => {
    const { model, asked } = scripted("yes", '{"isPrime": 1}', '{"isPrime": true}');
    const sentient = await fresh({ workflows: [flowOf({ model, output })] });
    expect(await sentient.execute("flow")).toMatchObject({ output: { isPrime: true }, turns: 3 });
    const told = asked.slice(1).map(({ messages }) => JSON.stringify(messages.at(-1)));
    expect(told[0]).toContain("it is no JSON");
    expect(told[1]).toContain("isPrime");
  });

  test("that never fits ends the run with what the model said", async () => {
    const { model, asked } = scripted("never");
    const sentient = await fresh({ workflows: [flowOf({ model, output })] });
    expect(await failureOf(() => sentient.execute("flow"))).toMatchObject({ code: "agent.no_output" });
    expect(asked).toHaveLength(3);
  });
});

test("a conversation whose process dies at any commit asks and does nothing twice that is remembered", async () => {
  const outcomes = [];
  for (let at = 1; ; at++) {
    const { add, count } = adder();
    const { model, asked } = scripted(
      (turn) => (turn.messages.length > 1 ? "done" : { tools: [["add", { a: 1, b: 2 }], ["add", { a: 3, b: 4 }]] }), // prettier-ignore
    );
    const flow = flowOf({ model, tools: [add] });
    const first = await freshProcess({ workflows: [flow] });
    const handle = await first.sentient.start(flow);
    const { dead, counted } = dies(first, { at, when: "after" });
    await Promise.race([dead, played(first)]);
    const second = await processOn(first.db, first.clock, { workflows: [flow] });
    await later(second, LEASE_MS);
    expect(await second.sentient.handle(handle.id).result()).toMatchObject({ output: "done", turns: 2 });
    outcomes.push([asked.length, count()]);
    if (counted.commits < at) break;
  }
  expect(outcomes.length).toBeGreaterThan(3);
  for (const [asked, added] of outcomes) expect([asked, added! <= 3]).toEqual([2, true]); // one that was under way may be done again
});

test("a model that fails is asked again, and its stream says that it begins anew", async () => {
  const { model, asked } = scripted(new Error("overloaded"), "at last");
  const flow = flowOf({ model, retry: { delay: 0 } });
  const sentient = await fresh({ workflows: [flow] });
  expect(await sentient.execute(flow)).toMatchObject({ output: "at last", turns: 1 });
  expect(asked).toHaveLength(2);
  expect(asked[0]!.idempotencyKey).toBe(asked[1]!.idempotencyKey);
});

test("a model whose answer ends without its end is asked again, and then the run fails with what is wrong", async () => {
  let asked = 0;
  async function* model(): AsyncGenerator<TurnEvent> {
    asked++;
    yield { type: "text", text: "half an" };
  }
  const flow = flowOf({ model, retry: { attempts: 2, delay: 0 } });
  const sentient = await fresh({ workflows: [flow] });
  expect(await failureOf(() => sentient.execute(flow))).toMatchObject({ code: "agent.cut_off" });
  expect(asked).toBe(2);
});

test("an agent hands over to another, whose answer is its own, and the log tells of it", async () => {
  const billing = defineWorkflow({ name: "billing", run: (ctx) => ctx.step("bill", () => "billed") });
  const desk = defineWorkflow({ name: "desk", run: (ctx) => ctx.handoff(billing) });
  const sentient = await fresh({ workflows: [billing, desk] });
  const handle = await sentient.start(desk);
  expect(await handle.result()).toBe("billed");
  const handed = (await eventsOf(sentient, handle.id)).filter(({ type }) => type === "agent.handoff");
  expect(handed).toMatchObject([{ data: { to: "billing" } }]);
});
