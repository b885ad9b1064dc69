// The hash chain of a run: what somebody changes behind the log's back is found, and where.

import { RecordId, surql, type Database, type Statement } from "@sentient/db-pool";
import { hashOf } from "@sentient/schema";
import { describe, expect, onTestFinished, test } from "vitest";
import { hashOfEvent } from "../src/hash-chain.ts";
import type { EventBus, EventBusOptions } from "../src/index.ts";
import type { EventRow } from "../src/queries.ts";
import { busOn, freshBus } from "./support/fresh.ts";

const event = (position: number) => new RecordId("event", position);

/** A run of six events at the positions 2 … 7, between one of another run and one more of that. */
async function sixEvents(
  options: EventBusOptions = { hashes: true },
): Promise<{ db: Database; bus: EventBus }> {
  const { db, bus } = await freshBus(options);
  await bus.publish({ type: "a.began", run: "other" });
  for (let i = 1; i <= 6; i++)
    await bus.publish({
      type: "a.happened",
      run: "r",
      data: { i },
      eventId: `e-${i}`,
      target: "t",
      workflow: "w",
      correlation: "c",
      causation: "x",
    });
  await bus.publish({ type: "a.ended", run: "other" });
  return { db, bus };
}

async function rowAt(db: Database, position: number): Promise<EventRow> {
  return db.query(surql<EventRow>`SELECT * FROM ONLY ${event(position)}`);
}

async function moveEvent(
  db: Database,
  from: number,
  to: number,
  more: Partial<EventRow> = {},
): Promise<void> {
  const row = await rowAt(db, from);
  await db.transaction([
    surql`DELETE ${event(from)}`,
    surql`INSERT INTO event ${{ ...row, ...more, id: event(to) }}`,
  ]);
}

test("a run that nobody touched is found whole, with the hash of its last event", async () => {
  const { db, bus } = await sixEvents();
  const { hash } = await rowAt(db, 7);
  expect(await bus.verify("r")).toEqual({ ok: true, events: 6, from: 1, hash });
  expect(await bus.verify("r", { hash: hash! })).toMatchObject({ ok: true });
  expect(await bus.verify("other")).toMatchObject({ ok: true, events: 2 });
});

test("events of several processes make one chain", async () => {
  const { db, bus } = await sixEvents();
  const other = busOn(db, { hashes: true });
  for (const one of [other, bus, other]) await one.publish({ type: "a.b", run: "r" });
  expect(await bus.verify("r")).toMatchObject({ ok: true, events: 9 });
});

const forged = (field: keyof EventRow, value: unknown): [string, Statement] => [
  field,
  surql`UPDATE ONLY ${event(4)} MERGE ${{ [field]: value }}`,
];

test.each([
  forged("data", '{"i":4}'),
  forged("data", 2n ** 60n),
  forged("type", "a.faked"),
  forged("source", "somebody"),
  forged("target", "u"),
  forged("workflow", "v"),
  forged("correlation", "d"),
  forged("causation", "y"),
  forged("eventId", "e-33"),
  forged("at", new Date(0)),
  forged("at", "yesterday"),
  forged("hash", hashOf("something")),
])("an event whose %s was changed is named", async (_, change) => {
  const { db, bus } = await sixEvents();
  await db.query(change);
  expect(await bus.verify("r")).toMatchObject({ ok: false, damage: "changed", position: 4, n: 3 });
  expect(await bus.verify("other")).toMatchObject({ ok: true });
});

test("a field that was taken away is noticed like one that was changed", async () => {
  const { db, bus } = await sixEvents();
  await db.query(surql`UPDATE ${event(4)} UNSET target`);
  expect(await bus.verify("r")).toMatchObject({ ok: false, damage: "changed", position: 4, n: 3 });
});

test("two events that changed places are noticed at the first of them", async () => {
  const { db, bus } = await sixEvents();
  await moveEvent(db, 4, 100);
  await moveEvent(db, 5, 4);
  await moveEvent(db, 100, 5);
  expect(await bus.verify("r")).toMatchObject({ ok: false, damage: "changed", position: 5, n: 3 });
});

test("two events whose numbers were exchanged are noticed at the first of them", async () => {
  const { db, bus } = await sixEvents();
  await db.query(surql`UPDATE ${event(4)} SET n = 100`);
  await db.query(surql`UPDATE ${event(5)} SET n = 3`);
  await db.query(surql`UPDATE ${event(4)} SET n = 4`);
  expect(await bus.verify("r")).toMatchObject({ ok: false, damage: "changed", position: 5, n: 3 });
});

