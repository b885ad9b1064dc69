// Which code goes on with which run: that of its version, one that says it can, or none, and then the run says so.

import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineWorkflow, type Context } from "../src/index.ts";
import {
  codeOf,
  eventsOf,
  failureOf,
  freshProcess,
  later,
  played,
  processOn,
  storyOf,
} from "./support/fresh.ts";

type Handler = (ctx: Context<undefined>) => Promise<unknown>;

const flowOf = (version: string, run: Handler, compatible: readonly string[] = []) =>
  defineWorkflow({ name: "flow", version, compatible, run });

/** Waits for a minute, and then says which code it is. */
const saying = (version: string, compatible: readonly string[] = []) =>
  flowOf(
    version,
    async (ctx) => {
      await ctx.sleep(60_000);
      return version;
    },
    compatible,
  );

describe("a run", () => {
  test("goes on with the version it began with, though there is a newer one", async () => {
    const first = await freshProcess({ workflows: [saying("1")] });
    const old = await first.sentient.start("flow");
    await played(first);
    const both = await processOn(first.db, first.clock, { workflows: [saying("1"), saying("2")] });
    const young = await both.sentient.start("flow"); // the last that was handed in
    await played(both);
    await later(both, 60_000);
    expect([await old.result(), await young.result()]).toEqual(["1", "2"]);
  });

  test("goes on with a newer version that says it can", async () => {
    const first = await freshProcess({ workflows: [saying("1")] });
    const handle = await first.sentient.start("flow");
    await played(first);
    const second = await processOn(first.db, first.clock, { workflows: [saying("2", ["1"])] });
    await later(second, 60_000);
    expect(await handle.result()).toBe("2");
    expect(await second.sentient.get(handle.id)).toMatchObject({ version: "1" });
  });

  test("whose version nobody has waits for who has it, and says so", async () => {
    const first = await freshProcess({ workflows: [saying("1")] });
    const handle = await first.sentient.start("flow");
    await played(first);
    const second = await processOn(first.db, first.clock, { workflows: [saying("2")] });
    expect(await later(second, 60_000)).toBe(0);
    expect(await second.sentient.explain(handle.id)).toContainEqual({
      code: "no_worker",
      message: expect.stringContaining("flow@1") as string,
    });
    await played(first);
    expect(await handle.result()).toBe("1");
  });
});

describe("code that has changed under its version", () => {
  const before: Handler = async (ctx) => {
    await ctx.step("a", () => 1);
    await ctx.step("b", () => 2);
    await ctx.sleep(60_000);
    return "done";
  };

  test.each<[string, Handler, string, string | null]>([
    ["asks for another step", async (ctx) => ctx.step("other", () => 1), "main/a#1", "main/other#1"],
    [
      "puts one in between",
      async (ctx) => {
        await ctx.step("a", () => 1);
        await ctx.step("new", () => 1);
        await ctx.step("b", () => 2);
      },
      "main/b#1",
      "main/new#1",
    ],
    [
      "comes to its end before",
      async (ctx) => {
        await ctx.step("a", () => 1);
      },
      "main/b#1",
      null,
    ],
    [
      "fails before",
      async (ctx) => {
        await ctx.step("a", () => 1);
        throw new Error("new check");
      },
      "main/b#1",
      null,
    ],
  ])("and %s parks its run at its first attempt, with both", async (_, after, recorded, attempted) => {
    const first = await freshProcess({ workflows: [flowOf("1", before)] });
    const { id } = await first.sentient.start("flow");
    await played(first);
    let done = 0;
    const changed: Handler = (ctx) => {
      const counting = Object.create(ctx, {
        step: { value: (name: string) => ctx.step(name, () => ++done) },
      }) as typeof ctx;
      return after(counting);
    };
    const second = await processOn(first.db, first.clock, { workflows: [flowOf("1", changed)] });
    const began = performance.now();
    await later(second, 60_000);
    const took = performance.now() - began;
    expect(await first.sentient.get(id)).toMatchObject({
      status: "parked",
      parkedFor: "journal_mismatch",
      problem: { message: expect.stringContaining(recorded) as string },
    });
    const events = await eventsOf(first.sentient, id);
    expect(events.filter(({ type }) => type === "run.started")).toHaveLength(2);
    expect(events.find(({ type }) => type === "run.mismatched")?.data).toMatchObject({
      recorded: { key: recorded },
      attempted,
    });
    expect(done).toBe(0);
    expect(took).toBeLessThan(60_000); // it is seen, and nobody waits for what does not come
    await first.sentient.resume(id);
    await played(first);
    expect(await first.sentient.handle(id).result()).toBe("done"); // control: the code that made it goes on
  });

  test("keeps nothing of what it did to the state of its run", async () => {
    const flowWith = (add: number, steps: readonly string[]) =>
      defineWorkflow({
        name: "flow",
        state: z.object({ n: z.number().default(0) }),
        run: async (ctx) => {
          for (const step of steps) {
            await ctx.step(step, () => 1);
            ctx.state.n += add;
          }
          await ctx.sleep(60_000);
          return ctx.state.n;
        },
      });
    const first = await freshProcess({ workflows: [flowWith(1, ["a", "b"])] });
    const { id } = await first.sentient.start("flow");
    await played(first);
    const second = await processOn(first.db, first.clock, { workflows: [flowWith(100, ["a", "c"])] });
    await later(second, 60_000);
    expect(await first.sentient.get(id)).toMatchObject({ status: "parked" });
    expect(await first.sentient.stateAt(id)).toEqual({ n: 2 });
    await first.sentient.resume(id);
    await played(first);
    expect(await first.sentient.handle(id).result()).toBe(2);
  });

  test("that calls a step another kind of thing parks its run too", async () => {
    const first = await freshProcess({ workflows: [flowOf("1", before)] });
    const { id } = await first.sentient.start("flow");
    await played(first);
    const other: Handler = async (ctx) => {
      await ctx.call("a", null, { name: "a" });
      await ctx.step("b", () => 2);
    };
    await later(await processOn(first.db, first.clock, { workflows: [flowOf("1", other)] }), 60_000);
    expect(await codeOf(() => first.sentient.handle(id).result())).toBe("agent.run_parked");
  });
});

