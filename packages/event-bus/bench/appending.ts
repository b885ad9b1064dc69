// Appending: durable events a second. Raw is an INSERT of the same rows, in batches of the size that ours came to.

import { randomUUID } from "node:crypto";
import { measure, spawnChild, type BenchRow, type Child } from "@sentient/testkit";
import type { Database } from "@sentient/db-pool";
import type { Surreal } from "surrealdb";
import type { EventBus } from "../src/index.ts";
import { newEvent, newRow } from "./events.ts";
import { busIn, engineIn, milliseconds, rawIn, rowOf, type Goal } from "./support.ts";

const ROUNDS = 7;
const IN_FLIGHT = [1, 16, 256];
const EVENTS: Record<number, number> = { 1: 300, 16: 3_000, 256: 10_000 };
const DURABLE: Goal = { text: "≥ 10,000/s", met: ({ median }) => median >= 10_000 };
const SHARE: Goal = { text: "≥ 0.6× raw", met: ({ ratio }) => ratio! >= 0.6 };

export async function appending(): Promise<BenchRow[]> {
  return [await alone(), ...(await inProcess()), ...(await inProcesses())];
}

/** Under low load: one event at a time, beside the same statements sent by hand as one transaction. */
async function alone(): Promise<BenchRow> {
  const { db, bus } = await busIn("alone");
  const raw = await rawIn("alone-raw");
  await raw.query("CREATE log:head SET position = 0, epoch = 0, at = time::now()");
  const goal = { text: "≤ 1.1× raw", met: (ratio: number) => ratio <= 1.1 };
  let n = 0;
  const row = await measure({
    name: "one publish at a time (raw: the same statements by hand)",
    unit: "µs",
    calls: 200,
    ours: (i) => bus.publish(newEvent(i)),
    raw: () => {
      const row = { ...newRow("event", ++n), batch: randomUUID() };
      return raw.query(TRANSACTION, { from: n - 1, to: n, at: new Date(), rows: [row] });
    },
    goal,
  });
  await Promise.all([bus.close(), raw.close()]);
  await db.close();
  return row;
}

const TRANSACTION = `BEGIN;
  UPDATE ONLY log:head SET position = $to, at = $at WHERE position = $from AND epoch = 0 RETURN VALUE time::now();
  INSERT INTO event $rows RETURN NONE;
  COMMIT`;

async function inProcess(): Promise<BenchRow[]> {
  const { db, bus } = await busIn("append");
  const raw = await rawIn("append-raw");
  const rows: BenchRow[] = [];
  for (const inFlight of IN_FLIGHT) {
    const rates: Record<"ours" | "same" | "bare", number[]> = { ours: [], same: [], bare: [] };
    const count = EVENTS[inFlight]!;
    let batch = 1;
    for (let round = 0; round <= ROUNDS; round++) {
      const ours = await publishAll(bus, db, count, inFlight);
      batch = Math.max(1, Math.round(count / ours.commits));
      const same = await insertAll(raw, "event", count, batch);
      const bare = await insertAll(raw, "bare", count, batch);
      if (round === 0) continue;
      rates.ours.push((count * 1_000) / ours.took);
      rates.same.push((count * 1_000) / same);
      rates.bare.push((count * 1_000) / bare);
    }
    const what = `append, ${inFlight} in flight, batches of ${batch}`;
    rows.push(rowOf(`${what} (raw: the same table)`, "/s", rates.ours, rates.same, SHARE));
    rows.push(rowOf(`${what} (raw: no index)`, "/s", rates.ours, rates.bare, SHARE));
    if (inFlight === 256)
      rows.push(rowOf("append, 256 in flight, one process", "/s", rates.ours, [], DURABLE));
  }
  await Promise.all([bus.close(), raw.close()]);
  await db.close();
  return rows;
}

async function publishAll(bus: EventBus, db: Database, count: number, inFlight: number) {
  let commits = 0;
  const off = db.on("query", ({ text }) => void (text.startsWith("BEGIN") && commits++));
  let next = 0;
  const lane = async () => {
    while (next < count) await bus.publish(newEvent(next++));
  };
  const took = await milliseconds(() => Promise.all(Array.from({ length: inFlight }, lane)));
  off();
  return { took, commits };
}

let last = 0;

const INSERT = { event: "INSERT INTO event $rows RETURN NONE", bare: "INSERT INTO bare $rows RETURN NONE" };

function insertAll(raw: Surreal, table: keyof typeof INSERT, count: number, batch: number): Promise<number> {
  return milliseconds(async () => {
    for (let done = 0; done < count; done += batch) {
      const rows = Array.from({ length: Math.min(batch, count - done) }, () => newRow(table, ++last));
      await raw.query(INSERT[table], { rows });
    }
  });
}

/** Several processes on one served engine: each publishes for two seconds at a time, and all begin at the same moment. */
async function inProcesses(): Promise<BenchRow[]> {
  await using engine = await engineIn("served");
  const entry = new URL("./fixtures/publisher.ts", import.meta.url);
  const rows: BenchRow[] = [];
  for (const processes of [1, 4, 8]) {
    const plan = { inFlight: IN_FLIGHT, rounds: 3, seconds: 2, begin: Date.now() + 10_000 };
    const env = { BENCH_URL: engine.url, BENCH_TOKEN: engine.token, BENCH_PLAN: JSON.stringify(plan) };
    const children = Array.from({ length: processes }, () => spawnChild(entry, { env }));
    for (const inFlight of IN_FLIGHT) {
      const rates: number[] = [];
      for (let round = 0; round < plan.rounds; round++) rates.push((await countOf(children)) / plan.seconds);
      rows.push(
        rowOf(`append, ${processes} processes on a served engine, ${inFlight} in flight each`, "/s", rates),
      );
    }
    await Promise.all(children.map((child) => child.kill()));
  }
  return rows;
}

async function countOf(children: Child[]): Promise<number> {
  const counts = await Promise.all(
    children.map((child) => child.message<{ count: number }>((message) => "count" in message, 120_000)),
  );
  return counts.reduce((sum, { count }) => sum + count, 0);
}
