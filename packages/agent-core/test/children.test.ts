// Runs that runs start: once each, whoever dies meanwhile, and with what became of them.

import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineAgent, defineWorkflow, type Context } from "../src/index.ts";
import { dies, failureOf, fresh, freshProcess, later, LEASE_MS, played, processOn } from "./support/fresh.ts";

const double = defineAgent({
  name: "double",
  input: z.object({ n: z.number() }),
  output: z.number(),
  run: (ctx, { n }) => ctx.step("double", () => n * 2),
});
const sitting = defineAgent({ name: "sitting", run: (ctx) => ctx.waitFor("go") });
const failing = defineAgent({
  name: "failing",
  run: async () => {
    throw Object.assign(new RangeError("out of range"), { code: "it.failed" });
  },
});
const agents = [double, sitting, failing];
const flowOf = (run: (ctx: Context<undefined>) => Promise<unknown>) => defineWorkflow({ name: "flow", run });

describe("a call", () => {
  test("gives what the other run gives, by definition or by name, and is that run's parent", async () => {
    const flow = flowOf(async (ctx) => [
      await ctx.call(double, { n: 2 }),
      await ctx.call("double", { n: 3 }),
    ]);
    const sentient = await fresh({ agents, workflows: [flow] });
    const handle = await sentient.start(flow, undefined, { correlation: "order-1", priority: 7 });
    expect(await handle.result()).toEqual([4, 6]);
    const { runs } = await sentient.list({ parent: handle.id });
    expect(runs.map(({ parentStep }) => String(parentStep)).toSorted()).toEqual([
      "main/double#1",
      "main/double#2",
    ]);
    for (const run of runs)
      expect(run).toMatchObject({
        root: handle.id,
        correlation: "order-1",
        priority: 7,
        kind: "task",
        status: "completed",
      });
  });

  test("holds no worker while it waits, and is woken by the other's end in another process", async () => {
    const flow = flowOf(async (ctx) => ctx.call(sitting));
    const first = await freshProcess({ workflows: [flow] });
    const handle = await first.sentient.start(flow);
    await played(first);
    expect(first.worker.running).toBe(0);
    const [reason] = await first.sentient.explain(handle.id);
    expect(reason).toMatchObject({ code: "waits_for_run", step: "main/sitting#1" });
    const second = await processOn(first.db, first.clock, { agents });
    await played(second);
    await second.sentient.signal(reason!.awaited!, "go", 5);
    await played(second);
    await played(first);
    expect(await handle.result()).toBe(5);
  });

  test("takes options of its own, and refuses those that are not known", async () => {
    const flow = flowOf(async (ctx) => {
      await ctx.call(double, { n: 1 }, { name: "once", tags: ["small"], priority: -5 });
      return ctx.call(double, { n: 1 }, { key: "k" } as never).catch((error: { code: string }) => error.code);
    });
    const sentient = await fresh({ agents, workflows: [flow] });
    const handle = await sentient.start(flow);
    expect(await handle.result()).toBe("agent.bad_option");
    const { runs } = await sentient.list({ parent: handle.id });
    expect(runs).toMatchObject([{ parentStep: "main/once#1", tags: ["small"], priority: -5 }]);
  });

  test("fails as the other run fails, and where that is cancelled, and where its input does not fit", async () => {
    const seen: unknown[] = [];
    const flow = flowOf(async (ctx) => {
      const see = (error: Error & { code?: string }) => seen.push([error.name, error.message, error.code]);
      await ctx.call(failing).catch(see);
      await ctx.call(double, { n: "1" } as never).catch(see);
      await ctx.call(sitting).catch(see);
      throw new Error("seen");
    });
    const process = await freshProcess({ agents, workflows: [flow] });
    const { sentient } = process;
    const handle = await sentient.start(flow);
    await played(process);
    const { runs } = await sentient.list({ parent: handle.id, name: "sitting" });
    await sentient.cancel(runs[0]!.id, { reason: "no need" });
    seen.length = 0;
    await played(process);
    expect(await failureOf(() => handle.result())).toMatchObject({ message: "seen" });
    expect(seen).toEqual([
      ["RangeError", "out of range", "it.failed"],
      ["AgentError", expect.stringContaining("n: ") as string, "agent.invalid_input"],
      ["RunCancelled", expect.stringContaining("no need") as string, "agent.run_cancelled"],
    ]);
  });

  test.each([
    [1, "before"],
    [1, "after"],
    [2, "before"],
    [2, "after"],
  ] as const)("is made once, though its process dies at its commit %i, %s it", async (at, when) => {
    const flow = flowOf(async (ctx) => {
      await ctx.step("first", () => 1);
      return ctx.call(double, { n: 4 });
    });
    const first = await freshProcess({ agents: [sitting], workflows: [flow] }); // which cannot do it itself
    const handle = await first.sentient.start(flow);
    const { dead } = dies(first, { at, when });
    const playing = played(first);
    await Promise.race([dead, playing]);
    const second = await processOn(first.db, first.clock, { agents, workflows: [flow] });
    await later(second, LEASE_MS);
    await played(second);
    expect(await handle.result()).toBe(8);
    expect((await second.sentient.list({ parent: handle.id })).runs).toHaveLength(1);
  });
});