test("an event that was put before its predecessor, or beyond the end of the log, is out of order", async () => {
  const { db, bus } = await sixEvents();
  await db.query(surql`DELETE ${event(1)}`);
  await moveEvent(db, 5, 1);
  expect(await bus.verify("r")).toMatchObject({ ok: false, damage: "disordered", position: 1, n: 4 });
  await moveEvent(db, 1, 50);
  expect(await bus.verify("r")).toMatchObject({ ok: false, damage: "disordered", position: 50, n: 4 });
});

test("an event that was deleted is missing, whether the first or one in the middle", async () => {
  const { db, bus } = await sixEvents();
  await db.query(surql`DELETE ${event(5)}`);
  expect(await bus.verify("r")).toMatchObject({ ok: false, damage: "missing", n: 4 });
  await db.query(surql`DELETE ${event(2)}`);
  expect(await bus.verify("r")).toMatchObject({ ok: false, damage: "missing", n: 1 });
});

test("an event that was changed and given the hash to it breaks the chain at the next", async () => {
  const { db, bus } = await sixEvents();
  const [before, row] = [await rowAt(db, 3), await rowAt(db, 4)];
  const changed = { ...row, data: '{"i":4}' };
  const hash = hashOfEvent(changed, before.hash as never);
  await db.query(surql`UPDATE ${event(4)} SET data = ${changed.data}, hash = ${hash}`);
  expect(await bus.verify("r")).toMatchObject({ ok: false, damage: "changed", position: 5, n: 4 });
});

describe("an event that was put in by hand", () => {
  const byHand = { type: "a.happened", source: "x", run: "r", data: "null", at: new Date() };

  test("is no part of the chain, with a hash or without", async () => {
    const { db, bus } = await sixEvents();
    await db.query(surql`UPDATE ${event(8)} CONTENT ${{ ...byHand, n: 7 }}`); // instead of the other run's
    expect(await bus.verify("r")).toMatchObject({ ok: false, damage: "unhashed", position: 8, n: 7 });
    await db.query(surql`UPDATE ${event(8)} SET hash = ${hashOf("a guess")}`);
    expect(await bus.verify("r")).toMatchObject({ ok: false, damage: "changed", position: 8, n: 7 });
  });

  test("has nowhere to stand after the end of the log", async () => {
    const { db, bus } = await sixEvents();
    await db.query(surql`INSERT INTO event ${{ ...byHand, n: 7, id: event(9), hash: hashOf("a guess") }}`);
    expect(await bus.verify("r")).toMatchObject({ ok: false, damage: "disordered", position: 9, n: 7 });
  });

  test.each([0, -1, 1.5])("is out of order as number %s of its run", async (n) => {
    const { db, bus } = await sixEvents();
    await db.query(surql`UPDATE ${event(8)} CONTENT ${{ ...byHand, n }}`);
    expect(await bus.verify("r")).toMatchObject({ ok: false, damage: "disordered", position: 8 });
  });

  test("is no event of the run without a number in it", async () => {
    const { db, bus } = await sixEvents();
    await db.query(surql`UPDATE ${event(8)} CONTENT ${byHand}`);
    expect(await bus.verify("r")).toMatchObject({ ok: true, events: 6 });
    expect((await bus.history({ run: "r" })).events).toHaveLength(6);
  });
});

test("an event without a hash between others is named", async () => {
  const { db, bus } = await sixEvents();
  const careless = busOn(db);
  await careless.publish({ type: "a.b", run: "r" });
  await bus.publish({ type: "a.b", run: "r" });
  expect(await bus.verify("r")).toMatchObject({ ok: false, damage: "unhashed", position: 9, n: 7 });
  await db.query(surql`UPDATE ${event(3)} UNSET hash`);
  expect(await bus.verify("r")).toMatchObject({ ok: false, damage: "unhashed", position: 3, n: 2 });
});

test("an end that was cut off is noticed by who noted the last hash, and by nobody else", async () => {
  const { db, bus } = await sixEvents();
  const whole = await bus.verify("r");
  if (!whole.ok) throw new Error(whole.message);
  await db.query(surql`DELETE ${event(7)}`);
  expect(await bus.verify("r")).toMatchObject({ ok: true, events: 5 });
  expect(await bus.verify("r", { hash: whole.hash })).toMatchObject({ ok: false, damage: "missing", n: 6 });
  await db.query(surql`DELETE event WHERE run = "r"`);
  expect(await bus.verify("r", { hash: whole.hash })).toMatchObject({ ok: false, damage: "missing", n: 1 });
});

