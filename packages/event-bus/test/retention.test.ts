// The beginning of the log: what is removed, what never is, and who is told.

import { openDatabase, RecordId, surql, type Database, type Statement } from "@sentient/db-pool";
import { freshNames, sabotage, until, VirtualClock } from "@sentient/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import { createEventBus, type EventBus, type TrimOptions } from "../src/index.ts";
import { busOn, freshBus, freshDatabase, freshFolder } from "./support/fresh.ts";
import { expectTrimmed, trimKilled, trimUndisturbed } from "./support/trim.ts";

async function publish(bus: EventBus, count: number, run?: string): Promise<void> {
  for (let left = count; left > 0; left -= 500) {
    const length = Math.min(left, 500);
    await bus.publish(Array.from({ length }, () => ({ type: "a.b", ...(run === undefined ? {} : { run }) })));
  }
}

/** A bus with so many events in its log. */
async function withEvents(count: number, run?: string): Promise<{ db: Database; bus: EventBus }> {
  const { db, bus } = await freshBus();
  await publish(bus, count, run);
  return { db, bus };
}

async function positionsLeft(db: Database): Promise<number[]> {
  return db.query(surql<number[]>`SELECT VALUE record::id(id) FROM event`);
}

async function putConsumer(db: Database, name: string, position: number, partition = 0): Promise<void> {
  const row = {
    id: new RecordId("consumer", [name, partition]),
    partitions: 1,
    position,
    token: 0,
    handled: 0,
  };
  const now = new Date();
  await db.query(
    surql`UPSERT ${row.id} CONTENT ${{ ...row, rate: 0, createdAt: now, updatedAt: now }} RETURN NONE`,
  );
}

/** Changes what is sent as one batch of a trim. */
function onBatch(
  db: Database,
  change: (statements: readonly Statement[]) => Promise<readonly Statement[]>,
): void {
  const transaction = db.transaction.bind(db);
  const changed = async (statements: readonly Statement[], options?: object) =>
    transaction(statements.at(-1)?.keyword === "DELETE" ? await change(statements) : statements, options);
  db.transaction = changed as typeof db.transaction;
  onTestFinished(() => void (db.transaction = transaction));
}

const without = (word: string) => async (statements: readonly Statement[]) => {
  const rest = statements.filter(({ text }) => !text.includes(word));
  expect(rest).toHaveLength(statements.length - 1);
  return rest;
};

