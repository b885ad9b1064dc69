// How much a run may remember: it is said when that comes near, and parked when it is too much.

import { configureLimits, limits } from "@sentient/schema";
import { describe, expect, onTestFinished, test } from "vitest";
import { defineWorkflow } from "../src/index.ts";
import { failureOf, freshDatabase, sentientOn } from "./support/fresh.ts";

const timeout = 60_000;
const DEFAULTS = { steps: limits.steps, historyBytes: limits.historyBytes };

function limited(changes: Partial<typeof DEFAULTS>): void {
  configureLimits(changes);
  onTestFinished(() => configureLimits(DEFAULTS));
}

const flow = defineWorkflow({
  name: "flow",
  run: async (ctx) => {
    for (let i = 0; i < 12; i++) await ctx.step("s", () => "x".repeat(100));
    return "done";
  },
});

async function runningIn() {
  const warned: string[] = [];
  const warn = (_: object, said: string) => void (said.includes("remembers much") && warned.push(said));
  const logger = { debug: () => {}, info: () => {}, warn, error: () => {} };
  const sentient = await sentientOn(await freshDatabase(), { workflows: [flow], logger });
  return { sentient, warned };
}

describe("a run", () => {
  test.each([
    ["steps", { steps: 8 }, "remembers 8 steps, and 8 are allowed"],
    ["bytes", { historyBytes: 500 }, /remembers \d+ bytes of results, and 500 are allowed/],
  ])("that remembers too many %s is parked, and goes on once more are allowed", async (_, changes, said) => {
    limited(changes);
    const { sentient, warned } = await runningIn();
    const handle = await sentient.start(flow);
    const failure = await failureOf(() => handle.result({ timeout }));
    expect(failure).toMatchObject({ code: "agent.run_parked" });
    const run = await handle.run();
    expect(run).toMatchObject({ status: "parked", parkedFor: "too_long" });
    expect((run as { problem: { message: string } }).problem.message).toMatch(said);
    expect(warned).toHaveLength(1);
    configureLimits(DEFAULTS);
    await sentient.resume(handle.id, { by: "ada" });
    expect(await handle.result({ timeout })).toBe("done");
  });

  test("that is far from its limits is not spoken of", async () => {
    const { sentient, warned } = await runningIn();
    expect(await sentient.execute(flow)).toBe("done");
    expect(warned).toEqual([]);
  });
});
