// What goes of runs that are over, what stays, and what is told to whoever asks for it.

import { surql, type Database } from "@sentient/db-pool";
import type { Entry, EventBus } from "@sentient/event-bus";
import { sabotage, VirtualClock } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { createState, type State } from "../src/index.ts";
import { answering, before, dyingAt } from "./support/broken.ts";
import { freshState, stateOn } from "./support/fresh.ts";
import { claimed, LARGE, live, type Deed } from "./support/lives.ts";
import { codeOf, done, running, storyOf } from "./support/runs.ts";

const DAY = 24 * 3_600_000;
const deeds: Deed[] = [
  { do: "step", result: 1 },
  { do: "state", state: 1 },
  { do: "checkpoint" },
  { do: "signal" },
  { do: "large" },
  { do: "restore", back: 1 },
];

const tablesOf = async (db: Database) => {
  const counts: number[] = [];
  for (const table of ["step", "patch", "checkpoint", "signal", "question", "chunk", "blob", "blob_use"])
    counts.push((await db.query(surql<unknown[]>`SELECT VALUE id FROM type::table(${table})`)).length);
  return counts;
};
const NOTHING = [0, 0, 0, 0, 0, 0, 0, 0];
/** Ends at once. */
async function ended(state: State, id: string, result: string = LARGE): Promise<void> {
  await state.start({ name: "research", id });
  const lease = await claimed(state, id);
  await state.commit(lease, { steps: [done("a", result)], end: { complete: id } });
}

async function retainAll(state: State, options = {}): Promise<string[]> {
  const removed: string[] = [];
  for (let more = true; more;) {
    const pass = await state.retain({ events: false, ...options });
    removed.push(...pass.details, ...pass.runs);
    ({ more } = pass);
  }
  return removed;
}

