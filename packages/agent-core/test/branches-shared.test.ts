// Branches that share something: in whatever order they come to an end, and wherever their process dies.

import { setImmediate as turn } from "node:timers/promises";
import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { Activity } from "../src/activity.ts";
import { defineWorkflow, type Context, type Definition } from "../src/index.ts";
import {
  dies,
  freshProcess,
  gate,
  later,
  LEASE_MS,
  played,
  processOn,
  type Process,
} from "./support/fresh.ts";

/** A run that goes on in another process each time. */
async function startedIn(flow: Definition) {
  const first = await freshProcess({ workflows: [flow] });
  const handle = await first.sentient.start(flow);
  const next = (): Promise<Process> => processOn(first.db, first.clock, { workflows: [flow] });
  return { first, handle, next };
}

/** Each is a crash somewhere; more of them on demand. */
const RUNS = process.env["SENTIENT_LONG"] ? 100 : 6;

const Log = z.object({ log: z.array(z.string()).default([]) });
type Shared = Context<z.output<typeof Log>>;

describe("branches that share something", () => {
  /** One goes ahead of the other, then its process dies, then both are replayed. */
  async function replayed() {
    const hold = [gate(), gate()];
    let pass = 0;
    const flow = defineWorkflow({
      name: "flow",
      state: z.object({ a: z.number().default(0), b: z.number().default(0) }),
      run: async (ctx) => {
        const mine = pass++;
        await ctx.all({
          a: async (c) => {
            await c.step("a1", () => 1);
            ctx.state.a++;
            await c.step("a2", () => 2);
            if (mine === 0) hold[0]!.open();
          },
          b: async (c) => {
            await c.step("b1", () => hold[0]!.pass());
            ctx.state.b++;
            if (mine === 0) await c.step("b2", () => hold[1]!.pass());
          },
        });
        return { ...ctx.state };
      },
    });
    const { first, handle, next } = await startedIn(flow);
    void played(first);
    await hold[1]!.reached; // and is never opened
    dies(first, { at: 1, when: "before" });
    await later(await next(), LEASE_MS);
    return handle.result();
  }

  test("come to the same when they are replayed", async () => {
    expect(await replayed()).toEqual({ a: 1, b: 1 });
  });

  test("control: they would not, if they were answered in the order in which they ask", async () => {
    const spy = vi.spyOn(Activity.prototype, "isAlone", "get").mockReturnValue(true);
    try {
      expect(await replayed()).not.toEqual({ a: 1, b: 1 });
    } finally {
      spy.mockRestore();
    }
  });

  test("come to the same in whatever order their steps end, wherever their process dies, and see the same there", async () => {
    let [crashes, runs] = [0, 0];
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 1, max: 14 }),
        fc.boolean(),
        async (s, at, before) => {
          const seen = new Map<string, string>();
          const act = s.scheduleFunction(async (label: string) => label);
          const first = await freshProcess({ workflows: [shared(act, seen)] });
          const handle = await first.sentient.start("flow");
          const { dead } = dies(first, { at, when: before ? "before" : "after" });
          const isDead = await Promise.race([
            dead.then(() => true),
            driven(s, played(first)).then(() => false),
          ]);
          if (isDead)
            await driven(
              s,
              later(await processOn(first.db, first.clock, { workflows: [shared(act, seen)] }), LEASE_MS),
            );
          runs++;
          crashes += isDead ? 1 : 0;
          const { log, all } = (await handle.result()) as { log: string[]; all: unknown };
          expect(log.toSorted()).toEqual(["a0", "a1", "b0", "b1", "m0", "m1", "m2", "race"]);
          expect(all).toEqual({ a: ["a0", "a1"], b: ["b0", "b1"], c: ["m0", "m1", "m2"] });
        },
      ),
      { numRuns: RUNS, endOnFailure: true },
    );
    expect(crashes).toBeGreaterThan(0); // control: it was not only lives without a crash
    expect(runs).toBe(RUNS);
  });
});

/** Lets steps end, one by chance after the other, until `work` is done. */
async function driven<T>(s: fc.Scheduler, work: Promise<T>): Promise<T> {
  let isOver = false;
  void work.catch(() => {}).finally(() => (isOver = true));
  for (let turns = 0; !isOver; turns++)
    if (s.count() > 0 && turns % 5 === 0) await s.waitOne();
    else await turn();
  return work;
}

/** Says what it sees at each point, which is the same each time that it comes there. */
function shared(act: (label: string) => Promise<string>, seen: Map<string, string>) {
  const see = (ctx: Shared, point: string) => {
    const what = JSON.stringify([ctx.now(), ctx.random(), ctx.uuid(), ctx.key]);
    expect(seen.get(point) ?? what).toBe(what);
    seen.set(point, what);
  };
  const two = (label: string) => async (c: Shared) => {
    const done = [];
    for (const i of [0, 1]) {
      done.push(await c.step("s", () => act(`${label}${i}`)));
      c.state.log.push(`${label}${i}`);
      see(c, `${label}${i}`);
    }
    return done;
  };
  return defineWorkflow({
    name: "flow",
    state: Log,
    run: async (ctx) => {
      see(ctx, "begin");
      const all = await ctx.all({
        a: two("a"),
        b: two("b"),
        c: (c) =>
          c.map(
            [0, 1, 2],
            async (d, n) => {
              const label = await d.step("m", () => act(`m${n}`));
              d.state.log.push(label);
              see(d, label);
              return label;
            },
            { concurrency: 2 },
          ),
      });
      see(ctx, "between");
      const { winner } = await ctx.race({
        x: (c) => c.step("x", () => act("x")),
        y: (c) => c.step("y", () => act("y")),
      });
      see(ctx, `won by ${winner}`);
      ctx.state.log.push("race");
      await ctx.step("end", () => act("end"));
      see(ctx, "end");
      return { all, log: ctx.state.log };
    },
  });
}
