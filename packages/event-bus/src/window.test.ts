import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Lanes, WINDOW, Window } from "./window.ts";

/** Lets everything that waits for nothing but promises come to its end. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** Positions, rising, with gaps: those between are of no interest. */
const positions = fc
  .uniqueArray(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 60 })
  .map((some) => some.toSorted((a, b) => a - b));

/** Positions, and an order to settle them in. */
const settling = positions.chain((some) =>
  fc.tuple(fc.constant(some), fc.shuffledSubarray(some, { minLength: some.length, maxLength: some.length })),
);

describe("W1. done never passes an event that is not settled", () => {
  test("whatever order they are settled in", () => {
    fc.assert(
      fc.property(settling, fc.integer({ min: 0, max: 600 }), ([opened, order], looked) => {
        const window = new Window(0);
        const open = new Set(opened);
        for (const position of opened) window.open(position);
        let before = window.done;
        for (const position of order) {
          window.settle(position);
          open.delete(position);
          const first = Math.min(...open);
          expect(window.done).toBe(open.size > 0 ? first - 1 : opened.at(-1));
          expect(window.done).toBeGreaterThanOrEqual(before);
          before = window.done;
        }
        expect(window.isEmpty).toBe(true);
        window.looked(looked);
        expect(window.done).toBe(Math.max(looked, opened.at(-1)!));
      }),
    );
  });

  test("and while more are opened, looked through and settled in between", () => {
    const steps = fc.array(fc.record({ what: fc.constantFrom("open", "look", "settle"), pick: fc.nat() }), {
      maxLength: 100,
    });
    fc.assert(
      fc.property(steps, (all) => {
        const window = new Window(0);
        const open: number[] = [];
        let last = 0;
        for (const { what, pick } of all) {
          if (what === "settle" && open.length > 0) window.settle(open.splice(pick % open.length, 1)[0]!);
          if (what === "settle") continue;
          last += 1 + (pick % 5);
          if (what === "look") window.looked(last);
          else {
            window.open(last);
            open.push(last);
          }
          expect(window.done).toBe(open.length > 0 ? Math.min(...open) - 1 : last);
        }
      }),
    );
  });
});

describe("turns", () => {
  test("come in order, each once all before it are settled, whoever asks first", async () => {
    await fc.assert(
      fc.asyncProperty(settling, async ([opened, asked]) => {
        const window = new Window(0);
        for (const position of opened) window.open(position);
        const had: number[] = [];
        const waiting = asked.map(async (position) => {
          expect(await window.turn(position)).toBe(true);
          had.push(position);
          window.settle(position);
        });
        await Promise.all(waiting);
        expect(had).toEqual(opened);
      }),
    );
  });

  test("never come behind an event that is left, and come before it", async () => {
    await fc.assert(
      fc.asyncProperty(settling, fc.nat(), async ([opened, asked], pick) => {
        const window = new Window(0);
        const left = opened[pick % opened.length]!;
        for (const position of opened) window.open(position);
        const answers = new Map<number, boolean>();
        const waiting = asked.map(async (position, i) => {
          if (i === Math.floor(asked.length / 2)) window.leave(left); // some have asked before, some ask afterwards
          if (position === left) return;
          const isTheirs = await window.turn(position);
          answers.set(position, isTheirs);
          if (isTheirs) window.settle(position);
        });
        await Promise.all(waiting);
        for (const [position, isTheirs] of answers) expect(isTheirs).toBe(position < left);
        expect(answers.size).toBe(opened.length - 1);
        expect(window.done).toBe(left - 1);
      }),
    );
  });

  test("are no more once it is closed", async () => {
    const window = new Window(0);
    window.open(1);
    window.open(2);
    const waiting = window.turn(2);
    window.close();
    expect(await waiting).toBe(false);
    expect(await window.turn(1)).toBe(false);
  });
});

