// Runs: from their start through a claim to their end, without a step; 16 in flight in each process, on a served engine.
// Claims: eight processes at a thousand runs; a conflict is a run that somebody else had claimed when it was tried.

import { spawnChild, type BenchRow, type Child } from "@sentient/testkit";
import { engineIn, inFlight, rowOf, stateOf, stateIn, type Goal } from "./support.ts";
import { churn } from "./churn.ts";

const ROUNDS = 3;
const PATIENCE_MS = 120_000;
const SECONDS = 2;
const CLAIMS: Goal = { text: "≥ 2,000/s", met: ({ median }) => median >= 2_000 };
const CONFLICTS: Goal = { text: "≤ 0.3 a claim", met: ({ median }) => median <= 0.3 };

export async function runs(): Promise<BenchRow[]> {
  return [await embedded(), ...(await served())];
}

async function embedded(): Promise<BenchRow> {
  await using ours = await stateIn("runs");
  const rates: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const { count } = await churn(ours.state, `w-${round}`, 16, SECONDS);
    if (round > 0) rates.push(count / SECONDS);
  }
  return rowOf("start, claim, complete: 16 in flight, embedded", "/s", rates);
}

async function served(): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const processes of [1, 4]) {
    await using engine = await engineIn(`served-${processes}`);
    const children = started(engine, processes, {
      what: "churn",
      rounds: ROUNDS,
      seconds: SECONDS,
      begin: Date.now() + 8_000,
    });
    const rates: number[] = [];
    for (let round = 0; round < ROUNDS; round++) rates.push((await sum(children, "count")) / SECONDS);
    await Promise.all(children.map((child) => child.kill()));
    rows.push(
      rowOf(`start, claim, complete: 16 in flight in each of ${processes} processes, served`, "/s", rates),
    );
  }
  return rows;
}

export async function claims(): Promise<BenchRow[]> {
  const [rates, conflicts]: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round++) {
    await using engine = await engineIn(`claims-${round}`);
    await using ours = await stateOf(engine);
    await inFlight(256, 1_000, () => ours.state.start({ name: "extract" }));
    const children = started(engine, 8, { what: "claim", rounds: 0, fleet: 8 });
    const ends = await Promise.all(
      children.map((child) =>
        child.message<{ began: number; end: number; claimed: number; tried: number }>(
          ({ end }) => end !== undefined,
          PATIENCE_MS,
        ),
      ),
    );
    await Promise.all(children.map((child) => child.kill()));
    const claimed = ends.reduce((total, each) => total + each.claimed, 0);
    const tried = ends.reduce((total, each) => total + each.tried, 0);
    const took = Math.max(...ends.map(({ end }) => end)) - Math.min(...ends.map(({ began }) => began));
    rates.push((claimed * 1_000) / took);
    conflicts.push((tried - claimed) / claimed);
  }
  return [
    rowOf("claims, 8 processes at 1,000 runs", "/s", rates, [], CLAIMS),
    rowOf("conflicts a claim", "", conflicts, [], CONFLICTS),
  ];
}

function started({ url, token }: { url: string; token: string }, processes: number, plan: object): Child[] {
  const entry = new URL("./fixtures/worker.ts", import.meta.url);
  const env = { BENCH_URL: url, BENCH_TOKEN: token, BENCH_PLAN: JSON.stringify(plan) };
  return Array.from({ length: processes }, () => spawnChild(entry, { env }));
}

async function sum(children: Child[], field: string): Promise<number> {
  const said = await Promise.all(
    children.map((child) =>
      child.message<Record<string, number>>((message) => message[field] !== undefined, PATIENCE_MS),
    ),
  );
  return said.reduce((total, message) => total + message[field]!, 0);
}