describe("what goes", () => {
  test("is what lies before a position", async () => {
    const { db, bus } = await withEvents(10);
    expect(await bus.trim({ before: 4 })).toEqual({ floor: 3, trimmed: 3 });
    expect(await positionsLeft(db)).toEqual([4, 5, 6, 7, 8, 9, 10]);
    expect(await bus.trim({ before: 4 })).toEqual({ floor: 3, trimmed: 0 });
    expect(await bus.trim({ before: 2 })).toEqual({ floor: 3, trimmed: 0 });
    expect(await bus.trim({ before: 1_000 })).toEqual({ floor: 10, trimmed: 7 });
  });

  test("is all but the newest", async () => {
    const { db, bus } = await withEvents(10);
    expect(await bus.trim({ keep: 100 })).toEqual({ floor: 0, trimmed: 0 });
    expect(await bus.trim({ keep: 3 })).toEqual({ floor: 7, trimmed: 7 });
    expect(await positionsLeft(db)).toEqual([8, 9, 10]);
    expect(await bus.trim({ keep: 0 })).toEqual({ floor: 10, trimmed: 3 });
    expect(await bus.trim({ keep: 0 })).toEqual({ floor: 10, trimmed: 0 });
  });

  test("is what the database's clock calls old", async () => {
    const { db, bus } = await withEvents(10);
    const old = new Date(Date.now() - 60_000);
    for (let position = 1; position <= 4; position++)
      await db.query(surql`UPDATE ${new RecordId("event", position)} SET at = ${old}`);
    expect(await bus.trim({ olderThan: 90_000 })).toEqual({ floor: 0, trimmed: 0 });
    expect(await bus.trim({ olderThan: 30_000 })).toEqual({ floor: 4, trimmed: 4 });
    const floor = await db.query(surql<{ at: Date }>`SELECT * FROM ONLY log:floor`);
    expect(floor.at.getTime()).toBe(old.getTime());
    expect(await bus.trim({ olderThan: Number.MAX_VALUE })).toEqual({ floor: 4, trimmed: 0 });
  });

  test("is what all conditions let go", async () => {
    const { db, bus } = await withEvents(10);
    for (let position = 1; position <= 6; position++)
      await db.query(surql`UPDATE ${new RecordId("event", position)} SET at = ${new Date(0)}`);
    const floors = [];
    for (const options of [
      { before: 3, keep: 1, olderThan: 30_000 },
      { before: 9, keep: 6, olderThan: 30_000 },
      { before: 9, keep: 1, olderThan: 30_000 },
    ])
      floors.push((await bus.trim(options)).floor);
    expect(floors).toEqual([2, 4, 6]);
  });

  test("has to be said", async () => {
    const { bus } = await withEvents(2);
    const senseless = [{}, { force: true }, { before: 0 }, { before: 1.5 }, { keep: -1 }, { olderThan: -1 }];
    for (const options of [...senseless, { kep: 1 } as TrimOptions])
      await expect(bus.trim(options)).rejects.toMatchObject({ code: "event_bus.bad_option" });
  });

  test("goes from the indexes too, and its id is free again", async () => {
    const { db, bus } = await freshBus();
    const told = { type: "a.b", eventId: "e", run: "r", correlation: "c", causation: "x" };
    await bus.publish(told);
    await publish(bus, 600);
    expect(await bus.publish(told)).toBe(1);
    await bus.trim({ keep: 1 });
    for (const condition of [
      surql`eventId = "e"`,
      surql`run = "r"`,
      surql`correlation = "c"`,
      surql`causation = "x"`,
    ])
      expect(await db.query(surql`SELECT VALUE id FROM event WHERE ${condition}`)).toEqual([]);
    expect(await bus.publish(told)).toBe(602);
  });
});

describe("what stays", () => {
  test("positions go on, and none is given again", async () => {
    const { db, bus } = await withEvents(10);
    await bus.trim({ keep: 0 });
    expect(await bus.publish({ type: "a.b" })).toBe(11);
    expect(await busOn(db).publish({ type: "a.b" })).toBe(12);
    expect((await bus.history()).events.map(({ position }) => position)).toEqual([11, 12]);
  });

  const numbers = async (db: Database): Promise<(number | undefined)[]> => {
    const placed = await busOn(db).log.append({
      events: ["gone", "partly", "new"].map((run) => ({ type: "a.b", run })),
    });
    return placed.map(({ n }) => n);
  };

  const threeRuns = async (): Promise<{ db: Database; bus: EventBus }> => {
    const { db, bus } = await withEvents(5, "gone");
    await publish(bus, 5, "partly");
    return { db, bus };
  };

  test("a run goes on with its next number, whether some of its events are left or none", async () => {
    const { db, bus } = await threeRuns();
    await bus.trim({ before: 8 });
    expect(await numbers(db)).toEqual([6, 6, 1]);
    await bus.trim({ keep: 0 });
    expect(await numbers(db)).toEqual([7, 7, 2]);
    await expectTrimmed(db);
  });

  test("a run of which nothing was kept would begin anew (control)", async () => {
    const { db, bus } = await threeRuns();
    onBatch(db, without("run_tail"));
    await bus.trim({ before: 8 });
    const failure = await sabotage("no tails", async () => expect(await numbers(db)).toEqual([6, 6, 1]));
    expect(failure).toMatchObject({ actual: [1, 6, 1] });
  });

  test("producers that still append stay, and those of a day ago go", async () => {
    const { db, bus } = await withEvents(1);
    const old = new RecordId("producer", "old");
    await bus.log.append({});
    await db.query(surql`CREATE ${old} SET batch = 1, applied = true, at = time::now() - 25h`);
    await bus.trim({ keep: 100 });
    const left = await db.query(surql<RecordId[]>`SELECT VALUE id FROM producer`);
    expect(left).toHaveLength(1);
    expect(String(left[0])).not.toBe(String(old));
  });

  test("a bus that slept for days appends as before", async () => {
    const { db, bus } = await withEvents(1);
    await bus.log.append({});
    await db.query(surql`UPDATE producer SET at = time::now() - 48h`);
    await busOn(db).trim({ keep: 100 });
    expect(await db.query(surql`SELECT * FROM producer`)).toEqual([]);
    expect(await bus.log.append({})).toEqual([]);
    expect(await bus.publish({ type: "a.b" })).toBe(2);
  });
});

