// Parts of a run beside each other: in whatever order they come to an end, and in whichever process.

import { setImmediate as turn } from "node:timers/promises";
import { until } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { defineAgent, defineWorkflow, type Context } from "../src/index.ts";
import {
  codeOf,
  failureOf,
  fresh,
  freshProcess,
  gate,
  later,
  played,
  processOn,
  type Process,
} from "./support/fresh.ts";

const flowOf = (run: (ctx: Context<undefined>) => Promise<unknown>) =>
  defineWorkflow({ name: "flow", retry: { attempts: 1 }, run });

/** A run that goes on in another process each time. */
async function startedIn(flow: ReturnType<typeof flowOf>) {
  const first = await freshProcess({ workflows: [flow] });
  const handle = await first.sentient.start(flow);
  const next = (): Promise<Process> => processOn(first.db, first.clock, { workflows: [flow] });
  return { first, handle, next };
}

describe("all", () => {
  test("gives the answers by name or in order, of none too", async () => {
    const flow = flowOf(async (ctx) => [
      await ctx.all({ b: async () => 1, a: (c) => c.step("s", () => 2) }),
      await ctx.all([(c) => c.step("s", () => 3), async () => 4]),
      await ctx.all([]),
      await ctx.all({}),
      await ctx.map([], async () => 1),
    ]);
    const sentient = await fresh({ workflows: [flow] });
    expect(await sentient.execute(flow)).toEqual([{ a: 2, b: 1 }, [3, 4], [], {}, []]);
  });

  test("fails with the first failure, ends the others, and does none of it again", async () => {
    const slow = gate();
    const done: string[] = [];
    let aborted = false;
    const { first, handle, next } = await startedIn(
      flowOf(async (ctx) => {
        const error = await ctx
          .all({
            slow: async (c) => {
              await c.step("slow", async ({ signal }) => {
                done.push("slow");
                signal.addEventListener("abort", () => (aborted = true));
                await slow.pass();
              });
              done.push("never");
            },
            waits: (c) => c.waitFor("never"),
            fails: (c) =>
              c.step("fails", async () => {
                await slow.reached;
                throw Object.assign(new TypeError("broken"), { code: "it.broke" });
              }),
          })
          .catch((failure: Error & { code: string }) => failure);
        await ctx.sleep(60_000);
        const { name, message, code } = error as Error & { code: string };
        return { name, message, code };
      }),
    );
    await played(first);
    expect(await first.sentient.explain(handle.id)).toMatchObject([{ code: "waits_for_timer" }]); // and for nothing else
    expect(aborted).toBe(true);
    await later(await next(), 60_000);
    expect(await handle.result()).toEqual({ name: "TypeError", message: "broken", code: "it.broke" });
    expect(done).toEqual(["slow"]);
  });

  test("names that cannot be those of branches are refused before one begins", async () => {
    let begun = 0;
    const flow = flowOf(async (ctx) =>
      ctx.all({ good: (c) => c.step("a", () => ++begun), "not good": async () => ++begun }),
    );
    const sentient = await fresh({ workflows: [flow] });
    expect(await codeOf(() => sentient.execute(flow))).toBe("agent.bad_option");
    expect(begun).toBe(0);
  });
});

describe("a map", () => {
  test("does so many at once, and gives all in order", async () => {
    let [now, most] = [0, 0];
    const flow = flowOf(async (ctx) =>
      ctx.map(
        [...Array.from({ length: 12 }).keys()],
        (c, n) =>
          c.step("double", async () => {
            most = Math.max(most, ++now);
            await turn();
            now--;
            return n * 2;
          }),
        { concurrency: 3 },
      ),
    );
    const sentient = await fresh({ workflows: [flow] });
    expect(await sentient.execute(flow)).toEqual([...Array.from({ length: 12 }).keys()].map((n) => n * 2));
    expect(most).toBe(3);
  });

  test("begins no more once one has failed", async () => {
    const begun: number[] = [];
    const flow = flowOf(async (ctx) =>
      ctx.map(
        [0, 1, 2, 3],
        (c, n) =>
          c.step("s", () => {
            begun.push(n);
            if (n === 1) throw new Error("one");
          }),
        { concurrency: 1 },
      ),
    );
    const sentient = await fresh({ workflows: [flow] });
    expect((await failureOf(() => sentient.execute(flow))).message).toBe("one");
    expect(begun).toEqual([0, 1]);
  });

  test("with an option that is not known is refused", async () => {
    const flow = flowOf(async (ctx) => ctx.map([1], async () => 1, { concurrency: 0 }));
    const sentient = await fresh({ workflows: [flow] });
    expect(await codeOf(() => sentient.execute(flow))).toBe("agent.bad_option");
  });
});

