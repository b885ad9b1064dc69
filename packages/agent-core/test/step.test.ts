// Steps: done once as far as can be, tried again as their policy says, and remembered as JSON.

import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineAgent, defineWorkflow, NonRetryable, type Context } from "../src/index.ts";
import {
  eventsOf,
  failureOf,
  fresh,
  freshProcess,
  gate,
  later,
  played,
  processOn,
  storyOf,
} from "./support/fresh.ts";

const NOW = { delay: 0, attempts: 3 };

/** Whatever it throws, as a handler sees it. */
const caught = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: Error & { code?: string }) => error,
  );

describe("a step", () => {
  test("that is remembered is not done again, and answers what it did, as JSON, both times", async () => {
    let done = 0;
    const seen: unknown[] = [];
    const flow = defineWorkflow({
      name: "flow",
      run: async (ctx) => {
        const value = await ctx.step("make", () => ({
          n: ++done,
          b: 1,
          a: undefined,
          deep: [{ z: -0 }, undefined],
        }));
        const nothing = await ctx.step("nothing", () => {});
        seen.push(JSON.stringify([value, nothing]));
        await ctx.sleep(60_000);
        return value;
      },
    });
    const process = await freshProcess({ workflows: [flow] });
    const handle = await process.sentient.start(flow);
    await played(process);
    await later(process, 60_000);
    expect(await handle.result()).toEqual({ n: 1, b: 1, deep: [{ z: 0 }, null] });
    expect(done).toBe(1);
    const asJson = '[{"b":1,"deep":[{"z":0},null],"n":1},null]';
    expect(seen).toEqual([asJson, asJson]);
  });

  test("of one name and another is told apart by how often the name was said", async () => {
    const flow = defineWorkflow({
      name: "flow",
      run: async (ctx) => [await ctx.step("a", () => 1), await ctx.step("a", () => 2), ctx.key],
    });
    const sentient = await fresh({ workflows: [flow] });
    const handle = await sentient.start(flow);
    expect(await handle.result()).toEqual([1, 2, `${handle.id}/main`]);
    const journal = await sentient.state.journal(handle.id);
    expect([...journal.keys()]).toEqual(["main/a#1", "main/a#2"]);
  });

  test("with a name that cannot be one, or an option that is not known, fails where it is asked for", async () => {
    const flow = defineWorkflow({
      name: "flow",
      run: async (ctx) => [
        (await caught(ctx.step("no spaces", () => 1)))?.code,
        (await caught(ctx.step("a", () => 1, { retries: 3 } as never)))?.code,
        (await caught(ctx.step("a", () => 1, { timeout: 0 })))?.code,
      ],
    });
    const sentient = await fresh({ workflows: [flow] });
    expect(await sentient.execute(flow)).toEqual([
      "agent.bad_option",
      "agent.bad_option",
      "agent.bad_option",
    ]);
  });

  test("that gives what is no JSON, or too much of it, fails at once and for good", async () => {
    let tries = 0;
    const flow = defineWorkflow({
      name: "flow",
      retry: NOW,
      run: async (ctx) => {
        const map = await caught(ctx.step("map", () => (tries++, { at: new Map() })));
        const large = await caught(ctx.step("large", () => (tries++, "x".repeat(1_100_000))));
        return [map?.name, map?.message, large?.code];
      },
    });
    const sentient = await fresh({ workflows: [flow] });
    const [name, message, code] = (await sentient.execute(flow)) as string[];
    expect([name, code, tries]).toEqual(["NonRetryable", "schema.limit", 2]);
    expect(message).toContain("at: a Map is no JSON");
  });

  test("gets an idempotency key that is the same at each attempt, or one of its own", async () => {
    const keys: string[] = [];
    const flow = defineWorkflow({
      name: "flow",
      retry: NOW,
      run: async (ctx) => {
        await ctx.step("charge", ({ idempotencyKey, attempt }) => {
          keys.push(idempotencyKey);
          if (attempt < 3) throw new Error("not yet");
        });
        await ctx.step("own", ({ idempotencyKey }) => void keys.push(idempotencyKey), {
          idempotencyKey: "order-1",
        });
      },
    });
    const sentient = await fresh({ workflows: [flow] });
    const { id } = await sentient.start(flow);
    await sentient.handle(id).result();
    const key = `${id}/main/charge#1`;
    expect(keys).toEqual([key, key, key, "order-1"]);
  });

  test("that asks for more of its run while it works is told to do so before or after", async () => {
    const flow = defineWorkflow({
      name: "flow",
      retry: { attempts: 1 },
      run: async (ctx) => {
        const within = (work: (ctx: Context<undefined>) => unknown) =>
          caught(ctx.step("outer", async () => work(ctx))).then((error) => error?.code);
        return [
          await within((c) => c.step("inner", () => 1)),
          await within((c) => c.sleep(1)),
          await within((c) => c.waitFor("go")),
          await within((c) => c.call("other")),
          await within((c) => c.emit("custom")),
          await within((c) => c.all([])),
          await within((c) => c.race({ a: async () => 1 })),
          await within((c) => c.map([1], async () => 1)),
          await within((c) => c.compensate("undo", () => {})),
          (await within((c) => [c.random(), c.uuid(), c.now(), c.state, c.log.info("is well")].length)) ??
            "is well",
        ];
      },
    });
    const sentient = await fresh({ workflows: [flow] });
    expect(await sentient.execute(flow)).toEqual([
      ...Array.from({ length: 9 }, () => "agent.nested"),
      "is well",
    ]);
  });

  test("sees what it waits for pass while another step goes on for long", async () => {
    const slow = gate<string>();
    const flow = defineWorkflow({
      name: "flow",
      run: async (ctx) =>
        ctx.race({
          work: (branch) => branch.step("slow", slow.pass),
          time: async (branch) => {
            await branch.sleep(30_000);
            return "time is up";
          },
        }),
    });
    const process = await freshProcess({ workflows: [flow] });
    const handle = await process.sentient.start(flow);
    const playing = played(process);
    await slow.reached;
    await process.clock.advance(30_000);
    await playing;
    expect(await handle.result()).toEqual({ winner: "time", value: "time is up" });
  });
});

