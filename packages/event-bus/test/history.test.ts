// History: pages that together are the log, whatever is asked for, and from both ends.

import { surql, type Database } from "@sentient/db-pool";
import { limits, type Event } from "@sentient/schema";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { EventBus } from "../src/index.ts";
import type { HistoryOptions } from "../src/history.ts";
import { failureOf } from "./support/failure.ts";
import { busOn, freshBus, freshDatabase } from "./support/fresh.ts";
import { gateOf } from "./support/gate.ts";

const told = (data: unknown, more: object = {}) => ({ type: "thing.told", data, ...more });
const range = (length: number, from = 0) => Array.from({ length }, (_, i) => from + i);
const positionsOf = (events: readonly Event[]) => events.map(({ position }) => position);

/** All pages, one after the other. */
async function pagesOf(bus: EventBus, options: HistoryOptions, most = 1_000): Promise<Event[]> {
  const events: Event[] = [];
  let place = options;
  for (let page = 0; page < most; page++) {
    const { events: found, next } = await bus.history(place);
    expect(found.length).toBeLessThanOrEqual(options.limit ?? 100);
    events.push(...found);
    if (next === undefined) return events;
    place = { ...options, [options.order === "desc" ? "before" : "after"]: next };
  }
  throw new Error(`more than ${most} pages`);
}

describe("pages", () => {
  const types = ["step.started", "step.completed", "run.done"];
  const name = (letter: string) => fc.option(fc.constantFrom(`${letter}1`, `${letter}2`), { nil: undefined });
  const draft = fc.record({
    type: fc.constantFrom(...types),
    run: name("r"),
    correlation: name("c"),
    target: name("t"),
    workflow: name("w"),
  });
  const query = fc.record(
    {
      types: fc.constantFrom("step.*", "run.done", "none.*", ["run.done", "step.started"]),
      run: fc.constantFrom("r1", "r2", "r3"),
      correlation: fc.constantFrom("c1", "c2", "c3"),
      target: fc.constantFrom("t1", "t3"),
      workflow: fc.constant("w1"),
      after: fc.nat(70),
      before: fc.nat(80),
      order: fc.constantFrom("asc" as const, "desc" as const),
      limit: fc.integer({ min: 1, max: 30 }),
      from: fc.nat(70),
      to: fc.nat(70),
    },
    { requiredKeys: ["limit"] },
  );

  const isMine = ({ types, ...fields }: HistoryOptions) => {
    const patterns = types === undefined ? ["*"] : [types].flat();
    return (event: Event) =>
      Object.entries(fields).every(([key, value]) => event[key as keyof Event] === value) &&
      patterns.some(
        (p) => p === "*" || p === event.type || (p.endsWith(".*") && event.type.startsWith(p.slice(0, -1))),
      );
  };

  test("one after the other are what the log has, and nothing else", { timeout: 120_000 }, async () => {
    const runs = Number(process.env.SENTIENT_RUNS ?? 8);
    const log = fc.record({ drafts: fc.array(draft, { minLength: 1, maxLength: 60 }), trimmed: fc.nat(60) });
    await fc.assert(
      fc.asyncProperty(log, fc.array(query, { minLength: 30, maxLength: 30 }), async (log, queries) => {
        const { db, bus } = await freshBus();
        const all = await tellAll(bus, log.drafts);
        const floor = Math.min(log.trimmed % 2 ? log.trimmed : 0, all.length);
        await trim(db, all, floor);
        for (const options of queries) await requireModel(bus, all, floor, options);
      }),
      { numRuns: runs },
    );
  });

  async function tellAll(bus: EventBus, drafts: object[]): Promise<Event[]> {
    const clean = drafts.map((draft, i) => ({ ...JSON.parse(JSON.stringify(draft)), data: i }));
    for (let i = 0; i < clean.length; i += 7) await bus.publish(clean.slice(i, i + 7)); // at several times
    const { events } = await bus.history({ limit: 1_000 });
    expect(events.map(({ data }) => data)).toEqual(range(drafts.length));
    return events;
  }

  async function requireModel(
    bus: EventBus,
    all: Event[],
    floor: number,
    { from, to, ...asked }: typeof query extends fc.Arbitrary<infer T> ? T : never,
  ): Promise<void> {
    const timeAt = (i: number) => all[Math.min(i, all.length - 1)]!.at;
    const at = {
      ...(from === undefined ? {} : { from: timeAt(from) }),
      ...(to === undefined ? {} : { to: timeAt(to) }),
    };
    const options: HistoryOptions = { ...asked, ...(Object.keys(at).length > 0 ? { at } : {}) };
    const { after, before, order, limit: _, ...filter } = asked;
    const said = JSON.stringify({ options, floor, last: all.length });
    if (after !== undefined && after > all.length) {
      expect((await failureOf(() => bus.history(options))).code, said).toBe("event_bus.position_ahead");
      return;
    }
    const ofRun = all.filter(({ run }) => run === filter.run);
    const isWhole = filter.run !== undefined && ofRun.every(({ position }) => position > floor);
    if (after !== undefined && after < floor && !isWhole) {
      expect((await failureOf(() => bus.history(options))).code, said).toBe("event_bus.position_trimmed");
      return;
    }
    const expected = all.filter(
      (event) =>
        event.position > floor &&
        event.position > (after ?? 0) &&
        event.position < (before ?? Infinity) &&
        (at.from === undefined || event.at >= at.from) &&
        (at.to === undefined || event.at < at.to) &&
        isMine(filter)(event),
    );
    const found = await pagesOf(bus, options);
    expect(positionsOf(found), said).toEqual(
      positionsOf(order === "desc" ? expected.toReversed() : expected),
    );
  }

  /** As retention does it. */
  async function trim(db: Database, all: readonly Event[], to: number): Promise<void> {
    if (to === 0) return;
    const gone = all.filter(({ position }) => position <= to);
    const tails = new Map(gone.flatMap(({ run, n }) => (run === undefined ? [] : [[run, n] as const])));
    await db.transaction([
      surql`INSERT INTO run_tail ${[...tails].map(([run, n]) => ({ id: run, n }))} RETURN NONE`,
      surql`DELETE event WHERE id.id() <= ${to} RETURN NONE`,
      surql`UPDATE log:floor SET position = ${to}`,
    ]);
  }

  test("of an empty log are one, and empty", async () => {
    const { bus } = await freshBus();
    for (const options of [
      {},
      { order: "desc" },
      { run: "r" },
      { correlation: "c", order: "desc" },
      { before: 1 },
    ])
      expect(await bus.history(options as HistoryOptions)).toEqual({ events: [] });
    const past = { from: new Date(0), to: new Date() };
    expect(await bus.history({ at: past })).toEqual({ events: [] });
  });

  test("that begin before what was trimmed end with an error, in both directions", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(range(10).map((i) => told(i, { correlation: "c", run: "r" })));
    await trim(db, (await bus.history()).events, 6);
    for (const filter of [{}, { types: "thing.*" }, { correlation: "c" }, { run: "r" }])
      for (const order of ["asc", "desc"] as const) {
        expect(await failureOf(() => bus.history({ ...filter, after: 3, order }))).toMatchObject({
          code: "event_bus.position_trimmed",
          details: { position: 3, earliest: 7 },
        });
        expect(await pagesOf(bus, { ...filter, order, limit: 3 })).toHaveLength(4);
      }
  });

  test("end when the log is trimmed while they are read", async () => {
    const { db, bus: teller } = await freshBus();
    await teller.publish(range(300).map((i) => told(i)));
    const { events } = await teller.history({ limit: 1_000 });
    const gate = gateOf(db);
    const bus = busOn(gate.db);
    await bus.history();
    let reads = 0;
    gate.keep(async (go) => {
      if (reads++ === 1) await trim(db, events, 150);
      return go();
    });
    const { events: found, next } = await bus.history({ order: "desc", limit: 200, types: "thing.*" });
    expect(positionsOf(found)).toEqual(range(150, 151).toReversed());
    expect(next).toBeUndefined();
  });
});

