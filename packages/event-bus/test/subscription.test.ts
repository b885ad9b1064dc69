// Subscriptions: a function that is called for each event, one after the other, and never after it was told to stop.

import { DbError, surql } from "@sentient/db-pool";
import { seeded, until } from "@sentient/testkit";
import { setImmediate } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Event } from "@sentient/schema";
import type { Subscription } from "../src/subscription.ts";
import { busOn, freshBus, freshDatabase } from "./support/fresh.ts";
import { gateOf, type Gate } from "./support/gate.ts";

const told = (data: unknown, more: object = {}) => ({ type: "thing.told", data, ...more });
const range = (length: number) => Array.from({ length }, (_, i) => i);
const unreachable = () => new DbError({ code: "db.unreachable", message: "nobody answers", retryable: true });

test("hears what is told right after subscribing, in order, one at a time", async () => {
  const { db, bus } = await freshBus();
  await bus.publish(told("before"));
  const heard: unknown[] = [];
  let running = 0;
  bus.subscribe({}, async ({ data }) => {
    expect(running++).toBe(0);
    await setImmediate();
    heard.push(data);
    running--;
  });
  const other = busOn(db);
  await Promise.all(range(50).map((i) => bus.publish(told(i))));
  await other.publish(told(50));
  await until(() => heard.length === 51);
  expect(heard).toEqual(range(51));
});

test("hears what its filter is for, and nothing else", async () => {
  const { bus } = await freshBus();
  const heard: string[] = [];
  const lists = [{ types: "step.*" }, { types: ["run.done"] }, { run: "r1" }, {}].map((filter) => {
    const list: string[] = [];
    bus.subscribe(filter, ({ type, run }) => list.push(`${type} ${run}`));
    return list;
  });
  bus.subscribe({ types: "nothing" }, ({ type }) => heard.push(type));
  await bus.publish([
    { type: "step.done", run: "r1" },
    { type: "run.done", run: "r2" },
    { type: "steps.done" },
  ]);
  await until(() => [1, 1, 1, 3].every((length, i) => lists[i]!.length >= length)); // none waits for another
  expect(lists[3]).toHaveLength(3);
  expect(lists[0]).toEqual(["step.done r1"]);
  expect(lists[1]).toEqual(["run.done r2"]);
  expect(lists[2]).toEqual(["step.done r1"]);
  await bus.publish({ type: "nothing" });
  await until(() => heard.length > 0);
  expect(heard).toEqual(["nothing"]);
});

