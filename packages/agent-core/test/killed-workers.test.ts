// T01. Workers in processes that are killed at random: no run is lost, no step has two results, and nobody waits for long.

import { existsSync, readFileSync } from "node:fs";
import { surql } from "@sentient/db-pool";
import { sabotage, seeded, type Child, type SeededRandom } from "@sentient/testkit";
import { expect, test } from "vitest";
import { allEvents, expectCounted, range, takeOvers } from "./support/checks.ts";
import type { RunHandle } from "../src/index.ts";
import { completed, house, until, untilCompleted, type House } from "./support/house.ts";

const LONG = process.env.SENTIENT_LONG !== undefined;
const KILLS = Number(process.env.SENTIENT_KILLS ?? (LONG ? 100 : 40));
/** At least. */
const RUNS = LONG ? 1_000 : 300;
const STEPS = 10;
/** Under way at once: few enough that a kill leaves work for the next one, and with a slot free for whoever is left behind. */
const OPEN = 60;
const SLOTS = OPEN / 2;
/** Kills are spread over most of the work; where the machine is slow there is more of it. */
const MOST_BETWEEN = Math.floor((1.5 * RUNS * STEPS) / KILLS);
const LEASE_MS = 3_000;
/** How much later than that another goes on; in the short form most of it is room for a machine that stands still now and then. */
const SOON_MS = LONG ? 1_000 : 5_000;
const WORKERS = 4;
const TEST_MS = 180_000 + KILLS * 20_000;

/** When it was dead already, on the database's clock, and how many runs it left behind. */
const deathOf = (worker: string) => surql<{ now: Date; held: number }>`RETURN {
  now: time::now(),
  held: count(SELECT VALUE id FROM run WHERE status = "running" AND lease.worker = ${worker})
}`;

const busyWorkers = () => surql<string[]>`SELECT VALUE lease.worker FROM run WHERE status = "running"`;

const idOf = ({ pid }: Child) => `w-${pid}`;

/** How many, without what each of them is: a file of thousands is looked at again and again. */
const effectsOf = ({ ledger: { path } }: House): number =>
  existsSync(path) ? readFileSync(path, "latin1").split("\n").length - 1 : 0;

/** Kills workers in the midst of what they do, and starts others. @returns when each was dead, and how many it struck */
async function killSome(at: House, workers: Child[], random: SeededRandom) {
  const deaths = new Map<string, Date>();
  const coming: Promise<unknown>[] = [];
  let struck = 0;
  for (const _ of range(KILLS)) {
    const enough = effectsOf(at) + random.int(MOST_BETWEEN) + 1;
    await until(() => effectsOf(at) >= enough);
    const busy = new Set(await at.db.query(busyWorkers()));
    const victim = random.pick(workers.filter((worker) => busy.size === 0 || busy.has(idOf(worker))));
    workers.splice(workers.indexOf(victim), 1);
    await victim.kill();
    const { now, held } = await at.db.query(deathOf(idOf(victim)));
    deaths.set(idOf(victim), new Date(now));
    if (held > 0) struck++;
    coming.push(at.worker().then((child) => workers.push(child)));
    if (workers.length < WORKERS - 1) await coming.shift();
  }
  await Promise.all(coming);
  return { deaths, struck };
}

async function startAll(
  at: House,
  input: { steps: number; pause: number },
  handles: RunHandle[],
  isEnough: () => boolean,
): Promise<void> {
  const some = OPEN / 6;
  while (handles.length < RUNS || !isEnough()) {
    await until(async () => handles.length - (await completed(at)) <= OPEN - some);
    const start = () => at.sentient.start(at.jobs.count, input, { maxAttempts: 1_000 }); // some are struck again and again
    handles.push(...(await Promise.all(range(some).map(start))));
  }
}

test(
  `runs of ${STEPS} steps are done once each, though ${KILLS} of their workers are killed at random`,
  { timeout: TEST_MS },
  async () => {
    const random = seeded();
    console.log(`SEED=${random.seed}`);
    const at = await house({ worker: { lease: LEASE_MS, slots: SLOTS } });
    const input = { steps: STEPS, pause: 250 };
    const handles: RunHandle[] = [];
    const workers = await Promise.all(range(WORKERS).map(() => at.worker()));
    let isKilling = true;
    const [{ deaths, struck }] = await Promise.all([
      killSome(at, workers, random).finally(() => (isKilling = false)),
      startAll(at, input, handles, () => !isKilling),
    ]);
    await untilCompleted(at, handles);
    const events = await expectCounted(
      at,
      handles.map(({ id }) => id),
      STEPS,
    );
    const effects = at.ledger.countBy(({ run, key }) => `${run} ${key}`);
    expect(effects.size).toBe(handles.length * STEPS);
    expect(Math.max(...effects.values())).toBeLessThanOrEqual(1 + KILLS);
    const waits = takeOvers(events, deaths);
    const late = waits.filter((ms) => ms > LEASE_MS + 1_000).length;
    console.log(
      `${handles.length} runs were taken over ${waits.length} times, after ${Math.max(0, ...waits)} ms at most, ${late} of them later than a second after the lease; ${struck} of ${KILLS} kills struck`,
    );
    expect(struck).toBeGreaterThanOrEqual(KILLS * 0.6);
    expect(waits.length).toBeGreaterThan(0);
  },
);

/** How long a run has nobody whose worker is killed while another is idle, in milliseconds. */
async function takeOver(at: House): Promise<number> {
  const { sentient, jobs, worker, db } = at;
  const handle = await sentient.start(jobs.hold, undefined as never);
  const first = await worker();
  await first.message(({ holding }) => holding === handle.id, 60_000);
  const second = await worker();
  await first.kill();
  const { now } = await db.query(deathOf(idOf(first)));
  await second.message(({ holding }) => holding === handle.id, 60_000);
  const [wait] = takeOvers(await allEvents(sentient.events), new Map([[idOf(first), new Date(now)]]));
  await second.kill();
  await sentient.cancel(handle.id, { force: true });
  return wait ?? Number.POSITIVE_INFINITY; // the other had it already: the machine stood still for longer than the lease
}

test("an idle worker goes on soon after the lease has run out", { timeout: TEST_MS }, async () => {
  const waits: number[] = [];
  for (const _ of range(5)) {
    waits.push(await takeOver(await house({ worker: { lease: LEASE_MS } })));
    if (waits.at(-1)! <= LEASE_MS + SOON_MS) break; // a machine that has other things to do may take longer now and then
  }
  console.log(`taken over after ${waits.join(", ")} ms`);
  expect(Math.min(...waits)).toBeLessThanOrEqual(LEASE_MS + SOON_MS);
});

test(
  "control: where leases do not run out, a worker takes its runs with it",
  { timeout: TEST_MS },
  async () => {
    const at = await house({ worker: { lease: 3_600_000 } });
    const worker = await at.worker();
    const handle = await at.sentient.start(at.jobs.count, { steps: STEPS, pause: 600_000 });
    await until(() => at.ledger.read().effects.length > 0);
    await worker.kill();
    await at.worker();
    await sabotage("no end of a lease", () => untilCompleted(at, [handle], LEASE_MS + 2_000));
  },
);
