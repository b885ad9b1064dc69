// What led to an event, and what came of it.

import { RecordId, surql } from "@sentient/db-pool";
import { configureLimits, limits, type Event } from "@sentient/schema";
import { describe, expect, onTestFinished, test } from "vitest";
import type { EventBus, NewEvent, Trace, TraceNode } from "../src/index.ts";
import { freshBus } from "./support/fresh.ts";

/** An order: 1 is its cause, 2 and 3 follow from it, 4 and 5 from 2; 6 is of the same correlation, 7 of nothing. */
async function order(bus: EventBus): Promise<void> {
  const correlation = "order-17";
  await bus.publish([
    { type: "order.placed", eventId: "placed", correlation, source: "shop" },
    { type: "order.paid", eventId: "paid", causation: "placed", correlation },
    { type: "order.packed", causation: "placed", correlation },
    { type: "run.queued", causation: "paid", run: "r", source: "api", target: "worker" },
    { type: "mail.sent", causation: "paid" },
    { type: "order.seen", correlation },
    { type: "other.thing", correlation: "order-18" },
  ]);
}

type Shape = number | [number, ...Shape[]];

/** Positions, nested as the tree is. */
function shapeOf({ event, children }: TraceNode): Shape {
  return children.length === 0 ? event.position : [event.position, ...children.map(shapeOf)];
}

const sizeOf = ({ children }: TraceNode): number =>
  1 + children.reduce((sum, child) => sum + sizeOf(child), 0);
const positionsOf = (events: readonly Event[]) => events.map(({ position }) => position);

test("every event of a tree has the same tree, from the first cause down, in the order of the log", async () => {
  const { bus } = await freshBus();
  await order(bus);
  for (const position of [1, 2, 3, 4, 5]) {
    const { event, root, truncated, missing } = await bus.trace(position);
    expect(event.position).toBe(position);
    expect(shapeOf(root)).toEqual([1, [2, 4, 5], 3]);
    expect({ truncated, missing }).toEqual({ truncated: false, missing: undefined });
  }
  expect(shapeOf((await bus.trace(7)).root)).toBe(7);
});

test("an event is named by itself, by its id, by its position, or as the log calls it", async () => {
  const { bus } = await freshBus();
  await order(bus);
  const { events } = await bus.history();
  for (const name of [events[1]!, "paid", 2, "event:2"])
    expect((await bus.trace(name)).event).toEqual(events[1]);
  expect((await bus.trace(events[2]!)).event).toEqual(events[2]); // without an id of its own
});

test("a cause may be called by the position of its event, with an id of its own or without", async () => {
  const { bus } = await freshBus();
  await bus.publish([
    { type: "a.b" },
    { type: "a.b", causation: "event:1", eventId: "second" },
    { type: "a.b", causation: "event:2" },
    { type: "a.b", causation: "second" },
  ]);
  for (const name of [1, 3, 4]) expect(shapeOf((await bus.trace(name)).root)).toEqual([1, [2, 3, 4]]);
});

test("the correlation is told whole, in the order of the log, whatever caused what", async () => {
  const { bus } = await freshBus();
  await order(bus);
  expect(positionsOf((await bus.trace("paid")).correlation)).toEqual([1, 2, 3, 6]);
  expect(positionsOf((await bus.trace(6)).correlation)).toEqual([1, 2, 3, 6]);
  expect((await bus.trace(4)).correlation).toEqual([]);
});

describe("a cause that is not there", () => {
  test("is named, and the tree begins below it", async () => {
    const { bus } = await freshBus();
    await bus.publish([
      { type: "a.b", causation: "elsewhere" },
      { type: "a.b", causation: "event:1" },
    ]);
    const { root, missing, text } = await bus.trace(2);
    expect({ shape: shapeOf(root), missing }).toEqual({ shape: [1, 2], missing: "elsewhere" });
    expect(text).toContain("elsewhere (trimmed, or not of this log)");
  });

  test("may have been trimmed", async () => {
    const { bus } = await freshBus();
    await order(bus);
    await bus.trim({ before: 3 });
    const { root, missing } = await bus.trace(5);
    expect({ shape: shapeOf(root), missing }).toEqual({ shape: 5, missing: "paid" });
    expect(positionsOf((await bus.trace(3)).correlation)).toEqual([3, 6]);
  });
});

