// What an entry may say besides its events: where its runs stand, and which rows it creates.

import { DbError, RecordId, surql } from "@sentient/db-pool";
import { sabotage } from "@sentient/testkit";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { Runs } from "../src/runs.ts";
import { failureOf } from "./support/failure.ts";
import { busOn, freshBus } from "./support/fresh.ts";
import { expectInOrder } from "./support/stored.ts";

const told = (run?: string) => ({ type: "thing.told", ...(run === undefined ? {} : { run }) });
const rowOf = (i: unknown, table = "thing") => ({ id: new RecordId(table, ["a", String(i)]), i });

describe("an entry that says where its run stands", () => {
  test("is appended where it stands there, also to a run that has nothing yet", async () => {
    const { bus } = await freshBus();
    const append = (n: number) => bus.log.append({ expected: { a: n }, events: [told("a"), told("a")] });
    expect(await append(0)).toMatchObject([{ n: 1 }, { n: 2 }]);
    expect(await append(2)).toMatchObject([{ n: 3 }, { n: 4 }]);
  });

  test("is not asked where runs stand that it begins, and finds out if one is there after all", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(told());
    const query = vi.spyOn(db, "query");
    const begin = (run: string) =>
      bus.log.append({ begins: [run], expected: { [run]: 0 }, events: [told(run)] });
    expect(await begin("a")).toMatchObject([{ n: 1 }]);
    expect(query).not.toHaveBeenCalled();
    await busOn(db).publish([told("b"), told("b")]);
    expect((await failureOf(() => begin("b"))).code).toBe("event_bus.run_moved");
    expect(await bus.log.append({ begins: ["b"], events: [told("b")] })).toMatchObject([{ n: 3 }]);
    await expectInOrder(db);
  });

  test("follows on those before it in the same commit", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(told("a"));
    const placed = await Promise.all(
      [1, 2, 3, 4].map((n) => bus.log.append({ expected: { a: n }, events: [told("a")] })),
    );
    expect(placed.map(([place]) => place?.n)).toEqual([2, 3, 4, 5]);
    await expectInOrder(db);
  });

  test("is refused once anybody has appended to the run, and the others of its commit are not", async () => {
    const { db, bus } = await freshBus();
    const other = busOn(db);
    await bus.publish([told("a"), told("b")]);
    await other.publish(told("a"));
    const [a, b, later] = await Promise.allSettled([
      bus.log.append({ expected: { a: 1 }, events: [told("a")], rows: [rowOf(1)] }),
      bus.log.append({ expected: { b: 1 }, events: [told("b")], rows: [rowOf(2)] }),
      bus.log.append({ expected: { a: 2 }, events: [told("b"), told("a")], rows: [rowOf(3)] }),
    ]);
    expect(a).toMatchObject({
      reason: {
        code: "event_bus.run_moved",
        details: { run: "a", expected: 1, n: 2 },
        outcome: "not_applied",
      },
    });
    expect(b).toMatchObject({ value: [{ n: 2 }] });
    expect(later).toMatchObject({ value: [{ n: 3 }, { n: 3 }] });
    expect(await db.query(surql`SELECT VALUE i FROM thing`)).toEqual([2, 3]);
    await expectInOrder(db);
  });

  test("is let in where this process knew less of the run than who says it", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(told("a"));
    await busOn(db).publish([told("a"), told("a")]);
    expect(await bus.log.append({ expected: { a: 3 }, events: [told("a")] })).toMatchObject([{ n: 4 }]);
    const ahead = bus.log.append({ expected: { a: 9 }, events: [told("a")] });
    expect(await failureOf(() => ahead)).toMatchObject({ details: { expected: 9, n: 4 } });
  });

  test("has an event of it, or cannot be told", async () => {
    const { bus } = await freshBus();
    const failure = await failureOf(() => bus.log.append({ expected: { a: 0 }, events: [told("b")] }));
    expect(failure.code).toBe("event_bus.invalid_event");
    expect(await bus.history()).toMatchObject({ events: [] });
  });

  test("is asked where it stands as often as others have told something of it", async () => {
    const { bus, db } = await freshBus();
    const other = busOn(db);
    await bus.publish(told("a"));
    for (const i of [1, 2, 3]) {
      await other.publish(told("a"));
      const refused = bus.log.append({ events: [told("a"), told(`new-${i}`)], guards: [surql`NONE`] });
      expect((await failureOf(() => refused)).code).toBe("event_bus.guard_failed");
      await other.publish(told("a"));
      await bus.log.append({ events: [told("a"), told(`other-${i}`)] });
    }
    await expectInOrder(db);
  });

  async function expectRefusedAfterTrim(): Promise<void> {
    const { db, bus } = await freshBus();
    const other = busOn(db);
    await bus.publish(told("a"));
    await other.publish([told("a"), told("a"), told("b")]);
    await other.trim({ before: 4 });
    const stale = bus.log.append({ expected: { a: 1 }, events: [told("a")] });
    expect(await failureOf(() => stale)).toMatchObject({ code: "event_bus.run_moved", details: { n: 3 } });
    expect(await bus.log.append({ events: [told("a")] })).toMatchObject([{ n: 4 }]);
  }

  test("is refused though what others appended was trimmed since", () => expectRefusedAfterTrim());

  test("control: what was known of a run before the floor is not relied on", async () => {
    vi.spyOn(Runs.prototype, "forgetBefore").mockImplementation(() => {});
    onTestFinished(() => void vi.restoreAllMocks());
    await sabotage("a run is still known after what others told of it was trimmed", expectRefusedAfterTrim);
  });
});

