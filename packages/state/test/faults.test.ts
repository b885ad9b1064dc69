// Workers that are killed, frozen, or do not know that they are late: no run is lost, and no step of it has two results.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { openDatabase, surql, type Database } from "@sentient/db-pool";
import { createEventBus, type EventBus } from "@sentient/event-bus";
import type { Event } from "@sentient/schema";
import {
  EffectLedger,
  freshNames,
  sabotage,
  seeded,
  servedEngine,
  spawnChild,
  until as untilSoon,
  type Child,
  type ServedEngine,
} from "@sentient/testkit";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { createState, type State } from "../src/index.ts";
import { freshFolder, freshState, stateOn } from "./support/fresh.ts";
import { done, eventsOf, range, running, started } from "./support/runs.ts";
import type { WorkOrders } from "./support/work-orders.ts";

const LONG = process.env.SENTIENT_LONG !== undefined;
const KILLS = Number(process.env.SENTIENT_KILLS ?? 40);
/** At the least: they go on until the last worker is killed. */
const RUNS = 500;
/** Runs that are not over at any time: workers have room for them, so that nothing waits but for a lease to run out. */
const OPEN = 24;
const STEPS = 10;
const LEASE_MS = 3_000;
const TEST_MS = 180_000 + KILLS * 20_000;

let engine: Promise<ServedEngine> | undefined;
afterAll(async () => (await engine)?.close());

async function served(): Promise<ServedEngine> {
  const entry = new URL("./fixtures/serve-child.ts", import.meta.url);
  engine ??= freshFolder().then((folder) => servedEngine({ entry, folder }));
  return engine;
}

const until: typeof untilSoon = (condition, options) =>
  untilSoon(condition, { deadline: 150_000, every: 50, ...options });

interface House {
  db: Database;
  bus: EventBus;
  state: State;
  ledger: EffectLedger<{ run: string; key: string; token: number }>;
  /** Another process that works. */
  worker: () => Promise<Child>;
  openGate: () => void;
}

/** A database of its own, and processes to come. */
async function house(orders: Partial<WorkOrders> = {}): Promise<House> {
  const { url, token } = await served();
  const connection = { url, token, ...freshNames() };
  const folder = await freshFolder();
  const [ledger, gate] = [join(folder, "ledger"), join(folder, "gate")];
  const db = await openDatabase(connection);
  onTestFinished(() => db.close({ deadline: 500 }));
  const bus = createEventBus(db);
  onTestFinished(() => bus.close());
  await bus.history({ limit: 1 }); // the tables are there
  const basics: WorkOrders = { connection, ledger, gate, lease: LEASE_MS, steps: STEPS, atOnce: 4 };
  const worker = async () => {
    const child = spawnChild(new URL("./fixtures/work-child.ts", import.meta.url), {
      env: { WORK: JSON.stringify({ ...basics, ...orders }) },
    });
    onTestFinished(() => child[Symbol.asyncDispose]());
    await child.message(({ ready }) => ready === true, 60_000);
    return child;
  };
  const openGate = () => writeFileSync(gate, "");
  return { db, bus, state: createState(db, bus), ledger: new EffectLedger(ledger), worker, openGate };
}

const completed = ({ db }: House) =>
  db.query(surql<number>`count(SELECT VALUE id FROM run WHERE status = "completed")`);

async function allEvents(bus: EventBus): Promise<Event[]> {
  const all: Event[] = [];
  for (;;) {
    const { events } = await bus.history({ after: all.at(-1)?.position ?? 0, limit: 1_000 });
    if (events.length === 0) return all;
    all.push(...events);
  }
}

