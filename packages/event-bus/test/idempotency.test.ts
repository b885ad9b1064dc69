// Telling twice: under one id an event happened once, however often, by however many, and through whatever line it is told.

import { openDatabase, RecordId, surql, type Database, type SentientError } from "@sentient/db-pool";
import {
  checkAppends,
  sabotage,
  seeded,
  servedEngine,
  tcpProxy,
  until,
  type Append,
} from "@sentient/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import { failureOf } from "./support/failure.ts";
import { busOn, freshBus, freshFolder } from "./support/fresh.ts";
import { dataOf, expectInOrder, storedIn } from "./support/stored.ts";

const RUNS = Number(process.env.SENTIENT_RUNS ?? 200);
const told = (data: unknown, more: object = {}) => ({ type: "thing.told", data, ...more });
const range = (length: number) => Array.from({ length }, (_, i) => i);

describe("an event that is told by many under one id", () => {
  test("is there once, at one position for all of them", { timeout: 120_000 }, async () => {
    const { db, bus } = await freshBus();
    const buses = [bus, busOn(db)];
    for (let i = 0; i < RUNS; i += 50) {
      await Promise.all(
        range(Math.min(50, RUNS - i)).map(async (n) => {
          const event = told(n, { eventId: `e${i + n}`, run: `r${n % 5}` });
          const positions = await Promise.all(range(10).map((teller) => buses[teller % 2]!.publish(event)));
          expect(new Set(positions).size).toBe(1);
          expect(await buses[n % 2]!.publish(event)).toBe(positions[0]);
        }),
      );
    }
    const stored = await expectInOrder(db);
    const ids = new Set(stored.map(({ eventId }) => eventId));
    expect(ids).toEqual(new Set(range(RUNS).map((i) => `e${i}`)));
    expect(stored).toHaveLength(RUNS);
  });

  test.each<[string, object]>([
    ["data", { data: { b: 2, a: 2 } }],
    ["type", { type: "thing.said" }],
    ["run", { run: "r2" }],
    ["no run", { run: undefined }],
    ["source", { source: "elsewhere" }],
    ["target", { target: "t" }],
    ["causation", { causation: "c" }],
  ])(
    "but with other %s is a conflict, in one bus and another, in the same moment and later",
    async (_, other) => {
      const { db, bus } = await freshBus();
      const event = told({ a: 1, b: 2 }, { eventId: "one", run: "r1" });
      const changed = { ...event, ...other };
      for (const [id, first, second] of [
        ["one", bus, bus],
        ["two", bus, busOn(db)],
      ] as const) {
        const settled = await Promise.allSettled([
          first.publish({ ...event, eventId: id }),
          second.publish({ ...changed, eventId: id }),
        ]);
        expect(settled.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
        const { reason } = settled.find(({ status }) => status === "rejected") as PromiseRejectedResult;
        expect(reason).toMatchObject({ code: "event_bus.event_conflict", details: { eventId: id } });
      }
      const loser = (await storedIn(db))[0]!.data === dataText(event) ? changed : event;
      if ("data" in other)
        expect((await failureOf(() => bus.publish(loser))).code).toBe("event_bus.event_conflict");
      expect(await expectInOrder(db)).toHaveLength(2);
    },
  );

  const dataText = ({ data }: { data?: unknown }) => JSON.stringify(data);

  test("says the same in whatever order its keys stand", async () => {
    const { bus } = await freshBus();
    expect(await bus.publish(told({ a: 1, b: [{ d: 1, c: 2 }] }, { eventId: "x" }))).toBe(1);
    expect(await bus.publish(told({ b: [{ c: 2, d: 1 }], a: 1 }, { eventId: "x" }))).toBe(1);
  });
});

describe("a list of events", () => {
  test("of which some are known adds the others, and answers with all places", async () => {
    const { db, bus } = await freshBus();
    await bus.publish([told(0, { eventId: "a", run: "r" }), told(1, { eventId: "b", run: "r" })]);
    const positions = await bus.publish([
      told(2, { eventId: "c", run: "r" }),
      told(1, { eventId: "b", run: "r" }),
      told(3, { run: "r" }),
      told(0, { eventId: "a", run: "r" }),
    ]);
    expect(positions).toEqual([3, 2, 4, 1]);
    expect((await expectInOrder(db)).map(dataOf)).toEqual([0, 1, 2, 3]);
  });

  test("of which one is known as something else adds none", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(told(0, { eventId: "a" }));
    const error = await failureOf(() => bus.publish([told(1, { eventId: "b" }), told(9, { eventId: "a" })]));
    expect(error).toMatchObject({
      code: "event_bus.event_conflict",
      details: { eventId: "a", position: 1 },
    });
    expect((await expectInOrder(db)).map(dataOf)).toEqual([0]);
  });

  test("and others that share ids with it, at once, leave each event there once", async () => {
    const { db, bus } = await freshBus();
    const random = seeded();
    console.log(`SEED=${random.seed}`);
    const buses = [bus, busOn(db)];
    const places = new Map<string, Set<number>>();
    await Promise.all(
      range(60).map(async () => {
        const ids = new Set(range(random.int(6) + 1).map(() => `e${random.int(80)}`));
        const events = [...ids].map((eventId) => told(eventId, { eventId, run: eventId.slice(0, 2) }));
        const positions = await random.pick(buses).publish(events);
        [...ids].forEach((id, i) => places.set(id, (places.get(id) ?? new Set()).add(positions[i]!)));
      }),
    );
    const stored = await expectInOrder(db);
    expect(new Set(stored.map(({ eventId }) => eventId)).size).toBe(stored.length);
    for (const { eventId, position } of stored) expect([...places.get(eventId!)!]).toEqual([position]);
    expect(stored).toHaveLength(places.size);
  });
});