describe("a consumer that is behind", () => {
  test("holds what it has not handled, and is named", async () => {
    const { db, bus } = await withEvents(10);
    await putConsumer(db, "fast", 10);
    await putConsumer(db, "slow", 7, 0);
    await putConsumer(db, "slow", 4, 1);
    const heldBy = { consumer: "slow", position: 4 };
    expect(await bus.trim({ keep: 1 })).toEqual({ floor: 4, trimmed: 4, heldBy });
    expect(await bus.trim({ keep: 1 })).toEqual({ floor: 4, trimmed: 0, heldBy });
    expect(await bus.trim({ before: 5 })).toEqual({ floor: 4, trimmed: 0 });
    await putConsumer(db, "slow", 10, 1);
    expect(await bus.trim({ keep: 3 })).toEqual({ floor: 7, trimmed: 3 });
  });

  test("is told, and skips nothing, when it is forced", async () => {
    const { db, bus } = await withEvents(10);
    await putConsumer(db, "slow", 4);
    expect(await bus.trim({ keep: 2, force: true })).toEqual({ floor: 8, trimmed: 8 });
    const details = { position: 4, earliest: 9 };
    await expect(bus.follow({ after: 4 }).next()).rejects.toMatchObject({
      code: "event_bus.position_trimmed",
      details,
    });
  });

  const expectNewcomerHeld = async (
    change: (statements: readonly Statement[]) => Promise<readonly Statement[]>,
  ) => {
    const { db, bus } = await withEvents(1_600);
    let batches = 0;
    onBatch(db, async (statements) => {
      if (++batches === 2) await putConsumer(db, "new", 600); // between the look and the batch
      return change(statements);
    });
    expect(await bus.trim({ keep: 0 })).toEqual({
      floor: 600,
      trimmed: 600,
      heldBy: { consumer: "new", position: 600 },
    });
    await expectTrimmed(db);
  };

  test("holds it also if it comes while the log is being trimmed", () =>
    expectNewcomerHeld(async (statements) => statements));

  test("would be overrun if each batch did not look again (control)", async () => {
    const failure = await sabotage("no look", () => expectNewcomerHeld(without("consumer")));
    expect(failure).toMatchObject({ actual: { floor: 1_000, trimmed: 1_000 } });
  });
});

describe("who follows", () => {
  test("at the end of the log notices nothing", async () => {
    const { bus } = await withEvents(1_200);
    const seen: number[] = [];
    const end = new AbortController();
    const following = (async () => {
      for await (const { position } of bus.follow({ after: 1_200, signal: end.signal })) seen.push(position);
    })();
    const [trimmed] = await Promise.all([
      bus.trim({ before: 1_201 }),
      ...Array.from({ length: 20 }, () => bus.publish({ type: "a.b" })),
    ]);
    expect(trimmed).toEqual({ floor: 1_200, trimmed: 1_200 });
    await until(() => seen.length === 20);
    expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => 1_201 + i));
    end.abort();
    await following;
  });

  test("from further back is told what is left, and never skips", async () => {
    const { bus } = await withEvents(10);
    await bus.trim({ before: 6 });
    const trimmed = { code: "event_bus.position_trimmed", details: { position: 4, earliest: 6 } };
    await expect(bus.follow({ after: 4 }).next()).rejects.toMatchObject(trimmed);
    await expect(bus.history({ after: 4 })).rejects.toMatchObject(trimmed);
    for (const after of [5, "beginning"] as const) {
      const events = bus.follow({ after });
      expect((await events.next()).value).toMatchObject({ position: 6 });
      await events.return();
    }
  });

  test("slowly is told once the log was trimmed past them", async () => {
    const { db, bus } = await withEvents(1_500);
    const events = busOn(db).follow({ after: 0 });
    expect((await events.next()).value).toMatchObject({ position: 1 });
    await bus.trim({ keep: 10 });
    let last = 1;
    const failure = await (async () => {
      for await (const { position } of events) {
        expect(position).toBe(last + 1);
        last = position;
      }
    })().catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: "event_bus.position_trimmed",
      details: { position: last, earliest: 1_491 },
    });
  });
});