describe("rows of an entry", () => {
  test("are there with it, of whatever tables, those of many entries in few statements", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(told());
    const statements: number[] = [];
    db.on("query", ({ text }) => statements.push(text.split("INSERT INTO").length - 1));
    await Promise.all(
      Array.from({ length: 100 }, (_, i) =>
        bus.log.append({ events: [told(`r${i}`)], rows: [rowOf(i), rowOf(i, "other")] }),
      ),
    );
    expect(Math.max(...statements)).toBe(3);
    expect(await db.query(surql`RETURN [count(SELECT * FROM thing), count(SELECT * FROM other)]`)).toEqual([
      100, 100,
    ]);
  });

  test("can be made once the places are known, and when that is", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(told());
    await bus.log.append({
      events: [told("r")],
      rows: ([placed], at) => [{ ...rowOf(1), position: placed?.position, n: placed?.n, at }],
    });
    const [event] = (await bus.history({ run: "r" })).events;
    expect(await db.query(surql`SELECT position, n, at FROM thing`)).toMatchObject([{ position: 2, n: 1 }]);
    expect(await db.query(surql`SELECT VALUE at = ${event?.at} FROM thing`)).toEqual([true]);
  });

  test("are seen by its guards and statements", async () => {
    const { db, bus } = await freshBus();
    await bus.log.append({
      rows: [rowOf(7)],
      guards: [surql`(SELECT VALUE i FROM ONLY ${rowOf(7).id}) = 7`],
      statements: [surql`UPDATE ${rowOf(7).id} SET i += 1`],
    });
    expect(await db.query(surql`SELECT VALUE i FROM thing`)).toEqual([8]);
  });

  test.each(["a", "it's `quoted` ⟩ \\ text"])(
    "that are there already refuse it, and nobody else of its commit (%s)",
    async (key) => {
      const { db, bus } = await freshBus();
      const row = { id: new RecordId("thing", ["x", key]), i: key };
      await bus.log.append({ rows: [row] });
      const results = await Promise.allSettled([
        ...[1, 2, 3].map((i) => bus.log.append({ events: [told(`r${i}`)], rows: [rowOf(i)] })),
        bus.log.append({ events: [told("twice")], rows: [rowOf(4), row] }),
        ...[5, 6].map((i) => bus.log.append({ events: [told(`r${i}`)], rows: [rowOf(i)] })),
      ]);
      expect(results.map(({ status }) => status === "fulfilled")).toEqual([
        true,
        true,
        true,
        false,
        true,
        true,
      ]);
      const { reason } = results[3] as PromiseRejectedResult;
      expect(reason).toBeInstanceOf(DbError);
      expect(reason).toMatchObject({ code: "db.already_exists" });
      expect((await expectInOrder(db)).map(({ run }) => run)).toEqual(["r1", "r2", "r3", "r5", "r6"]);
      expect(await db.query(surql`SELECT VALUE i FROM thing`)).toEqual([1, 2, 3, 5, 6, key]);
    },
  );

  test("that two entries of one commit create are those of the first", async () => {
    const { db, bus } = await freshBus();
    await bus.publish(told());
    const [first, second] = await Promise.allSettled([
      bus.log.append({ events: [told("one")], rows: [{ ...rowOf(1), by: "one" }] }),
      bus.log.append({ events: [told("two")], rows: [{ ...rowOf(1), by: "two" }] }),
    ]);
    expect([first.status, second.status]).toEqual(["fulfilled", "rejected"]);
    expect(await db.query(surql`SELECT VALUE by FROM thing`)).toEqual(["one"]);
  });
});
