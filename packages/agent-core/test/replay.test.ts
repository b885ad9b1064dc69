// What a handler sees is byte for byte the same each time that it is called, in whichever process and however much later.

import { expect, test } from "vitest";
import { z } from "zod";
import { defineAgent, defineWorkflow, NonRetryable, type Context } from "../src/index.ts";
import { freshProcess, later, played, processOn, type Process } from "./support/fresh.ts";

const child = defineAgent({
  name: "child",
  input: z.number(),
  run: (ctx, n) => ctx.step("s", () => ({ n, at: "é\u0000😀" })),
});

type See = (what: string, answer: unknown) => void;

/** Asks for everything there is, and says what it got. */
function asking(see: See) {
  const caught = (work: Promise<unknown>) =>
    work.catch((error: Error & { code?: string }) => [error.name, error.message, error.code, error.stack]);
  return defineWorkflow({
    name: "asking",
    state: z.object({ n: z.number().default(0), words: z.array(z.string()).default([]) }),
    retry: { attempts: 2, delay: 60_000, factor: 1 },
    run: async (ctx) => {
      const look = (c: Pick<Context, "now" | "random" | "uuid" | "key">, what: string, answer?: unknown) =>
        see(what, [answer, c.now().toISOString(), c.random(), c.uuid(), c.key, ctx.state]);
      look(ctx, "at first");
      look(
        ctx,
        "step",
        await ctx.step("s", () => ({ z: 1, a: [1.5, -0, 1e21, "\u2028"], nothing: undefined })),
      );
      look(
        ctx,
        "flaky",
        await ctx.step("flaky", ({ attempt }) => {
          ctx.state.n += attempt;
          if (attempt === 1) throw new Error("not yet");
          return attempt;
        }),
      );
      look(
        ctx,
        "failed",
        await caught(
          ctx.step("fails", () => {
            throw new NonRetryable("never", { cause: new TypeError("because") });
          }),
        ),
      );
      look(ctx, "invalid", await caught(ctx.call(child, "one" as never)));
      look(ctx, "slept", await ctx.sleep(60_000));
      look(ctx, "called", await ctx.call(child, 1));
      const spawned = await ctx.spawn(child, 2);
      look(ctx, "spawned", spawned.id);
      look(ctx, "signal", await ctx.waitFor("go"));
      look(ctx, "no signal", await ctx.waitFor("never", { timeout: 60_000 }));
      look(ctx, "answer", await ctx.ask("why"));
      look(
        ctx,
        "all",
        await ctx.all({
          a: async (c) => {
            await c.sleep(60_000);
            look(c, "in a", await c.step("s", () => ctx.state.words.push("a")));
            return c.key;
          },
          b: async (c) => {
            look(c, "in b", await c.step("s", () => "b"));
            ctx.state.words.push("b");
            return c.call(child, 3);
          },
        }),
      );
      look(ctx, "race", await ctx.race({ slow: (c) => c.sleep(3_600_000), quick: (c) => c.call(child, 4) }));
      look(ctx, "map", await ctx.map([1, 2, 3], (c, n) => c.step("m", () => n * n), { concurrency: 2 }));
      look(ctx, "patch", await ctx.patch("p"));
      look(ctx, "emitted", await ctx.emit("custom"));
      look(ctx, "checkpoint", await ctx.checkpoint("half"));
      look(ctx, "result", await spawned.result());
      await ctx.waitFor("end");
      return ctx.state;
    },
  });
}

test("what a handler sees is the same each time, byte for byte, over a dozen processes", async () => {
  const seen = new Map<string, Set<string>>();
  let times = 0;
  const see: See = (what, answer) => {
    const said = JSON.stringify(answer);
    seen.set(what, (seen.get(what) ?? new Set()).add(said));
    times++;
  };
  const first = await freshProcess({ agents: [child], workflows: [asking(see)] });
  const { sentient, clock, db } = first;
  const { id } = await sentient.start("asking");
  const next = (): Promise<Process> => processOn(db, clock, { agents: [child], workflows: [asking(see)] });
  await played(first);
  await sentient.signal(id, "go", { said: "ü" });
  for (let i = 0; i < 8; i++) {
    await later(await next(), 120_000);
    await sentient.answer(id, "main/why#1", "because", { by: "ada" }).catch(() => {}); // once it is asked
  }
  const { status } = await sentient.get(id);
  expect(status).toBe("waiting");
  await sentient.signal(id, "end");
  await played(await next());
  expect(await sentient.handle(id).result()).toMatchObject({ n: 3 });
  expect(seen.size).toBe(20);
  expect(times).toBeGreaterThan(seen.size * 5); // it was called again and again
  expect([...seen].filter(([, answers]) => answers.size !== 1)).toEqual([]);
});

test("control: what is neither remembered nor drawn from the run is another each time", async () => {
  const seen = new Set<string>();
  const flow = defineWorkflow({
    name: "flow",
    run: async (ctx) => {
      await ctx.sleep(60_000);
      seen.add(`${performance.now()}`);
      await ctx.sleep(60_000);
    },
  });
  const process = await freshProcess({ workflows: [flow] });
  const handle = await process.sentient.start(flow);
  for (const ms of [0, 60_000, 60_000]) await later(process, ms);
  await handle.result();
  expect(seen.size).toBe(2);
});

test("a long run is replayed whole, and does none of its steps again", async () => {
  let done = 0;
  const flow = defineWorkflow({
    name: "flow",
    state: z.object({ sum: z.number().default(0) }),
    run: async (ctx) => {
      for (let i = 0; i < 200; i++) ctx.state.sum += await ctx.step("add", () => (done++, i));
      const squares = await ctx.map(
        [...Array.from({ length: 200 }).keys()],
        (c, n) => c.step("square", () => (done++, n * n)),
        { concurrency: 50 },
      );
      await ctx.sleep(60_000);
      return [ctx.state.sum, squares.reduce((sum, n) => sum + n, 0)];
    },
  });
  const first = await freshProcess({ workflows: [flow] });
  const handle = await first.sentient.start(flow);
  await played(first);
  await later(await processOn(first.db, first.clock, { workflows: [flow] }), 60_000);
  expect(await handle.result()).toEqual([19_900, 2_646_700]);
  expect(done).toBe(400);
});
