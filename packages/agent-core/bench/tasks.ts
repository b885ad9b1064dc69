// Tasks: from `execute` until what it gives. Sixteen in flight, and paced: one begun every ten milliseconds, whoever is late.

import { setTimeout as sleep } from "node:timers/promises";
import { percentile, type BenchRow } from "@sentient/testkit";
import { hundred, inFlight, noop, rowOf, sentientIn, ten } from "./support.ts";

const ROUNDS = 5;

export async function tasks(): Promise<BenchRow[]> {
  await using sentient = await sentientIn("tasks");
  const rates: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const began = performance.now();
    await inFlight(16, 1_500, () => sentient.execute(noop, null));
    if (round > 0) rates.push(1_500_000 / (performance.now() - began));
  }
  return [
    rowOf("no-op tasks, 16 in flight", "/s", rates, {
      text: "≥ 4,500/s",
      met: ({ median }) => median >= 4_500,
    }),
    ...(await paced(sentient)),
  ];
}

async function paced(sentient: Awaited<ReturnType<typeof sentientIn>>): Promise<BenchRow[]> {
  const [p50, p99]: [number[], number[]] = [[], []];
  for (let round = 0; round <= ROUNDS; round++) {
    const took: number[] = [];
    const all: Promise<void>[] = [];
    const begin = performance.now();
    for (let i = 0; i < 300; i++) {
      await sleep(Math.max(0, begin + i * 10 - performance.now()));
      const began = performance.now();
      all.push(sentient.execute(noop, null).then(() => void took.push(performance.now() - began)));
    }
    await Promise.all(all);
    if (round === 0) continue;
    p50.push(percentile(took, 0.5));
    p99.push(percentile(took, 0.99));
  }
  return [
    rowOf("no-op task, 100/s: p50", "ms", p50, { text: "≤ 1.5 ms", met: ({ median }) => median <= 1.5 }),
    rowOf("no-op task, 100/s: p99", "ms", p99, { text: "≤ 5 ms", met: ({ median }) => median <= 5 }),
  ];
}

export async function flows(): Promise<BenchRow[]> {
  await using sentient = await sentientIn("flows");
  const rates: number[] = [];
  const single: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const began = performance.now();
    await inFlight(16, 320, () => sentient.execute(ten, null));
    const took = performance.now() - began;
    const alone = performance.now();
    await sentient.execute(hundred, null);
    if (round === 0) continue;
    rates.push(3_200_000 / took);
    single.push((performance.now() - alone) / 100);
  }
  return [
    rowOf("steps of ten-step flows, 16 in flight", "/s", rates, {
      text: "≥ 5,000/s",
      met: ({ median }) => median >= 5_000,
    }),
    rowOf("one flow of a hundred steps, a step", "ms", single, {
      text: "≤ 0.85 ms",
      met: ({ median }) => median <= 0.85,
    }),
  ];
}