describe("what is asked for", () => {
  test.each<[string, object, string]>([
    ["more than a page may have", { limit: limits.page + 1 }, "schema.limit"],
    ["a page of none", { limit: 0 }, "event_bus.bad_option"],
    ["a negative position", { after: -1 }, "event_bus.bad_option"],
    ["half a position", { before: 1.5 }, "event_bus.bad_option"],
    ["an order that is none", { order: "up" }, "event_bus.bad_option"],
    ["a time as text", { at: { from: "2026-01-01" } }, "event_bus.bad_option"],
    ["no time", { at: { from: new Date(NaN) } }, "event_bus.bad_option"],
    ["a field that is none", { offset: 10 }, "event_bus.bad_filter"],
    ["a position beyond the log", { after: 99 }, "event_bus.position_ahead"],
  ])("cannot be %s", async (_, options, code) => {
    const { bus } = await freshBus();
    await bus.publish(told(1));
    expect((await failureOf(() => bus.history(options as never))).code).toBe(code);
  });

  const hostile = [
    "x' OR true --",
    "x\\",
    "`; REMOVE TABLE event; --",
    "$head",
    "x' OR 1 = 1; DELETE canary; '",
    "type::record('canary', 1)",
    "x\u0000y",
    '"] } OR true',
    "r1 OR run = r2",
  ];

  test("is a value and never a statement", async () => {
    const { db, bus } = await freshBus();
    await db.query(surql`CREATE canary:1 SET alive = true`);
    await bus.publish(
      range(5).map((i) => told(i, { run: "r1", target: "t", correlation: "c", workflow: "w" })),
    );
    for (const text of hostile) {
      for (const field of ["run", "source", "target", "workflow", "correlation", "types"]) {
        const found = await bus.history({ [field]: text }).then(
          ({ events }) => events,
          ({ code }: { code: string }) => code,
        );
        expect(["event_bus.bad_filter", []], `${field}: ${text}`).toContainEqual(found);
      }
      const event = { type: "thing.told", source: text, target: text, correlation: text, data: text };
      const position = await bus.publish(event);
      for (const field of ["source", "target", "correlation"]) {
        const { events } = await bus.history({ [field]: text });
        expect(positionsOf(events)).toEqual([position]);
        expect(events[0]).toMatchObject(event);
      }
    }
    expect(await db.query(surql`SELECT VALUE alive FROM canary`)).toEqual([true]);
    expect((await bus.history()).events).toHaveLength(5 + hostile.length);
  });
});