/** Each run is complete, with one result for each of its steps, of whoever held it then; each was done at most so often. */
async function expectWhole(at: House, ids: readonly string[], mostEffects: number): Promise<Event[]> {
  const events = await allEvents(at.bus);
  const byRun = Map.groupBy(events, ({ run }) => run);
  const sum = (STEPS * (STEPS - 1)) / 2;
  for (const id of ids) {
    const mine = byRun.get(id as Event["run"])!;
    expect(mine.map(({ n }) => n)).toEqual(range(mine.length, 1));
    const told = (type: string) => mine.filter((event) => event.type === type);
    const keys = told("step.completed").map(({ data }) => (data as { key: string }).key);
    expect(keys.toSorted()).toEqual(
      range(STEPS)
        .map((i) => `s${i}`)
        .toSorted(),
    );
    expect(told("run.completed")).toHaveLength(1);
    expect(mine.at(-1)!.type).toBe("run.completed");
    expect(await at.state.load(id)).toMatchObject({ status: "completed", output: sum, steps: STEPS });
    expect(await at.state.stateAt(id)).toEqual({ sum });
    const journal = await at.state.journal(id);
    const tokens = told("run.started").map(({ n, data }) => ({
      n: n!,
      token: (data as { token: number }).token,
    }));
    for (const { n, token } of journal.values())
      expect(token).toBe(tokens.findLast((started) => started.n < n)!.token);
  }
  const effects = at.ledger.countBy(({ run, key }) => `${run} ${key}`);
  expect(Math.max(...effects.values())).toBeLessThanOrEqual(mostEffects);
  return events;
}

test(
  `${RUNS} runs or more of ${STEPS} steps are done once each, though ${KILLS} of their workers are killed at random`,
  { timeout: TEST_MS },
  async () => {
    const random = seeded();
    console.log(`SEED=${random.seed}`);
    const at = await house({ pause: 100, atOnce: OPEN / 2 });
    const { db, state } = at;
    const workers = await Promise.all(range(4).map(() => at.worker()));
    const ids: string[] = [];
    let isKilling = true;
    const startAll = async () => {
      while (isKilling || ids.length < RUNS) {
        if (ids.length >= OPEN) await until(async () => ids.length - (await completed(at)) < OPEN);
        ids.push(await started(state, { maxAttempts: 1_000 })); // it may be struck again and again before its first step is over
      }
    };
    const starting = startAll();
    const stalls = stallsOf(db);
    const coming: Promise<unknown>[] = [];
    const deaths = new Map<string, Date>();
    let struck = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const enough = at.ledger.read().effects.length + random.int(30) + 1;
      await until(() => at.ledger.read().effects.length >= enough);
      const victim = await until(async () => {
        const busy = new Set(await db.query(busyWorkers()));
        const victims = workers.filter(({ pid }) => busy.has(`w-${pid}`));
        return victims.length > 0 && random.pick(victims);
      });
      workers.splice(workers.indexOf(victim), 1);
      await victim.kill();
      const worker = `w-${victim.pid}`;
      const { now, held } = await db.query(deathOf(worker));
      deaths.set(worker, new Date(now));
      if (held > 0) struck++;
      coming.push(at.worker().then((child) => workers.push(child)));
      if (workers.length < 3) await coming.shift();
    }
    isKilling = false;
    await Promise.all([...coming, starting]);
    await until(async () => (await completed(at)) === ids.length, { what: "all runs to be completed" });
    const events = await expectWhole(at, ids, 1 + KILLS);
    const all = takeOvers(events, deaths);
    const calm = await stalls.calm(all);
    const late = calm.filter(({ from, to }) => to - from > LEASE_MS + 1_000);
    const longest = Math.max(0, ...calm.map(({ from, to }) => to - from));
    const killsOf = (waits: Span[]) => new Set(waits.map(({ from }) => from)).size;
    console.log(
      `${all.length} runs were taken over, ${calm.length} while nothing stood still: after ${longest} ms at most, ${late.length} of them later than a second after the lease, of ${killsOf(late)} of ${killsOf(calm)} kills; ${struck} of ${KILLS} kills struck`,
    );
    expect(struck).toBeGreaterThanOrEqual(KILLS * 0.6);
    expect(all.length).toBeGreaterThan(0);
    expect(killsOf(late)).toBeLessThanOrEqual(LONG ? 0 : killsOf(calm) / 2 + 2);
    expect(longest).toBeLessThanOrEqual(LEASE_MS + 15_000);
  },
);

const busyWorkers = () => surql<string[]>`SELECT VALUE lease.worker FROM run WHERE status = "running"`;

/** When it was dead already, on the database's clock, and how many runs it left behind. */
const deathOf = (worker: string) => surql<{ now: Date; held: number }>`RETURN {
  now: time::now(),
  held: count(SELECT VALUE id FROM run WHERE status = "running" AND lease.worker = ${worker})
}`;

/** On the database's clock, in milliseconds. */
interface Span {
  from: number;
  to: number;
}