describe("an append with statements", () => {
  const counting = (eventId: string, data: unknown = 1) => ({
    events: [told(data, { eventId })],
    guards: [surql`RETURN true`],
    statements: [surql`UPSERT ${new RecordId("counter", eventId)} SET n += 1`],
  });

  test("told again under the same id does not run them again", async () => {
    const { db, bus } = await freshBus();
    const other = busOn(db);
    const answers = await Promise.all(range(10).map((i) => (i % 2 ? bus : other).log.append(counting("a"))));
    expect(answers).toEqual(range(10).map(() => [{ position: 1 }]));
    expect(await db.query(surql`SELECT VALUE n FROM counter`)).toEqual([1]);
  });

  test("whose events are partly there, or say something else, is a conflict, and runs nothing", async () => {
    const { db, bus } = await freshBus();
    await bus.log.append(counting("a"));
    const partly = { ...counting("a"), events: [told(1, { eventId: "a" }), told(2, { eventId: "b" })] };
    for (const entry of [partly, counting("a", "other")])
      expect((await failureOf(() => bus.log.append(entry))).code).toBe("event_bus.event_conflict");
    expect(await db.query(surql`SELECT VALUE n FROM counter`)).toEqual([1]);
    expect(await expectInOrder(db)).toHaveLength(1);
  });

  test("among others in the same commit is answered for itself", async () => {
    const { db, bus } = await freshBus();
    await bus.log.append(counting("a"));
    const settled = await Promise.allSettled([
      bus.publish(told(1)),
      bus.log.append(counting("a")),
      bus.log.append(counting("a", "other")),
      bus.log.append(counting("b")),
      bus.publish(told(2)),
    ]);
    expect(settled.map(({ status }) => status)).toEqual([
      "fulfilled",
      "fulfilled",
      "rejected",
      "fulfilled",
      "fulfilled",
    ]);
    expect((await expectInOrder(db)).map(dataOf)).toEqual([1, 1, 1, 2]);
    expect(await db.query(surql`SELECT VALUE n FROM counter`)).toEqual([1, 1]);
  });
});