describe("the details of a run", () => {
  test("go when it was over for their time, and whoever asks for them is told", async () => {
    const clock = new VirtualClock(Date.now());
    const { state, db, bus } = await freshState({ clock });
    await live(state, deeds, "one");
    await clock.advance(30 * DAY - 1);
    expect(await state.retain()).toMatchObject({ details: [], runs: [], more: false });
    expect((await tablesOf(db)).slice(0, 4).every((count) => count > 0)).toBe(true);
    await clock.advance(2);
    expect(await state.retain()).toMatchObject({ details: ["one"], runs: [], more: false });
    expect(await tablesOf(db)).toEqual(NOTHING);
    expect(await state.retain()).toMatchObject({ details: [], more: false });
    expect((await storyOf(bus, "one")).filter((type) => type === "run.removed")).toEqual(["run.removed"]);
    expect(await state.load("one")).toMatchObject({ status: "completed", output: { done: true } });
    for (const ask of [
      () => state.journal("one"),
      () => state.journal("one", { at: { n: 2 } }),
      () => state.stateAt("one"),
      () => state.stateAt("one", { n: 2 }),
      () => state.fork("one"),
    ])
      expect(await codeOf(ask)).toBe("state.details_removed");
  });

  test("stay if that is said, and as long as the run is not over", async () => {
    const { state, db } = await freshState({ retention: { details: false } });
    await ended(state, "one");
    const lease = await running(state, { id: "two" });
    await state.commit(lease, { steps: [done("b")] });
    expect(await retainAll(state)).toEqual([]);
    expect(await retainAll(state, { details: 0 })).toEqual(["one"]);
    expect((await tablesOf(db))[0]).toBe(1);
    expect((await state.journal("two")).size).toBe(1);
    await state.commit(lease, { steps: [done("c")], end: { complete: null } });
  });

  test("stay as long as a fork reads them, and go after it", async () => {
    const { state, db } = await freshState();
    await ended(state, "one");
    await state.fork("one", { id: "two" });
    await state.fork("two", { id: "three" });
    await state.cancel("two");
    expect(await retainAll(state, { details: 0 })).toEqual([]);
    expect((await state.journal("three")).get("a")).toMatchObject({ result: LARGE });
    await state.cancel("three");
    const removed: string[] = [];
    for (let i = 0; i < 3; i++) removed.push(...(await retainAll(state, { details: 0, runs: 0 })));
    expect(removed.filter((id, i) => removed.indexOf(id) === i)).toEqual(["three", "two", "one"]);
    expect(await tablesOf(db)).toEqual(NOTHING);
    expect(await codeOf(() => state.load("one"))).toBe("state.not_found");
  });

  test("are not taken from a fork that begins at that moment", async () => {
    const race = async (protects: boolean) => {
      const { state, db, bus } = await freshState();
      await ended(state, "one");
      const append = bus.log.append.bind(bus.log);
      bus.log.append = async (entry, options) => {
        if (entry.events?.[0]?.type !== "run.removed") return append(entry, options);
        bus.log.append = append;
        await state.fork("one", { id: "two" });
        if (!protects) await db.query(surql`DELETE forked`);
        return append(entry, options);
      };
      await state.retain({ details: 0, events: false });
      expect((await state.journal("two")).get("a")).toMatchObject({ result: LARGE });
    };
    await race(true);
    await sabotage("nobody knows of the fork", () => race(false));
  });

  test("go some runs at a time, past those that have to stay", async () => {
    const { state } = await freshState();
    for (const id of ["a", "b", "c", "d"]) await ended(state, id, "small");
    await state.fork("a", { id: "fork" });
    expect(await state.retain({ details: 0, events: false, most: 2 })).toMatchObject({
      details: ["b", "c"],
      more: true,
    });
    expect(await state.retain({ details: 0, events: false, most: 2 })).toMatchObject({
      details: ["d"],
      more: false,
    });
    expect(await codeOf(() => state.retain({ most: 0 }))).toBe("state.bad_option");
    expect(await codeOf(() => state.retain({ details: -1 }))).toBe("state.bad_option");
  });

  test("are never there in part: while they go, and wherever it dies", async () => {
    let deaths = 0;
    for (let k = 1; ; k++) {
      const { db, state } = await freshState();
      const lease = await running(state, { id: "one" });
      const large = Array.from({ length: 55 }, (_, i) => done(`l${i}`, `${i}${LARGE}`)); // more than one transaction takes
      await state.commit(lease, { steps: large, state: { at: 1 } });
      const small = Array.from({ length: 400 }, (_, i) => done(`s${i}`, i));
      await state.commit(lease, { steps: small, end: { complete: null } });
      const whole = await state.journal("one");
      const dying = await dyingAt(db, k);
      const died = await dying.state.retain({ details: 0, events: false }).then(
        () => false,
        () => true,
      );
      if (!died) break;
      deaths++;
      const journal = await state.journal("one").catch(({ code }: { code: string }) => code);
      expect(typeof journal === "string" ? journal : [...journal]).toEqual(
        deaths === 1 ? [...whole] : "state.details_removed",
      );
      await retainAll(state, { details: 0 });
      expect(await tablesOf(db)).toEqual(NOTHING);
    }
    expect(deaths).toBeGreaterThan(4);
  });

  test("are not read in part by who began before", async () => {
    const look = async (answer: (text: string, answer: unknown) => unknown) => {
      const { db, bus, state } = await freshState();
      await live(state, [{ do: "step", result: 1 }], "one");
      let removed = false;
      const slow = before(answering(db, answer), async (text) => {
        if (removed || text.includes("ONLY")) return; // the run was read, and its steps come next
        removed = true;
        await state.retain({ details: 0, events: false });
      });
      expect(await codeOf(() => createState(slow, bus).journal("one"))).toBe("state.details_removed");
      expect(removed).toBe(true);
    };
    await look((_, answer) => answer);
    await sabotage("nobody looks again", () =>
      look((text, answer) => (text.includes("seek.over != NONE") ? 1 : answer)),
    );
  });

  test("that are gone in part are not taken for all of them", async () => {
    const look = async (tamper: boolean) => {
      const { db, state } = await freshState();
      const lease = await running(state, { id: "one" });
      const steps = Array.from({ length: 400 }, (_, i) => done(`s${i}`, i));
      await state.commit(lease, { steps, end: { complete: null } });
      const dying = await dyingAt(db, 3);
      await expect(dying.state.retain({ details: 0, events: false })).rejects.toThrow("died");
      expect((await tablesOf(db))[0]).toBe(200);
      if (tamper) await db.query(surql`UPDATE run SET seek.over = seek.emptying RETURN NONE`);
      expect(await codeOf(() => state.journal("one"))).toBe("state.details_removed");
    };
    await look(false);
    await sabotage("it is not said first", () => look(true));
  });
});