describe("a step that fails", () => {
  test("is tried again at once where that is soon, and let go of where it is not", async () => {
    const attempts: number[] = [];
    const flow = defineWorkflow({
      name: "flow",
      run: async (ctx) =>
        ctx.step(
          "flaky",
          ({ attempt }) => {
            attempts.push(attempt);
            if (attempt < 3) throw new Error("not yet");
            return "done";
          },
          { retry: { attempts: 3, delay: 60_000, factor: 1 } },
        ),
    });
    const process = await freshProcess({ workflows: [flow] });
    const handle = await process.sentient.start(flow);
    await played(process);
    expect(await process.sentient.explain(handle.id)).toMatchObject([
      { code: "waits_for_retry", step: "main/flaky#1" },
    ]);
    expect(attempts).toEqual([1]);
    await later(process, 29_000); // half of the delay is the least
    expect(attempts).toEqual([1]);
    for (let i = 0; i < 2; i++) await later(process, 90_000);
    expect(attempts).toEqual([1, 2, 3]);
    expect(await handle.result()).toBe("done");
    const failed = (await eventsOf(process.sentient, handle.id)).filter(({ type }) => type === "step.failed");
    expect(failed.map(({ data }) => data)).toMatchObject([
      { attempt: 1, retryAt: expect.any(String) as string },
      { attempt: 2, retryAt: expect.any(String) as string },
    ]);
  });

  test("in real time is tried again without letting go of the run", async () => {
    const flow = defineWorkflow({
      name: "flow",
      run: async (ctx) =>
        ctx.step(
          "flaky",
          ({ attempt }) => {
            if (attempt < 3) throw new Error("not yet");
            return attempt;
          },
          { retry: { delay: 20, factor: 1 } },
        ),
    });
    const sentient = await fresh({ workflows: [flow] });
    const handle = await sentient.start(flow);
    expect(await handle.result()).toBe(3);
    expect((await storyOf(sentient, handle.id)).filter((type) => type.startsWith("run."))).toEqual([
      "run.queued",
      "run.started",
      "run.completed",
    ]);
  });

  test("with what is not to be tried again is not", async () => {
    let tries = 0;
    const throwing = (error: Error) =>
      defineAgent({
        name: "throwing",
        retry: NOW,
        run: (ctx) =>
          ctx.step("once", () => {
            tries++;
            throw error;
          }),
      });
    for (const error of [
      new NonRetryable("the card is stolen", { cause: new Error("code 7") }),
      Object.assign(new Error("the card is stolen"), { retryable: false }),
      Object.assign(new Error("the card is stolen"), { name: "NonRetryable" }),
    ]) {
      tries = 0;
      const agent = throwing(error);
      const sentient = await fresh({ agents: [agent] });
      const failure = await failureOf(() => sentient.execute(agent));
      expect(failure.message).toContain("the card is stolen");
      expect(tries).toBe(1);
    }
    tries = 0;
    const agent = throwing(new Error("control: any other is"));
    await failureOf(async () => (await fresh({ agents: [agent] })).execute(agent));
    expect(tries).toBe(3);
  });

  test("fails with the same name, message, code, cause and stack, the first time and in another process", async () => {
    class OutOfStock extends Error {
      readonly code = "shop.out_of_stock";
      override get name() {
        return "OutOfStock";
      }
    }
    const seen: Partial<Record<"name" | "message" | "code" | "stack" | "cause", unknown>>[] = [];
    const flow = defineWorkflow({
      name: "flow",
      retry: { attempts: 1 },
      run: async (ctx) => {
        const error = await caught(
          ctx.step("buy", () => {
            throw new OutOfStock("no more of it", { cause: new RangeError("-1 left") });
          }),
        );
        const { name, message, code, stack, cause } = error!;
        seen.push({ name, message, code, stack, cause });
        await ctx.sleep(60_000);
        throw error!;
      },
    });
    const first = await freshProcess({ workflows: [flow] });
    const handle = await first.sentient.start(flow);
    await played(first);
    const second = await processOn(first.db, first.clock, { workflows: [flow] });
    await later(second, 60_000);
    expect(seen[0]).toEqual({
      name: "OutOfStock",
      message: "no more of it",
      cause: expect.objectContaining({ name: "RangeError", message: "-1 left" }) as object,
      code: "shop.out_of_stock",
      stack: expect.stringContaining("step.test.ts") as string,
    });
    expect(seen[1]).toEqual(seen[0]);
    const failure = await failureOf(() => second.sentient.handle(handle.id).result());
    expect(failure).toMatchObject({ ...seen[0], failure: { retryable: false } });
  });

  test("tells nothing of what its run calls secret, nor of what looks so", async () => {
    const agent = defineAgent({
      name: "careless",
      retry: { attempts: 1 },
      input: z.object({ user: z.string(), pin: z.string() }),
      secrets: ["pin"],
      run: (ctx, { user, pin }) =>
        ctx.step("enter", () => {
          throw new Error(`${user} may not enter with ${pin}`, {
            cause: new Error("401 for Bearer abcdef0123456789"),
          });
        }),
    });
    const sentient = await fresh({ agents: [agent] });
    const handle = await sentient.start(agent, { user: "ada", pin: "4711-0815-23" });
    const failure = await failureOf(() => handle.result());
    expect(failure).toMatchObject({
      message: "ada may not enter with [redacted]",
      cause: { message: "401 for Bearer [redacted]" },
    });
    const { events } = await sentient.events.history({ run: handle.id, types: ["step.*", "run.failed"] });
    const told = JSON.stringify(events);
    expect(told).toContain("may not enter");
    for (const secret of ["4711-0815-23", "abcdef0123456789"]) expect(told).not.toContain(secret);
  });
});