describe("a name that this process does not have", () => {
  test("is started as whoever has it has registered it last: in that version, in that queue", async () => {
    const old = defineAgent({ name: "remote", version: "1", run: async () => "old" });
    const remote = defineAgent({ name: "remote", version: "2", queue: "far", run: async () => "new" });
    const flow = flowOf(async (ctx) => ctx.call("remote"));
    const first = await freshProcess({ workflows: [flow] });
    const second = await processOn(first.db, first.clock, { agents: [old, remote] });
    await second.clock.advance(1_000);
    await played(second); // and so registers
    const handle = await first.sentient.start(flow);
    const alone = await first.sentient.start("remote");
    await played(first);
    await played(second);
    await played(first);
    expect(await handle.result()).toBe("new");
    expect(await alone.result()).toBe("new");
  });

  test("and nobody has registered waits for who does", async () => {
    const process = await freshProcess();
    const handle = await process.sentient.start("unheard");
    await played(process);
    expect(await process.sentient.explain(handle.id)).toMatchObject([{ code: "no_worker" }]);
    const other = await processOn(process.db, process.clock, {
      agents: [defineAgent({ name: "unheard", run: async () => "heard" })],
    });
    await played(other);
    expect(await handle.result()).toBe("heard");
  });
});

describe("a run that is spawned", () => {
  test("goes on beside its parent, whose handle waits for it as often as it is asked", async () => {
    const flow = flowOf(async (ctx) => {
      const child = await ctx.spawn(sitting);
      const before = await ctx.step("before", () => "before");
      const results = await Promise.all([child.result(), child.result()]);
      return [before, ...results, await child.result(), child.id];
    });
    const process = await freshProcess({ agents, workflows: [flow] });
    const { sentient } = process;
    const handle = await sentient.start(flow);
    await played(process);
    const { runs } = await sentient.list({ parent: handle.id });
    await sentient.signal(runs[0]!.id, "go", "went");
    await played(process);
    expect(await handle.result()).toEqual(["before", "went", "went", "went", runs[0]!.id]);
  });

  test("outlives a parent that completes", async () => {
    const flow = flowOf(async (ctx) => (await ctx.spawn(sitting)).id);
    const process = await freshProcess({ agents, workflows: [flow] });
    const handle = await process.sentient.start(flow);
    await played(process);
    const child = (await handle.result()) as string;
    expect(await process.sentient.get(child)).toMatchObject({ status: "waiting" });
  });
});

describe("a cancelled run", () => {
  test("cancels what it has started, and what that has, but for what is to be left", async () => {
    const middle = defineAgent({ name: "middle", run: (ctx) => ctx.call(sitting) });
    const flow = flowOf(async (ctx) => {
      await ctx.spawn(sitting, undefined, { name: "spawned" });
      await ctx.spawn(sitting, undefined, { name: "left", onCancel: "leave" });
      return ctx.call(middle);
    });
    const process = await freshProcess({ agents: [...agents, middle], workflows: [flow] });
    const { sentient } = process;
    const handle = await sentient.start(flow);
    const other = await sentient.start(flow); // control: another tree is none of its business
    await played(process);
    await sentient.cancel(handle.id, { by: "ada", reason: "enough" });
    await played(process);
    expect(await failureOf(() => handle.result())).toMatchObject({
      code: "agent.run_cancelled",
      message: expect.stringContaining("enough") as string,
    });
    const statusesOf = async (root: string) =>
      (await sentient.list({ root, limit: 10 })).runs.map(
        (run) => `${run.parentStep ?? "root"} ${run.status}`,
      );
    expect((await statusesOf(handle.id)).toSorted()).toEqual([
      "main/left#1 waiting",
      "main/middle#1 cancelled",
      "main/sitting#1 cancelled",
      "main/spawned#1 cancelled",
      "root cancelled",
    ]);
    expect((await statusesOf(other.id)).filter((each) => !each.endsWith("waiting"))).toEqual([]);
    expect(await sentient.cancel(handle.id)).toMatchObject({ status: "cancelled" }); // once more changes nothing
  });
});