test("what is no event at all is refused like one that is wrong", async () => {
  const { bus } = await freshBus();
  for (const nothing of [null, undefined, 5, "text", [null], [[]], [undefined]])
    expect((await failureOf(() => bus.publish(nothing as never))).code).toBe("event_bus.invalid_event");
  for (const events of [5, { type: "thing.told" }, [null]])
    expect((await failureOf(() => bus.log.append({ events: events as never }))).code).toBe(
      "event_bus.invalid_event",
    );
  expect(await bus.publish(told(1))).toBe(1);
});

test("a replay that makes no sense is refused by its promise", async () => {
  const { bus } = await freshBus();
  for (const range of [{}, null, { from: 0 }, { from: 1, to: 2 }]) {
    const replaying: Promise<unknown> = bus.replay("mailer", range as never);
    await expect(replaying).rejects.toMatchObject({ code: "event_bus.bad_option" });
  }
});

describe("what it costs", () => {
  test("does not grow with the log", async () => {
    const db = await freshDatabase();
    const gate = gateOf(db);
    const bus = busOn(gate.db);
    const asked: HistoryOptions[] = [
      {},
      { order: "desc" },
      { run: "r1" },
      { run: "r1", order: "desc" },
      { correlation: "c1" },
      { types: "thing.*", order: "desc" },
    ];
    const costs = async (options: HistoryOptions) => {
      let rows = 0;
      const before = gate.calls.length;
      gate.keep(async (go) => {
        const answer = await go();
        rows += (answer as { rows?: unknown[] }).rows?.length ?? 0;
        return answer;
      });
      await bus.history({ limit: 20, ...options });
      gate.keep(undefined);
      return { calls: gate.calls.length - before, rows };
    };
    const tell = (count: number) =>
      Promise.all(
        range(count).map((i) => bus.publish(told(i, { run: `r${i % 3}`, correlation: `c${i % 3}` }))),
      );
    await tell(1_000);
    const small: Awaited<ReturnType<typeof costs>>[] = [];
    for (const options of asked) small.push(await costs(options));
    await tell(6_000);
    for (const [i, options] of asked.entries()) {
      const large = await costs(options);
      expect(large.calls, JSON.stringify(options)).toBe(small[i]!.calls);
      expect(large.rows).toBe(small[i]!.rows);
      expect(large.calls).toBeLessThanOrEqual(2);
    }
    // of a filter that nothing meets only so much is looked through in one call
    const none = await costs({ types: "no.such" });
    expect(none).toMatchObject({ rows: 0 });
    expect(none.calls).toBeLessThanOrEqual(8);
    const { next } = await bus.history({ at: { from: new Date(Date.now() + 60_000) } });
    expect(next).toBeUndefined();
  });

  test("of a time is a few looks, wherever it lies", async () => {
    const db = await freshDatabase();
    const gate = gateOf(db);
    const bus = busOn(gate.db);
    const rows = range(2_000, 1).map((position) => ({
      id: position,
      type: "thing.told",
      source: "s",
      data: "1",
      at: new Date(Math.floor(position / 3) * 1_000),
    }));
    await bus.history();
    await db.query(surql`INSERT INTO event ${rows} RETURN NONE`);
    await db.query(surql`UPDATE log:head SET position = 2000, at = ${rows.at(-1)!.at}`);
    for (const second of [0, 1, 2, 333, 665, 666, 667, 10_000]) {
      const before = gate.calls.length;
      const from = new Date(second * 1_000);
      const { events } = await bus.history({ at: { from }, limit: 5 });
      const expected = rows.filter(({ at }) => at >= from).slice(0, 5);
      expect(positionsOf(events), `from ${second}`).toEqual(expected.map(({ id }) => id));
      expect(gate.calls.length - before).toBeLessThanOrEqual(6);
      const last = await bus.history({ at: { to: from }, limit: 1, order: "desc" });
      expect(positionsOf(last.events)).toEqual(
        rows
          .filter(({ at }) => at < from)
          .slice(-1)
          .map(({ id }) => id),
      );
    }
  });
});