describe("room", () => {
  test("is for as many as may come again: those that are not saved, settled or not", async () => {
    const window = new Window(0);
    let isFree = false;
    for (let position = 1; position <= WINDOW; position++) {
      await window.room();
      window.open(position);
      window.settle(position);
    }
    const room = window.room().then(() => (isFree = true));
    await settled();
    expect(isFree).toBe(false);
    window.saved(0);
    await settled();
    expect(isFree).toBe(false);
    window.saved(1);
    await room;
  });

  test("never lets more be unsaved, whatever is saved when", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 10 }), async (saves) => {
        const window = new Window(0);
        let opened = 0;
        let saved = 0;
        const handingOut = (async () => {
          while (opened < 1_000) {
            await window.room();
            if (saved === Infinity) return;
            window.open(++opened);
            expect(opened - saved).toBeLessThanOrEqual(WINDOW);
          }
        })();
        for (const more of saves) {
          await settled();
          saved = Math.min(opened, saved + more);
          window.saved(saved);
        }
        saved = Infinity;
        window.close();
        await handingOut;
      }),
      { numRuns: 30 },
    );
  });

  test("is not waited for once nothing more is handed out", async () => {
    const window = new Window(0);
    for (let position = 1; position <= WINDOW; position++) window.open(position);
    const room = window.room();
    window.end();
    await expect(room).resolves.toBe(undefined);
    await expect(window.room()).resolves.toBe(undefined);
  });
});

describe("lanes", () => {
  const works = fc.array(fc.record({ lane: fc.constantFrom("a", "b", "c", "d"), fails: fc.boolean() }), {
    minLength: 1,
    maxLength: 30,
  });

  test("never two of one lane at once, never more than n, first come first served in each", async () => {
    await fc.assert(
      fc.asyncProperty(works, fc.integer({ min: 1, max: 5 }), fc.scheduler(), async (all, most, s) => {
        const lanes = new Lanes(most);
        const under: string[] = [];
        const began: Record<string, number[]> = {};
        let overlapped = 0;
        let atOnce = 0;
        const runs = all.map(({ lane, fails }, i) =>
          lanes
            .run(lane, async () => {
              if (under.includes(lane)) overlapped++;
              under.push(lane);
              atOnce = Math.max(atOnce, under.length);
              (began[lane] ??= []).push(i);
              await s.schedule(Promise.resolve());
              under.splice(under.indexOf(lane), 1);
              if (fails) throw new Error("no");
            })
            .catch(() => {}),
        );
        await s.waitAll();
        await s.waitFor(Promise.all(runs));
        expect([under, overlapped]).toEqual([[], 0]);
        expect(atOnce).toBeLessThanOrEqual(most);
        for (const order of Object.values(began)) expect(order).toEqual(order.toSorted((a, b) => a - b));
        expect(Object.values(began).flat()).toHaveLength(all.length);
      }),
    );
  });

  test("what came first goes first, when its lane is free", async () => {
    const lanes = new Lanes(1);
    const began: number[] = [];
    const runs = ["a", "a", "b", "a", "c"].map((lane, i) =>
      lanes.run(lane, async () => {
        began.push(i);
        await settled();
      }),
    );
    await Promise.all(runs);
    expect(began).toEqual([0, 1, 2, 3, 4]);
  });

  test("work that waits for its turn is never in the way of the work it waits for", async () => {
    await fc.assert(
      fc.asyncProperty(works, fc.integer({ min: 1, max: 5 }), fc.scheduler(), async (all, most, s) => {
        const lanes = new Lanes(most);
        const window = new Window(0);
        all.forEach((_, i) => window.open(i + 1));
        const order: number[] = [];
        const runs = all.map(({ lane, fails: commits }, i) =>
          lanes.run(lane, async () => {
            await s.schedule(Promise.resolve());
            if (commits && (await window.turn(i + 1))) order.push(i);
            window.settle(i + 1);
          }),
        );
        await s.waitFor(Promise.all(runs));
        expect(order).toEqual(order.toSorted((a, b) => a - b));
        expect(order).toHaveLength(all.filter(({ fails }) => fails).length);
        expect(window.done).toBe(all.length);
      }),
    );
  });
});
