// Doorbells: who waits is woken as soon as a change is heard of, after every gap in hearing, and by the tick at the latest.

import { sabotage, servedEngine, tcpProxy, until, VirtualClock } from "@sentient/testkit";
import { describe, expect, onTestFinished, test } from "vitest";
import { ident, openDatabase, RecordId, serve, surql } from "../src/index.ts";
import type { Database, DatabaseOptions, Doorbell } from "../src/index.ts";
import { freshDatabase, freshFolder } from "./support/fresh.ts";

const TOKEN = "a-token-of-this-test-file";
/** Long enough that no test waits for it: what rings, was heard. */
const NO_TICK = { every: 600_000 };
const door = new RecordId("bell", "door");
const gate = new RecordId("bell", "gate");

interface Place {
  /** Who watches. */
  db: Database;
  /** The database as its owner sees it, to change and inspect it. */
  owner: Database;
}

async function servedHere(options: DatabaseOptions = {}): Promise<Place & { port: number; url: string }> {
  const owner = await freshDatabase();
  const served = await serve(owner, { token: TOKEN });
  onTestFinished(() => served.close());
  const db = await clientOf(owner, { url: served.url, ...options });
  return { db, owner, port: served.port, url: served.url };
}

async function clientOf({ namespace, database }: Database, options: DatabaseOptions): Promise<Database> {
  const db = await openDatabase({ namespace, database, token: TOKEN, ...options });
  onTestFinished(() => db.close());
  return db;
}

const places: { where: string; open: (options?: DatabaseOptions) => Promise<Place> }[] = [
  { where: "in mem", open: (options) => embedded({ url: "mem://", ...options }) },
  { where: "in rocksdb", open: (options = {}) => embedded(options) },
  { where: "at a server", open: servedHere },
];

async function embedded(options: DatabaseOptions): Promise<Place> {
  const db = await freshDatabase(options);
  return { db, owner: db };
}

async function withTable(place: Place): Promise<Place> {
  await place.owner.query(surql`DEFINE TABLE bell`);
  return place;
}

/** The first bells of a table, which listen: their first ring, for what may have happened before, has been heard. */
async function listening<const Records extends RecordId[]>(
  db: Database,
  ...records: Records
): Promise<{ [I in keyof Records]: Doorbell }> {
  const bells = records.map((record) => db.watch(record, NO_TICK));
  for (const bell of bells) expect(await bell.next()).toBe("gap");
  return bells as never;
}

/** Moves time until the bell rings; fails if it does so for anything but that it listens now. */
async function requireGap(bell: Doorbell, clock: VirtualClock): Promise<void> {
  let rang: string | undefined;
  void bell.next().then((ring) => (rang = ring));
  await until(async () => {
    await clock.advance(100);
    return rang;
  });
  expect(rang).toBe("gap");
}

/** What is kept is told before an abort is: without one, nothing has rung. */
async function hasRung(bell: Doorbell): Promise<boolean> {
  return (await bell.next({ signal: AbortSignal.abort() })) !== "tick";
}

async function livesOn(db: Database, table: string): Promise<number> {
  const { lives } = await db.query(surql<{ lives: object }>`INFO FOR TABLE ${ident(table)}`);
  return Object.keys(lives).length;
}