describe("through a line that swallows answers", () => {
  interface Telling {
    value: number;
    tell: () => Promise<unknown>;
  }

  /** Tells of `count` events while answers get lost, and what was acknowledged, what was left in doubt, what is there. */
  async function throughLosses(
    tellings: (db: Database) => Promise<(i: number) => Telling>,
    count: number,
    stored: (db: Database) => Promise<number[]>,
  ) {
    const random = seeded();
    console.log(`SEED=${random.seed}`);
    const entry = new URL("./fixtures/serve-child.ts", import.meta.url);
    const engine = await servedEngine({ entry, folder: await freshFolder() });
    onTestFinished(() => engine.close());
    const proxy = await tcpProxy({ port: Number(new URL(engine.url).port) });
    onTestFinished(() => proxy.close());
    const options = { token: engine.token, heartbeat: 500 };
    const db = await openDatabase({ url: `ws://${proxy.host}:${proxy.port}`, ...options });
    onTestFinished(() => db.close({ deadline: 500 }));
    const direct = await openDatabase({ url: engine.url, ...options });
    onTestFinished(() => direct.close({ deadline: 500 }));
    const telling = await tellings(db);
    const acknowledged: Append[] = [];
    let unknown = 0;
    let faults = 0;
    let hits = 0;
    for (let i = 0; i < count;) {
      let inFlight = 0;
      const burst = range(Math.min(random.int(30) + 1, count - i)).map(async (n) => {
        const { value, tell } = telling(i + n);
        inFlight++;
        try {
          await tell();
          acknowledged.push({ writer: "one", value });
        } catch (error) {
          const { outcome, code } = error as SentientError;
          if (outcome !== "unknown") throw error;
          expect(code).toBe("event_bus.timeout");
          unknown++;
        } finally {
          inFlight--;
        }
      });
      i += burst.length;
      faults++;
      if (random.int(2)) proxy.dropReplies();
      else proxy.cutAfter(random.int(400) + 1, "down");
      const sent = proxy.bytes.up;
      await until(() => proxy.bytes.up > sent + 200 || inFlight === 0, { every: 1 });
      if (inFlight > 0) hits++;
      proxy.reset();
      proxy.pass();
      await Promise.all(burst);
    }
    console.log(`${acknowledged.length} acknowledged, ${unknown} in doubt, ${hits} of ${faults} faults hit`);
    return { direct, acknowledged, unknown, hits, faults, there: await stored(direct) };
  }

  test(
    "every telling is answered, and what was acknowledged is there once",
    { timeout: 180_000 },
    async () => {
      const result = await throughLosses(
        async (db) => {
          const bus = busOn(db);
          await bus.publish(told(-1));
          return (i) => ({ value: i, tell: () => bus.publish(told(i, { run: `r${i % 3}` })) });
        },
        300,
        async (db) => (await expectInOrder(db)).slice(1).map(dataOf) as number[],
      );
      expect(result.hits / result.faults).toBeGreaterThanOrEqual(0.6);
      const acknowledged = result.acknowledged.toSorted((a, b) => Number(a.value) - Number(b.value));
      expect(checkAppends(acknowledged, result.there)).toEqual([]);
      expect(result.acknowledged.length + result.unknown).toBe(300);
      expect(result.there.length).toBeGreaterThanOrEqual(result.acknowledged.length);
    },
  );

  test("control: the check fails of who sends it again without asking", { timeout: 180_000 }, async () => {
    await sabotage("without a producer", async () => {
      const result = await throughLosses(
        async (db) => {
          await db.query(surql`DEFINE TABLE naive`);
          const tell = async (value: number): Promise<void> => {
            await db.query(surql`CREATE naive SET v = ${value}`).catch(() => tell(value));
          };
          return (value) => ({ value, tell: () => tell(value) });
        },
        100,
        async (db) => db.query(surql<number[]>`SELECT VALUE v FROM naive`),
      );
      expect(checkAppends([], result.there)).toEqual([]);
    });
  });
});
