// T33. Timers and schedules over deaths and downtime: each does what it is to do once, never early, and soon after its time.

import type { Clock } from "@sentient/db-pool";
import { sabotage, seeded, VirtualClock } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { createSentient, defineAgent } from "../src/index.ts";
import { range } from "./support/checks.ts";
import { freshDatabase, LEASE_MS, sentientOn } from "./support/fresh.ts";
import { house, until, untilCompleted } from "./support/house.ts";
import { Mortal } from "./support/mortal.ts";

const LONG = process.env.SENTIENT_LONG !== undefined;
const TIMERS = LONG ? 1_000 : 60;
const MINUTE_MS = 60_000;
const SECONDS = 5 * 60 + 30;
/** When there is nobody, in seconds. */
const DOWN = { from: 130, to: 255 };
const TEST_MS = 300_000;

interface Woken {
  run: string;
  /** When it was to be, and when it was. */
  due: number;
  at: number;
}

function agents(act: (run: string, due: number) => void) {
  const nap = defineAgent({
    name: "nap",
    input: z.number(),
    run: async (ctx, due) => {
      await ctx.sleep(new Date(due));
      await ctx.step("woken", () => act(ctx.run.id, due));
    },
  });
  const tick = defineAgent({ name: "tick", run: async (ctx) => ctx.step("ticked", () => [...ctx.run.tags]) });
  return { nap, tick };
}

type House = Awaited<ReturnType<typeof virtualHouse>>;

/** Processes that come and go, and the time they share. */
async function virtualHouse() {
  const db = await freshDatabase();
  const clock = new VirtualClock();
  const { nap, tick } = agents(() => {});
  const outside = await sentientOn(db, { clock, worker: false, agents: [nap, tick] });
  const woken: Woken[] = [];
  /** @param ahead by how much its clock is wrong, in milliseconds */
  const live = async (ahead: number) => {
    const mortal = new Mortal(db);
    const known = agents((run, due) => {
      if (!mortal.isDead) woken.push({ run, due, at: clock.now() });
    });
    const own: Clock = { now: () => clock.now() + ahead, after: (ms, fn) => clock.after(ms, fn) };
    const options = { database: mortal.db, clock: own, worker: false as const };
    const sentient = await createSentient({ ...options, agents: [known.nap, known.tick] });
    const worker = sentient.worker({ lease: LEASE_MS, slots: 200 });
    return {
      mortal,
      /** Does what is to be done. @returns whether it lives on */
      work: async () => {
        await Promise.race([worker.tick(), mortal.dead]);
        if (mortal.isDead) await mortal.buried();
        return !mortal.isDead;
      },
      end: () => sentient.close(),
    };
  };
  return { clock, outside, woken, live, nap, tick };
}

/** Second by second, with processes that die now and then, and a while in which there is none. @returns how many died */
async function passTime({ clock, live }: House, ahead = 0): Promise<number> {
  const random = seeded();
  console.log(`SEED=${random.seed}`);
  let deaths = 0;
  let process = await live(ahead);
  const work = async () => {
    if (await process.work()) return;
    deaths++;
    process = await live(ahead);
  };
  for (let second = 1; second <= SECONDS; second++) {
    await clock.advance(1_000);
    if (second > DOWN.from && second < DOWN.to) continue;
    if (random.int(10) === 0) process.mortal.dieAfter(random.int(40));
    await work();
  }
  for (const _ of range(3)) {
    await clock.advance(LEASE_MS);
    await work();
  }
  await process.end();
  return deaths;
}

/** @returns how late the latest was, in milliseconds */
async function expectOnTime({ outside, woken }: House, ids: readonly string[]): Promise<number> {
  for (const id of ids) {
    expect(await outside.get(id)).toMatchObject({ status: "completed" });
    const { events } = await outside.events.history({ run: id, limit: 1_000 });
    const results = events.filter(({ type }) => type === "step.completed");
    const keys = results.map(({ data }) => (data as { key: string }).key);
    expect(keys).toEqual(["main/sleep#1", "main/woken#1"]);
  }
  for (const { due, at } of woken) expect(at).toBeGreaterThanOrEqual(due);
  expect(new Set(woken.map(({ run }) => run))).toEqual(new Set(ids));
  const first = ids.map((id) => woken.find(({ run }) => run === id)!);
  return Math.max(...first.map(({ due, at }) => at - due));
}