describe("a handler that throws", () => {
  const handlers: [string, (event: Event) => unknown][] = [
    ["at once", () => { throw new Error("no"); }], // prettier-ignore
    ["later", async () => { await setImmediate(); throw new Error("no"); }], // prettier-ignore
    [
      "no error",
      () => {
        throw "no";
      },
    ],
    ["nothing", () => Promise.reject()],
  ];

  test.each(handlers)("%s is told of, and hears the next event", async (_, fail) => {
    const { bus } = await freshBus();
    const problems: { error: unknown; event?: Event }[] = [];
    bus.on("problem", (problem) => problems.push(problem));
    const heard: unknown[] = [];
    bus.subscribe({}, (event) => {
      heard.push(event.data);
      return fail(event);
    });
    await bus.publish([told(1), told(2), told(3)]);
    await until(() => problems.length === 3);
    expect(heard).toEqual([1, 2, 3]);
    expect(problems.map(({ event }) => event?.position)).toEqual([1, 2, 3]);
  });

  test("is a warning of the process if nobody listens for problems", async () => {
    const { bus } = await freshBus();
    const warnings: string[] = [];
    const warned = ({ message }: Error) => void warnings.push(message);
    process.on("warning", warned);
    onTestFinished(() => void process.off("warning", warned));
    const heard: unknown[] = [];
    bus.subscribe({}, ({ data }) => {
      heard.push(data);
      throw data === 1 ? new Error("the first") : "the second";
    });
    await bus.publish([told(1), told(2)]);
    await until(() => warnings.length === 2);
    expect(warnings).toEqual(["the first", "the second"]);
    expect(heard).toEqual([1, 2]);
  });

  test("keeps being called when whoever listens for problems throws too", async () => {
    const { bus } = await freshBus();
    const warnings: string[] = [];
    const warned = ({ message }: Error) => void warnings.push(message);
    process.on("warning", warned);
    onTestFinished(() => void process.off("warning", warned));
    bus.on("problem", () => {
      throw new Error("the listener");
    });
    const heard: unknown[] = [];
    bus.subscribe({}, ({ data }) => {
      heard.push(data);
      throw new Error("the handler");
    });
    await bus.publish([told(1), told(2), told(3)]);
    await until(() => heard.length === 3);
    expect(new Set(warnings)).toEqual(new Set(["the listener"]));
  });

  test("does not keep another from hearing", async () => {
    const { bus } = await freshBus();
    bus.on("problem", () => {});
    const heard: unknown[] = [];
    bus.subscribe({}, () => {
      throw new Error("no");
    });
    const hanging = Promise.withResolvers<void>();
    bus.subscribe({}, () => hanging.promise);
    const { unsubscribe } = bus.subscribe({}, ({ data }) => heard.push(data));
    await bus.publish([told(1), told(2)]);
    await until(() => heard.length === 2);
    await unsubscribe();
    hanging.resolve();
  });
});

describe("once unsubscribing has resolved", () => {
  test("the handler does not run and is not called, whenever that was", async () => {
    const { bus } = await freshBus();
    const random = seeded();
    console.log(`SEED=${random.seed}`);
    let telling = true;
    const tell = async () => {
      while (telling) await Promise.all(range(20).map((i) => bus.publish(told(i))));
    };
    const teller = tell();
    for (let turn = 0; turn < 40; turn++) {
      let isOver = false;
      let late = 0;
      let running = 0;
      const { unsubscribe } = bus.subscribe({}, async () => {
        if (isOver) late++;
        running++;
        for (let i = random.int(4); i > 0; i--) await setImmediate();
        running--;
        if (isOver) late++;
      });
      for (let i = random.int(30); i > 0; i--) await setImmediate();
      await unsubscribe();
      isOver = true;
      expect(running).toBe(0);
      for (let i = 0; i < 5; i++) await setImmediate();
      expect(late).toBe(0);
    }
    telling = false;
    await teller;
  });

  test("in the handler itself that is at once, and this is its last call", async () => {
    const { bus } = await freshBus();
    let calls = 0;
    let ended = false;
    const subscription: Subscription = bus.subscribe({}, async () => {
      calls++;
      await subscription.unsubscribe();
      ended = true;
    });
    await bus.publish([told(1), told(2), told(3)]);
    await until(() => ended);
    await subscription.unsubscribe();
    await bus.publish(told(4));
    for (let i = 0; i < 20; i++) await setImmediate();
    expect(calls).toBe(1);
  });

  test("what a handler left behind waits for a later call as anybody does", async () => {
    const { bus } = await freshBus();
    const go = Promise.withResolvers<void>();
    const second = Promise.withResolvers<void>();
    const steps: string[] = [];
    let left: Promise<void> | undefined;
    const unsubscribeLater = async () => {
      await second.promise;
      await subscription.unsubscribe();
      steps.push("unsubscribed");
    };
    const subscription: Subscription = bus.subscribe({}, async ({ data }) => {
      if (data === 1) {
        left = unsubscribeLater();
        return;
      }
      second.resolve();
      await go.promise;
      steps.push("second call over");
    });
    await bus.publish([told(1), told(2)]);
    await second.promise;
    for (let i = 0; i < 10; i++) await setImmediate();
    go.resolve();
    await left;
    expect(steps).toEqual(["second call over", "unsubscribed"]);
  });

  test("of one in the handler of another, both end", async () => {
    const { bus } = await freshBus();
    const heard: string[] = [];
    const one = bus.subscribe({}, () => heard.push("one"));
    const two = bus.subscribe({}, async () => {
      await one.unsubscribe();
      heard.push("two");
    });
    await bus.publish(told(1));
    await until(() => heard.includes("two"));
    const before = heard.length;
    await bus.publish(told(2));
    await until(() => heard.length > before);
    expect(heard.slice(before)).toEqual(["two"]);
    await two.unsubscribe();
  });

  test("it can be done twice, and before anything was heard", async () => {
    const { bus } = await freshBus();
    const heard: unknown[] = [];
    const { unsubscribe } = bus.subscribe({}, (event) => heard.push(event));
    await Promise.all([unsubscribe(), unsubscribe()]);
    await bus.publish(told(1));
    await unsubscribe();
    expect(heard).toEqual([]);
  });
});