test("two who trim at once share the work, and take nothing twice", async () => {
  const { db, bus } = await withEvents(1_600, "r");
  const both = await Promise.all([bus.trim({ keep: 200 }), busOn(db).trim({ keep: 100 })]);
  expect(both[0].trimmed + both[1].trimmed).toBe(1_500);
  expect(both[1].floor).toBe(1_500);
  await expectTrimmed(db);
});

describe("a trimmer that another one overtakes", () => {
  const expectFloorKept = async (change: (statements: readonly Statement[]) => readonly Statement[]) => {
    const { db, bus } = await withEvents(1_000);
    const other = busOn(db);
    let batches = 0;
    onBatch(db, async (statements) => {
      if (++batches > 1) return statements;
      await other.trim({ keep: 0 }); // between the look and the batch
      return change(statements);
    });
    expect(await bus.trim({ keep: 500 })).toEqual({ floor: 1_000, trimmed: 0 });
    await expectTrimmed(db);
  };

  test("leaves the floor where the other has put it", () => expectFloorKept((statements) => statements));

  test("would move it back without the condition (control)", async () => {
    const moveBack = surql`UPDATE log:floor SET position = 500`;
    const failure = await sabotage("no condition", () =>
      expectFloorKept((statements) =>
        statements.map((statement) => (statement.text.includes("$moved") ? moveBack : statement)),
      ),
    );
    expect(failure).toMatchObject({ actual: { floor: 500 } });
  });
});

test("appends go on while the log is trimmed, and none has to be tried again because of it", async () => {
  const { db, bus } = await withEvents(1_500, "r");
  const retries: unknown[] = [];
  db.on("retry", (retry) => retries.push(retry));
  const other = busOn(db);
  await other.publish({ type: "a.b", run: "r" });
  const end = new AbortController();
  let appended = 1;
  onBatch(db, async (statements) => {
    const enough = appended + 5;
    await until(() => appended >= enough);
    return statements;
  });
  const trimming = bus.trim({ before: 1_501 }).finally(() => end.abort());
  while (!end.signal.aborted) {
    await other.publish({ type: "a.b", run: "r" });
    appended++;
  }
  expect(await trimming).toEqual({ floor: 1_500, trimmed: 1_500 });
  expect(appended).toBeGreaterThan(10);
  expect(retries).toEqual([]);
  await expectTrimmed(db);
});

test("closing the bus ends a trim after a batch", async () => {
  const { db, bus } = await withEvents(1_600);
  let batches = 0;
  let closing: Promise<void> | undefined;
  onBatch(db, async (statements) => {
    if (++batches === 2) closing = bus.close();
    return statements;
  });
  await expect(bus.trim({ keep: 0 })).rejects.toMatchObject({ code: "event_bus.closed" });
  await closing;
  expect(await positionsLeft(db)).toHaveLength(600);
  await expectTrimmed(db);
});

