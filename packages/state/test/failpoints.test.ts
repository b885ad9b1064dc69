// A run whose process is killed at any point, and that another goes on with, ends as one that nobody has killed.

import { join } from "node:path";
import { openDatabase, type DatabaseOptions } from "@sentient/db-pool";
import { createEventBus } from "@sentient/event-bus";
import { EffectLedger, freshNames, sabotage, seeded, servedEngine, spawnChild } from "@sentient/testkit";
import { expect, onTestFinished, test } from "vitest";
import { createState } from "../src/index.ts";
import type { ProgramOrders } from "./fixtures/program-child.ts";
import { freshFolder } from "./support/fresh.ts";
import { drive, leftOf, withFailpoints, type Point, type Stage } from "./support/program.ts";
import { range } from "./support/runs.ts";

/** Some of the points, by chance; every one, or each several times, on demand. */
const KILLS = Number(process.env.SENTIENT_KILLS ?? (process.env.SENTIENT_LONG === undefined ? 12 : 76));
/** Children at the same time. */
const AT_ONCE = 3;
const TEST_MS = 120_000 + KILLS * 20_000;

interface House {
  stage: (name: string) => Stage;
  connection: DatabaseOptions;
  ledger: string;
  isTorn: boolean;
}

async function house({ isTorn = false } = {}): Promise<House> {
  const folder = await freshFolder();
  const entry = new URL("./fixtures/serve-child.ts", import.meta.url);
  const engine = await servedEngine({ entry, folder: join(folder, "engine") });
  onTestFinished(() => engine.close());
  const connection = { url: engine.url, token: engine.token, ...freshNames() };
  const ledger = join(folder, "ledger");
  const db = await openDatabase(connection);
  onTestFinished(() => db.close({ deadline: 500 }));
  const stage = (name: string): Stage => {
    const bus = createEventBus(db);
    onTestFinished(() => bus.close());
    const state = createState(db, bus);
    return { db, bus, state, ledger: new EffectLedger(ledger), name, worker: `w-${name}`, isTorn };
  };
  await stage("none").bus.history({ limit: 1 }); // the tables are there
  return { stage, connection, ledger, isTorn };
}

/** What is left, without the names of its runs. */
async function namelessOf(stage: Stage): Promise<unknown> {
  return JSON.parse(JSON.stringify(await leftOf(stage)).replaceAll(`${stage.name}-`, ""));
}

const idOf = ({ when, what, nth }: Point) => `${when.padEnd(6)} ${what} #${nth}`;

/** One that nobody kills, and every point of it. */
async function whole({ stage }: House): Promise<{ golden: unknown; points: Point[] }> {
  const points = new Map<string, Point>();
  const golden = stage("whole");
  withFailpoints(golden, (point) => {
    const named = { ...point, what: point.what.replaceAll("whole-", "") };
    points.set(idOf(named), named);
  });
  await drive(golden);
  return { golden: await namelessOf(golden), points: [...points.values()] };
}

interface Outcome {
  point: Point;
  left: unknown;
  /** Effects that were done more than once. */
  twice: string[];
}

let children = 0;

async function killAt(point: Point, at: House): Promise<Outcome> {
  const name = `killed-${++children}`;
  const { connection, ledger, isTorn } = at;
  const orders: ProgramOrders = { connection, ledger, name, end: point, isTorn };
  const child = spawnChild(new URL("./fixtures/program-child.ts", import.meta.url), {
    env: { PROGRAM: JSON.stringify(orders) },
  });
  onTestFinished(() => child[Symbol.asyncDispose]());
  const { code } = await child.exited;
  expect(code, `${idOf(point)}: ${child.stderr}`).toBe(9);
  const stage = at.stage(name);
  await drive(stage);
  const counts = stage.ledger.countBy(({ run, key }) => (run.startsWith(`${name}-`) ? key : ""));
  counts.delete("");
  const twice = [...counts].flatMap(([key, count]) => (count > 1 ? `${key} ${count}x` : []));
  return { point, left: await namelessOf(stage), twice };
}

async function someAtOnce<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const rest = items.entries();
  const workOn = async () => {
    for (const [i, item] of rest) results[i] = await work(item);
  };
  await Promise.all(range(AT_ONCE).map(workOn));
  return results;
}

function printed(outcomes: readonly Outcome[], golden: unknown): string {
  const isSame = ({ left }: Outcome) => JSON.stringify(left) === JSON.stringify(golden);
  return outcomes
    .map((outcome) => [
      idOf(outcome.point).padEnd(72),
      isSame(outcome) ? "same" : "OTHER",
      outcome.twice.join(", "),
    ])
    .map((row) => row.join("  ").trimEnd())
    .join("\n");
}

test("a run that is killed anywhere ends like one that never was", { timeout: TEST_MS }, async () => {
  const at = await house();
  const { golden, points } = await whole(at);
  const random = seeded();
  console.log(`SEED=${random.seed}, ${points.length} points`);
  const drawn = points.map((_, i) => ({ i, lot: random.next() })).sort((a, b) => a.lot - b.lot);
  const wanted = range(KILLS).map((kill) => drawn[kill % points.length]!.i);
  const chosen = wanted.toSorted((a, b) => a - b).map((i) => points[i]!);
  const outcomes = await someAtOnce(chosen, (point) => killAt(point, at));
  console.log(printed(outcomes, golden));
  expect(points.length).toBeGreaterThanOrEqual(60);
  for (const { point, left } of outcomes) expect(left, idOf(point)).toEqual(golden);
  for (const { point, twice } of outcomes) {
    const done = /^step\.completed ([a-z]+)/.exec(point.what)?.[1] ?? "";
    const isBetween = point.when === "before" && EFFECTS.includes(done); // it was done, and was not committed
    expect(twice, idOf(point)).toEqual(isBetween ? [`${done} 2x`] : []);
  }
});

/** What is done outside the database. */
const EFFECTS = ["charge", "ship", "half", "wrap", "paid", "answered", "book", "unbook"];

test("control: one that commits apart what belongs together does not", { timeout: TEST_MS }, async () => {
  const at = await house({ isTorn: true });
  const { golden, points } = await whole(at);
  const between = points.filter(({ what, when }) => what === "state.changed" && when === "before");
  expect(between.length).toBeGreaterThan(1);
  await sabotage("no one commit", async () => {
    for (const point of between) expect((await killAt(point, at)).left).toEqual(golden);
  });
});
