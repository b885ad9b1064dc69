// What a fault leaves: every event that was acknowledged, once, in order, to whoever follows; and no state without its event.
// Each check has a control beside it that takes the protection away, and must fail.

import {
  openDatabase,
  RecordId,
  serve,
  surql,
  type Database,
  type DatabaseOptions,
  type SentientError,
} from "@sentient/db-pool";
import {
  checkAppends,
  sabotage,
  seeded,
  servedEngine,
  spawnChild,
  tcpProxy,
  until,
  VirtualClock,
  type Append,
  type SeededRandom,
  type ServedEngine,
  type TcpProxy,
} from "@sentient/testkit";
import type { Event } from "@sentient/schema";
import { describe, expect, onTestFinished, test } from "vitest";
import { createEventBus, type EventBus } from "../src/index.ts";
import { hearingOf, type Hearing } from "./support/bells.ts";
import { collect } from "./support/collect.ts";
import { busOn, freshDatabase, freshFolder } from "./support/fresh.ts";
import { gateOf, type Gate } from "./support/gate.ts";
import { dataOf, expectInOrder, storedIn } from "./support/stored.ts";

const SERVE = new URL("./fixtures/serve-child.ts", import.meta.url);
/** More of everything, on demand. */
const LONG = process.env.SENTIENT_LONG !== undefined;

const range = (length: number, from = 0) => Array.from({ length }, (_, i) => from + i);

interface Place {
  engine: ServedEngine;
  proxy: TcpProxy;
  /** A connection without the proxy. */
  direct: (options?: DatabaseOptions) => Promise<Database>;
  /** One through it. */
  through: (options?: DatabaseOptions) => Promise<Database>;
}

/** An engine in another process, and a line to it that can be made to misbehave. */
async function engineElsewhere(): Promise<Place> {
  const engine = await servedEngine({ entry: SERVE, folder: await freshFolder() });
  onTestFinished(() => engine.close());
  const proxy = await tcpProxy({ port: Number(new URL(engine.url).port) });
  onTestFinished(() => proxy.close());
  const opened = async (url: string, options: DatabaseOptions = {}) => {
    const db = await openDatabase({ url, token: engine.token, ...options });
    onTestFinished(() => db.close({ deadline: 500 }));
    return db;
  };
  return {
    engine,
    proxy,
    direct: (options) => opened(engine.url, options),
    through: (options) => opened(`ws://${proxy.host}:${proxy.port}`, options),
  };
}

/** Tells of it until it is known to be there; under its id that is once. */
async function tellFor<T>(tell: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await tell();
    } catch (error) {
      const { code, retryable, outcome } = error as SentientError;
      if (!retryable && outcome !== "unknown" && code !== "db.unreachable") throw error;
    }
  }
}