describe.each(places)("$where", ({ open }) => {
  test("a bell rings when its record is made, changed and deleted, and for no other record", async () => {
    const { db, owner } = await withTable(await open());
    const [bell, other] = await listening(db, door, gate);
    for (const change of [
      surql`CREATE ${door} SET n = 1`,
      surql`UPDATE ${door} SET n = 2`,
      surql`UPSERT ${door} SET n = 3`,
      surql`DELETE ${door}`,
    ]) {
      await owner.query(change);
      expect(await bell.next()).toBe("live");
    }
    await owner.query(surql`CREATE ${gate}`);
    expect(await other.next()).toBe("live");
    expect(await hasRung(bell)).toBe(false);
    await owner.query(surql`CREATE ${door}`);
    expect(await bell.next()).toBe("live");
    expect(await hasRung(other)).toBe(false);
  });

  test("a bell rings for a change that a transaction made, and not for one that was rolled back", async () => {
    const { db, owner } = await withTable(await open());
    const [bell, other] = await listening(db, door, gate);
    const dropped = owner.transaction([surql`CREATE ${door}`, surql`THROW "no"`]);
    await expect(dropped).rejects.toMatchObject({ code: "db.thrown" });
    await owner.transaction([surql`CREATE ${gate}`, surql`CREATE note`]);
    expect(await other.next()).toBe("live");
    expect(await hasRung(bell)).toBe(false);
  });

  test("what rings while nobody waits is kept, once", async () => {
    const { db, owner } = await withTable(await open());
    const [bell, witness] = await listening(db, door, gate);
    for (let n = 0; n < 5; n++) await owner.query(surql`UPSERT ${door} SET n = ${n}`);
    await owner.query(surql`CREATE ${gate}`);
    await witness.next(); // by now all five have been heard
    expect(await hasRung(bell)).toBe(true);
    expect(await hasRung(bell)).toBe(false);
  });

  test("no change is slept through", async () => {
    const { db, owner } = await withTable(await open());
    await requireAwake(db, owner);
  });

  test("a change that is under way when a bell begins to listen is not slept through", async () => {
    const clock = new VirtualClock();
    const { db, owner } = await withTable(await open({ clock }));
    await owner.query(surql`CREATE ${door} SET n = 0`);
    const change = owner.query(surql`{ UPDATE ${door} SET n = 1; sleep(50ms) }`);
    const bell = db.watch(door, NO_TICK);
    await until(async () => (await livesOn(owner, "bell")) === 1, { what: "it to listen" });
    await change;
    await clock.advance(99); // so long a change may have been under way
    expect(await hasRung(bell)).toBe(false);
    await requireGap(bell, clock);
    expect(await db.query(surql`SELECT VALUE n FROM ONLY ${door}`)).toBe(1);
  });

  test("bells on one table share one LIVE query, and the last to be taken down takes it along", async () => {
    const { db, owner } = await withTable(await open());
    await owner.query(surql`DEFINE TABLE gong`);
    const records = Array.from({ length: 20 }, (_, n) => new RecordId("bell", n));
    const bells = await listening(db, ...records);
    const [gong] = await listening(db, new RecordId("gong", 1));
    expect([await livesOn(owner, "bell"), await livesOn(owner, "gong")]).toEqual([1, 1]);
    const [last, ...others] = bells;
    for (const bell of others) await bell.close();
    expect(await livesOn(owner, "bell")).toBe(1);
    await owner.query(surql`CREATE ${last!.record}`);
    expect(await last!.next()).toBe("live");
    await last!.close();
    await last!.close(); // closing twice is closing once
    expect([await livesOn(owner, "bell"), await livesOn(owner, "gong")]).toEqual([0, 1]);
    await gong.close();
    expect(await livesOn(owner, "gong")).toBe(0);
  });

  test("a bell that is taken down at once, or while it is being hung, leaves no LIVE query behind", async () => {
    const { db, owner } = await withTable(await open());
    const [kept] = await listening(db, gate);
    await kept.close();
    for (let i = 0; i < 30; i++) {
      const bell = db.watch(door, NO_TICK);
      for (let turn = 0; turn < i % 4; turn++) await new Promise((resolve) => setImmediate(resolve));
      await bell.close();
    }
    await until(async () => (await livesOn(owner, "bell")) === 0, {
      what: "the last LIVE query to be killed",
    });
  });

  test("a bell hung on a table that is removed and made again rings for what it missed, and goes on", async () => {
    const { db, owner } = await withTable(await open());
    const [bell] = await listening(db, door);
    await owner.query(surql`REMOVE TABLE bell`);
    await owner.query(surql`DEFINE TABLE bell`);
    await owner.query(surql`CREATE ${door} SET n = 1`);
    expect(["gap", "live"]).toContain(await bell.next()); // what it missed, or what it heard since
    await until(async () => (await livesOn(owner, "bell")) === 1, { what: "it to listen again" });
    await owner.query(surql`UPDATE ${door} SET n = 2`);
    await until(async () => (await bell.next()) === "live");
  });

  test("a bell may hang before its table is there", async () => {
    const { db, owner } = await open();
    const bell = db.watch(door, NO_TICK);
    await owner.query(surql`DEFINE TABLE bell`);
    expect(await bell.next()).toBe("gap");
    await owner.query(surql`CREATE ${door}`);
    expect(await bell.next()).toBe("live");
  });

  test("who waits is woken by an abort, by close(), and by the end of the database", async () => {
    const { db, owner } = await withTable(await open());
    const [bell, other] = await listening(db, door, gate);
    const abort = new AbortController();
    const aborted = bell.next({ signal: abort.signal });
    abort.abort();
    expect(await aborted).toBe("tick");
    await owner.query(surql`CREATE ${door}`);
    expect(await bell.next()).toBe("live"); // the abort ended one wait, not the bell
    const closed = bell.next();
    await bell.close();
    expect(await closed).toBe("tick");
    expect(await bell.next()).toBe("tick"); // at once, and not in ten minutes
    const ended = other.next();
    await db.close();
    expect(await ended).toBe("tick");
  });

  test("two who wait at one bell are both woken", async () => {
    const { db, owner } = await withTable(await open());
    const [bell] = await listening(db, door);
    const waiting = [bell.next(), bell.next()];
    await owner.query(surql`CREATE ${door}`);
    expect(await Promise.all(waiting)).toEqual(["live", "live"]);
    expect(await hasRung(bell)).toBe(false);
  });

  test("a database that is closed hangs no more bells", async () => {
    const { db } = await open();
    await db.close();
    expect(() => db.watch(door)).toThrow(expect.objectContaining({ code: "db.closed" }));
  });

  test("who throws when the bell rings breaks neither it nor another", async () => {
    const { db, owner } = await withTable(await open());
    const [bell, other] = await listening(db, door, door);
    const clumsy = bell.next().then(() => Promise.reject(new Error("dropped it")));
    await Promise.all([expect(clumsy).rejects.toThrow("dropped it"), owner.query(surql`CREATE ${door}`)]);
    expect(await other.next()).toBe("live");
    await owner.query(surql`UPDATE ${door} SET n = 1`);
    expect(await bell.next()).toBe("live");
  });

  test("a writer in this process may ring without being asked to wait for the database", async () => {
    const { db } = await open();
    const bell = db.watch(door, NO_TICK);
    bell.ring();
    bell.ring();
    expect(await bell.next()).toBe("local");
    expect(await hasRung(bell)).toBe(false);
    const waiting = bell.next();
    bell.ring();
    expect(await waiting).toBe("local");
  });
});

