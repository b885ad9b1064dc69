// What changes something was done once it has come back; what was cut off is looked into, by the tool or by a person.

import { createSentient } from "@sentient/agent-core";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { AiError } from "../src/index.ts";
import { agentOf, once, testSentient, toolEvents, type Talk } from "./support/assistants.ts";
import { charging } from "./support/charging.ts";

/** More than JSON may have here. */
const manyNames = Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`name-${i}`, i]));

const cutOff = () => {
  throw new AiError({ code: "ai.outcome_unknown", message: "the line broke" });
};

describe("what changes something", () => {
  test.each([
    ["does not fit", 7, /it was done; what it gave cannot be shown: .*expected string/],
    [
      "is too large",
      { of: "x".repeat(100_000) },
      /it was done; what it gave has 100009 bytes, and 65536 is .*xxx/,
    ],
    ["has too many names", manyNames, /it was done; what it gave cannot be shown: 2000 keys, and 1000 are/],
    ["is no JSON", { at: 7n }, /it was done; what it gave cannot be shown: .*BigInt/],
  ])(
    "was done though what it gave %s, which the model hears, and is not done again",
    async (_, gave, told) => {
      const { tool, book } = charging({
        output: typeof gave === "number" ? z.string() : z.any(),
        run: (_args, { idempotencyKey }) => {
          book.push(idempotencyKey);
          return gave;
        },
      });
      const { agent } = agentOf([tool], once("charge", { cents: 5 }));
      const sentient = await testSentient({ agents: [agent] });
      const handle = await sentient.start(agent);
      const { output } = (await handle.result()) as unknown as Talk;
      expect(output).toMatch(told);
      expect(JSON.stringify(output).length).toBeLessThan(65_536);
      expect(book).toHaveLength(1);
      const outcomes = (await toolEvents(sentient, handle.id)).filter(([type]) => type === "tool.outcome");
      expect(outcomes).toMatchObject([
        ["tool.outcome", { outcome: "done", why: expect.stringContaining("what it gave") }],
      ]);
    },
  );

  test("control: where it only reads, what it gave is an error and it is tried again", async () => {
    let times = 0;
    const { tool } = charging({ effect: "read", run: () => ++times });
    const { agent } = agentOf([tool], once("charge", { cents: 5 }));
    const sentient = await testSentient({ agents: [agent] });
    expect(await sentient.execute(agent)).toMatchObject({ output: expect.stringContaining("error") });
    expect(times).toBe(2);
  });

  test.each([
    ["fails", () => Promise.reject(new Error("lookup down"))],
    ["answers with neither", () => Promise.resolve({ done: "perhaps" } as never)],
  ])("waits for a person where it cannot find out, as its `verify` %s", async (_, verify) => {
    const { tool } = charging({ verify, run: cutOff });
    const { agent } = agentOf([tool], once("charge", { cents: 5 }));
    const sentient = await testSentient({ agents: [agent] });
    const handle = await sentient.start(agent);
    await sentient.settle();
    const { questions } = await sentient.questions.list();
    expect(questions).toMatchObject([
      { text: expect.stringMatching(/cut off .* could not find out itself: .*(lookup down|verify)/) },
    ]);
    await sentient.answer(handle.id, questions[0]!.key, { done: true, output: "took 5" }, { by: "ada" });
    expect(await handle.result()).toMatchObject({ output: 'it gave "took 5"' });
    const intents = (await toolEvents(sentient, handle.id)).filter(([type]) => type === "tool.intent");
    expect(intents).toHaveLength(1);
  });

  test("is not asked about where its run is cancelled while it finds out", async () => {
    // in real time, as a cancel waits for nobody's clock
    const { promise: looked, resolve: look } = Promise.withResolvers<void>();
    const { tool } = charging({
      verify: (_args, { signal }) => {
        look();
        return new Promise((__, reject) => signal.addEventListener("abort", () => reject(new Error("gone"))));
      },
      run: cutOff,
    });
    const { agent } = agentOf([tool], once("charge", { cents: 5 }));
    await using sentient = await createSentient({ url: "mem://", agents: [agent] });
    const handle = await sentient.start(agent);
    await looked;
    await sentient.cancel(handle.id);
    await expect(handle.result()).rejects.toMatchObject({ code: "agent.run_cancelled" });
    const { events } = await sentient.events.history({ run: handle.id, types: ["question.asked"] });
    expect(events).toEqual([]);
  });

  test("asks a person about long arguments, and says how much it leaves out", async () => {
    const { tool } = charging({
      input: z.object({ cents: z.int(), note: z.string() }) as never,
      run: cutOff,
    });
    const { agent } = agentOf([tool], once("charge", { cents: 5, note: "x".repeat(20_000) }));
    const sentient = await testSentient({ agents: [agent] });
    await sentient.start(agent);
    await sentient.settle();
    const { questions } = await sentient.questions.list();
    expect(questions).toMatchObject([
      { text: expect.stringMatching(/x{13,}… and 6,021 characters more was begun and cut off/) },
    ]);
  });
});
