// Steps: durable commits a second, each a step's row and its event under the fence of its lease. Raw is an INSERT of the same
// rows, in batches of the size that ours came to; for one run alone it is the same statements by hand, as one transaction.

import { RecordId } from "@sentient/db-pool";
import type { BenchRow } from "@sentient/testkit";
import type { Surreal } from "surrealdb";
import type { Lease } from "../src/index.ts";
import { inFlight, milliseconds, rawIn, rowOf, stateIn, type Goal, type Ours } from "./support.ts";

const ROUNDS = 7;
const AT_ONCE = [1, 16, 64];
const STEPS: Record<number, number> = { 1: 300, 16: 3_000, 64: 6_000 };
const GOALS: Record<number, Goal> = {
  1: { text: "≤ 1.3× raw time", met: ({ ratio }) => ratio! >= 1 / 1.3 },
  16: { text: "≥ 4,000/s", met: ({ median }) => median >= 4_000 },
  64: { text: "≥ 5,000/s", met: ({ median }) => median >= 5_000 },
};
const result = { rows: 3, note: "x".repeat(60) };
const key = (i: number) => `main/extract#${i}`;

export async function steps(): Promise<BenchRow[]> {
  await using ours = await stateIn("steps");
  const raw = await rawIn("steps-raw");
  const rows: BenchRow[] = [];
  for (const lanes of AT_ONCE) {
    const rates: Record<"ours" | "raw", number[]> = { ours: [], raw: [] };
    const count = STEPS[lanes]!;
    let batch = 1;
    for (let round = 0; round <= ROUNDS; round++) {
      const leases = await claimed(ours, lanes);
      const mine = await commitAll(ours, leases, count);
      batch = Math.max(1, Math.round(count / mine.commits));
      const theirs = lanes === 1 ? await byHand(raw, count) : await insertAll(raw, count, batch);
      if (round === 0) continue;
      rates.ours.push((count * 1_000) / mine.took);
      rates.raw.push((count * 1_000) / theirs);
    }
    const what =
      lanes === 1
        ? "one run alone (raw: the same statements by hand)"
        : `${lanes} runs in flight, batches of ${batch}`;
    rows.push(rowOf(`steps, ${what}`, "/s", rates.ours, rates.raw, GOALS[lanes]));
  }
  await raw.close();
  return rows;
}

export async function claimed({ state }: Ours, count: number): Promise<Lease[]> {
  await inFlight(64, count, () => state.start({ name: "extract", input: { page: 1 } }));
  const leases: Lease[] = [];
  while (leases.length < count)
    leases.push(
      ...(await state.claim({
        worker: "bench",
        serves: [{ name: "extract", versions: ["1"] }],
        max: count - leases.length,
        lease: 3_600_000,
      })),
    );
  return leases;
}

async function commitAll({ db, state }: Ours, leases: Lease[], count: number) {
  let commits = 0;
  const off = db.on("query", ({ text }) => void (text.startsWith("BEGIN") && commits++));
  const each = count / leases.length;
  const took = await milliseconds(() =>
    Promise.all(
      leases.map(async (lease) => {
        for (let i = 1; i <= each; i++)
          await state.commit(lease, {
            steps: [{ key: key(i), name: "extract", status: "completed", result }],
          });
      }),
    ),
  );
  off();
  return { took, commits };
}

let last = 0;

function rowsOf(count: number) {
  const events: object[] = [];
  const stored: object[] = [];
  for (let i = 0; i < count; i++) {
    const position = ++last;
    const run = `r-${position % 64}`;
    const at = new Date();
    const data = JSON.stringify({ attempts: 1, key: key(position), name: "extract" });
    events.push({
      id: new RecordId("event", position),
      type: "step.completed",
      source: "sentient",
      target: "extract",
      run,
      n: position,
      data,
      at,
    });
    stored.push({
      id: new RecordId("step", [run, 0, key(position)]),
      name: "extract",
      attempts: 1,
      status: "completed",
      n: position,
      token: 1,
      startedAt: at,
      endedAt: at,
      result: JSON.stringify(result),
    });
  }
  return { events, stored };
}

async function insertAll(raw: Surreal, count: number, batch: number): Promise<number> {
  return milliseconds(async () => {
    for (let done = 0; done < count; done += batch)
      await raw.query(
        "{ INSERT INTO event $events RETURN NONE; INSERT INTO step $stored RETURN NONE }",
        rowsOf(Math.min(batch, count - done)),
      );
  });
}

const BY_HAND = `BEGIN;
  UPDATE ONLY log:head SET position = $to, at = $at WHERE position = $from RETURN VALUE position;
  INSERT INTO event $events RETURN NONE;
  INSERT INTO step $stored RETURN NONE;
  COMMIT`;

async function byHand(raw: Surreal, count: number): Promise<number> {
  await raw.query("UPDATE log:head SET position = 0");
  return milliseconds(async () => {
    for (let i = 0; i < count; i++)
      await raw.query(BY_HAND, { from: i, to: i + 1, at: new Date(), ...rowsOf(1) });
  });
}
