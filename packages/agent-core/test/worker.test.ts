// Workers: how many runs they hold, for how long, and how they let go of them.

import { sabotage, until as untilSoon } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { defineAgent, type Sentient, type Worker, type WorkerOptions } from "../src/index.ts";
import { expectOneStory, range } from "./support/checks.ts";
import {
  eventsOf,
  freshDatabase,
  freshProcess,
  gate,
  later,
  LEASE_MS,
  sentientOn,
  storyOf,
} from "./support/fresh.ts";

const until: typeof untilSoon = (condition, options) =>
  untilSoon(condition, { deadline: 60_000, ...options });

/** A run that is in a step until the gate is open, and how many are at once. */
function holding() {
  const opened = gate();
  const counts = { now: 0, most: 0, begun: 0 };
  const hold = defineAgent({
    name: "hold",
    run: async (ctx) => {
      await ctx.step("hold", async () => {
        counts.begun++;
        counts.most = Math.max(counts.most, ++counts.now);
        await opened.pass();
        counts.now--;
      });
      return ctx.step("after", () => "done");
    },
  });
  return { hold, counts, open: () => opened.open() };
}

async function working(sentient: Sentient, options: WorkerOptions = {}): Promise<Worker> {
  const worker = sentient.worker(options);
  await worker.start();
  return worker;
}

describe("slots", () => {
  test("are never exceeded, by what is claimed and what is started here at once", async () => {
    const { hold, counts, open } = holding();
    const db = await freshDatabase();
    const here = await sentientOn(db, { agents: [hold], worker: { slots: 3 } });
    const there = await sentientOn(db, { agents: [hold], worker: false });
    const first = await here.start(hold);
    const handles = [first, ...(await Promise.all(range(20).map((i) => (i % 2 ? here : there).start(hold))))];
    await until(() => counts.now === 3);
    open();
    await Promise.all(handles.map((handle) => handle.result()));
    expect(counts.most).toBe(3);
  });

  test("control: where a claim brings more than it was asked for they are", async () => {
    const { hold, counts, open } = holding();
    const sentient = await sentientOn(await freshDatabase(), { agents: [hold], worker: false });
    const { state } = sentient;
    const claim = state.claim.bind(state);
    state.claim = (options) => claim({ ...options, max: 20 });
    await working(sentient, { slots: 3 });
    const handles = await Promise.all(range(12).map(() => sentient.start(hold)));
    await until(() => counts.now > 0);
    open();
    await Promise.all(handles.map((handle) => handle.result()));
    await sabotage("no bound", () => expect(counts.most).toBeLessThanOrEqual(3));
  });

  test("of several workers are taken by each of them", async () => {
    const { hold, counts, open } = holding();
    const db = await freshDatabase();
    const [one, two] = [
      await sentientOn(db, { agents: [hold], worker: false }),
      await sentientOn(db, { agents: [hold], worker: false }),
    ];
    const workers = [
      await working(one, { slots: 2 }),
      await working(one, { slots: 3 }),
      await working(two, { slots: 4 }),
    ];
    const handles = await Promise.all(range(12).map(() => two.start(hold)));
    await until(() => counts.now === 9);
    expect(workers.map(({ running }) => running)).toEqual([2, 3, 4]);
    open();
    await Promise.all(handles.map((handle) => handle.result()));
    expect(counts.begun).toBe(12);
    for (const { id } of handles) expectOneStory(await eventsOf(two, id));
  });
});

describe("a lease", () => {
  test("is renewed for as long as a step takes", async () => {
    const { hold, counts, open } = holding();
    const { db, clock, sentient, worker } = await freshProcess({ agents: [hold] });
    const other = await sentientOn(db, { clock, worker: false });
    const renew = sentient.state.renew.bind(sentient.state);
    let renewals = 0;
    sentient.state.renew = async (leases) => {
      const renewed = await renew(leases, { lease: LEASE_MS }); // however long it takes in real time
      renewals++;
      return renewed;
    };
    const handle = await sentient.start(hold);
    await worker.start();
    await until(() => counts.now === 1);
    for (const n of range(6, 1)) {
      await clock.advance(LEASE_MS / 3);
      await until(() => renewals >= n);
      expect((await other.state.sweep()).released).toEqual([]);
    }
    expect(counts.begun).toBe(1);
    open();
    await handle.result();
    expect((await storyOf(sentient, handle.id)).filter((type) => type === "run.started")).toHaveLength(1);
    await until(() => worker.running === 0);
  });

  test("that was lost and claimed again by the same worker is another one", async () => {
    const first = gate();
    let calls = 0;
    const seen: number[] = [];
    const slow = defineAgent({
      name: "slow",
      run: async (ctx) => {
        const nth = ++calls;
        await ctx.step("slow", async () => {
          seen.push(nth);
          if (nth === 1) await first.pass();
        });
        return nth;
      },
    });
    const process = await freshProcess({ agents: [slow] });
    const handle = await process.sentient.start(slow);
    const before = process.worker.tick(); // it stands still in its step
    await first.reached;
    await process.clock.advance(15_000);
    const after = process.worker.tick();
    await until(() => seen.length === 2);
    first.open();
    await Promise.all([before, after]);
    expect(await handle.result()).toBe(2);
    expect(seen).toEqual([1, 2]);
    expect(process.worker.running).toBe(0);
    expectOneStory(await eventsOf(process.sentient, handle.id));
  });
});