async function napping() {
  const at = await virtualHouse();
  const random = seeded();
  const dues = range(TIMERS).map(() => at.clock.now() + random.int(SECONDS * 1_000));
  const handles = await Promise.all(dues.map((due) => at.outside.start(at.nap, due)));
  return { at, ids: handles.map(({ id }) => id) };
}

describe("timers, in time that is moved by hand", () => {
  test(
    "go off once each, never early, and late by no more than there was nobody",
    { timeout: TEST_MS },
    async () => {
      const { at, ids } = await napping();
      const deaths = await passTime(at);
      const latest = await expectOnTime(at, ids);
      console.log(`${deaths} processes died; the latest was ${latest} ms late`);
      expect(deaths).toBeGreaterThan(5);
      const down = (DOWN.to - DOWN.from) * 1_000;
      expect(latest).toBeLessThanOrEqual(down + 3 * LEASE_MS + 1_000); // a few may have died of one
    },
  );

  test("control: by a clock that is ahead they are early", { timeout: TEST_MS }, async () => {
    const { at, ids } = await napping();
    await passTime(at, 30_000);
    await sabotage("no time of the database", () => expectOnTime(at, ids));
  });
});

test(
  "schedules start what they are to start once, and what was missed as they say",
  { timeout: TEST_MS },
  async () => {
    const at = await virtualHouse();
    const begun = at.clock.now();
    for (const missed of ["all", "once", "skip"] as const)
      await at.outside.schedules.put(missed, at.tick, undefined, { cron: "* * * * *", missed });
    await passTime(at);
    const { runs } = await at.outside.list({ limit: 1_000 });
    expect(runs.every(({ status }) => status === "completed")).toBe(true);
    const slotsOf = (schedule: string) =>
      runs
        .filter(({ correlation }) => correlation === `schedule:${schedule}`)
        .map(({ tags }) => (Date.parse(tags[0]!.slice("slot:".length)) - begun) / MINUTE_MS)
        .filter((minute) => minute * 60 <= SECONDS)
        .toSorted((a, b) => a - b);
    expect(slotsOf("all")).toEqual([1, 2, 3, 4, 5]);
    expect(slotsOf("once")).toEqual([1, 2, 4, 5]); // of the third and the fourth minute the last
    expect(slotsOf("skip")).toEqual([1, 2, 5]);
  },
);

test(
  "timers go off in real processes, which are killed, and of which there is none for a while",
  { timeout: TEST_MS },
  async () => {
    const at = await house({ worker: { lease: 1_000 } });
    const random = seeded();
    console.log(`SEED=${random.seed}`);
    const workers = await Promise.all([at.worker(), at.worker()]);
    const naps = range(40).map(() => at.sentient.start(at.jobs.wake, { ms: random.int(6_000) }));
    const handles = await Promise.all(naps);
    const woken = () => at.ledger.countBy(({ run }) => run).size;
    await until(() => woken() >= 5);
    await workers[0].kill();
    await until(() => woken() >= 12);
    await workers[1].kill();
    await at.worker();
    await untilCompleted(at, handles);
    const late: number[] = [];
    for (const { id } of handles) {
      const journal = await at.sentient.state.journal(id);
      expect([...journal.keys()]).toEqual(["main/sleep#1", "main/woken#1"]);
      const { result } = journal.get("main/sleep#1") as { result?: unknown };
      const times = at.ledger.read().effects.filter(({ run }) => run === id);
      late.push(...times.map((effect) => effect.at - Date.parse(result as string)));
    }
    console.log(`between ${Math.min(...late)} and ${Math.max(...late)} ms late`);
    expect(Math.min(...late)).toBeGreaterThanOrEqual(0);
  },
);