describe("who follows through disconnections and a server that is killed", () => {
  interface Trial {
    followers: number;
    disconnections: number;
    events: number;
    /** Where somebody goes on who was cut off after a position. */
    resume: (position: number) => number | "now";
    /** How long it may take after the last event was told, in milliseconds. */
    patience: number;
  }

  async function expectAllHeard(trial: Trial): Promise<void> {
    const { followers, disconnections, events, resume, patience } = trial;
    const random = seeded();
    console.log(`SEED=${random.seed}`);
    const { engine, proxy, direct, through } = await engineElsewhere();
    const teller = busOn(await direct());
    const heard = range(followers).map((): Event[] => []);
    await teller.publish({ type: "log.begun" });
    const buses = await Promise.all(range(2).map(async () => busOn(await through())));
    const all = Promise.withResolvers<void>();
    const end = new AbortController();
    onTestFinished(() => end.abort());
    const hearing = heard.map((events, i) => hear(buses[i % 2]!, events, random, { end: end.signal }));

    async function hear(bus: EventBus, mine: Event[], random: SeededRandom, { end }: { end: AbortSignal }) {
      for (let cut = 0; !end.aborted && cut <= disconnections; cut++) {
        const upTo =
          cut === disconnections ? Infinity : mine.length + random.int((2 * events) / disconnections) + 1;
        const after = cut === 0 ? 0 : resume(mine.at(-1)?.position ?? 0);
        for await (const event of bus.follow({ after, signal: end })) {
          mine.push(event);
          if (mine.length >= upTo) break;
        }
      }
    }

    const acknowledged: Append[] = [];
    let inFlight = 0;
    const tell = async (i: number) => {
      const run = `run-${i % 50}`;
      inFlight++;
      await tellFor(() => teller.publish({ type: "thing.told", run, eventId: `e${i}`, data: i }));
      inFlight--;
      acknowledged.push({ writer: run, value: i });
    };
    let hits = 0;
    let faults = 0;
    for (let i = 0; i < events;) {
      const burst = Math.min(random.int(200) + 50, events - i);
      const telling = range(burst, i).map(tell);
      i += burst;
      if (random.int(3) === 0) {
        faults++;
        if (inFlight > 0) hits++;
        proxy.reset();
      }
      if (i - burst < events / 2 && i >= events / 2) {
        faults++;
        if (inFlight > 0) hits++;
        await engine.restart(); // kill -9 first
      }
      await Promise.all(telling);
    }
    void Promise.all(hearing).then(() => all.resolve());
    try {
      await until(() => heard.every((events_) => events_.at(-1)?.position === events + 1), {
        deadline: patience,
        what: "the last event, heard by everybody",
      });
    } finally {
      end.abort();
      await all.promise;
    }
    console.log(`${acknowledged.length} acknowledged, ${hits} of ${faults} faults hit work in flight`);
    expect(hits / faults).toBeGreaterThanOrEqual(0.6);
    const stored = await expectInOrder(await direct());
    expect(checkAppends(acknowledged, stored.slice(1).map(dataOf) as number[])).toEqual([]);
    for (const mine of heard) {
      expect(mine.map(({ position }) => position)).toEqual(range(events + 1, 1));
      for (const [run, ofRun] of Map.groupBy(mine, (event) => event.run))
        if (run !== undefined) expect(ofRun.map(({ n }) => n)).toEqual(range(ofRun.length, 1));
    }
  }

  const size = LONG
    ? { followers: 20, disconnections: 20, events: 20_000 }
    : { followers: 10, disconnections: 10, events: 4_000 };

  test("hears every event once, and in order", { timeout: 300_000 }, async () => {
    await expectAllHeard({ ...size, resume: (position) => position, patience: 120_000 });
  });

  test("control: the check fails of who goes on from now", { timeout: 300_000 }, async () => {
    await sabotage("resuming without a place", () =>
      expectAllHeard({
        followers: 4,
        disconnections: 6,
        events: 1_500,
        resume: () => "now",
        patience: 1_000,
      }),
    );
  });
});

describe("a process that is killed while it changes states and tells of it", () => {
  async function changesThroughKills(kills: number, apart: boolean) {
    const random = seeded();
    console.log(`SEED=${random.seed}`);
    const url = `rocksdb://${await freshFolder()}/engine`;
    const acknowledged = new Set<string>();
    for (let life = 0; life < kills; life++) {
      const child = spawnChild(new URL("./fixtures/change-child.ts", import.meta.url), {
        env: { OPEN_URL: url, LIFE: `life-${life}`, APART: apart ? "yes" : undefined },
      });
      const enough = random.int(60) + 1;
      await child.message(({ count }) => Number(count) >= enough, 60_000);
      await child.kill(); // six changes are on their way at any time
      for (const { acknowledged: key } of child.messages) if (key) acknowledged.add(key as string);
    }
    const db = await openDatabase({ url });
    onTestFinished(() => db.close());
    return { db, acknowledged };
  }

  async function expectWhole({
    db,
    acknowledged,
  }: {
    db: Database;
    acknowledged: Set<string>;
  }): Promise<void> {
    const states = await db.query(surql<string[]>`SELECT VALUE id.id() FROM state`);
    const events = (await expectInOrder(db)).map(dataOf) as string[];
    console.log(`${acknowledged.size} acknowledged, ${states.length} states, ${events.length} events`);
    expect(new Set(events).size).toBe(events.length);
    expect([...acknowledged].filter((key) => !states.includes(key))).toEqual([]);
    expect(states.toSorted()).toEqual(events.toSorted());
  }

  test(
    "leaves no state without its event, and no event without its state",
    { timeout: 300_000 },
    async () => {
      await expectWhole(await changesThroughKills(LONG ? 100 : 8, false));
    },
  );

  test("control: the check fails of who does one after the other", { timeout: 300_000 }, async () => {
    await sabotage("without a transaction", async () => expectWhole(await changesThroughKills(3, true)));
  });
});

