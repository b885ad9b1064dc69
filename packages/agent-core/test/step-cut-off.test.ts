// Steps that take too long, whose code has changed, or whose process dies.

import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineWorkflow, type StepContext } from "../src/index.ts";
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
} from "./support/fresh.ts";

describe("a step that takes too long", () => {
  test("is aborted at its time, and has failed; it is tried again like one that fails otherwise", async () => {
    const aborted: string[] = [];
    const reached = [gate(), gate()];
    const flow = defineWorkflow({
      name: "flow",
      run: async (ctx) =>
        ctx.step(
          "slow",
          async ({ signal, attempt }) => {
            signal.addEventListener("abort", () => aborted.push((signal.reason as { code: string }).code));
            await reached[attempt - 1]!.pass(); // never opened: it does not listen
          },
          { timeout: 5_000, retry: { attempts: 2, delay: 0 } },
        ),
    });
    const process = await freshProcess({ workflows: [flow] });
    const handle = await process.sentient.start(flow);
    const playing = played(process);
    await reached[0]!.reached;
    await process.clock.advance(5_000);
    await reached[1]!.reached;
    await process.clock.advance(5_000);
    await playing;
    expect(await failureOf(() => handle.result())).toMatchObject({ code: "agent.step_timeout" });
    expect(aborted).toEqual(["agent.step_timeout", "agent.step_timeout"]);
  });

  test("of a second is told of while it goes on, and then remembered like any other", async () => {
    const slow = gate<string>();
    const flow = defineWorkflow({ name: "flow", run: (ctx) => ctx.step("slow", slow.pass) });
    const sentient = await fresh({ workflows: [flow] });
    const handle = await sentient.start(flow);
    const told = [];
    for await (const { type } of handle.events()) {
      told.push(type);
      if (type === "step.started") slow.open("at last");
    }
    expect(told).toEqual(["run.queued", "run.started", "step.started", "step.completed", "run.completed"]);
    expect(await handle.result()).toBe("at last");
  });
});

describe("a step whose code has changed", () => {
  const flow = (name: string, input: number) =>
    defineWorkflow({
      name: "flow",
      run: async (ctx) => {
        await ctx.step(name, () => 1, { input });
        await ctx.sleep(60_000);
        return "done";
      },
    });

  test.each([
    ["works on something else", flow("a", 2)],
    ["has another name", flow("b", 1)],
  ])("and %s parks its run, which goes on once it is put back", async (_, changed) => {
    const first = await freshProcess({ workflows: [flow("a", 1)] });
    const { id } = await first.sentient.start("flow");
    await played(first);
    await first.clock.advance(60_000);
    const second = await processOn(first.db, first.clock, { workflows: [changed] });
    await played(second);
    expect(await first.sentient.get(id)).toMatchObject({ status: "parked", parkedFor: "journal_mismatch" });
    expect(await failureOf(() => first.sentient.handle(id).result())).toMatchObject({
      code: "agent.run_parked",
    });
    await first.sentient.resume(id);
    await played(first);
    expect(await first.sentient.handle(id).result()).toBe("done"); // control: the same code does go on
  });
});

describe("a crash", () => {
  const ledger = z.object({ n: z.number().default(0) });

  test.each([
    ["before", 2],
    ["after", 1],
  ] as const)("%s a step is remembered does it %i times, and remembers one result", async (when, times) => {
    let done = 0;
    const flow = defineWorkflow({
      name: "flow",
      state: ledger,
      run: async (ctx) => {
        const n = await ctx.step("count", () => {
          ctx.state.n++;
          return ++done;
        });
        return { n, state: ctx.state.n };
      },
    });
    const first = await freshProcess({ workflows: [flow] });
    const { id } = await first.sentient.start(flow);
    const { dead } = dies(first, { at: 1, when });
    void played(first);
    await dead;
    const second = await processOn(first.db, first.clock, { workflows: [flow] });
    expect(await later(second, LEASE_MS - 1)).toBe(0); // control: not before its lease has run out
    await later(second, 1);
    expect(await second.sentient.handle(id).result()).toEqual({ n: times, state: 1 });
    expect(done).toBe(times);
  });

  test("counts its attempts across a crash of its process", async () => {
    const attempts: string[] = [];
    const hang = gate();
    const flowIn = (name: string, work: (step: StepContext) => unknown) =>
      defineWorkflow({
        name: "flow",
        run: async (ctx) =>
          ctx.step(
            "flaky",
            (step) => {
              attempts.push(`${name} ${step.attempt}`);
              return work(step);
            },
            { retry: { attempts: 3, delay: 60_000 } },
          ),
      });
    const fails = () => {
      throw new Error("not yet");
    };
    const first = await freshProcess({
      workflows: [flowIn("first", (s) => (s.attempt > 1 ? hang.pass() : fails()))],
    });
    const handle = await first.sentient.start("flow");
    await played(first);
    await first.clock.advance(90_000);
    void played(first);
    await hang.reached; // and it is never heard of again
    const second = await processOn(first.db, first.clock, { workflows: [flowIn("second", fails)] });
    await later(second, LEASE_MS);
    await later(second, 180_000);
    expect(attempts).toEqual(["first 1", "first 2", "second 2", "second 3"]);
    expect(await failureOf(() => handle.result())).toMatchObject({ message: "not yet" });
  });
});