test("what was trimmed or never was is not found, and told apart", async () => {
  const { bus } = await freshBus();
  await order(bus);
  const { event } = await bus.trace(1);
  await bus.trim({ before: 3 });
  const trimmed = { code: "event_bus.not_found", details: { event: "event:2", earliest: 3 } };
  await expect(bus.trace(2)).rejects.toMatchObject(trimmed);
  for (const name of [event, "placed", 99, "event:99", "event:007", "nobody"])
    await expect(bus.trace(name)).rejects.toMatchObject({ code: "event_bus.not_found" });
});

test("what names no event is refused", async () => {
  const { bus } = await freshBus();
  for (const name of [0, -1, 1.5, NaN, "", "no spaces", {} as Event])
    await expect(bus.trace(name)).rejects.toMatchObject({ code: "event_bus.bad_option" });
  for (const limit of [0, 1.5, "all" as never])
    await expect(bus.trace(1, { limit })).rejects.toMatchObject({ code: "event_bus.bad_option" });
  await expect(bus.trace(1, { limit: limits.page + 1 })).rejects.toMatchObject({ code: "schema.limit" });
});

test("causes that go round in a circle are cut at the first of them, from wherever one looks", async () => {
  const { bus } = await freshBus();
  await bus.publish([
    { type: "a.b", eventId: "a", causation: "c" },
    { type: "a.b", eventId: "b", causation: "a" },
    { type: "a.b", eventId: "c", causation: "b" },
    { type: "a.b", eventId: "below", causation: "b" },
    { type: "a.b", eventId: "itself", causation: "itself" },
  ]);
  for (const name of ["a", "b", "c", "below"])
    expect(shapeOf((await bus.trace(name)).root)).toEqual([1, [2, 3, 4]]);
  expect(shapeOf((await bus.trace("itself")).root)).toBe(5);
});

describe("of what is too much", () => {
  const crowd = (length: number, causation: string): NewEvent[] =>
    Array.from({ length }, () => ({ type: "a.b", causation }));

  test("as many events are shown as were asked for, those nearest to the root first, and it is said", async () => {
    const { bus } = await freshBus();
    await bus.publish([{ type: "a.b" }, ...crowd(10, "event:1"), ...crowd(10, "event:2")]);
    const { root, truncated, text } = await bus.trace(1, { limit: 8 });
    expect({ shape: shapeOf(root), truncated }).toEqual({ shape: [1, 2, 3, 4, 5, 6, 7, 8], truncated: true });
    expect(text).toContain("and more");
    expect(await bus.trace(1, { limit: 21 })).toMatchObject({ truncated: false });
    expect(await bus.trace(1, { limit: 20 })).toMatchObject({ truncated: true });
  });

  test("the way to the event that was asked for is always there", async () => {
    const { bus } = await freshBus();
    await bus.publish([
      { type: "a.b" },
      ...crowd(10, "event:1"),
      { type: "a.b", causation: "event:11", eventId: "deep" },
    ]);
    const { root, truncated } = await bus.trace("deep", { limit: 4 });
    expect({ shape: shapeOf(root), truncated }).toEqual({ shape: [1, 2, [11, 12]], truncated: true });
  });

  test("a way that is too long begins further down", async () => {
    const { bus } = await freshBus();
    await bus.publish(Array.from({ length: 10 }, (_, i) => ({ type: "a.b", causation: `event:${i}` })));
    const { root, truncated, missing } = await bus.trace(9, { limit: 3 });
    expect({ shape: shapeOf(root), truncated, missing }).toEqual({ shape: [7, [8, 9]], truncated: true });
  });

  test("the correlation is cut as the tree is", async () => {
    const { bus } = await freshBus();
    await bus.publish(Array.from({ length: 6 }, () => ({ type: "a.b", correlation: "c" })));
    const { correlation, truncated } = await bus.trace(6, { limit: 5 });
    expect({ positions: positionsOf(correlation), truncated }).toEqual({
      positions: [1, 2, 3, 4, 5],
      truncated: true,
    });
    expect(await bus.trace(6, { limit: 6 })).toMatchObject({ truncated: false });
  });

  test("the limit of the process is one of a trace too", async () => {
    const { bus } = await freshBus();
    const { page } = limits;
    configureLimits({ page: 5 });
    onTestFinished(() => configureLimits({ page }));
    await bus.publish([{ type: "a.b" }, ...crowd(10, "event:1")]);
    const { root, truncated } = await bus.trace(1);
    expect({ size: sizeOf(root), truncated }).toEqual({ size: 5, truncated: true });
  });

  test("a tree of many levels and a crowd below one event are walked in few queries", async () => {
    const { db, bus } = await freshBus();
    const generation = (first: number, length: number, per: number) =>
      Array.from({ length }, (_, i) => ({ type: "a.b", causation: `event:${first + Math.floor(i / per)}` }));
    await bus.publish([{ type: "a.b" }, ...generation(1, 150, 150), ...generation(2, 300, 2)]); // 1, 150, 300
    let asked = 0;
    db.on("query", () => asked++);
    const { root, truncated } = await bus.trace(1);
    expect({ size: sizeOf(root), truncated }).toEqual({ size: 451, truncated: false });
    expect(asked).toBeLessThan(10); // and not one an event
  });
});

