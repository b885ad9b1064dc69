// Processes: how long from nothing to a first result, how long from a SIGKILL to the next step, what is held in memory, and four
// workers on a served engine.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { servedEngine, spawnChild, until, type BenchRow } from "@sentient/testkit";
import { folder, inFlight, patient, rowOf, sentientIn } from "./support.ts";

const ROUNDS = 5;
const cold = new URL("fixtures/cold.ts", import.meta.url);
const flows = new URL("fixtures/flows.ts", import.meta.url);
const worker = new URL("fixtures/worker.ts", import.meta.url);
const megabytes = () => process.memoryUsage().rss / 2 ** 20;
const urlOf = (name: string) => `rocksdb://${join(folder, name)}`;

/** What was built, and not its sources. */
const AS_PUBLISHED = { conditions: [] };

export async function starts(): Promise<BenchRow[]> {
  const took: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const began = Date.now();
    const child = spawnChild(cold, { env: { BENCH_URL: urlOf(`cold-${round}`) }, ...AS_PUBLISHED });
    const { done } = await child.message<{ done: number }>((message) => message.done !== undefined, 60_000);
    await child.exited;
    if (round > 0) took.push(done - began);
  }
  return [
    rowOf("cold start to the first result", "ms", took, {
      text: "≤ 400 ms",
      met: ({ median }) => median <= 400,
    }),
    await restarts(),
  ];
}

interface Line {
  step: string;
  pid: number;
  at: number;
}

function linesOf(ledger: string): Line[] {
  if (!existsSync(ledger)) return [];
  const lines = readFileSync(ledger, "utf8").split("\n").filter(Boolean);
  return lines.map((line) => {
    const [run, step, pid, at] = line.split(" ");
    return { step: `${run} ${step}`, pid: Number(pid), at: Number(at) };
  });
}

/** Killed in the middle, and started again on the same folder. */
async function restarts(): Promise<BenchRow> {
  const took: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const ledger = join(folder, `ledger-${round}`);
    const env = { BENCH_URL: urlOf(`restart-${round}`), BENCH_LEDGER: ledger };
    const first = spawnChild(flows, { env, ...AS_PUBLISHED });
    await until(() => linesOf(ledger).length > 150, { every: 1 });
    await first.kill();
    const killed = Date.now();
    const second = spawnChild(flows, { env, ...AS_PUBLISHED });
    await second.message((message) => (message as { finished?: boolean }).finished === true, 120_000);
    await second.exited;
    const lines = linesOf(ledger);
    const again = lines.filter(({ pid }) => pid === second.pid);
    if (round > 0) took.push(Math.min(...again.map(({ at }) => at)) - killed);
    requireNoneTwice(lines);
  }
  return rowOf("SIGKILL to the first step after it, same folder", "ms", took, {
    text: "≤ 400 ms",
    met: ({ median }) => median <= 400,
  });
}

/** But for those that were on their way: an effect happened, and the process died before it was remembered. */
function requireNoneTwice(lines: readonly Line[]): void {
  const counts = Map.groupBy(lines, ({ step }) => step);
  const twice = [...counts.values()].filter((each) => each.length > 1).length;
  if (counts.size !== 500 || twice > 50)
    throw new Error(`${counts.size} of 500 steps, ${twice} of them twice`);
}

export async function memory(): Promise<BenchRow[]> {
  globalThis.gc?.();
  const before = megabytes();
  await using sentient = await sentientIn("memory");
  await sentient.execute(patient, null, { timeout: 100 }).catch(() => {});
  globalThis.gc?.();
  const idle = megabytes();
  await inFlight(64, 10_000, () => sentient.start(patient, null));
  const waiting = async () => (await sentient.list({ status: "running", limit: 1 })).runs.length === 0;
  await until(waiting, { every: 200 });
  globalThis.gc?.();
  return [
    rowOf("memory, idle (of which the process alone before)", "MiB", [idle, before]),
    rowOf("memory, 10,000 runs that wait", "MiB", [megabytes()]),
  ];
}

export async function fleet(): Promise<BenchRow[]> {
  const entry = new URL("../test/fixtures/serve-child.ts", import.meta.url);
  await using engine = await servedEngine({ entry, folder: join(folder, "fleet") });
  const plan = { begin: Date.now() + 10_000, seconds: 3, rounds: 3 };
  const env = { BENCH_URL: engine.url, BENCH_TOKEN: engine.token, BENCH_PLAN: JSON.stringify(plan) };
  const children = Array.from({ length: 4 }, () => spawnChild(worker, { env }));
  const rates: Record<"noop" | "ten", number[]> = { noop: [], ten: [] };
  for (let round = 0; round < plan.rounds; round++)
    for (const what of ["noop", "ten"] as const) {
      const isIt = (message: object) => what in message && (message as { round: number }).round === round;
      const said = await Promise.all(
        children.map((child) => child.message<Record<string, number>>(isIt, 120_000)),
      );
      rates[what].push(said.reduce((sum, message) => sum + message[what]!, 0) / plan.seconds);
    }
  await Promise.all(children.map((child) => child.kill()));
  return [
    rowOf("no-op tasks, 16 in flight in each of 4 processes, served", "/s", rates.noop),
    rowOf(
      "steps of ten-step flows, the same",
      "/s",
      rates.ten.map((rate) => rate * 10),
    ),
  ];
}