test("a writer may ring every bell on a record of its database at once, but for its own", async () => {
  const db = await freshDatabase({ url: "mem://" });
  const [own, kept, waiting, other] = [door, door, door, gate].map((record) => db.watch(record, NO_TICK));
  const waited = waiting!.next();
  db.ring(door, { except: own! });
  expect(await waited).toBe("local");
  expect(await kept!.next()).toBe("local");
  expect([await hasRung(own!), await hasRung(waiting!), await hasRung(other!)]).toEqual([
    false,
    false,
    false,
  ]);
  db.ring(new RecordId("nowhere", 1)); // nobody hangs there
  await db.close();
  db.ring(door);
});

describe("whether anybody else may reach what a database has opened", () => {
  test("depends on who has opened the folder in this process, and on who serves it", async () => {
    const url = `rocksdb://${await freshFolder()}/engine`;
    const db = await openDatabase({ url });
    onTestFinished(() => db.close());
    expect(db.isShared).toBe(false);
    const second = await openDatabase({ url, database: "another" });
    expect([db.isShared, second.isShared]).toEqual([true, true]);
    await second.close();
    expect(db.isShared).toBe(false);
    const served = await serve(db, { token: TOKEN });
    expect(db.isShared).toBe(true);
    await served.close();
    expect(db.isShared).toBe(false);
    await expect(openDatabase({ url: `${url}?sync=never` })).rejects.toMatchObject({ code: "db.bad_option" });
    expect(db.isShared).toBe(false);
  });

  test("is always so at a server, and never in memory unless it is served", async () => {
    const { db, owner } = await servedHere({});
    expect([db.isShared, owner.isShared]).toEqual([true, true]);
    const memory = await freshDatabase({ url: "mem://" });
    await freshDatabase({ url: "mem://" }); // another one
    expect(memory.isShared).toBe(false);
    const served = await serve(memory, { token: TOKEN });
    onTestFinished(() => served.close());
    expect(memory.isShared).toBe(true);
  });
});

