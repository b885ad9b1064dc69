// Following: from publish to a follower at 100 events a second; catching up; doing nothing.

import { setTimeout as sleep } from "node:timers/promises";
import { BoundIncluded, RecordId, RecordIdRange, surql, type Database } from "@sentient/db-pool";
import { percentile, type BenchRow } from "@sentient/testkit";
import { Table, type Surreal } from "surrealdb";
import type { EventBus } from "../src/index.ts";
import { newEvent, newRow } from "./events.ts";
import { busIn, busOf, engineIn, milliseconds, rawIn, rawOf, rowOf, type Goal } from "./support.ts";

const EVENTS = 1_000;
const CATCH_UP = 100_000;
const LATENCY: Goal = { text: "≤ 1.2× raw commit + LIVE notice", met: ({ ratio }) => ratio! <= 1.2 };
const LATE: Goal = { text: "≤ 25 ms", met: ({ median }) => median <= 25 };
const RATE: Goal = { text: "≥ 30,000/s", met: ({ median }) => median >= 30_000 };
const IDLE: Goal = { text: "≤ 1 query/s", met: ({ median }) => median <= 1 };

export async function following(): Promise<BenchRow[]> {
  return [...(await inOneProcess()), ...(await acrossProcesses()), ...(await catchingUp())];
}

async function inOneProcess(): Promise<BenchRow[]> {
  const { db, bus } = await busIn("follow");
  const raw = await rawIn("follow-raw");
  const rows = latencyRows("in one process", await latencies(bus, bus), await rawLatencies(raw, raw));
  await Promise.all([bus.close(), raw.close()]);
  await db.close();
  return rows;
}

/** Two connections to one served engine: what one publishes the other follows. */
async function acrossProcesses(): Promise<BenchRow[]> {
  await using engine = await engineIn("follow-served");
  const [here, there] = [await busOf(engine), await busOf(engine)];
  await here.bus.publish(newEvent(0));
  const [writer, listener] = [await rawOf(engine), await rawOf(engine)];
  await writer.query("DEFINE TABLE note SCHEMALESS");
  const rows = latencyRows(
    "between two buses on a served engine",
    await latencies(here.bus, there.bus),
    await rawLatencies(writer, listener),
  );
  await Promise.all([here.bus.close(), there.bus.close(), writer.close(), listener.close()]);
  await Promise.all([here.db.close(), there.db.close()]);
  return rows;
}

function latencyRows(where: string, ours: number[], raw: number[]): BenchRow[] {
  const share = (part: number) => [[percentile(ours, part)], [percentile(raw, part)]] as [number[], number[]];
  return [
    rowOf(`publish → follower ${where}, p50`, "ms", ...share(0.5), LATENCY),
    rowOf(`publish → follower ${where}, p99`, "ms", ...share(0.99), LATE),
  ];
}

async function latencies(here: EventBus, there: EventBus): Promise<number[]> {
  const told: number[] = [];
  const took: number[] = [];
  const events = there.follow({ types: "step.*" });
  const following = (async () => {
    for await (const _ of events) if (took.push(performance.now() - told[took.length]!) === EVENTS) return;
  })();
  await sleep(500);
  await everyTenMilliseconds(async () => {
    told.push(performance.now());
    await here.publish(newEvent(told.length));
  });
  await following;
  return took;
}

/** The wait for one commit and for the notice of it; a notice that never comes is left out. */
async function rawLatencies(writer: Surreal, listener: Surreal): Promise<number[]> {
  const told: number[] = [];
  const took: number[] = [];
  const live = await listener.live(new Table("note"));
  live.subscribe(({ recordId }) => took.push(performance.now() - told[Number(recordId?.id) - 1]!));
  await sleep(500);
  await everyTenMilliseconds(async () => {
    const id = new RecordId("note", told.push(performance.now()));
    await writer.query("CREATE $id CONTENT $row RETURN NONE", { id, row: withoutId(told.length) });
  });
  await sleep(1_000);
  await live.kill();
  return took;
}

function withoutId(i: number): object {
  const { id: _id, ...row } = newRow("note", i);
  return row;
}

async function everyTenMilliseconds(work: () => Promise<void>): Promise<void> {
  const began = performance.now();
  const pending: Promise<void>[] = [];
  for (let i = 0; i < EVENTS; i++) {
    await sleep(Math.max(0, began + i * 10 - performance.now()));
    pending.push(work());
  }
  await Promise.all(pending);
}

async function catchingUp(): Promise<BenchRow[]> {
  const { db, bus } = await busIn("catch-up");
  for (let i = 0; i < CATCH_UP; i += 500)
    await bus.publish(Array.from({ length: 500 }, (_, j) => newEvent(i + j)));
  const ours: number[] = [];
  const raw: number[] = [];
  for (let round = 0; round <= 5; round++) {
    const took = await milliseconds(() => readAll(bus));
    const rawTook = await milliseconds(async () => {
      for (let first = 1; first <= CATCH_UP; first += 1_000) await db.query(window(first));
    });
    if (round === 0) continue;
    ours.push((CATCH_UP * 1_000) / took);
    raw.push((CATCH_UP * 1_000) / rawTook);
  }
  const idle = await queriesWhileIdle(bus, db);
  await bus.close();
  await db.close();
  return [
    rowOf("catch up over 100,000 events (raw: the same rows read, and not parsed)", "/s", ours, raw, RATE),
    rowOf("queries of an idle follower", "/s", [idle], [], IDLE),
  ];
}

async function readAll(bus: EventBus): Promise<void> {
  let count = 0;
  for await (const _ of bus.follow({ after: 0 })) if (++count === CATCH_UP) return;
}

const window = (first: number) =>
  surql`SELECT * FROM ${new RecordIdRange("event", new BoundIncluded(first), new BoundIncluded(first + 999))}`;

async function queriesWhileIdle(bus: EventBus, db: Database): Promise<number> {
  const end = new AbortController();
  const following = (async () => {
    for await (const _ of bus.follow({ signal: end.signal })) return;
  })();
  await sleep(3_000);
  let queries = 0;
  const off = db.on("query", () => void queries++);
  await sleep(20_000);
  off();
  end.abort();
  await following;
  return queries / 20;
}
