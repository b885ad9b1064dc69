// Reading: a page of 100 of a log that grows. Its rows are inserted past the log, which then is told of its end.

import { surql, type Database } from "@sentient/db-pool";
import { median, type BenchRow } from "@sentient/testkit";
import type { EventBus, HistoryOptions } from "../src/index.ts";
import { newEvent, newRow } from "./events.ts";
import { busIn, milliseconds, rowOf, type Goal } from "./support.ts";

const SIZES = [1_000, 100_000, 1_000_000];
const PAGES = 50;

export async function reading(): Promise<BenchRow[]> {
  const { db, bus } = await busIn("history");
  await bus.publish(newEvent(0)); // begins the log
  let size = 1;
  const first = new Map<string, number>();
  const rows: BenchRow[] = [];
  for (const wanted of SIZES) {
    size = await grow(db, size, wanted);
    for (const [what, options] of Object.entries(pagesOf(size))) {
      const times = await timesOf(bus, options);
      const before = first.get(what) ?? median(times);
      first.set(what, before);
      const goal: Goal = {
        text: "≤ 2× of 1,000 events",
        met: (row) => row.median <= 2 * before,
      };
      rows.push(rowOf(`page of 100, ${what}, of ${size.toLocaleString("en")} events`, "ms", times, [], goal));
    }
  }
  await bus.close();
  await db.close();
  return rows;
}

function pagesOf(size: number): Record<string, (i: number) => HistoryOptions> {
  const somewhere = (i: number) => Math.floor((i / PAGES) * (size - 200));
  return {
    "from anywhere": (i) => ({ after: somewhere(i) }),
    "the latest": () => ({ order: "desc" }),
    "of a run": (i) => ({ run: `run-${i % 50}`, limit: 20 }),
    "of a run, the latest": (i) => ({ run: `run-${i % 50}`, order: "desc", limit: 20 }),
    "since a moment": (i) => ({ at: { from: new Date(timeOf(somewhere(i))) } }),
  };
}

const EPOCH = Date.UTC(2026, 0, 1);
const timeOf = (position: number) => EPOCH + position * 10;

async function grow(db: Database, size: number, wanted: number): Promise<number> {
  while (size < wanted) {
    const count = Math.min(1_000, wanted - size);
    const rows = Array.from({ length: count }, (_, i) => {
      const position = size + i + 1;
      return {
        ...newRow("event", position),
        n: Math.floor(position / 50) + 2,
        at: new Date(timeOf(position)),
      };
    });
    await db.query(surql`INSERT INTO event ${rows} RETURN NONE`);
    size += count;
  }
  await db.query(surql`UPDATE log:head SET position = ${size} RETURN NONE`);
  return size;
}

async function timesOf(bus: EventBus, options: (i: number) => HistoryOptions): Promise<number[]> {
  const times: number[] = [];
  for (let i = -5; i < PAGES; i++) {
    const took = await milliseconds(() => bus.history(options(Math.abs(i))));
    if (i >= 0) times.push(took);
  }
  return times;
}
