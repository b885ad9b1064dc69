// Strikes. Owns: what is done to workers, their lines and their database, one thing after another, and that all of it is over
// at the end.

import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { surql, type Database } from "@sentient/db-pool";
import { takeWorker, untilWhole, type House, type Lane } from "./house.ts";
import type { Fault, PlannedFault } from "./plan.ts";
import { trueNow } from "./work.ts";

/** Nobody planned that, and leases run out by it all the same. */
export const SLOW = "machine too slow";

/** A fault that was done. */
export interface Struck {
  fault: Fault | typeof SLOW;
  /** Of whom; of all if undefined. */
  lane: number | undefined;
  from: number;
  to: number;
}

interface Strike {
  house: House;
  lane: Lane;
  /** From 0 up to 1. */
  size: number;
  /** How long leases last, in milliseconds. */
  lease: number;
}

/** Long enough for somebody else to take over, or too short for that. */
const lapse = ({ size, lease }: Strike): number => (0.2 + 2.3 * size) * lease;

const HOURS = 3_600_000;
const BEAT_MS = 200;

const onWorkers: Partial<Record<Fault, (strike: Strike) => Promise<unknown>>> = {
  "worker killed": ({ lane }) => takeWorker(lane).kill(),
  "worker stopped": async ({ lane }) => {
    const worker = takeWorker(lane);
    const exited = worker.kill("SIGTERM");
    if ((await Promise.race([exited, sleep(20_000)])) === undefined) await worker.kill();
  },
  "worker frozen": async (strike) => {
    const worker = strike.lane.worker!;
    worker.stop();
    await sleep(lapse(strike));
    worker.continue();
  },
  "clock jumped": async ({ lane, size }) => {
    writeFileSync(lane.clock, String(Math.round((size - 0.5) * 4 * HOURS)));
    process.kill(lane.worker!.pid, "SIGUSR2");
  },
};

const onLines: Partial<Record<Fault, (strike: Strike) => Promise<unknown>>> = {
  "line silent": (strike) => lines(strike, lapse(strike), (proxy) => proxy.blackHole()),
  "replies lost": (strike) => lines(strike, lapse(strike) / 2, (proxy) => proxy.dropReplies()),
  "line reset": async ({ lane }) => lane.proxy.reset(),
  "line cut": async ({ lane, size }) =>
    lane.proxy.cutAfter(Math.ceil(size * 4_000), size < 0.7 ? "down" : "up"),
  "line slow": async ({ lane, size }) => {
    lane.proxy.latency(20 + 400 * size);
    await sleep(2_000);
    lane.proxy.pass();
  },
};

/** What was swallowed is gone: no network does that to a connection that lives on. */
async function lines(
  { lane: { proxy } }: Strike,
  ms: number,
  what: (proxy: Lane["proxy"]) => void,
): Promise<void> {
  what(proxy);
  await sleep(ms);
  proxy.reset();
  proxy.pass();
}

const onDatabase: Partial<Record<Fault, (strike: Strike) => Promise<unknown>>> = {
  "database killed": async ({ house: { engine }, size }) => {
    await engine.kill();
    await sleep(size * 3_000);
    await engine.restart();
  },
  "database frozen": async (strike) => {
    const { engine } = strike.house;
    engine.pause();
    await sleep(lapse(strike));
    engine.resume();
  },
};

/** Does what is planned, when it is, to whoever is there then. @returns what was done */
export async function strikeAll(
  house: House,
  plan: readonly PlannedFault[],
  lease: number,
): Promise<Struck[]> {
  const began = performance.now();
  const done: Struck[] = [];
  const going: Promise<unknown>[] = [];
  let isDatabaseStruck = false;
  for (const { at, fault, victim, size } of plan) {
    await sleep(Math.max(0, at - (performance.now() - began)));
    const isOfDatabase = fault in onDatabase;
    const able = house.lanes.filter(({ isStruck, worker }) => !isStruck && (fault in onLines || worker));
    const lane = able[Math.floor(victim * able.length)];
    if (isOfDatabase ? isDatabaseStruck : !lane) continue;
    const strike = (onDatabase[fault] ?? onWorkers[fault] ?? onLines[fault])!;
    const struck: Struck = {
      fault,
      lane: isOfDatabase ? undefined : house.lanes.indexOf(lane!),
      from: trueNow(),
      to: Infinity,
    };
    done.push(struck);
    if (isOfDatabase) isDatabaseStruck = true;
    else lane!.isStruck = true;
    const over = () => {
      struck.to = trueNow();
      if (isOfDatabase) isDatabaseStruck = false;
      else lane!.isStruck = false;
    };
    going.push(strike({ house, lane: lane!, size, lease }).finally(over));
  }
  await Promise.all(going);
  return done;
}

/**
 * Notices when this machine has no time for a small write.
 *
 * @returns what it has noticed, until `stop` aborts
 */
export async function noticeSlowness(db: Database, lease: number, stop: AbortSignal): Promise<Struck[]> {
  const noticed: Struck[] = [];
  while (!stop.aborted) {
    const from = trueNow();
    await sleep(BEAT_MS);
    await db.query(surql`UPSERT chaos_beat:1 SET at = time::now() RETURN NONE`).catch(() => {});
    const to = trueNow();
    if (to - from - BEAT_MS > lease / 3) noticed.push({ fault: SLOW, lane: undefined, from, to });
  }
  return noticed;
}

/** Nothing is amiss any more, and all workers are there. */
export async function heal(house: House): Promise<void> {
  for (const { proxy } of house.lanes) proxy.pass();
  await untilWhole(house);
}
