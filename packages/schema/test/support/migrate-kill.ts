// Kills those who migrate, or the server under them, at one point after the other, and compares what comes of it with a
// run that nobody disturbed.

import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Database, openDatabase } from "@sentient/db-pool";
import { type Child, freshNames, type ServedEngine, spawnChild } from "@sentient/testkit";
import { expect } from "vitest";
import { migrate } from "../../src/migrate.ts";
import { labelOf, type Migration } from "../../src/migration.ts";
import { contentsOf, failureOf, freshFolder } from "./migrate.ts";

const STARTER = new URL("../fixtures/migrate-starter.ts", import.meta.url);
const STARTERS = 5;
const LEASE_MS = 700;
const PATIENCE_MS = 60_000;
/** More points than these are sampled. */
const MAX_POINTS = 40;

/** Where a starter can be stopped. */
export interface Point {
  /** The transaction: a migration and how much of it is done, as in `2:1`; or `tables`, `lock`. */
  part: string;
  /** How many of its statements the database has run; or what has committed. */
  after: number | "commit" | "work";
}

/** What a starter is told. */
export interface StarterOptions {
  url: string;
  token: string;
  namespace: string;
  database: string;
  folder: string;
  lease: number;
  /** Where to stop. The first that comes to one of them puts a file of its number into `claims`; the others go on. */
  stops: readonly Point[];
  claims: string;
  /** Whether who stops stays there, or goes on. */
  stays: boolean;
  /** Whether the database is still at the transaction when the lease of who was killed has ended. */
  longNap: boolean;
  /** Sabotage: the record is written after the work, in a transaction of its own. */
  recordApart: boolean;
}

interface KillOptions {
  /** What the migrations run on. All rounds share it, each in a database of its own. */
  engine: ServedEngine;
  victim?: "starter" | "server";
  /** Which points are of interest. */
  at?: (point: Point) => boolean;
  /** At most so many of them, spread evenly. */
  most?: number;
  recordApart?: boolean;
}

/**
 * Has five processes migrate at once, and kills up to four of them one after the other, each at a point of its own, or
 * the server at these points; again until each point had its turn. Fails unless those who are left finish, and leave what
 * an undisturbed run leaves, row by row and definition by definition.
 *
 * The migrations are written to a folder for the processes, a `change` as its source: it may use nothing around it.
 *
 * @example await expectKillsSurvived(await runtimeMigrations(), { engine });
 */
export async function expectKillsSurvived(
  migrations: readonly Migration[],
  { engine, victim = "starter", at = () => true, most = MAX_POINTS, recordApart = false }: KillOptions,
): Promise<void> {
  const folder = await freshFolder();
  for (const migration of migrations) await writeFile(join(folder, fileOf(migration)), sourceOf(migration));
  const plan = { engine, victim, folder, migrations, recordApart };
  const { points, contents } = await runUndisturbed(plan);
  const interesting = points.filter(at);
  const chosen = spread(interesting, most);
  const rounds = roundsOf(chosen);
  console.log(
    `kills of a ${victim}: ${chosen.length} of ${interesting.length} points, in ${rounds.length} rounds`,
  );
  await together(
    victim === "server" ? 1 : 2,
    rounds.map((stops, i) => () => round(plan, stops, i % 2 === 1, contents)),
  );
}

interface Plan {
  engine: ServedEngine;
  victim: "starter" | "server";
  folder: string;
  migrations: readonly Migration[];
  recordApart: boolean;
}

async function runUndisturbed(plan: Plan): Promise<{ points: Point[]; contents: unknown }> {
  const names = freshNames();
  await using starter = spawnStarter(plan, names);
  const { points } = await starter.message<{ points: Point[] }>(({ done }) => done === true, PATIENCE_MS);
  await using db = await connect(plan, names);
  return { points, contents: await contentsOf(db) };
}