describe("a blob", () => {
  test("goes with the last run that refers to it", async () => {
    const { state, db } = await freshState();
    await ended(state, "a");
    await ended(state, "b");
    expect((await tablesOf(db)).slice(6)).toEqual([1, 2]);
    await state.retain({ details: 0, events: false, most: 1 });
    expect((await tablesOf(db)).slice(6)).toEqual([1, 1]);
    expect((await state.journal("b")).get("a")).toMatchObject({ result: LARGE });
    await state.retain({ details: 0, events: false });
    expect((await tablesOf(db)).slice(6)).toEqual([0, 0]);
  });

  /** What the pass has decided is committed after `meanwhile`. */
  function delayed(bus: EventBus, meanwhile: () => Promise<unknown>, change: (entry: Entry) => Entry): void {
    const append = bus.log.append.bind(bus.log);
    bus.log.append = async (entry, options) => {
      if (entry.events?.[0]?.type !== "run.removed") return append(entry, options);
      bus.log.append = append;
      await meanwhile();
      return append(change(entry), options);
    };
  }

  test("stays if a commit begins to use it when its last use is about to go", async () => {
    const race = async (change: (entry: Entry) => Entry) => {
      const { state, db } = await freshState();
      const other = await stateOn(db);
      await ended(state, "old");
      const lease = await running(state, { id: "new" });
      delayed(other.bus, () => state.commit(lease, { steps: [done("b", LARGE)] }), change);
      expect(await other.state.retain({ details: 0, events: false })).toMatchObject({ details: ["old"] });
      expect((await state.journal("new")).get("b")).toMatchObject({ result: LARGE });
    };
    await race((entry) => entry);
    await sabotage("it is not asked who uses it by then", () =>
      race((entry) => ({ ...entry, statements: [surql`DELETE blob RETURN NONE`] })),
    );
  });

  test("stays whichever of them comes first", async () => {
    const { state, db } = await freshState();
    const other = await stateOn(db);
    for (let i = 0; i < 6; i++) {
      const text = `${i}${LARGE}`;
      await ended(state, `old-${i}`, text);
      const lease = await running(state, { id: `new-${i}` });
      const committed = state.commit(lease, { steps: [done("b", text)] });
      await Promise.all([committed, other.state.retain({ details: 0, events: false })]);
      expect((await state.journal(`new-${i}`)).get("b")).toMatchObject({ result: text });
    }
  });
});

describe("runs themselves", () => {
  test("go if that is said, when nobody can ask any more what came of them", async () => {
    const clock = new VirtualClock(Date.now());
    const { state, db, bus } = await freshState({
      clock,
      retention: { details: DAY, runs: 2 * DAY, events: false },
    });
    const parent = await running(state, { id: "parent" });
    await state.start({ name: "research", id: "child", parent: "parent" });
    await state.commit(await claimed(state, "child"), { end: { complete: 7 } });
    await clock.advance(DAY + 1);
    expect(await state.retain()).toMatchObject({ details: ["child"], runs: [] });
    await clock.advance(2 * DAY);
    expect(await state.retain()).toMatchObject({ details: [], runs: [] });
    expect(await state.load("child")).toMatchObject({ output: 7 });
    await state.cancel(parent.run.id, { force: true });
    expect(await state.retain()).toMatchObject({ runs: ["child"] });
    expect(await codeOf(() => state.load("child"))).toBe("state.not_found");
    expect((await storyOf(bus, "child")).slice(-2)).toEqual(["run.removed", "run.removed"]);
    expect(await db.query(surql`SELECT VALUE id FROM spawned`)).toEqual([]);
    await clock.advance(5 * DAY);
    await state.retain();
    expect(await state.retain()).toMatchObject({ details: [], runs: [] });
    expect(await codeOf(() => state.load("parent"))).toBe("state.not_found");
    await state.start({ name: "research", id: "child" });
    expect(await state.load("child")).toMatchObject({ status: "queued" });
  });

  test("and old events", async () => {
    const { state, bus } = await freshState();
    await ended(state, "one");
    const { events } = await state.retain({ details: false, events: 0 });
    expect(events!.trimmed).toBeGreaterThan(3);
    expect(await storyOf(bus, "one")).toEqual([]);
    expect((await state.journal("one")).size).toBe(1);
    expect((await state.retain({ details: false, events: false })).events).toBeUndefined();
  });
});

test("two passes at a time remove each run once", async () => {
  const { state, db, bus } = await freshState();
  const other = await stateOn(db);
  for (let i = 0; i < 6; i++) await ended(state, `r-${i}`, `${i}${LARGE}`);
  await Promise.all([state, other.state].map((one) => one.retain({ details: 0, events: false })));
  await retainAll(state, { details: 0 });
  expect(await tablesOf(db)).toEqual(NOTHING);
  const told = await bus.history({ types: "run.removed", limit: 100 });
  expect(told.events).toHaveLength(6);
  expect(new Set(told.events.map(({ run }) => run)).size).toBe(6);
});
