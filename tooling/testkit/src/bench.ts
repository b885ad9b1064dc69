import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";

/** One line of a benchmark: ours, the raw engine's in the same run, and the goal if there is one. */
export interface BenchRow {
  name: string;
  unit: string;
  median: number;
  min: number;
  max: number;
  raw?: number;
  ratio?: number;
  goal?: string;
  met?: boolean;
}

export interface Measure {
  name: string;
  /** `"µs"` a call, or calls a second. */
  unit: "µs" | "/s";
  /** Calls a round. */
  calls: number;
  inFlight?: number;
  ours: (i: number) => Promise<unknown>;
  raw?: (i: number) => Promise<unknown>;
  /** For the ratio ours/raw, in the row's unit. */
  goal?: { text: string; met: (ratio: number) => boolean };
}

const ROUNDS = 7;

/**
 * Measures ours and raw in turns, so that both see the same machine, and keeps the medians of seven rounds after one
 * that is thrown away.
 *
 * @example rows.push(await measure({ name: "point read", unit: "µs", calls: 2_000, ours, raw }));
 */
export async function measure({
  name,
  unit,
  calls,
  inFlight = 1,
  ours,
  raw,
  goal,
}: Measure): Promise<BenchRow> {
  const mine: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const first = inUnit(unit, calls, await timed(ours, calls, inFlight));
    const second = raw ? inUnit(unit, calls, await timed(raw, calls, inFlight)) : undefined;
    if (round === 0) continue;
    mine.push(first);
    if (second !== undefined) theirs.push(second);
  }
  const row: BenchRow = { name, unit, median: median(mine), min: Math.min(...mine), max: Math.max(...mine) };
  if (theirs.length > 0) {
    row.raw = median(theirs);
    row.ratio = row.median / row.raw;
  }
  if (goal && row.ratio !== undefined) {
    row.goal = goal.text;
    row.met = goal.met(row.ratio);
  }
  return row;
}

/** Prints the rows as a table and writes `bench/out/<name>.json` under `root`. */
export function report(name: string, root: string, rows: BenchRow[]): void {
  console.table(
    rows.map(({ name: row, unit, median: mid, min, max, raw, ratio, goal, met }) => ({
      row,
      unit,
      median: round(mid),
      min: round(min),
      max: round(max),
      raw: raw === undefined ? "" : round(raw),
      "ours/raw": ratio === undefined ? "" : round(ratio),
      goal: goal ?? "",
      met: met === undefined ? "" : met ? "yes" : "NO",
    })),
  );
  const folder = join(root, "bench", "out");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify({ rows }, null, 2)}\n`);
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** The value that the share `p` (0 to 1) of all values does not exceed. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))] ?? Number.NaN;
}

async function timed(
  call: (i: number) => Promise<unknown>,
  calls: number,
  inFlight: number,
): Promise<number> {
  let next = 0;
  const lane = async () => {
    while (next < calls) await call(next++);
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: inFlight }, lane));
  return performance.now() - began;
}

function inUnit(unit: Measure["unit"], calls: number, ms: number): number {
  return unit === "µs" ? (ms * 1_000) / calls : (calls * 1_000) / ms;
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
