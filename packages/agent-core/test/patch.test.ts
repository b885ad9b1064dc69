// Patches: code that came later, for runs that come to it, and not for those that have gone past it.

import { describe, expect, test } from "vitest";
import { defineWorkflow, type Context } from "../src/index.ts";
import { codeOf, failureOf, freshProcess, later, played, processOn } from "./support/fresh.ts";

const flowOf = (run: (ctx: Context<undefined>) => Promise<unknown>) =>
  defineWorkflow({ name: "flow", retry: { attempts: 1 }, run });

describe("a patch", () => {
  const flowWith = (run: (ctx: Context<undefined>) => Promise<unknown>) => flowOf(run);
  const before = flowWith(async (ctx) => {
    await ctx.step("a", () => 1);
    await ctx.sleep(60_000);
    return "old";
  });
  const after = flowWith(async (ctx) => {
    const isNew = await ctx.patch("new");
    if (isNew) await ctx.step("new", () => 1);
    await ctx.step("a", () => 1);
    await ctx.sleep(60_000);
    return isNew ? "new" : "old";
  });

  test("is for runs that come to it with the code that has it, and stays so", async () => {
    const first = await freshProcess({ workflows: [before] });
    const old = await first.sentient.start(before);
    await played(first);
    const second = await processOn(first.db, first.clock, { workflows: [after] });
    const young = await second.sentient.start(after);
    await played(second);
    await later(await processOn(first.db, first.clock, { workflows: [after] }), 60_000);
    expect([await old.result(), await young.result()]).toEqual(["old", "new"]);
  });

  test("control: the same code without it is another, and parks its run", async () => {
    const unguarded = flowWith(async (ctx) => {
      await ctx.step("new", () => 1);
      await ctx.step("a", () => 1);
      await ctx.sleep(60_000);
    });
    const first = await freshProcess({ workflows: [before] });
    const old = await first.sentient.start(before);
    await played(first);
    await later(await processOn(first.db, first.clock, { workflows: [unguarded] }), 60_000);
    expect(await codeOf(() => old.result())).toBe("agent.run_parked");
    expect(await failureOf(() => old.result())).toMatchObject({ details: { parkedFor: "journal_mismatch" } });
  });

  test("within a branch goes by what that branch remembers", async () => {
    const run = (isPatched: boolean) =>
      flowWith(async (ctx) =>
        ctx.all({
          busy: async (c) => {
            for (const name of ["a", "b", "c"]) await c.step(name, () => 1);
            await c.sleep(60_000);
          },
          late: async (c) => {
            await c.sleep(30_000);
            const isNew = isPatched && (await c.patch("new"));
            await c.step("after", () => 1);
            return isNew;
          },
        }),
      );
    const first = await freshProcess({ workflows: [run(false)] });
    const handle = await first.sentient.start("flow");
    await played(first);
    const second = await processOn(first.db, first.clock, { workflows: [run(true)] });
    await later(second, 30_000);
    await later(second, 30_000);
    expect(await handle.result()).toMatchObject({ late: true });
  });
});