/** Changes a record many times; fails if one change is not noticed by who reads after each ring, long before a tick. */
async function requireAwake(db: Database, owner: Database, deadline = 20_000): Promise<void> {
  await owner.query(surql`UPSERT ONLY ${door} SET n = 0`);
  const bell = db.watch(door, NO_TICK);
  await bell.next({ signal: AbortSignal.timeout(deadline) }); // until it listens: what began before, the tick tells of
  const end = new AbortController();
  let seen = -1;
  const reader = (async () => {
    while (!end.signal.aborted) {
      seen = await db.query(surql<number>`SELECT VALUE n FROM ONLY ${door}`);
      await bell.next({ signal: end.signal });
    }
  })();
  try {
    for (let n = 1; n <= 200; n++) {
      await owner.query(surql`UPDATE ONLY ${door} SET n = ${n}`);
      if (n % 3 === 0) continue; // some come while the reader reads
      await until(() => seen === n, { every: 1, deadline, what: `change ${n} to be noticed` });
    }
  } finally {
    end.abort();
    await reader;
    await bell.close();
  }
}

test("control: without LIVE the check of who sleeps through a change fails", async () => {
  const { owner, url } = await servedHere();
  await owner.query(surql`DEFINE TABLE bell`);
  const deaf = await clientOf(owner, { url: url.replace("ws:", "http:") });
  const failure = await sabotage("nothing is heard over HTTP", () => requireAwake(deaf, owner, 1_000));
  expect(String(failure)).toContain("to be noticed");
});

describe("the tick, on a clock moved by hand,", () => {
  const every = 5_000;

  /** Fails if the bell rings before `every` has gone by, or not then. */
  async function requireTick(bell: Doorbell, clock: VirtualClock): Promise<void> {
    let rang: string | undefined;
    void bell.next().then((ring) => (rang = ring));
    await clock.advance(every - 1);
    expect(rang).toBeUndefined();
    await clock.advance(1);
    expect(rang).toBe("tick");
  }

  test("rings over HTTP, where nothing can be heard", async () => {
    const clock = new VirtualClock();
    const { owner, url } = await servedHere();
    const db = await clientOf(owner, { url: url.replace("ws:", "http:"), clock });
    const bell = db.watch(door, { every });
    for (let i = 0; i < 3; i++) await requireTick(bell, clock);
    await bell.close();
    await db.close();
    expect(clock.pending).toBe(0);
  });

  test("rings while the table is missing, and gives way to LIVE when it is there", async () => {
    const clock = new VirtualClock();
    const db = await freshDatabase({ url: "mem://", clock });
    const bell = db.watch(door, { every });
    for (let i = 0; i < 3; i++) await requireTick(bell, clock);
    await db.query(surql`DEFINE TABLE bell`);
    await requireGap(bell, clock);
    await db.query(surql`CREATE ${door}`);
    expect(await bell.next()).toBe("live");
    await bell.close();
    expect(clock.pending).toBe(0);
  });

  test("rings a bell whose table is quiet, and is counted from the beginning of each wait", async () => {
    const clock = new VirtualClock();
    const db = await freshDatabase({ url: "mem://", clock });
    await db.query(surql`DEFINE TABLE bell`);
    const bell = db.watch(door, { every });
    await requireGap(bell, clock);
    await requireTick(bell, clock);
    const waiting = bell.next();
    await clock.advance(every - 1);
    await db.query(surql`CREATE ${door}`);
    expect(await waiting).toBe("live");
    await requireTick(bell, clock);
  });

  test("is one second unless it is told otherwise", async () => {
    const clock = new VirtualClock();
    const db = await freshDatabase({ url: "mem://", clock });
    let rang: string | undefined;
    void db
      .watch(door)
      .next()
      .then((ring) => (rang = ring));
    await clock.advance(999);
    expect(rang).toBeUndefined();
    await clock.advance(1);
    expect(rang).toBe("tick");
  });
});

