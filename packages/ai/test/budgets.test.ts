// Budgets of trees of runs: held before, settled after, and never exceeded.

import { converse, createSentient, defineAgent, defineWorkflow, type Usage } from "@sentient/agent-core";
import { VirtualClock } from "@sentient/agent-core/testing";
import { openDatabase, surql, type Database } from "@sentient/db-pool";
import { freshNames, sabotage } from "@sentient/testkit";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { AiError, createBudgets, type Budgets, type MeterOptions } from "../src/index.ts";
import { scripted, type Line } from "../src/testing/index.ts";

let folder: Promise<string> | undefined;
afterAll(async () => folder && rm(await folder, { recursive: true, force: true }));

async function freshDatabase(): Promise<Database> {
  folder ??= mkdtemp(join(tmpdir(), "sentient-ai-"));
  const db = await openDatabase({ url: `rocksdb://${await folder}/engine`, ...freshNames() });
  onTestFinished(() => db.close({ deadline: 500 }));
  return db;
}

const USAGE: Usage = { inputTokens: 60, outputTokens: 40 };

interface Setting {
  options: MeterOptions;
  lines?: Line[] | Extract<Line, (...args: never[]) => unknown>;
  children?: number;
  budgets?: Budgets;
}

/** A workflow of so many children, each of which asks a model once; it answers with how many could not. */
async function setting({
  options,
  lines = () => ({ text: "yes", usage: USAGE }),
  children = 1,
  ...rest
}: Setting) {
  const db = await freshDatabase();
  const budgets = rest.budgets ?? (await createBudgets(db));
  const model = scripted(lines);
  const meter = budgets.meter({ maxOutput: 40, estimate: () => 60, ...options });
  const child = defineAgent({
    name: "child",
    input: z.object({ n: z.number() }),
    retry: { attempts: 2, delay: 0 },
    run: async (ctx) => (await converse(ctx, { model, prompt: "may I?", meter })).text,
  });
  const parent = defineWorkflow({
    name: "parent",
    run: async (ctx) => {
      const said = await ctx.map(
        Array.from({ length: children }, (_, n) => n),
        (branch, n) => branch.call(child, { n }).catch((error: AiError) => error.code),
        { concurrency: children },
      );
      return said.filter((each) => each !== "yes");
    },
  });
  const sentient = await createSentient({ database: db, agents: [child], workflows: [parent] });
  onTestFinished(() => sentient.close());
  const run = async () => {
    const handle = await sentient.start(parent);
    return {
      refused: (await handle.result()) as string[],
      status: await budgets.of(handle.id),
      root: handle.id,
    };
  };
  return { db, model, budgets, run };
}

const refusals = (count: number) => Array.from({ length: count }, () => "ai.budget_exceeded");