test.each([
  ["does not answer", (gate: Gate) => gate.hold()],
  ["is not there", (gate: Gate) => gate.keep(() => Promise.reject(unreachable()))],
])("unsubscribing is over at once while the database %s", async (_, goAway) => {
  const gate = gateOf(await freshDatabase());
  const bus = busOn(gate.db);
  await bus.publish(told(1));
  goAway(gate);
  const heard: unknown[] = [];
  const { unsubscribe } = bus.subscribe({}, (event) => heard.push(event));
  for (let i = 0; i < 20; i++) await setImmediate(); // it has asked where the log ends
  await unsubscribe();
  bus.subscribe({}, (event) => heard.push(event));
  const closing = bus.close();
  gate.release();
  await closing;
  expect(heard).toEqual([]);
});

test("closing the bus waits for the handler, and can be asked for in it", async () => {
  const { bus } = await freshBus();
  const steps: string[] = [];
  const go = Promise.withResolvers<void>();
  bus.subscribe({}, async ({ data }) => {
    steps.push(`begun ${data as number}`);
    await go.promise;
    steps.push(`over ${data as number}`);
  });
  await bus.publish([told(1), told(2)]);
  await until(() => steps.length > 0);
  const closing = bus.close();
  go.resolve();
  await closing;
  expect(steps).toEqual(["begun 1", "over 1"]);

  const { bus: another } = await freshBus();
  const closed = Promise.withResolvers<void>();
  another.subscribe({}, async () => {
    await another.close();
    closed.resolve();
  });
  await another.publish(told(1));
  await closed.promise;
});

test("a subscription ends with the database, and says so where nobody listens for problems", async () => {
  const { db, bus } = await freshBus();
  const warnings: Error[] = [];
  const warned = (warning: Error) => void warnings.push(warning);
  process.on("warning", warned);
  onTestFinished(() => void process.off("warning", warned));
  const heard: unknown[] = [];
  bus.subscribe({}, ({ data }) => heard.push(data));
  await bus.publish(told(1));
  await until(() => heard.length === 1);
  await db.close();
  await until(() => warnings.length > 0);
  await bus.close();
  expect(warnings).toMatchObject([{ code: "db.closed" }]);
});

test("a subscription that cannot go on is told of", async () => {
  const { db, bus } = await freshBus();
  const problems: unknown[] = [];
  bus.on("problem", ({ error }) => problems.push(error));
  await bus.publish(told(1));
  const heard: unknown[] = [];
  bus.subscribe({}, ({ data }) => heard.push(data));
  await bus.publish(told(2));
  await until(() => heard.length === 1);
  await db.transaction([surql`UPDATE log:head SET position = 9`, surql`UPSERT bell:log SET position = 9`]);
  await until(() => problems.length > 0);
  expect(problems).toContainEqual(expect.objectContaining({ code: "event_bus.log_damaged" }));
});
