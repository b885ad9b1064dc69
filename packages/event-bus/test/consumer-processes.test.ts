// Processes that share a consumer, and what becomes of it when they are killed, frozen, or end with an event.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { openDatabase, type Database } from "@sentient/db-pool";
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
import { afterAll, expect, onTestFinished, test } from "vitest";
import type { EventBus } from "../src/index.ts";
import { counted, expireLeases, expireWorker, noting, range, rowOf, tell } from "./support/consuming.ts";
import type { ConsumeOrders } from "./support/consuming-orders.ts";
import { busOn, freshFolder } from "./support/fresh.ts";

const KILLS = Number(process.env.SENTIENT_KILLS ?? 6);
const LEASE = { lease: 1_000 };
/** Where it matters who works: a process that is slow keeps it, and what ends it is the test. */
const LONG_LEASE = { lease: 3_600_000 };
const TEST_MS = 180_000;

let engine: Promise<ServedEngine> | undefined;
afterAll(async () => (await engine)?.close());

async function served(): Promise<ServedEngine> {
  const entry = new URL("./fixtures/serve-child.ts", import.meta.url);
  engine ??= freshFolder().then((folder) => servedEngine({ entry, folder }));
  return engine;
}

const until: typeof untilSoon = (condition, options) =>
  untilSoon(condition, { deadline: 90_000, every: 20, ...options });

interface Note extends Record<string, unknown> {
  position: number;
  run?: string;
}

interface House {
  db: Database;
  bus: EventBus;
  ledger: EffectLedger<Note>;
  /** Another process that works on the consumer. */
  worker: (more?: Partial<ConsumeOrders>) => Promise<Child>;
  /** Lets go whoever holds at this position. */
  openGate: (position: number) => void;
}

/** A database of its own, and processes to come. */
async function house(orders: Partial<ConsumeOrders> = {}): Promise<House> {
  const { url, token } = await served();
  const connection = { url, token, ...freshNames() };
  const folder = await freshFolder();
  const [ledger, gate] = [join(folder, "ledger"), join(folder, "gate")];
  const db = await openDatabase(connection);
  onTestFinished(() => db.close({ deadline: 500 }));
  const worker = async (more: Partial<ConsumeOrders> = {}) => {
    const basics = { connection, name: "one", options: LEASE, effect: "commit", ledger, gate };
    const child = spawnChild(new URL("./fixtures/consume-child.ts", import.meta.url), {
      env: { CONSUME: JSON.stringify({ ...basics, ...orders, ...more }) },
    });
    onTestFinished(() => child[Symbol.asyncDispose]());
    await child.message(({ ready }) => ready === true, 60_000);
    return child;
  };
  const openGate = (position: number) => writeFileSync(`${gate}-${position}`, "");
  return { db, bus: busOn(db), ledger: new EffectLedger(ledger), worker, openGate };
}

const notesOf = ({ ledger }: House) => ledger.read().effects;
const pidsOf = (at: House) => notesOf(at).map(({ pid }) => pid);
const isAt =
  ({ db }: House, position: number) =>
  async () =>
    (await rowOf(db, "one")).position === position;

/** Whoever of them was called last. */
async function ownerAmong(at: House, children: readonly Child[]): Promise<Child> {
  const owner = () => children.find(({ pid }) => pid === pidsOf(at).at(-1));
  return until(owner, { what: "somebody who works" });
}

/** Each event was begun at least once; those of a run for the first time in their order. */
function expectAllInOrder(at: House, count: number): void {
  const begun = new Map<string, number[]>();
  const seen = new Set<number>();
  for (const { position, run } of notesOf(at)) {
    if (!seen.has(position)) begun.set(run!, [...(begun.get(run!) ?? []), position]);
    seen.add(position);
  }
  expect([...seen].toSorted((a, b) => a - b)).toEqual(range(count));
  for (const order of begun.values()) expect(order).toEqual(order.toSorted((a, b) => a - b));
}

