import { surql, type Database } from "@sentient/db-pool";
import { spawnChild } from "@sentient/testkit";
import { expect } from "vitest";
import type { Trimmed } from "../../src/index.ts";

/** What a process that trims is told; `after` how many statements of which `batch` it stops. */
export interface TrimOrders {
  url: string;
  namespace: string;
  database: string;
  /** How many are published first. */
  events: number;
  batch?: number;
  after?: number;
  /** Each statement of that batch commits by itself. */
  torn?: boolean;
}

/** What a process may take to begin, publish and trim. */
const START_MS = 60_000;

/** A process that trims, and is killed where it stops. */
export async function trimKilled(orders: TrimOrders): Promise<void> {
  await using child = trimmer(orders);
  await child.message((message) => message.stopped === true, START_MS);
}

/** A process that trims to the end. */
export async function trimUndisturbed(orders: TrimOrders): Promise<Trimmed> {
  await using child = trimmer(orders);
  const isDone = (message: object) => "trimmed" in message;
  const { trimmed } = await child.message<{ trimmed: Trimmed }>(isDone, START_MS);
  expect(await child.exited).toMatchObject({ code: 0 });
  return trimmed;
}

function trimmer(orders: TrimOrders) {
  return spawnChild(new URL("../fixtures/trim-child.ts", import.meta.url), {
    env: { TRIM: JSON.stringify(orders) },
  });
}

interface Stored {
  head: number;
  floor: number;
  ids: number[];
  tails: Record<string, number>;
  runs: { run: string; n: number }[];
}

/** Asserts that nothing is left below the floor, all is there above it, and each run goes on where it ended. */
export async function expectTrimmed(db: Database): Promise<void> {
  const { head, floor, ids, tails, runs } = await db.query(surql<Stored>`RETURN {
    head: (SELECT VALUE position FROM ONLY log:head),
    floor: (SELECT VALUE position FROM ONLY log:floor),
    ids: (SELECT VALUE record::id(id) FROM event),
    tails: object::from_entries((SELECT VALUE [record::id(id), n] FROM run_tail)),
    runs: (SELECT run, n FROM event WHERE run != NONE)
  }`);
  expect(ids).toEqual(Array.from({ length: head - floor }, (_, i) => floor + 1 + i));
  const next = new Map(Object.entries(tails).map(([run, n]) => [run, n + 1]));
  for (const { run, n } of runs) {
    expect([run, n]).toEqual([run, next.get(run) ?? 1]);
    next.set(run, n + 1);
  }
}