/** Each point once, a round's in the order they are come to, and in different transactions: one that died may commit. */
function roundsOf(points: readonly Point[]): Point[][] {
  const rounds: Point[][] = [];
  for (const point of points) {
    const free = rounds.find(
      (round) => round.length < STARTERS - 1 && round.every(({ part }) => part !== point.part),
    );
    if (free) free.push(point);
    else rounds.push([point]);
  }
  return rounds;
}

async function round(plan: Plan, stops: Point[], longNap: boolean, undisturbed: unknown): Promise<void> {
  const names = freshNames();
  const claims = await freshFolder();
  const starters = Array.from({ length: STARTERS }, () =>
    spawnStarter(plan, names, { stops, claims, longNap }),
  );
  const victims = new Set<Child>();
  try {
    for (const stop of stops.keys()) {
      const victim = await whoStops(starters, stop);
      if (plan.victim === "server") await plan.engine.restart();
      else await victim.kill();
      if (plan.victim === "starter") victims.add(victim);
    }
    const survivors = starters.filter((starter) => !victims.has(starter));
    const done = await Promise.all(
      survivors.map((starter) => starter.message(({ done }) => done === true, PATIENCE_MS)),
    );
    await using db = await connect(plan, names);
    const what = `what the store contains after kills at ${JSON.stringify(stops)}`;
    expect(await contentsOf(db), what).toEqual(undisturbed);
    expectNoneTwice(done.flatMap(({ applied }) => applied as number[]));
    await expectOlderProgramRefused(db, plan.migrations);
  } finally {
    await Promise.all(starters.map((starter) => starter.kill()));
  }
}

/** @throws AggregateError with the stderr of each starter, if none comes there */
function whoStops(starters: Child[], stop: number): Promise<Child> {
  return Promise.any(
    starters.map(async (starter) => {
      await starter.message(({ stopped }) => stopped === stop, PATIENCE_MS);
      return starter;
    }),
  );
}

function expectNoneTwice(applied: number[]): void {
  expect(new Set(applied).size, `applied: ${applied}`).toBe(applied.length);
}

async function expectOlderProgramRefused(db: Database, migrations: readonly Migration[]): Promise<void> {
  const failure = await failureOf(() => migrate(db, { migrations: migrations.slice(0, -1) }));
  expect(failure.code).toBe("schema.store_newer");
}

type Names = ReturnType<typeof freshNames>;

function spawnStarter(plan: Plan, names: Names, told: Partial<StarterOptions> = {}): Child {
  const { url, token } = plan.engine;
  const options: StarterOptions = {
    url,
    token,
    ...names,
    folder: plan.folder,
    lease: LEASE_MS,
    stops: [],
    claims: "",
    stays: plan.victim === "starter",
    longNap: false,
    recordApart: plan.recordApart,
    ...told,
  };
  // Most of what a starter does is to compile what it imports; a cache of that halves the time all this takes.
  const NODE_COMPILE_CACHE = join(tmpdir(), "sentient-compile-cache");
  return spawnChild(STARTER, { env: { STARTER: JSON.stringify(options), NODE_COMPILE_CACHE } });
}

function connect({ engine: { url, token } }: Plan, names: Names): Promise<Database> {
  return openDatabase({ url, token, ...names });
}

function fileOf(migration: Migration): string {
  return `${labelOf(migration)}.${migration.kind === "surql" ? "surql" : "mjs"}`;
}

function sourceOf(migration: Migration): string {
  if (migration.kind === "surql") return migration.text;
  return `export default { ...${JSON.stringify(migration)}, change: ${String(migration.change)} };\n`;
}

/** At most so many of them, the first and the last among them. */
function spread<T>(items: readonly T[], most: number): T[] {
  if (items.length <= most) return [...items];
  return Array.from(
    { length: most },
    (_, i) => items[Math.round((i * (items.length - 1)) / Math.max(1, most - 1))]!,
  );
}

/** Runs all of them, so many at a time. */
async function together(lanes: number, work: readonly (() => Promise<void>)[]): Promise<void> {
  const waiting = work.values();
  const lane = async () => {
    for (const next of waiting) await next();
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}