describe("a race", () => {
  test("is won by who answers or fails first", async () => {
    const flow = flowOf(async (ctx) => {
      const won = await ctx.race({
        slow: (c) => c.sleep(3_600_000),
        quick: (c) => c.step("s", () => "quick"),
      });
      const failed = await ctx
        .race({
          slow: (c) => c.sleep(3_600_000),
          fails: (c) =>
            c.step("f", () => {
              throw new Error("first");
            }),
        })
        .catch((error: Error) => error.message);
      return [won, failed];
    });
    const sentient = await fresh({ workflows: [flow] });
    expect(await sentient.execute(flow)).toEqual([{ winner: "quick", value: "quick" }, "first"]);
  });

  test("without anybody is refused, and with an answer that is no JSON lost", async () => {
    const flow = flowOf(async (ctx) => [
      await ctx.race({}).catch((error: { code: string }) => error.code),
      await ctx.race({ a: async () => new Map() }).catch((error: Error) => error.name),
    ]);
    const sentient = await fresh({ workflows: [flow] });
    expect(await sentient.execute(flow)).toEqual(["agent.bad_option", "NonRetryable"]);
  });

  test("leaves nothing of its losers: what they wait for, ask, call and do is ended", async () => {
    const slow = gate();
    let aborted = false;
    const sitting = defineAgent({ name: "sitting", run: (ctx) => ctx.waitFor("never") });
    const kept = defineAgent({ name: "kept", run: (ctx) => ctx.waitFor("never") });
    const flow = flowOf(async (ctx) => {
      const { winner } = await ctx.race({
        says: (c) => c.waitFor("go"),
        waits: (c) => c.waitFor("never"),
        sleeps: (c) => c.sleep(3_600_000),
        asks: (c) => c.ask("why"),
        calls: (c) => c.call(sitting),
        leaves: (c) => c.call(kept, undefined, { onCancel: "leave" }),
        nested: (c) => c.all([(d) => d.call(sitting), (d) => d.ask("how")]),
        works: (c) =>
          c.step("slow", async ({ signal }) => {
            signal.addEventListener("abort", () => (aborted = true));
            await slow.pass();
          }),
      });
      await ctx.waitFor("end");
      return winner;
    });
    const process = await freshProcess({ agents: [sitting, kept], workflows: [flow] });
    const { sentient } = process;
    const handle = await sentient.start(flow);
    const playing = played(process);
    await slow.reached;
    await until(async () => (await sentient.list({ parent: handle.id })).runs.length === 3);
    await sentient.signal(handle.id, "go");
    await playing;
    await played(process);
    expect(await sentient.explain(handle.id)).toMatchObject([{ code: "waits_for_signal", awaited: "end" }]);
    const { questions } = await sentient.questions.list({ run: handle.id });
    const { runs } = await sentient.list({ parent: handle.id });
    expect(questions).toEqual([]);
    expect(runs.map(({ name, status }) => `${name} ${status}`).toSorted()).toEqual([
      "kept waiting",
      "sitting cancelled",
      "sitting cancelled",
    ]);
    expect(aborted).toBe(true);
    await sentient.signal(handle.id, "end");
    await played(process);
    expect(await handle.result()).toBe("says");
  });

  test("that was decided stays so, and what its branches did to what they share is done when it is replayed", async () => {
    const decided: string[] = [];
    const { first, handle, next } = await startedIn(
      flowOf(async (ctx) => {
        let last = "nobody";
        ctx.compensate("outer", () => void decided.push("undo outer"));
        const { winner } = await ctx.race({
          one: async (c) => {
            c.compensate("one", () => void decided.push("undo one"));
            await c.step("one", () => void decided.push("one"));
            last = "one";
            await c.waitFor("never");
          },
          other: async (c) => {
            await c.waitFor("go");
            last = "other";
            return 1;
          },
        });
        await ctx.waitFor("end");
        throw new Error(`${winner} ${last}`);
      }),
    );
    await played(first);
    await first.sentient.signal(handle.id, "go");
    await played(await next());
    await first.sentient.signal(handle.id, "end");
    await played(await next());
    expect((await failureOf(() => handle.result())).message).toBe("other other");
    expect(decided).toEqual(["one", "undo one", "undo outer"]);
  });

  test("within a branch that loses is not decided", async () => {
    const flow = flowOf(async (ctx) =>
      ctx.race({
        first: (c) => c.step("first", () => 1),
        nested: async (c) => {
          await c.race({ a: (d) => d.waitFor("never"), b: (d) => d.sleep(3_600_000) });
          return 2;
        },
      }),
    );
    const { first, handle } = await startedIn(flow);
    await played(first);
    expect(await handle.result()).toEqual({ winner: "first", value: 1 });
  });
});
