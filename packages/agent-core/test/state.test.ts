// A run's own state: changed in place, kept with its steps, and the same wherever the run goes on.

import { describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { defineWorkflow, type Context } from "../src/index.ts";
import { OwnState } from "../src/own-state.ts";
import {
  dies,
  failureOf,
  fresh,
  freshProcess,
  gate,
  later,
  LEASE_MS,
  played,
  processOn,
  type Process,
} from "./support/fresh.ts";

const Count = z.object({
  n: z.number().max(100).default(0),
  items: z.array(z.string()).default([]),
});
type Counting = Context<z.output<typeof Count>>;

const flowOf = (run: (ctx: Counting) => Promise<unknown>) =>
  defineWorkflow({ name: "flow", state: Count, retry: { attempts: 1 }, run });

async function started(flow: ReturnType<typeof flowOf>) {
  const first = await freshProcess({ workflows: [flow] });
  const handle = await first.sentient.start(flow);
  const next = (): Promise<Process> => processOn(first.db, first.clock, { workflows: [flow] });
  return { first, handle, next, id: handle.id };
}

describe("the state of a run", () => {
  test("begins as its schema says, or as whoever starts it", async () => {
    const flow = flowOf(async (ctx) => ({ ...ctx.state }));
    const sentient = await fresh({ workflows: [flow] });
    expect(await sentient.execute(flow)).toEqual({ n: 0, items: [] });
    expect(await sentient.execute(flow, null, { state: { n: 7 } })).toEqual({ n: 7, items: [] });
    const wrong = () => sentient.start(flow, null, { state: { n: "7" } });
    expect(await failureOf(wrong)).toMatchObject({ code: "agent.invalid_state", details: { name: "flow" } });
    const handle = await sentient.start(flow);
    await handle.result();
    const fork = await sentient.fork(handle.id, { n: 1, state: { n: 101 } }); // nobody checks it but the run
    expect(await failureOf(() => fork.result())).toMatchObject({ code: "agent.invalid_state" });
  });

  test("is undefined without a schema", async () => {
    const flow = defineWorkflow({ name: "flow", run: async (ctx) => [ctx.state === undefined] });
    const sentient = await fresh({ workflows: [flow] });
    expect(await sentient.execute(flow)).toEqual([true]);
  });

  test("changed between and within steps is the same after each replay", async () => {
    const seen: string[] = [];
    const { first, handle, next, id } = await started(
      flowOf(async (ctx) => {
        const { state } = ctx; // the same object all along
        state.n++;
        await ctx.step("a", () => void state.items.push("within a"));
        state.n++;
        state.items.push("between");
        seen.push(JSON.stringify(state));
        await ctx.sleep(60_000);
        state.n++;
        await ctx.step("b", () => void ctx.state.items.push("within b"));
        seen.push(JSON.stringify(state));
        await ctx.sleep(60_000);
        return { ...state };
      }),
    );
    await played(first);
    expect(await first.sentient.stateAt(id)).toEqual({ n: 2, items: ["within a", "between"] });
    await later(await next(), 60_000);
    await later(await next(), 60_000);
    expect(await handle.result()).toEqual({ n: 3, items: ["within a", "between", "within b"] });
    expect(new Set(seen.filter((_, i) => [0, 1, 3].includes(i))).size).toBe(1);
    expect(new Set(seen.filter((_, i) => [2, 4].includes(i))).size).toBe(1);
  });

  test("changed by a step that was cut off is what it was before that", async () => {
    const hold = gate();
    let tries = 0;
    const { first, handle, next } = await started(
      flowOf(async (ctx) => {
        await ctx.step("a", () => ctx.state.n++);
        await ctx.step("long", async () => {
          ctx.state.n++;
          if (++tries === 1) await hold.pass();
        });
        return ctx.state.n;
      }),
    );
    void played(first);
    await hold.reached;
    await first.clock.advance(1_000);
    for await (const { type } of handle.events()) if (type === "step.started") break; // it was told of meanwhile
    await later(await next(), LEASE_MS);
    expect([await handle.result(), tries]).toEqual([2, 2]);
  });

  /** A life whose process dies, and what becomes of the state in the next one. */
  async function lived(when: "before" | "after", at: number): Promise<unknown> {
    const { first, handle, next } = await started(
      flowOf(async (ctx) => {
        for (const name of ["a", "b", "c"]) {
          ctx.state.n++;
          await ctx.step(name, () => void ctx.state.items.push(name));
        }
        return { ...ctx.state };
      }),
    );
    const { dead } = dies(first, { at, when });
    void played(first);
    await dead;
    await later(await next(), LEASE_MS);
    return handle.result();
  }

  test.each([
    ["before", 1],
    ["after", 1],
    ["before", 2],
    ["after", 2],
    ["before", 3],
    ["after", 3],
  ] as const)(
    "is what its steps have made of it, where its process dies %s its commit %i",
    async (when, at) => {
      expect(await lived(when, at)).toEqual({ n: 3, items: ["a", "b", "c"] });
    },
  );

  test("control: it is not, if what was kept with a step does not come back with it", async () => {
    const restore = vi.spyOn(OwnState.prototype, "restore").mockImplementation(() => {});
    try {
      expect(await lived("after", 2)).toEqual({ n: 3, items: ["c"] });
    } finally {
      restore.mockRestore();
    }
  });

  test("that does not fit is not kept: its run fails with that, and is not tried for ever", async () => {
    const wrong = flowOf(async (ctx) => {
      ctx.state.n = 101;
    });
    const date = defineWorkflow({
      name: "date",
      state: z.object({ at: z.unknown().optional() }),
      run: async (ctx) => {
        await ctx.step("a", () => 1);
        ctx.state.at = new Date(0);
      },
    });
    const process = await freshProcess({ workflows: [wrong, date] });
    for (const flow of [wrong, date]) {
      const { id } = await process.sentient.start(flow.name);
      await played(process);
      expect(await process.sentient.get(id)).toMatchObject({
        status: "failed",
        error: { code: "agent.invalid_state" },
      });
    }
  });

  test("that does not fit fails the step that made it so, which its handler may put up with, also when it is replayed", async () => {
    const { first, handle, next } = await started(
      flowOf(async (ctx) => {
        const code = await ctx
          .step("wrong", () => void (ctx.state.n = 101))
          .catch((error: { code: string }) => error.code);
        const after = ctx.state.n;
        await ctx.step("right", () => ctx.state.n++);
        await ctx.sleep(60_000);
        return { code, after, n: ctx.state.n };
      }),
    );
    await played(first);
    await later(await next(), 60_000);
    expect(await handle.result()).toEqual({ code: "agent.invalid_state", after: 0, n: 1 });
  });

  test("gets the fields its schema has got since", async () => {
    const flowWith = (version: string, state: z.ZodType<{ n: number; more?: number }>) =>
      defineWorkflow({
        name: "flow",
        version,
        compatible: version === "2" ? ["1"] : [],
        state,
        run: async (ctx) => {
          await ctx.step("a", () => void (ctx.state.n = 5));
          await ctx.sleep(60_000);
          return { ...ctx.state };
        },
      });
    const old = flowWith("1", z.object({ n: z.number().default(0) }));
    const more = flowWith("2", z.object({ n: z.number().default(0), more: z.number().default(3) }));
    const first = await freshProcess({ workflows: [old] });
    const handle = await first.sentient.start(old);
    await played(first);
    await later(await processOn(first.db, first.clock, { workflows: [more] }), 60_000);
    expect(await handle.result()).toEqual({ n: 5, more: 3 });
  });
});

describe("a run that is forked", () => {
  const flow = flowOf(async (ctx) => {
    await ctx.step("a", () => void (ctx.state.n += 1));
    ctx.state.n += 10;
    await ctx.checkpoint("half");
    ctx.state.n += 50;
    await ctx.waitFor("go");
    return ctx.state.n;
  });

  test.each([
    ["goes on with what its parent had", {}, 61],
    ["has the state it was told to have at that point", { state: { n: 5 } }, 55],
    ["has both", { state: { n: 5 }, steps: { "main/a#1": "other" } }, 55],
    ["remembers what it was told to instead", { steps: { "main/a#1": "other" } }, 61],
  ])("%s", async (_, edits, expected) => {
    const { first, next, id } = await started(flow);
    await played(first);
    const second = await next();
    const fork = await second.sentient.fork(id, { checkpoint: "half", ...edits });
    await played(second);
    await second.sentient.signal(fork.id, "go");
    await played(await next());
    expect(await fork.result()).toBe(expected);
  });

  test("draws the same chance as its parent where it does what that did, and its own from there on", async () => {
    const drawn: string[][] = [];
    const { first, handle, next, id } = await started(
      flowOf(async (ctx) => {
        const mine = [ctx.uuid(), String(ctx.now().getTime())];
        await ctx.step("a", () => 1);
        mine.push(ctx.uuid(), String(ctx.random()));
        await ctx.step("b", () => 2);
        mine.push(ctx.uuid());
        await ctx.sleep(60_000);
        await ctx.step("c", () => 3);
        drawn.push(mine);
        return mine;
      }),
    );
    await played(first);
    await first.clock.advance(30_000);
    const { events } = await first.sentient.events.history({ run: id });
    const b = events.find(
      ({ type, data }) => type === "step.completed" && (data as { name: string }).name === "b",
    )!;
    const fork = await first.sentient.fork(id, { n: b.n! });
    await played(first);
    await later(await next(), 60_000);
    const [parent, child] = [(await handle.result()) as string[], (await fork.result()) as string[]];
    expect(child.slice(0, 4)).toEqual(parent.slice(0, 4));
    expect(child[4]).not.toBe(parent[4]);
  });
});

describe("a run that is put back", () => {
  test("goes on from that point with the state it had there", async () => {
    let round = 0;
    const { first, handle, next, id } = await started(
      flowOf(async (ctx) => {
        await ctx.step("a", () => void (ctx.state.n += 1));
        await ctx.checkpoint("half");
        ctx.state.n += 10;
        await ctx.step("b", () => void ctx.state.items.push(`round ${++round}`));
        await ctx.waitFor("go");
        return { ...ctx.state };
      }),
    );
    await played(first);
    expect(await first.sentient.stateAt(id)).toEqual({ n: 11, items: ["round 1"] });
    await first.sentient.restore(id, { checkpoint: "half" }, { by: "ada" });
    expect(await first.sentient.stateAt(id)).toEqual({ n: 1, items: [] });
    await played(await next());
    await first.sentient.signal(id, "go");
    await played(await next());
    expect(await handle.result()).toEqual({ n: 11, items: ["round 2"] });
  });
});

test("what a handler has hold of while a step works is part of it still where the run is taken up", async () => {
  const { first, handle, next } = await started(
    flowOf(async (ctx) => {
      ctx.state.items.push(await ctx.step("a", () => "a")); // has the list in hand before the step
      await ctx.step("b", () => "b");
      return ctx.state.items;
    }),
  );
  const { dead } = dies(first, { at: 1, when: "after" });
  void played(first);
  await dead;
  await later(await next(), LEASE_MS);
  expect(await handle.result()).toEqual(["a"]);
});