describe("after a gap in hearing", () => {
  test("every bell rings, and hears again: the connection was reset", async () => {
    const { owner, port } = await servedHere();
    await owner.query(surql`DEFINE TABLE bell`);
    const proxy = await tcpProxy({ port });
    onTestFinished(() => proxy.close());
    const db = await clientOf(owner, { url: `ws://${proxy.host}:${proxy.port}` });
    const bells = await listening(db, door, gate);
    for (let i = 0; i < 3; i++) {
      proxy.reset();
      for (const bell of bells) expect(await bell.next()).toBe("gap");
      await owner.query(surql`UPSERT ${door} SET n = ${i}`);
      expect(await bells[0].next()).toBe("live");
    }
    await until(async () => (await livesOn(owner, "bell")) === 1, {
      what: "the LIVE queries of lost connections to end",
    });
  });

  test("every bell rings, and hears again: the line was silent for a while", async () => {
    const { owner, port } = await servedHere();
    await owner.query(surql`DEFINE TABLE bell`);
    const proxy = await tcpProxy({ port });
    onTestFinished(() => proxy.close());
    const url = `ws://${proxy.host}:${proxy.port}`;
    const clock = new VirtualClock();
    const heartbeat = 60_000;
    const db = await clientOf(owner, { url, heartbeat, clock });
    const bell = db.watch(door, NO_TICK);
    await requireGap(bell, clock);
    let noticed = false;
    db.on("connection", ({ state }) => void (noticed ||= state === "lost"));
    proxy.blackHole();
    await owner.query(surql`CREATE ${door} SET n = 1`);
    await clock.advance(3 * heartbeat);
    expect(noticed, "the silence to be noticed").toBe(true);
    proxy.reset();
    proxy.pass();
    await requireGap(bell, clock);
    await owner.query(surql`UPDATE ${door} SET n = 2`);
    expect(await bell.next()).toBe("live");
  });

  test("every bell rings, and hears again: the server was killed and started again", async () => {
    const entry = new URL("./fixtures/serve-child.ts", import.meta.url);
    const engine = await servedEngine({ entry, folder: await freshFolder() });
    onTestFinished(() => engine.close());
    const db = await openDatabase({ url: engine.url, token: engine.token });
    onTestFinished(() => db.close());
    await db.query(surql`DEFINE TABLE bell`);
    const [bell] = await listening(db, door);
    for (let i = 0; i < 3; i++) {
      await engine.kill();
      await engine.restart();
      await db.query(surql`UPSERT ${door} SET n = ${i}`); // perhaps before anybody hears
      expect(await bell.next()).toBe("gap");
      await db.query(surql`UPDATE ${door} SET n += 1`);
      expect(await bell.next()).toBe("live");
    }
  });

  test("the tick goes on while the server is away", async () => {
    const { owner, port } = await servedHere();
    await owner.query(surql`DEFINE TABLE bell`);
    const proxy = await tcpProxy({ port });
    onTestFinished(() => proxy.close());
    const db = await clientOf(owner, { url: `ws://${proxy.host}:${proxy.port}` });
    const bell = db.watch(door, { every: 50 });
    await until(async () => (await bell.next()) === "gap");
    proxy.refuse();
    proxy.reset();
    for (let i = 0; i < 3; i++) expect(await bell.next()).toBe("tick");
    proxy.pass();
    await until(async () => (await bell.next()) === "gap");
  });
});

test("a folder whose database was closed with bells on it, even half hung, opens again and holds no LIVE query", async () => {
  const url = `rocksdb://${await freshFolder()}/data`;
  for (let i = 0; i < 20; i++) {
    const db = await openDatabase({ url });
    if (i === 0) await db.query(surql`DEFINE TABLE bell`);
    expect(await livesOn(db, "bell"), `round ${i}`).toBe(0);
    const bells = [db.watch(door, NO_TICK), db.watch(gate, NO_TICK)];
    if (i % 4 === 3) await bells[0]!.next();
    for (let turn = 0; turn < i % 4; turn++) await new Promise((resolve) => setImmediate(resolve));
    await db.close();
  }
});