test(
  "one process works at a time, and when it is killed the other goes on after the lease",
  { timeout: TEST_MS },
  async () => {
    const at = await house({ options: LONG_LEASE, holdBefore: [20] });
    await tell(at.bus, 60, (i) => ({ run: `r${i % 5}` }));
    const children = [await at.worker(), await at.worker()];
    const owner = await ownerAmong(at, children);
    await owner.message(({ holding }) => holding === 20, 60_000);
    const { lease } = await rowOf(at.db, "one");
    expect(new Set(pidsOf(at))).toEqual(new Set([owner.pid]));
    await owner.kill();
    await expireLeases(at.db);
    at.openGate(20);
    await until(isAt(at, 60));
    const after = await rowOf(at.db, "one");
    expect(after.lease!.worker).not.toBe(lease!.worker);
    const pids = pidsOf(at);
    expect(pids.filter((pid) => pid === owner.pid)).toHaveLength(20);
    expect(pids.lastIndexOf(owner.pid)).toBe(19);
    expectAllInOrder(at, 60);
    expect(await counted(at.db)).toBe(60);
  },
);

test(
  "a process that ends in good order hands over at once, whatever the lease",
  { timeout: TEST_MS },
  async () => {
    const at = await house({ options: LONG_LEASE });
    await tell(at.bus, 20);
    const children = [await at.worker(), await at.worker()];
    await until(isAt(at, 20));
    const owner = await ownerAmong(at, children);
    expect(await owner.kill("SIGTERM")).toEqual({ code: 0, signal: null });
    await tell(at.bus, 20);
    await until(isAt(at, 40));
    expect(notesOf(at).map(({ position }) => position)).toEqual(range(40));
    expect(await counted(at.db)).toBe(40);
  },
);

/** One is frozen while it handles an event, until another has taken over and come to the end. */
async function freezeOwner(effect: ConsumeOrders["effect"]) {
  const at = await house({ options: LONG_LEASE, effect, holdBefore: [20] });
  await tell(at.bus, 40, (i) => ({ run: `r${i % 5}` }));
  const children = [await at.worker(), await at.worker()];
  const zombie = await ownerAmong(at, children);
  const other = children.find((child) => child !== zombie)!;
  await zombie.message(({ holding }) => holding === 20, 60_000);
  zombie.stop();
  await expireLeases(at.db);
  at.openGate(20);
  await until(isAt(at, 40));
  const before = notesOf(at).length;
  zombie.continue();
  await zombie.message(({ released }) => released === 20, 60_000);
  await tell(at.bus, 20, (i) => ({ run: `r${i % 5}` }));
  await until(isAt(at, 60));
  const calledSince = pidsOf(at).slice(before);
  await other.kill("SIGTERM");
  await tell(at.bus, 1, () => ({ run: "r1" }));
  await until(isAt(at, 61)); // it is alive, and its turn has come
  expect(pidsOf(at).at(-1)).toBe(zombie.pid);
  return { at, other, calledSince, count: await counted(at.db) };
}

test(
  "one that was frozen beyond its lease calls nobody and commits nothing any more",
  { timeout: TEST_MS },
  async () => {
    const { at, other, calledSince, count } = await freezeOwner("commit");
    expect(calledSince).toEqual(range(20).map(() => other.pid));
    expect(count).toBe(61);
    expectAllInOrder(at, 61);
    expect(notesOf(at).filter(({ position }) => position === 20)).toHaveLength(2);
  },
);

test(
  "control: without the token it would have committed what another had",
  { timeout: TEST_MS },
  async () => {
    const { count } = await freezeOwner("unfenced");
    await sabotage("no token", () => expect(count).toBe(61));
  },
);

test("partitions are shared, and regrouped when a process dies or joins", { timeout: TEST_MS }, async () => {
  const at = await house({ options: { ...LONG_LEASE, partitions: 4, concurrency: 2 } });
  const shares = async () => {
    const { partitions } = await at.bus.consumers.status("one");
    return [...Map.groupBy(partitions, ({ worker }) => worker ?? "nobody").entries()].map(
      ([worker, held]) => `${worker === "nobody" ? worker : "worker"}: ${held.length}`,
    );
  };
  const areShared = (...wanted: string[]) =>
    until(async () => JSON.stringify((await shares()).toSorted()) === JSON.stringify(wanted), {
      what: wanted.join(", "),
    });
  const first = await at.worker();
  await areShared("worker: 4");
  const { lease } = await rowOf(at.db, "one");
  await at.worker();
  await areShared("worker: 2", "worker: 2");
  await tell(at.bus, 100, (i) => ({ run: `r${i % 20}` }));
  await until(async () => (await counted(at.db)) >= 30 && pidsOf(at).includes(first.pid));
  await first.kill();
  await expireWorker(at.db, "one", lease!.worker);
  await tell(at.bus, 100, (i) => ({ run: `r${i % 20}` }));
  await until(async () => (await counted(at.db)) === 200);
  await areShared("worker: 4");
  await at.worker();
  await areShared("worker: 2", "worker: 2");
  await tell(at.bus, 100, (i) => ({ run: `r${i % 20}` }));
  await until(async () => (await counted(at.db)) === 300);
  expectAllInOrder(at, 300);
  expect(new Set(pidsOf(at)).size).toBe(3);
});