describe("an event reaches who follows", () => {
  /** A follower in virtual time that hears of the others as `hearing` says, and one of the others. */
  async function apart(hearing: Hearing) {
    const clock = new VirtualClock(Date.now());
    const db = await freshDatabase({ clock });
    const { url, namespace, database } = db;
    const there = await openDatabase({ url, namespace, database, clock }); // it hears of the others by LIVE alone
    onTestFinished(() => there.close({ deadline: 500 }));
    const teller = busOn(db);
    const gate = gateOf(there);
    const bus = busOn(hearingOf(gate.db, hearing, clock), { clock });
    await teller.publish({ type: "log.begun" });
    const end = new AbortController();
    onTestFinished(() => end.abort());
    const follower = collect(bus.follow({ after: 0, signal: end.signal }));
    await follower.atLeast(1);
    await until(() => clock.pending > 0); // it waits
    return { clock, db, teller, follower, gate };
  }

  /** Moves time, with pauses for what does not go by it, until it is there. @returns how far */
  async function untilHeard(
    { clock, gate }: { clock: VirtualClock; gate: Gate },
    heard: () => boolean,
    most: number,
  ): Promise<number> {
    const began = clock.now();
    while (!heard() && clock.now() - began < most) {
      await clock.advance(50);
      await until(heard, { deadline: 30 }).catch(() => {});
      await until(() => gate.unanswered === 0); // however long the database takes
    }
    return clock.now() - began;
  }

  test.each<Hearing>(["heard", "never heard", "heard twice", "heard late"])(
    "in order and once when the bell is %s, and within a tick",
    async (hearing) => {
      const random = seeded();
      console.log(`SEED=${random.seed}`);
      const place = await apart(hearing);
      const { clock, teller, follower } = place;
      let last = 1;
      const waits: number[] = [];
      for (let round = 0; round < 12; round++) {
        const burst = range(random.int(5) + 1);
        const positions = await Promise.all(
          burst.map((i) => teller.publish({ type: "thing.told", run: `r${i % 2}`, data: round })),
        );
        last = Math.max(...positions);
        waits.push(await untilHeard(place, () => follower.items.length >= last, 5_000));
        await clock.advance(random.int(1_500));
      }
      expect(follower.items.map(({ position }) => position)).toEqual(range(last, 1));
      expect(Math.max(...waits), `waited ${waits.join(", ")}`).toBeLessThanOrEqual(1_200);
    },
  );

  test("sooner while the ticks find what no bell told of", async () => {
    const place = await apart("never heard");
    const waits: number[] = [];
    for (let i = 2; i < 12; i++) {
      await place.teller.publish({ type: "thing.told" });
      waits.push(await untilHeard(place, () => place.follower.items.length >= i, 5_000));
    }
    expect(Math.max(...waits.slice(1)), `waited ${waits.join(", ")}`).toBeLessThanOrEqual(200);
  });

  test("control: the check fails of who waits for LIVE alone", async () => {
    const place = await apart("never heard");
    const { clock, db, teller } = place;
    const deaf = hearingOf(db, "never heard", clock).watch(new RecordId("bell", "log"));
    onTestFinished(() => deaf[Symbol.asyncDispose]());
    const rings: string[] = [];
    const listening = new AbortController();
    const listen = async () => {
      while (!listening.signal.aborted) rings.push(await deaf.next({ signal: listening.signal }));
    };
    void listen();
    await teller.publish({ type: "thing.told" });
    const heard = () => rings.some((ring) => ring !== "tick");
    await sabotage("no tick", async () => {
      await untilHeard(place, heard, 3_000);
      expect(heard()).toBe(true);
    }).finally(() => listening.abort());
    expect(rings.length).toBeGreaterThan(1);
  });
});

