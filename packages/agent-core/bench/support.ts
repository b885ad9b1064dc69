import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { median, type BenchRow } from "@sentient/testkit";
import { createSentient, defineAgent, type Sentient } from "../src/index.ts";

export const root: string = fileURLToPath(new URL("../../..", import.meta.url));
export const folder: string = mkdtempSync(join(tmpdir(), "sentient-agent-core-bench-"));

export const noop = defineAgent({ name: "noop", run: async () => null });
export const ten = defineAgent({ name: "ten", run: (ctx) => steps(ctx, 10) });
export const hundred = defineAgent({ name: "hundred", run: (ctx) => steps(ctx, 100) });
export const patient = defineAgent({ name: "patient", run: async (ctx) => ctx.waitFor("go") });
export const agents = [noop, ten, hundred, patient];

async function steps(
  ctx: Parameters<Parameters<typeof defineAgent>[0]["run"]>[0],
  count: number,
): Promise<number> {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += await ctx.step("add", () => i);
  return sum;
}

export function sentientIn(name: string): Promise<Sentient> {
  return createSentient({ url: `rocksdb://${join(folder, name)}`, agents });
}

export interface Goal {
  text: string;
  met: (row: BenchRow) => boolean;
}

export function rowOf(name: string, unit: string, values: number[], goal?: Goal): BenchRow {
  const row: BenchRow = {
    name,
    unit,
    median: median(values),
    min: Math.min(...values),
    max: Math.max(...values),
  };
  return goal ? { ...row, goal: goal.text, met: goal.met(row) } : row;
}

/** Calls `work` so often, so many of them at once. */
export async function inFlight(
  lanes: number,
  count: number,
  work: (i: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}
