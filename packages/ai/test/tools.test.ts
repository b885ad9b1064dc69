// What tools take and give, what they may do, and what is known of it afterwards.

import { atEveryCrash, VirtualClock } from "@sentient/agent-core/testing";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { AiError, defineTool, rawTool } from "../src/index.ts";
import { boundedJson } from "../src/bounded.ts";
import { agentOf, once, testSentient, toolEvents, type Talk } from "./support/assistants.ts";
import { charging } from "./support/charging.ts";

function codeOf(act: () => unknown): unknown {
  try {
    return act();
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}

describe("a tool", () => {
  test("tells the model what it takes, and gets what fits", async () => {
    const seen: unknown[] = [];
    const tool = defineTool({
      name: "note",
      description: "notes",
      effect: "read",
      input: z.object({ text: z.string().default("nothing") }),
      run: (args) => {
        seen.push(args);
        return "noted";
      },
    });
    const { agent, model } = agentOf([tool], once("note", {}));
    const sentient = await testSentient({ agents: [agent] });
    expect(await sentient.execute(agent)).toMatchObject({ output: 'it gave "noted"' });
    expect(seen).toEqual([{ text: "nothing" }]);
    expect(model.asked[0]!.tools).toMatchObject([
      { name: "note", description: "notes", input: { properties: { text: { type: "string" } } } },
    ]);
  });

  test("is not used with what does not fit, which the model hears, and the log", async () => {
    const { tool, book } = charging();
    const { agent } = agentOf([tool], once("charge", { cents: -5 }));
    const sentient = await testSentient({ agents: [agent] });
    const handle = await sentient.start(agent);
    const { output } = (await handle.result()) as unknown as Talk;
    expect(output).toMatch(/charge was not used: .*cents/s);
    expect(book).toEqual([]);
    expect(await toolEvents(sentient, handle.id)).toMatchObject([
      ["tool.refused", { tool: "charge", args: '{"cents":-5}' }],
    ]);
  });

  test("that reads is tried again, and one that writes is not", async () => {
    for (const [effect, times] of [
      ["read", 2],
      ["write", 1],
    ] as const) {
      let count = 0;
      const { tool } = charging({
        effect,
        run: () => {
          if (++count === 1) throw new Error("the line is busy");
          return "at last";
        },
      });
      const { agent } = agentOf([tool], once("charge", { cents: 5 }));
      const sentient = await testSentient({ agents: [agent] });
      await sentient.execute(agent);
      expect(count).toBe(times);
    }
  });

  test.each([
    ["a text is cut", "x".repeat(100_000), /^it gave "x+\\n\[cut: 100000 characters in all\]"$/],
    [
      "anything else is an error",
      { of: "x".repeat(100_000) },
      /charge gave 100009 bytes, and 65536 is the most/,
    ],
  ])("gives no more than it may: %s", async (_, given, told) => {
    const { tool } = charging({ effect: "read", output: z.any(), run: () => given });
    const { agent } = agentOf([tool], once("charge", { cents: 5 }));
    const sentient = await testSentient({ agents: [agent] });
    const { output } = (await sentient.execute(agent)) as unknown as Talk;
    expect(output).toMatch(told);
    expect(JSON.stringify(output).length).toBeLessThan(70_000);
  });

  test.each([
    ["x", 1],
    ["\u0001", 6],
    ["é😀", 6],
  ])("gives no more bytes than it may, whatever they are: %j", (text, size) => {
    const given = boundedJson(text.repeat(10_000), 1_000, "it") as string;
    expect(given).toContain("characters in all]");
    const bytes = Buffer.byteLength(JSON.stringify(given));
    expect(bytes).toBeLessThanOrEqual(1_000);
    expect(bytes).toBeGreaterThan(1_000 - 2 * size);
    expect(given.isWellFormed()).toBe(true);
  });

  test.each([
    [{ aprove: {} }, /Unrecognized key: "aprove"/],
    [{ approve: { wen: () => true } }, /Unrecognized key: "wen"/],
    [{ verify: true }, /a function/],
    [{ name: "two words" }, /letters, digits/],
    [{ maxOutput: 2 ** 30 }, /maxOutput/],
    [{ effect: "maybe" as never }, /effect/],
  ])("that is described as %o is refused", (more, why) => {
    expect(() => charging(more as never)).toThrow(why);
    const raw = { name: "n", description: "", effect: "read", inputSchema: {}, run: () => null, ...more };
    expect(() => rawTool(raw as never)).toThrow(why);
    expect(codeOf(() => charging(more as never))).toBe("ai.bad_option");
  });

  test("whose input no model can be told is refused", () => {
    expect(codeOf(() => charging({ input: z.object({ cents: z.date() }) as never }))).toBe("ai.bad_option");
    expect(() => charging({ input: z.object({ cents: z.date() }) as never })).toThrow(/z\.iso\.datetime/);
    expect(() => charging({ input: undefined as never, inptu: z.object({}) } as never)).toThrow(/"inptu"/);
  });
});

describe("what changes something", () => {
  test("is told of before it is done, and then what came of it", async () => {
    const { tool, book } = charging();
    const { agent } = agentOf([tool], once("charge", { cents: 5 }));
    const sentient = await testSentient({ agents: [agent] });
    const handle = await sentient.start(agent);
    await handle.result();
    const told = await toolEvents(sentient, handle.id);
    expect(told).toMatchObject([
      ["tool.intent", { tool: "charge", effect: "write", args: '{"cents":5}' }],
      ["tool.outcome", { tool: "charge", outcome: "done" }],
    ]);
    const [{ binding: one }, { binding: other }] = told.map(([, data]) => data as { binding: string }) as [
      { binding: string },
      { binding: string },
    ];
    expect(one).toBe(other);
    expect(book).toEqual([expect.stringContaining(handle.id)]);
  });

  test("fails by its own word, which is an outcome as well", async () => {
    const { tool } = charging({
      run: () => {
        throw new Error("declined");
      },
    });
    const { agent } = agentOf([tool], once("charge", { cents: 5 }));
    const sentient = await testSentient({ agents: [agent] });
    const handle = await sentient.start(agent);
    expect(await handle.result()).toMatchObject({ output: 'it gave {"error":"declined"}' });
    expect((await toolEvents(sentient, handle.id)).at(-1)).toMatchObject([
      "tool.outcome",
      { outcome: "failed", why: "declined" },
    ]);
  });

  test("is done once wherever its process dies, as it finds out itself what became of it", async () => {
    let at: ReturnType<typeof charging>;
    let looked = 0;
    let plays = 0;
    const begin = () => {
      const verify = (_: unknown, { idempotencyKey }: { idempotencyKey: string }) => {
        looked++;
        const isDone = at.book.includes(idempotencyKey);
        return Promise.resolve(isDone ? { done: true as const, output: "took 5" } : { done: false as const });
      };
      at = charging({ verify });
      return { agents: [agentOf([at.tool], once("charge", { cents: 5 })).agent] };
    };
    for await (const { result } of atEveryCrash(begin, (sentient) => sentient.execute("agent"))) {
      expect(result).toMatchObject({ output: 'it gave "took 5"' });
      expect(at!.book).toHaveLength(1);
      plays++;
    }
    expect(plays).toBeGreaterThan(8);
    expect(looked).toBeGreaterThanOrEqual(2); // before its result was remembered, and before it was begun
  });

  test("control: where it is said to only read, a crash does it twice", async () => {
    let at: ReturnType<typeof charging>;
    const begin = () => {
      at = charging({ effect: "read" });
      return { agents: [agentOf([at.tool], once("charge", { cents: 5 })).agent] };
    };
    const times = new Set<number>();
    for await (const _ of atEveryCrash(begin, (sentient) => sentient.execute("agent")))
      times.add(at!.book.length);
    expect([...times].toSorted((one, other) => one - other)).toEqual([1, 2]);
  });

  test.each([
    ["was done", { done: true, output: "took 5" }, 1],
    ["was not done, and has it done", { done: false }, 2],
  ])("waits for a person where nobody can find out, who says that it %s", async (_, says, times) => {
    const { tool, book } = charging();
    const { agent } = agentOf([tool], once("charge", { cents: 5 }));
    const sentient = await testSentient({ agents: [agent] });
    sentient.crashAt("charge", { when: "before" });
    const handle = await sentient.start(agent);
    await sentient.settle();
    sentient.crashAt("charge", { when: "before" }); // it was begun; its result does not get there
    await sentient.advance(60_000);
    await sentient.advance(60_000);
    const { questions } = await sentient.questions.list();
    expect(questions).toMatchObject([{ text: expect.stringContaining("was begun and cut off") }]);
    expect(book).toHaveLength(1);
    await sentient.answer(handle.id, questions[0]!.key, says, { by: "ada" });
    expect(await handle.result()).toMatchObject({ output: 'it gave "took 5"' });
    expect(book).toHaveLength(times);
    expect(new Set(book).size).toBe(1); // who is called sees the same key
    const outcomes = (await toolEvents(sentient, handle.id)).flatMap(([type, data]) =>
      type === "tool.outcome" ? (data as { outcome: string }).outcome : [],
    );
    expect(outcomes).toEqual(["unknown", "done"]);
  });

  const clock = new VirtualClock();

  test.each([
    ["takes longer than it may", { timeout: 1_000, run: () => clock.sleep(5_000).then(() => "late") }],
    [
      "says so itself",
      {
        run: () => {
          throw new AiError({ code: "ai.outcome_unknown", message: "the line broke" });
        },
      },
    ],
  ])("is cut off as well where it %s", async (_, more) => {
    const { tool } = charging(more);
    const { agent } = agentOf([tool], once("charge", { cents: 5 }));
    const sentient = await testSentient({
      clock,
      agents: [agent],
      answers: { "outcome:charge": { done: true, output: "took 5" } },
    });
    expect(await sentient.execute(agent)).toMatchObject({ output: 'it gave "took 5"' });
  });
});