describe("a budget", () => {
  test.each([
    ["tokens", { tokens: 1_000 }],
    ["turns", { calls: 10 }],
    ["money", { cost: 0.01, price: { input: 10, output: 10 } }],
  ])("of %s is never exceeded by 50 children at once, and what it allows is used", async (_, options) => {
    const { run, model } = await setting({ options, children: 50 });
    const { refused, status } = await run();
    expect(refused).toEqual(refusals(40));
    expect(model.asked).toHaveLength(10);
    expect(status!.held).toEqual({ tokens: 0, cost: 0, calls: 0 });
    expect(status!.used).toMatchObject({ tokens: 1_000, calls: 10 });
    expect(status!.used.cost).toBeCloseTo("cost" in options ? 0.01 : 0);
  });

  test("control: without holding, they all ask", async () => {
    const { run, model } = await setting({ options: {}, children: 50 });
    await sabotage("no limits", async () => expect((await run()).refused).toEqual(refusals(40)));
    expect(model.asked).toHaveLength(50);
  });

  test("gives back what was held and not used", async () => {
    const lines: Setting["lines"] = () => ({ text: "yes", usage: { inputTokens: 5, outputTokens: 5 } });
    const { run } = await setting({ options: { tokens: 1_000 }, children: 1, lines });
    expect((await run()).status).toMatchObject({ used: { tokens: 10, calls: 1 }, held: { tokens: 0 } });
  });

  test("counts whole what was cut off, and nothing of what a provider refused to do", async () => {
    const refusal = new AiError({
      code: "ai.model_failed",
      message: "busy",
      retryable: true,
      details: { status: 429 },
    });
    for (const [failure, tokens] of [
      [new Error("the line broke"), 200],
      [refusal, 100],
    ] as const) {
      const { run } = await setting({
        options: { tokens: 1_000 },
        lines: [failure, { text: "yes", usage: USAGE }],
      });
      const { refused, status } = await run();
      expect(refused).toEqual([]);
      expect(status!.used).toMatchObject({ tokens, calls: 2 });
    }
  });

  test("of time ends with it", async () => {
    const clock = new VirtualClock();
    const budgets = await createBudgets(await freshDatabase(), { clock });
    const metered = (root: string) => ({
      run: { root } as never,
      step: { idempotencyKey: "k", write: () => {} } as never,
      turn: { messages: [], tools: [] },
    });
    const said = {
      message: { role: "assistant" as const, content: [] },
      reason: "stop" as const,
      usage: USAGE,
    };
    const meter = budgets.meter({ time: 60_000 });
    await meter(metered("run-1"), () => Promise.resolve(said));
    await clock.advance(60_000);
    await expect(meter(metered("run-1"), () => Promise.resolve(said))).rejects.toMatchObject({
      code: "ai.budget_exceeded",
    });
  });

  test("is that of the tree: whoever says other limits later is held to the first", async () => {
    const { budgets, db, run } = await setting({ options: { tokens: 1_000 } });
    const { root } = await run();
    const again = budgets.meter({ tokens: 1_000_000, maxOutput: 1_000, estimate: () => 1 });
    const metered = {
      run: { root } as never,
      step: { idempotencyKey: "k" } as never,
      turn: { messages: [], tools: [] },
    };
    await expect(again(metered, () => Promise.reject(new Error("asked")))).rejects.toMatchObject({
      code: "ai.budget_exceeded",
    });
    await budgets.set(root, { tokens: 1_000_000 });
    await expect(again(metered, () => Promise.reject(new Error("asked")))).rejects.toThrow("asked"); // control
    expect(await db.query(surql`SELECT VALUE isSettled FROM ai_hold`)).toEqual([false]);
  });

  test.each([
    [{ cost: 1 }, /needs a price/],
    [{ tokens: -1 }, /tokens/],
    [{ tokenz: 1 } as never, /tokenz/],
  ])("that is described as %o is refused", async (options, why) => {
    const budgets = await createBudgets(await freshDatabase());
    expect(() => budgets.meter(options)).toThrow(why);
  });
});

test("several processes hold parts of one budget, and never more than it has", async () => {
  const db = await freshDatabase();
  const both = [await createBudgets(db), await createBudgets(db)]; // they share nothing but the database
  let asked = 0;
  const tries = Array.from({ length: 60 }, async (_, i) => {
    const metered = {
      run: { root: "run-1" } as never,
      step: { idempotencyKey: `k-${i}`, write: () => {} } as never,
      turn: { messages: [], tools: [] },
    };
    const meter = both[i % 2]!.meter({ tokens: 1_000, maxOutput: 40, estimate: () => 60 });
    await meter(metered, () => {
      asked++;
      return Promise.resolve({ message: { role: "assistant", content: [] }, reason: "stop", usage: USAGE });
    });
  });
  const outcomes = await Promise.allSettled(tries);
  expect(asked).toBe(10);
  expect(outcomes.filter(({ status }) => status === "rejected")).toHaveLength(50);
});

test("with a meter of the runtime, runs that name none count into the budget of their tree too", async () => {
  const db = await freshDatabase();
  const budgets = await createBudgets(db);
  const model = scripted(() => ({ text: "yes", usage: USAGE }));
  const child = defineAgent({
    name: "child",
    run: async (ctx) => (await converse(ctx, { model, prompt: "may I?" })).text,
  });
  const meter = budgets.meter({ calls: 2, maxOutput: 40, estimate: () => 60 });
  const parent = defineWorkflow({
    name: "parent",
    run: async (ctx) => {
      await converse(ctx, { model, prompt: "I begin.", meter });
      const ask = () => ctx.call(child).catch((error: AiError) => error.code);
      return [await ask(), await ask()];
    },
  });
  const other = { agents: [child], workflows: [parent], meter: budgets.meter({ estimate: () => 60 }) };
  const sentient = await createSentient({ database: db, ...other });
  onTestFinished(() => sentient.close());
  expect(await sentient.execute(parent)).toEqual(["yes", "ai.budget_exceeded"]);
  expect(await sentient.execute(child)).toBe("yes"); // of a tree without limits
});