test(
  "an event that ends its process becomes a dead letter, and the rest proceeds",
  { timeout: TEST_MS },
  async () => {
    const at = await house({ deadly: 5, options: { ...LONG_LEASE, retry: { attempts: 3 }, concurrency: 3 } });
    await tell(at.bus, 60, (i) => ({ run: `r${i}` }));
    let ends = 0;
    let worker = await at.worker().catch(() => undefined);
    for (; ends < 6; ends++) {
      const end = worker?.exited.then(({ code }) => code);
      const code = await Promise.race([
        end,
        until(isAt(at, 60)).then(
          () => "done",
          () => undefined,
        ),
      ]);
      if (code === "done") break;
      await expireLeases(at.db);
      worker = await at.worker().catch(() => undefined); // it may have ended before it said that it began
    }
    expect(ends).toBe(3);
    expect(notesOf(at).filter(({ position }) => position === 5)).toHaveLength(3);
    expect(await counted(at.db)).toBe(59);
    expect(await at.bus.consumers.deadLetters("one")).toMatchObject([
      { position: 5, attempts: 3, reason: { code: "event_bus.process_ended" }, event: { run: "r5" } },
    ]);
    await worker!.kill("SIGTERM");
    await at.bus.consumers.redrive("one");
    const { seen } = await noting(at.bus, "one", LONG_LEASE);
    await until(async () => (await at.bus.consumers.status("one")).queued === 0);
    expect(seen).toEqual([5]);
  },
);

/** Kills whoever works at a random event, again and again. @returns events, how often they were counted, and how many kills struck work */
async function killAgainAndAgain(
  effect: ConsumeOrders["effect"],
  kills: number,
  hold: "holdBefore" | "holdAfter",
) {
  const random = seeded();
  console.log(`SEED=${random.seed}`);
  const ends = range(kills).map((i) => i * 120 + 1 + random.int(40));
  const at = await house({ effect, options: { ...LEASE, concurrency: 3 }, [hold]: ends });
  let events = 0;
  const tellMore = async () => {
    await tell(at.bus, 120, (i) => ({ run: `r${i % 7}` }));
    events += 120;
  };
  await tellMore();
  let children = [await at.worker()];
  let coming = at.worker();
  let struck = 0;
  for (const end of ends) {
    children.push(await coming); // before there is work, which would be done by then
    await tellMore();
    const isAtEnd = ({ messages }: Child) => messages.some(({ holding }) => holding === end);
    const owner = await until(() => children.find(isAtEnd), { what: `somebody at ${end}` });
    await owner.kill();
    if ((await rowOf(at.db, "one")).position < events) struck++;
    at.openGate(end);
    children = children.filter((child) => child !== owner);
    coming = at.worker(); // while the other takes over
  }
  await coming;
  await until(isAt(at, events));
  return { at, events, count: await counted(at.db), struck };
}

test(
  `what is committed happens once for each event, though processes are killed at random (${KILLS})`,
  { timeout: TEST_MS + KILLS * 10_000 },
  async () => {
    const { at, events, count, struck } = await killAgainAndAgain("commit", KILLS, "holdBefore");
    expect(count).toBe(events);
    expectAllInOrder(at, events);
    expect(struck).toBeGreaterThanOrEqual(KILLS * 0.6); // most kills struck work that was under way
  },
);

test("control: without a commit the count is wrong after a kill", { timeout: TEST_MS }, async () => {
  await sabotage("no commit", async () => {
    const { events, count } = await killAgainAndAgain("apart", 1, "holdAfter");
    expect(count).toBe(events);
  });
});