describe("the text", () => {
  const withoutTimes = ({ text }: Trace) => text.replace(/ {2}\d{4}-\d\d-\d\dT[\d:.]+Z/g, "");

  test("is a tree with the event that was asked for marked, and what else belongs to it below", async () => {
    const { bus } = await freshBus({ source: "app" });
    await order(bus);
    const trace = await bus.trace("paid");
    expect(withoutTimes(trace)).toBe(
      [
        "  1 order.placed  shop",
        ">   2 order.paid  app",
        "      4 run.queued r#1  api → worker",
        "      5 mail.sent  app",
        "    3 order.packed  app",
        "",
        "  also of the correlation order-17:",
        "  6 order.seen  app",
      ].join("\n"),
    );
    expect(trace.text.split("\n")[0]).toContain(trace.root.event.at.toISOString());
  });

  test("says nothing of a correlation that the tree shows already", async () => {
    const { bus } = await freshBus({ source: "app" });
    await bus.publish([
      { type: "a.b", correlation: "c" },
      { type: "a.c", correlation: "c", causation: "event:1" },
    ]);
    expect(withoutTimes(await bus.trace(1))).toBe("> 1 a.b  app\n    2 a.c  app");
  });

  test("stays readable however deep the tree is", async () => {
    const { bus } = await freshBus({ source: "app" });
    await bus.publish(Array.from({ length: 200 }, (_, i) => ({ type: "a.b", causation: `event:${i}` })));
    const lines = withoutTimes(await bus.trace(200)).split("\n");
    expect(lines.at(-1)).toBe(`> ${"  ".repeat(24)}[200] 200 a.b  app`);
  });

  test("shows what steers a terminal, hides itself or turns the line as what it is", async () => {
    const { db, bus } = await freshBus();
    await bus.publish({
      type: "a.b",
      source: "\u001b[2J\u001b]0;owned\u0007\r\n7 faked.line  x",
      target: 'left\u202etfel\u200b\u2028\u009b31m "quoted\\" → x',
      correlation: "c\u001b[31m",
    });
    await bus.publish({ type: "a.b", correlation: "c\u001b[31m" });
    await db.query(surql`UPDATE ${new RecordId("event", 2)} SET source = "by\nhand"`);
    const { text } = await bus.trace(1);
    expect(text).not.toMatch(/[[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]--[\n]]/v);
    expect(text.split("\n")).toHaveLength(4);
    expect(text).toContain(String.raw`"\u{1b}[2J\u{1b}]0;owned\u{7}\u{d}\u{a}7 faked.line  x"`);
    expect(text).toContain(String.raw`"left\u{202e}tfel\u{200b}\u{2028}\u{9b}31m \"quoted\\\" → x"`);
    expect(text).toContain(String.raw`"by\u{a}hand"`);
  });
});
