// What is asked of a run from outside, as its handler hears it: cancels, pauses, and the time it may take.

import { describe, expect, test } from "vitest";
import { defineAgent, defineWorkflow, type Context, type Sentient } from "../src/index.ts";
import {
  codeOf,
  failureOf,
  fresh,
  freshProcess,
  gate,
  later,
  played,
  processOn,
  storyOf,
} from "./support/fresh.ts";

const flowOf = (run: (ctx: Context<undefined>) => Promise<unknown>, options: { timeout?: number } = {}) =>
  defineWorkflow({ name: "flow", retry: { attempts: 1 }, run, ...options });

describe("a cancel", () => {
  test("is thrown at whatever the handler waits for or begins, and aborts its signal", async () => {
    const heard: string[] = [];
    const begun = gate();
    const flow = flowOf(async (ctx) => {
      ctx.signal.addEventListener("abort", () => heard.push("aborted"));
      const see = (error: { code: string }) => void heard.push(error.code);
      await ctx
        .all([(c) => c.waitFor("never").catch(see), (c) => c.step("slow", begun.pass).catch(see)])
        .catch(see);
      await ctx.step("after", () => heard.push("never")).catch(see);
      return "done";
    });
    const sentient = await fresh({ workflows: [flow] });
    const handle = await sentient.start(flow);
    await begun.reached;
    await sentient.cancel(handle.id, { by: "ada", reason: "enough" });
    expect(await failureOf(() => handle.result())).toMatchObject({ code: "agent.run_cancelled" });
    expect(heard[0]).toBe("aborted");
    expect(new Set(heard)).toEqual(new Set(["aborted", "agent.cancelled"]));
    const story = await storyOf(sentient, handle.id);
    expect(story.at(-1)).toBe("run.cancelled");
    expect(story).not.toContain("step.completed");
  });

  test("of a run that waits in its queue ends it before it begins", async () => {
    let begun = 0;
    const process = await freshProcess({ workflows: [flowOf(async () => ++begun)] });
    const handle = await process.sentient.start("flow");
    await process.sentient.cancel(handle.id);
    expect(await played(process)).toBe(0);
    expect(await codeOf(() => handle.result())).toBe("agent.run_cancelled");
    expect(begun).toBe(0);
  });

  test("of a run that is over is refused, unless it was cancelled", async () => {
    const sentient = await fresh({ workflows: [flowOf(async () => 1)] });
    const handle = await sentient.start("flow");
    await handle.result();
    expect(await codeOf(() => sentient.cancel(handle.id))).toBe("state.illegal_transition");
    expect(await handle.status()).toBe("completed");
  });
});

describe("a pause", () => {
  test("lets the step that goes on end, begins no other, and goes on from there when it is resumed", async () => {
    const done: string[] = [];
    const hold = gate();
    const flow = flowOf(async (ctx) => {
      await ctx.step("one", async () => {
        await hold.pass();
        done.push("one");
      });
      await ctx.step("two", () => void done.push("two"));
      return "done";
    });
    const sentient = await fresh({ workflows: [flow] });
    const handle = await sentient.start(flow);
    await hold.reached;
    await sentient.pause(handle.id, { by: "ada", reason: "lunch" });
    hold.open();
    for await (const { type } of handle.events()) if (type === "run.paused") break;
    expect(done).toEqual(["one"]);
    expect(await sentient.explain(handle.id)).toMatchObject([{ code: "paused", by: "ada" }]);
    await sentient.resume(handle.id);
    expect(await handle.result()).toBe("done");
    expect(done).toEqual(["one", "two"]);
  });

  test("of a run that waits keeps what comes meanwhile, in whichever process it is resumed", async () => {
    const flow = flowOf(async (ctx) => [await ctx.waitFor("go"), await ctx.sleep(1_000)]);
    const first = await freshProcess({ workflows: [flow] });
    const { sentient } = first;
    const handle = await sentient.start(flow);
    await played(first);
    await sentient.pause(handle.id);
    await sentient.signal(handle.id, "go", "went");
    expect(await later(first, 60_000)).toBe(0);
    const second = await processOn(first.db, first.clock, { workflows: [flow] });
    await second.sentient.resume(handle.id);
    await played(second);
    await later(second, 1_000);
    expect(await handle.result()).toEqual(["went", null]);
  });
});