describe("in the background", () => {
  const floorOf = (db: Database) => db.query(surql<number>`SELECT VALUE position FROM ONLY log:floor`);

  test("the log is kept short", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus({ clock, retention: { keep: 5, keepFor: 0, every: 1_000 } });
    await publish(bus, 20);
    expect(await floorOf(db)).toBe(0);
    await clock.advance(1_250);
    await until(async () => (await floorOf(db)) === 15);
    await publish(bus, 20);
    await until(async () => {
      await clock.advance(1_250);
      return (await floorOf(db)) === 35;
    });
  });

  test("all is kept if nothing else was said, or not old enough", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus({ clock });
    busOn(db, { clock, retention: { keep: 0, keepFor: 60_000, every: 1_000 } });
    await publish(bus, 20);
    await clock.advance(10_000);
    expect(await floorOf(db)).toBe(0);
  });

  test("a consumer that stands still is told of once, and again after it has moved", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus({ clock });
    await publish(bus, 20);
    await putConsumer(db, "slow", 5);
    const looks: unknown[] = [];
    db.on("query", ({ text }) => text.includes("slowest:") && looks.push(text));
    const keeper = busOn(db, { clock, retention: { keep: 0, every: 1_000 } });
    const problems: unknown[] = [];
    keeper.on("problem", ({ error }) => problems.push(error));
    const rounds = async (count: number) => {
      for (const wanted = looks.length + count; looks.length < wanted;) {
        await clock.advance(1_250);
        await db.query(surql`RETURN "time for what was woken"`);
      }
    };
    await rounds(6);
    const held = (position: number) => ({
      code: "event_bus.trim_held",
      retryable: true,
      details: { consumer: "slow", position },
    });
    expect(problems).toMatchObject([held(5)]);
    await putConsumer(db, "slow", 12);
    await rounds(6);
    expect(problems).toMatchObject([held(5), held(12)]);
    expect(await floorOf(db)).toBe(12);
  });

  test("what goes wrong is told, and it is tried again", async () => {
    const clock = new VirtualClock();
    const { db, bus } = await freshBus({ clock, retention: { keep: 5, every: 1_000 } });
    await publish(bus, 20);
    const problems: unknown[] = [];
    bus.on("problem", ({ error }) => problems.push(error));
    let batches = 0;
    onBatch(db, async (statements) => {
      if (++batches === 1) throw new Error("no room");
      return statements;
    });
    await until(async () => {
      await clock.advance(1_250);
      return (await floorOf(db)) === 15;
    });
    expect(problems).toMatchObject([{ message: "no room" }]);
  });

  test("it ends with the bus, and with the database", async () => {
    const clock = new VirtualClock();
    const db = await freshDatabase();
    const bus = createEventBus(db, { clock, retention: { keep: 5 } });
    expect(clock.pending).toBe(1);
    await bus.close();
    expect(clock.pending).toBe(0);
    const left = createEventBus(db, { clock, retention: { keep: 5 } });
    const problems: unknown[] = [];
    left.on("problem", (problem) => problems.push(problem));
    await db.close();
    await until(async () => {
      await clock.advance(75_000);
      return clock.pending === 0;
    });
    expect(problems).toEqual([]);
    await left.close();
  });

  test("what is kept has to be said", async () => {
    const db = await freshDatabase();
    for (const retention of [{}, { every: 5 }, { keep: -1 }, { keep: 1, every: 0 }])
      expect(() => createEventBus(db, { retention })).toThrow(
        expect.objectContaining({ code: "event_bus.bad_option" }),
      );
  });
});

describe("a process that is killed while it trims", () => {
  const orders = async () => ({ url: `rocksdb://${await freshFolder()}/engine`, ...freshNames() });
  const opened = async (names: { url: string; namespace: string; database: string }) => {
    const db = await openDatabase(names);
    onTestFinished(() => db.close({ deadline: 500 }));
    return db;
  };

  test("leaves nothing behind below the floor, wherever it was, and the next one goes on", async () => {
    const names = await orders();
    await trimKilled({ ...names, events: 2_500, batch: 1, after: 2 }); // the floor is moved
    await trimKilled({ ...names, events: 0, batch: 1, after: 4 }); // and the events are removed
    await trimKilled({ ...names, events: 0, batch: 2, after: 5 }); // two are committed
    const trimmed = await trimUndisturbed({ ...names, events: 0 });
    expect(trimmed).toEqual({ floor: 2_400, trimmed: 1_400 });
    const db = await opened(names);
    await expectTrimmed(db);
    const bus = busOn(db, { hashes: true });
    await bus.publish({ type: "a.b", run: "r0" });
    expect(await bus.verify("r0")).toMatchObject({ ok: true, events: 16 });
    await expectTrimmed(db);
  });

  test("would leave events behind for ever if a batch were no transaction (control)", async () => {
    const names = await orders();
    await trimKilled({ ...names, events: 1_200, batch: 1, after: 3, torn: true });
    await trimUndisturbed({ ...names, events: 0 });
    const db = await opened(names);
    expect(await sabotage("torn batches", () => expectTrimmed(db))).toMatchObject({ name: "AssertionError" });
  });
});