test("what is remembered is found by its key: code that asks for the same in another order is the same code", async () => {
  const [one, other] = ["a", "b"].map(
    (name): Handler =>
      async (ctx) =>
        ctx.step(name, () => name),
  ) as [Handler, Handler];
  const both = (order: readonly Handler[]) =>
    flowOf("1", async (ctx) => {
      for (const part of order) await part(ctx);
      await ctx.sleep(60_000);
      return "done";
    });
  const first = await freshProcess({ workflows: [both([one, other])] });
  const { id } = await first.sentient.start("flow");
  await played(first);
  await later(await processOn(first.db, first.clock, { workflows: [both([other, one])] }), 60_000);
  expect(await first.sentient.handle(id).result()).toBe("done");
});

describe("code that has changed under its version in branches", () => {
  const branches =
    (names: readonly string[]): Handler =>
    async (ctx) => {
      await ctx.map(names, (c, name) => c.step(name, () => name));
      await ctx.sleep(60_000);
      return "done";
    };

  test("parks its run with what is not asked for any more", async () => {
    const first = await freshProcess({ workflows: [flowOf("1", branches(["a", "b", "c"]))] });
    const { id } = await first.sentient.start("flow");
    await played(first);
    await later(
      await processOn(first.db, first.clock, { workflows: [flowOf("1", branches(["a", "x"]))] }),
      60_000,
    );
    const failure = await failureOf(() => first.sentient.handle(id).result());
    expect(failure).toMatchObject({ code: "agent.run_parked", details: { parkedFor: "journal_mismatch" } });
    expect(failure.message).toMatch(/main\/map#1\.[12]\/[bc]#1/);
  });

  test("control: code that does something else before it asks is the same code", async () => {
    const slow: Handler = async (ctx) => {
      const [a] = await Promise.all([
        (async () => {
          const first = await ctx.step("a", () => 1);
          await ctx.step("b", () => 2);
          return first;
        })(),
        (async () => {
          await new Promise((resolve) => setTimeout(resolve, 30)); // as an import would, that comes from a disk
          await ctx.step("c", () => 3);
        })(),
      ]);
      await ctx.sleep(60_000);
      await ctx.step("d", () => 4);
      return a;
    };
    const first = await freshProcess({ workflows: [flowOf("1", slow)] });
    const { id } = await first.sentient.start("flow");
    await played(first);
    await later(await processOn(first.db, first.clock, { workflows: [flowOf("1", slow)] }), 60_000);
    expect(await first.sentient.handle(id).result()).toBe(1);
    expect(await storyOf(first.sentient, id)).not.toContain("run.mismatched");
  });
});