/** Watches for times in which this process or the database stood still. */
function stallsOf(db: Database) {
  const stalls: Span[] = [];
  let isOver = false;
  const watching = (async () => {
    const now = async () => (await db.query(surql<Date>`RETURN time::now()`)).getTime();
    for (let from = await now(); !isOver;) {
      await sleep(100);
      const to = await now();
      if (to - from > 300) stalls.push({ from, to });
      from = to;
    }
  })();
  /** Those in which nothing did; it ends the watch. */
  const calm = async (spans: readonly Span[]) => {
    isOver = true;
    await watching;
    return spans.filter(({ from, to }) => !stalls.some((stall) => stall.from < to && from < stall.to));
  };
  return { calm };
}

/** When runs had nobody: from the death of a worker until another got its lease. */
function takeOvers(events: readonly Event[], deaths: ReadonlyMap<string, Date>): Span[] {
  const waits: Span[] = [];
  const last = new Map<string, string>();
  for (const { type, run, data, at } of events) {
    if (type === "run.completed") last.delete(run!);
    if (type !== "run.started") continue;
    const death = deaths.get(last.get(run!) ?? "");
    if (death) waits.push({ from: death.getTime(), to: at.getTime() });
    last.set(run!, (data as { worker: string }).worker);
  }
  return waits;
}

const expireLeases = () =>
  surql`UPDATE run SET lease.until = time::now() - 1s, seek.dueAt = time::now() - 1s WHERE status = "running" RETURN NONE`;

describe("a worker that is frozen beyond its lease", () => {
  async function freeze(orders: Partial<WorkOrders>) {
    const at = await house({ lease: 3_600_000, holdBefore: 5, ...orders });
    const ids = await Promise.all(range(3).map(() => started(at.state)));
    const zombie = await at.worker();
    for (const _ of ids) await zombie.message(({ holding }) => holding !== undefined, 60_000);
    zombie.stop();
    await at.db.query(expireLeases());
    at.openGate();
    const other = await at.worker();
    await until(async () => (await completed(at)) === 3);
    const before = await allEvents(at.bus);
    zombie.continue();
    return { at, ids, zombie, other, before };
  }

  test("commits nothing of what it goes on with", { timeout: TEST_MS }, async () => {
    const { at, ids, zombie, before } = await freeze({});
    for (const _ of ids)
      expect(await zombie.message(({ refused }) => refused !== undefined, 60_000)).toMatchObject({
        refused: "state.lease_lost",
      });
    expect(await allEvents(at.bus)).toEqual(before);
    await expectWhole(at, ids, 2);
    const id = await started(at.state); // it is alive, and works on
    await until(async () => (await completed(at)) === 4);
    expect((await eventsOf(at.bus, id)).at(-1)!.type).toBe("run.completed");
  });

  test("control: without a fence it does", { timeout: TEST_MS }, async () => {
    const { at, ids, before } = await freeze({ isUnfenced: true });
    await until(async () => (await allEvents(at.bus)).length > before.length, {
      what: "something of the zombie",
    });
    await sabotage("no fence", async () => {
      expect(await allEvents(at.bus)).toEqual(before);
    });
    await sabotage("no fence", () => expectWhole(at, ids, 2));
  });
});

test("fifty who tell something of one run at once, in two states, and its worker all succeed", async () => {
  const { state, bus, db } = await freshState();
  const other = await stateOn(db);
  const lease = await running(state);
  const { id } = lease.run;
  const each = LONG ? 40 : 4;
  await Promise.all(
    range(50).map(async (i) => {
      for (const j of range(each)) {
        if (i % 5 === 0) await state.commit(lease, { steps: [done(`${i}.${j}`)] });
        else if (i % 5 === 1) await (i % 2 ? state : other.state).signal(id, "go", { i, j });
        else await (i % 2 ? bus : other.bus).publish({ type: "owl.seen", run: id, data: `${i}.${j}` });
      }
    }),
  );
  await state.commit(lease, { end: { complete: null } });
  const { events } = await bus.history({ run: id, limit: 1_000 });
  const told = LONG ? await allEvents(bus) : events;
  expect(told.map(({ n }) => n)).toEqual(range(told.length, 1));
  expect(told).toHaveLength(50 * each + 3);
  expect((await state.journal(id)).size).toBe(10 * each);
  expect(await state.load(id)).toMatchObject({ status: "completed", steps: 10 * each });
});