describe("processes that tell of and follow one log at once", () => {
  test("give every position once, and hear them all in order", { timeout: 300_000 }, async () => {
    const { engine, direct } = await engineElsewhere();
    const bus = busOn(await direct());
    await bus.history(); // the tables are there
    const [count, tellers] = [150, ["one", "two"]];
    const total = count * 3;
    const children = tellers.map((teller) =>
      spawnChild(new URL("./fixtures/tell-child.ts", import.meta.url), {
        env: {
          OPEN_URL: engine.url,
          OPEN_TOKEN: engine.token,
          TELLER: teller,
          COUNT: String(count),
          TOTAL: String(total),
        },
      }),
    );
    const end = new AbortController();
    onTestFinished(() => end.abort());
    const follower = collect(bus.follow({ after: 0, signal: end.signal }));
    await Promise.all(children.map((child) => child.message(({ ready }) => ready === true, 60_000)));
    for (const n of range(count)) {
      await bus.publish({ type: "thing.told", run: `r${n % 3}`, data: `here.${n}` });
    }
    for (const child of children) {
      const { seen } = await child.message<{ seen: number[] }>(({ seen }) => seen !== undefined, 120_000);
      expect(seen).toEqual(range(total, 1));
      expect((await child.exited).code).toBe(0);
    }
    await follower.atLeast(total);
    expect(follower.items.map(({ position }) => position)).toEqual(range(total, 1));
    const stored = await expectInOrder(await direct());
    for (const [teller, mine] of Map.groupBy(stored, (event) => String(dataOf(event)).split(".")[0]!))
      expect(mine.map(dataOf)).toEqual(range(count).map((n) => `${teller}.${n}`));
  });

  test("none of them is starved by the others", { timeout: 120_000 }, async () => {
    const owner = await freshDatabase();
    const token = "a-token-of-this-test-file";
    const served = await serve(owner, { token });
    const { namespace, database } = owner;
    const client = await openDatabase({ url: served.url, token, namespace, database });
    onTestFinished(async () => {
      await client.close({ deadline: 500 });
      await served.close();
    });
    const [near, far] = [busOn(owner), busOn(client)];
    await Promise.all([near.history(), far.history()]);
    let over = false;
    const told = [0, 0];
    const tell = async (bus: EventBus, teller: number) => {
      for (; !over; told[teller]!++) await bus.publish({ type: "thing.told", data: teller });
    };
    // the one beside the database tells eight at a time; the other waits for each answer
    const telling = [...range(8).map(() => tell(near, 0)), tell(far, 1)];
    await until(() => told[0]! >= 4_000 || told[1]! >= 50, { deadline: 60_000 });
    over = true;
    await Promise.all(telling);
    console.log(`told ${told.join(" and ")}`);
    expect(told[1]! / (told[0]! / 8)).toBeGreaterThan(1 / 10);
  });

  test("control: the check fails of an append that does not look at the head", async () => {
    const db = await freshDatabase();
    const bus = createEventBus(db);
    await bus.history();
    await bus.close();
    const append = async (teller: number, i: number) => {
      const head = await db.query(surql<number>`SELECT VALUE position FROM ONLY log:head`);
      const row = { type: "thing.told", source: "s", data: JSON.stringify([teller, i]), at: new Date() };
      await db.transaction([
        surql`UPDATE log:head SET position = ${head + 1}`,
        surql`UPSERT ${new RecordId("event", head + 1)} CONTENT ${row}`,
      ]);
    };
    await Promise.all(
      range(2).map(async (teller) => {
        for (const i of range(40)) await append(teller, i);
      }),
    );
    await sabotage("without the head's condition", async () => {
      await expectInOrder(db);
      expect(await storedIn(db)).toHaveLength(80);
    });
  });
});
