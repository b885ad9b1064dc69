// Runs that ask for what somebody must be able to do, from within a run.

import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { defineAgent, defineWorkflow } from "../src/index.ts";
import { createTestSentient } from "../src/testing/index.ts";

const both = ["add", "explain"] as const;
const clerk = defineAgent({ name: "clerk", capabilities: ["add"], run: async () => "no words" });
const teacher = defineAgent({
  name: "teacher",
  capabilities: both,
  input: z.array(z.number()),
  run: (ctx, numbers) => ctx.step("add", () => numbers.reduce((sum, each) => sum + each, 0)),
});
const asking = defineWorkflow({
  name: "asking",
  input: z.object({ capabilities: z.array(z.string()) }),
  run: async (ctx, { capabilities }) => {
    const child = await ctx.spawn({ capabilities }, [3, 4]);
    return [await ctx.call({ capabilities }, [1, 2]), await child.result()];
  },
});

async function askFor(capabilities: string[]) {
  const sentient = await createTestSentient({ agents: [clerk, teacher], workflows: [asking] });
  onTestFinished(() => sentient.close());
  const handle = await sentient.start(asking, { capabilities });
  return { handle, sentient };
}

test("a run calls and spawns whoever can do all that it asks for, under the name of the first of that", async () => {
  const { handle, sentient } = await askFor([...both]);
  expect(await handle.result()).toEqual([3, 7]);
  const keys = (await sentient.journal(handle)).map(({ key }) => key);
  expect(keys.toSorted()).toEqual(["main/add#1", "main/add#1/result", "main/add#2"]);
});

test("where nobody can do it the call fails, and says so", async () => {
  const { handle } = await askFor(["add", "sing"]);
  await expect(handle.result()).rejects.toThrow(
    "no agent that is registered and not paused can do all of: add, sing",
  );
});