describe("a worker that stops", () => {
  test("gives back what a claim brings that was on its way", async () => {
    const { hold, counts } = holding();
    const sentient = await sentientOn(await freshDatabase(), { agents: [hold], worker: false });
    const { state } = sentient;
    const claim = state.claim.bind(state);
    const onItsWay = gate();
    let isHeld = false;
    state.claim = async (options) => {
      const leases = await claim(options);
      if (leases.length === 0) return leases;
      isHeld = true;
      await onItsWay.pass();
      return leases;
    };
    const worker = await working(sentient);
    const handle = await sentient.start(hold);
    await until(() => isHeld);
    const stopped = worker.stop();
    onItsWay.open();
    await stopped;
    expect(await sentient.get(handle.id)).toMatchObject({ status: "queued", attempts: 0 });
    expect(counts.begun).toBe(0);
  });

  test("hands over before the next step, and in the midst of one that takes long", async () => {
    const { hold, counts, open } = holding();
    const db = await freshDatabase();
    const one = await sentientOn(db, { agents: [hold], worker: false });
    const worker = await working(one);
    const handle = await one.start(hold);
    await until(() => counts.now === 1);
    await worker.stop();
    expect(await one.get(handle.id)).toMatchObject({ status: "queued", attempts: 0, steps: 0 });
    open();
    const two = await sentientOn(db, { agents: [hold], worker: false });
    await working(two);
    expect(await handle.result()).toBe("done");
    expect(counts.begun).toBe(2); // the first time counts for nothing
    expectOneStory(await eventsOf(one, handle.id));
  });

  test("twice stops once, and claims nothing any more", async () => {
    const { hold, counts, open } = holding();
    open();
    const sentient = await sentientOn(await freshDatabase(), { agents: [hold], worker: false });
    const worker = await working(sentient);
    await Promise.all([worker.stop(), worker.stop()]);
    await worker.start();
    const handle = await sentient.start(hold);
    expect(await worker.tick()).toBe(0);
    expect(await handle.status()).toBe("queued");
    expect(counts.begun).toBe(0);
    expect(await sentient.state.workers.list()).toEqual([]);
  });

  test("before it has begun does not begin", async () => {
    const { hold } = holding();
    const sentient = await sentientOn(await freshDatabase(), { agents: [hold], worker: false });
    const worker = sentient.worker();
    const starting = worker.start();
    await worker.stop();
    await starting;
    const handle = await sentient.start(hold);
    expect(await worker.tick()).toBe(0);
    expect(await handle.status()).toBe("queued");
  });
});

describe("what cannot be advanced", () => {
  test("is parked with the cause, and does not go round and round", async () => {
    const quick = defineAgent({ name: "quick", run: async () => 1 });
    const process = await freshProcess({ agents: [quick] });
    const { state } = process.sentient;
    let replays = 0;
    state.replay = () => {
      replays++;
      return Promise.reject(new TypeError("it cannot be read"));
    };
    const handle = await process.sentient.start(quick);
    await process.worker.tick();
    expect(replays).toBe(1);
    expect(await process.sentient.get(handle.id)).toMatchObject({
      status: "parked",
      problem: { name: "TypeError", message: "it cannot be read" },
    });
  });

  test("as the database fails is tried again after the lease", async () => {
    const quick = defineAgent({ name: "quick", run: async () => 1 });
    const process = await freshProcess({ agents: [quick] });
    const { state } = process.sentient;
    const replay = state.replay.bind(state);
    let replays = 0;
    state.replay = (...args) =>
      ++replays === 1
        ? Promise.reject(Object.assign(new Error("away"), { code: "db.timeout" }))
        : replay(...args);
    const handle = await process.sentient.start(quick);
    await process.worker.tick();
    expect(await handle.status()).toBe("running");
    await later(process, 15_000);
    expect(await handle.status()).toBe("completed");
  });
});

test("a run that is held is cancelled at its deadline", async () => {
  const begun = gate();
  const slow = defineAgent({
    name: "slow",
    run: async (ctx) =>
      ctx.step(
        "slow",
        ({ signal }) =>
          new Promise((_, reject) => {
            signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
            begun.open();
          }),
      ),
  });
  const { sentient, worker, clock } = await freshProcess({ agents: [slow] });
  const handle = await sentient.start(slow, undefined, { deadline: 10_000 });
  await worker.start();
  await begun.pass();
  await clock.advance(10_000);
  await until(async () => (await handle.status()) === "cancelled");
  expect(await sentient.get(handle.id)).toMatchObject({ reason: "its deadline has passed" });
});

test("a process that starts and closes again and again leaves nothing behind", async () => {
  const quick = defineAgent({ name: "quick", run: async () => 1 });
  const db = await freshDatabase();
  const resources = () => process.getActiveResourcesInfo().filter((name) => name !== "Immediate").length;
  const once = async () => {
    const sentient = await sentientOn(db, { agents: [quick], worker: {} });
    expect(await sentient.execute(quick)).toBe(1);
    await sentient.close();
  };
  await once();
  const looks: number[] = [];
  // Within `until`, which has a timer of its own, as the last look is.
  const before = await until(() => {
    looks.push(resources());
    const last = looks.slice(-20);
    return last.length === 20 && new Set(last).size === 1 && last[0];
  });
  for (const _ of range(5)) await once();
  await until(() => resources() <= before, { what: "what it has begun to end" });
});