test("a run that was written anew from some event on is noticed by who noted the last hash", async () => {
  const { db, bus } = await sixEvents();
  const whole = await bus.verify("r");
  if (!whole.ok) throw new Error(whole.message);
  let before = (await rowAt(db, 4)).hash;
  for (const position of [5, 6, 7]) {
    const row = { ...(await rowAt(db, position)), type: "a.faked" };
    before = hashOfEvent(row, before as never);
    await db.query(surql`UPDATE ${event(position)} SET type = ${row.type}, hash = ${before}`);
  }
  expect(await bus.verify("r")).toMatchObject({ ok: true, events: 6 });
  expect(await bus.verify("r", { hash: whole.hash })).toMatchObject({ ok: false, damage: "missing", n: 7 });
});

test("a long run is looked through in pages, to its end", async () => {
  const { db, bus } = await freshBus({ hashes: true });
  for (let i = 0; i < 2; i++)
    await bus.publish(Array.from({ length: 500 }, () => ({ type: "a.b", run: "long" })));
  expect(await bus.verify("long")).toMatchObject({ ok: true, events: 1_000, from: 1 });
  await db.query(surql`UPDATE ${event(990)} SET source = "somebody"`);
  expect(await bus.verify("long")).toMatchObject({ ok: false, damage: "changed", position: 990, n: 990 });
});

describe("a run that was trimmed", () => {
  test("is verified from there on, and damage after it is found", async () => {
    const { db, bus } = await sixEvents();
    await bus.trim({ before: 5 });
    expect(await bus.verify("r")).toMatchObject({ ok: true, events: 3, from: 4 });
    await db.query(surql`UPDATE ${event(5)} SET source = "somebody"`);
    expect(await bus.verify("r")).toMatchObject({ ok: false, damage: "changed", position: 5, n: 4 });
    await db.query(surql`DELETE ${event(5)}`);
    expect(await bus.verify("r")).toMatchObject({ ok: false, damage: "missing", n: 4 });
  });

  test("is still vouched for by its last hash when nothing is left of it, and goes on from there", async () => {
    const { db, bus } = await sixEvents();
    const { hash } = await rowAt(db, 7);
    await bus.trim({ keep: 0 });
    expect(await bus.verify("r", { hash: hash! })).toEqual({ ok: true, events: 0, from: 7, hash });
    await busOn(db, { hashes: true }).publish({ type: "a.b", run: "r" });
    expect(await bus.verify("r")).toMatchObject({ ok: true, events: 1, from: 7 });
  });

  test("does not fit what trimming left of it once that was changed", async () => {
    const { db, bus } = await sixEvents();
    await bus.trim({ before: 5 });
    await db.query(surql`UPDATE run_tail:r SET hash = ${hashOf("something")}`);
    expect(await bus.verify("r")).toMatchObject({ ok: false, damage: "changed", position: 5, n: 4 });
    await db.query(surql`DELETE run_tail:r`);
    expect(await bus.verify("r")).toMatchObject({ ok: false, damage: "missing", n: 1 });
  });

  test("may be trimmed while it is verified", async () => {
    const { db, bus } = await freshBus({ hashes: true });
    for (let i = 0; i < 2; i++)
      await bus.publish(Array.from({ length: 500 }, () => ({ type: "a.b", run: "long" })));
    const query = db.query.bind(db);
    let looks = 0;
    db.query = async (statement, options) => {
      if (statement.text.includes("run_tail") && ++looks === 2) await bus.trim({ before: 900 });
      return query(statement, options);
    };
    onTestFinished(() => void (db.query = query));
    const checked = await bus.verify("long");
    expect(checked).toMatchObject({ ok: true, events: 100 + 101, from: 1 });
  });
});

test("without hashes nothing is vouched for, and what was changed is read as if it were true (control)", async () => {
  const { db, bus } = await sixEvents({ hashes: false });
  const before = await bus.verify("r");
  expect(before).toMatchObject({ ok: false, damage: "unhashed", n: 1 });
  await db.query(surql`UPDATE ${event(4)} SET data = '{"i":99}'`);
  expect(await bus.verify("r")).toEqual(before);
  const { events } = await bus.history({ run: "r" });
  expect(events[2]).toMatchObject({ data: { i: 99 } });
});

test("a run that never was is not found, and what is no run or hash is refused", async () => {
  const { bus } = await sixEvents();
  await expect(bus.verify("nobody")).rejects.toMatchObject({ code: "event_bus.not_found" });
  await expect(bus.verify("")).rejects.toMatchObject({ code: "event_bus.bad_option" });
  await expect(bus.verify("r", { hash: "abc" })).rejects.toMatchObject({ code: "event_bus.bad_option" });
});