describe("the time a run may take", () => {
  test.each([
    ["its definition says", { timeout: 60_000 }, {}],
    ["who starts it says", {}, { deadline: 60_000 }],
    ["who starts it says as a time", {}, { deadline: new Date(Date.UTC(2026, 0, 1) + 60_000) }],
  ])("as %s is over while it waits: it is cancelled then, and not before", async (_, options, started) => {
    const process = await freshProcess({ workflows: [flowOf((ctx) => ctx.waitFor("never"), options)] });
    const handle = await process.sentient.start("flow", null, started);
    await played(process);
    await later(process, 59_999);
    expect(await handle.status()).toBe("waiting");
    await later(process, 1);
    expect(await failureOf(() => handle.result())).toMatchObject({
      code: "agent.run_cancelled",
      message: expect.stringContaining("deadline") as string,
    });
  });

  test.each<[string, (at: Sentient, run: string) => Promise<unknown>]>([
    ["it is paused", (at, run) => at.pause(run)],
    ["its agent is paused", (at) => at.agents.pause("flow")],
  ])("is over although %s", async (_, hold) => {
    const process = await freshProcess({ workflows: [flowOf((ctx) => ctx.waitFor("never"))] });
    const handle = await process.sentient.start("flow", null, { deadline: 60_000 });
    await played(process);
    await hold(process.sentient, handle.id);
    await later(process, 61_000); // workers sweep once a second
    expect(await failureOf(() => handle.result())).toMatchObject({
      code: "agent.run_cancelled",
      message: expect.stringContaining("deadline") as string,
    });
  });

  test("is over while it works: its step is aborted", async () => {
    const hold = gate();
    let reason: unknown;
    const flow = flowOf(
      (ctx) =>
        ctx.step("slow", async ({ signal }) => {
          signal.addEventListener("abort", () => (reason = (signal.reason as { code: string }).code));
          await hold.pass();
        }),
      { timeout: 10_000 },
    );
    const { sentient, worker, clock } = await freshProcess({ workflows: [flow] });
    const handle = await sentient.start(flow);
    await worker.start();
    await hold.reached;
    await clock.advance(10_000);
    expect(await codeOf(() => handle.result())).toBe("agent.run_cancelled");
    expect(reason).toBe("agent.cancelled");
  });

  test("counts for those that are called and those that a schedule starts as well", async () => {
    const sitting = defineAgent({ name: "sitting", timeout: 60_000, run: (ctx) => ctx.waitFor("never") });
    const flow = flowOf((ctx) => ctx.call(sitting).catch((error: { code: string }) => error.code));
    const process = await freshProcess({ agents: [sitting], workflows: [flow] });
    const handle = await process.sentient.start(flow);
    await played(process);
    await process.sentient.schedules.put("hourly", sitting, null, { cron: "0 * * * *" });
    await later(process, 60_000);
    await played(process);
    expect(await handle.result()).toBe("agent.run_cancelled");
    await later(process, 3_600_000);
    await later(process, 60_000);
    const { runs } = await process.sentient.list({ name: "sitting" });
    expect(runs.map(({ status }) => status)).toEqual(["cancelled", "cancelled"]);
  });
});

describe("what a handler begins and does not wait for", () => {
  test("is cut off when it ends", async () => {
    const hold = gate();
    let signal: AbortSignal | undefined;
    const flow = flowOf(async (ctx) => {
      void ctx.step("dangling", (step) => {
        signal = step.signal;
        return hold.pass();
      });
      void ctx.waitFor("never");
      await ctx.step("awaited", () => hold.reached);
      return "done";
    });
    const sentient = await fresh({ workflows: [flow] });
    expect(await sentient.execute(flow)).toBe("done");
    expect(signal?.aborted).toBe(true);
  });
});
