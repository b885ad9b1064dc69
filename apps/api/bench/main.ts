// What HTTP costs: start, get and list beside a route of Hono that does nothing, in turns; and a stream that 200 follow.
// The server is a process of its own, embedded on rocksdb with fsync; who asks is this one.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { median, percentile, report, spawnChild, until, type BenchRow } from "@sentient/testkit";
import { ask, load, open, rowsOf, type Load } from "./load.ts";

const ROUNDS = 5;
const CALLS = 1_000;
const IN_FLIGHT = 16;
const FOLLOWERS = 200;
const EVENTS = 200;

const folder = mkdtempSync(join(tmpdir(), "sentient-api-bench-"));
const child = spawnChild(new URL("./fixtures/server.ts", import.meta.url), {
  env: { BENCH_URL: `rocksdb://${folder}/data` },
});
const { api, bare, token } = await child.message<{ api: string; bare: string; token: string }>(
  (message) => "api" in message,
  60_000,
);
const runs = `${api}/v1/runs`;
const start = (i: number) =>
  ask({ url: runs, token, method: "POST", body: { name: "elsewhere", input: { i } } });
const { id } = JSON.parse(await start(0)) as { id: string };
for (let i = 0; i < 100; i++) await start(i);

const parts: Record<string, { ours: (i: number) => Promise<unknown>; raw: (i: number) => Promise<unknown> }> =
  {
    start: {
      ours: start,
      raw: (i) => ask({ url: bare, token, method: "POST", body: { name: "elsewhere", input: { i } } }),
    },
    get: { ours: () => ask({ url: `${runs}/${id}`, token }), raw: () => ask({ url: bare, token }) },
    "list of 20": {
      ours: () => ask({ url: `${runs}?limit=20`, token }),
      raw: () => ask({ url: bare, token }),
    },
  };

const rows: BenchRow[] = [];
for (const [name, { ours, raw }] of Object.entries(parts)) {
  const rounds: { ours: Load[]; raw: Load[] } = { ours: [], raw: [] };
  for (let round = 0; round <= ROUNDS; round++) {
    const one = await load(ours, CALLS, IN_FLIGHT);
    const other = await load(raw, CALLS, IN_FLIGHT);
    if (round === 0) continue; // warm
    rounds.ours.push(one);
    rounds.raw.push(other);
  }
  rows.push(...rowsOf(`${name}, ${IN_FLIGHT} in flight`, rounds.ours, rounds.raw));
}
rows.push(...(await fanOut()));
report("api", fileURLToPath(new URL("../../..", import.meta.url)), rows);
await child.kill("SIGTERM");
rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
process.exit(0);

/** How many frames a second 200 followers get in all, and how long after it was told each has one. */
async function fanOut(): Promise<BenchRow[]> {
  let received = 0;
  const told = new Map<number, number>();
  const late: number[] = [];
  const onData = (text: string) => {
    for (const [, i] of text.matchAll(/"data":\{"i":(\d+)\}/g)) {
      received++;
      late.push(performance.now() - told.get(Number(i))!);
    }
  };
  const url = `${api}/v1/events?types=bench.told`;
  const streams = await Promise.all(Array.from({ length: FOLLOWERS }, () => open({ url, token }, onData)));
  const rates: number[] = [];
  const rounds = 3;
  for (let round = 0; round < rounds; round++) {
    received = 0;
    const began = performance.now();
    for (let i = 0; i < EVENTS; i++) {
      const n = round * EVENTS + i;
      told.set(n, performance.now());
      await ask({
        url: `${api}/v1/events`,
        token,
        method: "POST",
        body: { type: "bench.told", data: { i: n } },
      });
    }
    await until(() => received === EVENTS * FOLLOWERS, { what: "all of them", deadline: 120_000 });
    rates.push((received * 1_000) / (performance.now() - began));
  }
  for (const stream of streams) stream.destroy();
  const row = { min: Math.min(...rates), max: Math.max(...rates) };
  const p99 = percentile(late, 0.99);
  return [
    {
      name: `frames to ${FOLLOWERS} followers, one event after the other`,
      unit: "frames/s",
      median: median(rates),
      ...row,
    },
    {
      name: `from the telling to the last of them, p99`,
      unit: "ms",
      median: p99,
      min: median(late),
      max: Math.max(...late),
    },
  ];
}
