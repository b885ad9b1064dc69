// What a run waits for: time, signals, answers; alone and several at once, with and without an end to it.

import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineWorkflow, type Context } from "../src/index.ts";
import {
  codeOf,
  failureOf,
  fresh,
  freshDatabase,
  freshProcess,
  gate,
  later,
  played,
  processOn,
  sentientOn,
  storyOf,
  type Process,
} from "./support/fresh.ts";

const flowOf = (run: (ctx: Context<undefined>) => Promise<unknown>) => defineWorkflow({ name: "flow", run });

/** A run that was played until it waits. */
async function waiting(run: (ctx: Context<undefined>) => Promise<unknown>) {
  const flow = flowOf(run);
  const process = await freshProcess({ workflows: [flow] });
  const handle = await process.sentient.start(flow);
  await played(process);
  const restarted = () => processOn(process.db, process.clock, { workflows: [flow] });
  return { ...process, handle, id: handle.id, restarted };
}

describe("a sleep", () => {
  test("goes on at its time and not before, in whichever process, and holds no worker", async () => {
    const first = await waiting(async (ctx) => {
      await ctx.sleep(60_000);
      const half = ctx.now();
      await ctx.sleep(new Date(half.getTime() + 60_000));
      return (ctx.now().getTime() - half.getTime()) / 1_000;
    });
    expect(first.worker.running).toBe(0);
    expect(await first.sentient.get(first.id)).toMatchObject({ status: "waiting" });
    expect(await later(first, 59_999)).toBe(0);
    const second = await first.restarted();
    expect(await later(second, 1)).toBe(1);
    expect(await later(second, 59_999)).toBe(0);
    expect(await later(second, 1)).toBe(1);
    expect(await second.sentient.handle(first.id).result()).toBe(60);
  });

  test("that is short goes by where the run is, and one that is none at all too", async () => {
    const flow = flowOf(async (ctx) => {
      await ctx.sleep(30);
      await ctx.sleep(0);
      await ctx.sleep(new Date(0));
      return "awake";
    });
    const sentient = await fresh({ workflows: [flow] });
    const handle = await sentient.start(flow);
    expect(await handle.result()).toBe("awake");
    expect(await storyOf(sentient, handle.id)).not.toContain("run.waiting");
  });

  test("of no number of milliseconds is refused", async () => {
    const flow = flowOf(async (ctx) => ctx.sleep(Number.NaN));
    const sentient = await fresh({ workflows: [flow] });
    expect(await codeOf(() => sentient.execute(flow))).toBe("agent.bad_option");
  });
});

describe("a signal", () => {
  test("is taken by who waits for it, the oldest of its name first, also one that came before", async () => {
    const flow = flowOf(async (ctx) => [
      await ctx.waitFor("a"),
      await ctx.waitFor("b"),
      await ctx.waitFor("a"),
    ]);
    const process = await freshProcess({ workflows: [flow] });
    const { sentient } = process;
    const handle = await sentient.start(flow);
    await sentient.signal(handle.id, "a", 1);
    await sentient.signal(handle.id, "a", 2);
    await played(process);
    expect(await sentient.explain(handle.id)).toMatchObject([{ code: "waits_for_signal", awaited: "b" }]);
    await sentient.signal(handle.id, "c", 0); // control: another name wakes nobody
    expect(await played(process)).toBe(0);
    await sentient.signal(handle.id, "b", { deep: true });
    await played(process);
    expect(await handle.result()).toEqual([1, { deep: true }, 2]);
  });

  test("reaches a run that another process holds, while a step of it goes on", async () => {
    const slow = gate();
    const flow = flowOf(async (ctx) =>
      ctx.all({ slow: (b) => b.step("slow", slow.pass), said: (b) => b.waitFor("go") }),
    );
    const db = await freshDatabase();
    const { id } = await (await sentientOn(db, { workflows: [flow] })).start(flow);
    const other = await sentientOn(db, { worker: false });
    await slow.reached;
    await other.signal(id, "go", "now");
    for await (const { type, data } of other.handle(id).events())
      if (type === "step.completed" && (data as { name: string }).name === "waitFor") slow.open();
    expect(await other.handle(id).result()).toEqual({ slow: null, said: "now" });
  });

  test("that does not come in time is not waited for, and one that comes later is for the next", async () => {
    const { sentient, id, handle, ...process } = await waiting(async (ctx) => [
      (await ctx.waitFor("go", { timeout: 60_000 })) ?? "nothing",
      (await ctx.waitFor("go", { timeout: 60_000 })) ?? "nothing",
    ]);
    const self: Process = { sentient, ...process };
    expect(await later(self, 59_999)).toBe(0);
    await later(self, 1);
    expect(await sentient.get(id)).toMatchObject({ status: "waiting" });
    await sentient.signal(id, "go", "late");
    await played(self);
    expect(await handle.result()).toEqual(["nothing", "late"]);
  });

  test("is waited for as long as was said when that began, wherever the run goes on", async () => {
    const first = await waiting(async (ctx) => (await ctx.waitFor("go", { timeout: 60_000 })) ?? "nothing");
    await first.clock.advance(30_000);
    await first.sentient.pause(first.id);
    await first.sentient.resume(first.id);
    const second = await first.restarted();
    await played(second);
    expect(await later(second, 29_999)).toBe(0);
    await later(second, 1);
    expect(await first.handle.result()).toBe("nothing");
  });

  test("is checked by the schema of its definition, for who sends it and for who takes it", async () => {
    const flow = defineWorkflow({
      name: "flow",
      signals: { paid: z.object({ total: z.number() }) },
      run: async (ctx) => {
        const { total } = await ctx.waitFor("paid");
        return total;
      },
    });
    const process = await freshProcess({ workflows: [flow] });
    const elsewhere = await processOn(process.db, process.clock);
    const { sentient } = process;
    const { id } = await sentient.start(flow);
    expect(await failureOf(() => sentient.signal(id, "paid", { total: "12" }))).toMatchObject({
      code: "agent.invalid_signal",
      details: { run: id, signal: "paid" },
    });
    await sentient.signal(id, "other", 1); // control: one that is not known is not checked
    const { id: wrong } = await sentient.start(flow);
    await elsewhere.sentient.signal(wrong, "paid", { total: "12" }); // who does not know the schema cannot check
    await sentient.signal(id, "paid", { total: 12 });
    await played(process);
    expect(await sentient.handle(id).result()).toBe(12);
    expect(await codeOf(() => sentient.handle(wrong).result())).toBe("agent.invalid_signal");
  });

  test("that another branch has no need of any more is left for who comes later", async () => {
    const flow = flowOf(async (ctx) => {
      const { winner } = await ctx.race({ yes: (b) => b.waitFor("yes"), no: (b) => b.waitFor("no") });
      return [winner, await ctx.waitFor(winner === "yes" ? "no" : "yes")];
    });
    const process = await freshProcess({ workflows: [flow] });
    const handle = await process.sentient.start(flow);
    await process.sentient.signal(handle.id, "yes", 1);
    await process.sentient.signal(handle.id, "no", 2);
    await played(process);
    expect(await handle.result()).toEqual(["yes", 2]);
  });
});

describe("a question", () => {
  test("is answered once, by somebody, with what fits its schema", async () => {
    const { sentient, handle, id, ...process } = await waiting(async (ctx) =>
      ctx.ask("approve", {
        text: "Send it?",
        schema: z.object({ ok: z.boolean(), note: z.string().default("none") }),
        assignee: "ada",
      }),
    );
    const key = "main/approve#1";
    const { questions } = await sentient.questions.list({ assignee: "ada" });
    expect(questions).toMatchObject([{ run: id, key, text: "Send it?", status: "open" }]);
    expect(await codeOf(() => sentient.answer(id, key, { ok: "yes" }, { by: "ada" }))).toBe(
      "state.invalid_answer",
    );
    await sentient.answer(id, key, { ok: true }, { by: "ada" });
    expect(await codeOf(() => sentient.answer(id, key, { ok: false }, { by: "bob" }))).toBe("state.not_open");
    await played({ sentient, ...process });
    expect(await handle.result()).toEqual({ value: { ok: true, note: "none" }, by: "ada" });
  });

  test("is text and JSON if nothing else is said, and beside others gets its own answer", async () => {
    const { sentient, handle, id, ...process } = await waiting(async (ctx) =>
      ctx.all({
        one: (b) => b.ask("color"),
        other: (b) => b.ask("color"),
        more: (b) => b.map(["x", "y"], (c) => c.ask("color")),
      }),
    );
    const { questions } = await sentient.questions.list({ run: id });
    expect(questions.map(({ text }) => text)).toEqual(["color", "color", "color", "color"]);
    expect(questions.map(({ key }) => key).toSorted()).toEqual([
      "main/all#1.more/map#1.0/color#1",
      "main/all#1.more/map#1.1/color#1",
      "main/all#1.one/color#1",
      "main/all#1.other/color#1",
    ]);
    for (const { key } of questions.toReversed()) {
      await sentient.answer(id, key, key, { by: "ada" });
      await played({ sentient, ...process });
    }
    expect(await handle.result()).toMatchObject({
      one: { value: "main/all#1.one/color#1" },
      other: { value: "main/all#1.other/color#1" },
      more: [{ value: "main/all#1.more/map#1.0/color#1" }, { value: "main/all#1.more/map#1.1/color#1" }],
    });
  });

  test("that nobody answers by its deadline has the answer that was said for that, or fails", async () => {
    const { sentient, handle, id, clock, ...process } = await waiting(async (ctx) => [
      await ctx.ask("first", { schema: z.boolean(), deadline: 60_000, onTimeout: false }),
      await ctx
        .ask("second", { deadline: new Date(ctx.now().getTime() + 60_000) })
        .catch((error: { code: string }) => error.code),
    ]);
    const self = { sentient, clock, ...process };
    expect(await later(self, 59_999)).toBe(0);
    await later(self, 1);
    const late = () => sentient.answer(id, "main/first#1", true, { by: "ada" });
    expect(await codeOf(late)).toBe("state.not_open");
    await later(self, 60_000);
    expect(await handle.result()).toEqual([{ value: false }, "agent.question_expired"]);
  });

  test("whose answer fits what could be told of its schema, and not all of it, fails with that", async () => {
    const { sentient, handle, id, ...process } = await waiting(async (ctx) =>
      ctx.ask("name", { schema: z.string().refine((name) => name !== "nobody", "somebody") }),
    );
    await sentient.answer(id, "main/name#1", "nobody", { by: "ada" });
    await played({ sentient, ...process });
    expect(await failureOf(() => handle.result())).toMatchObject({
      code: "agent.invalid_answer",
      message: expect.stringContaining("somebody") as string,
    });
  });

  test("with a schema that cannot be told to anybody is refused", async () => {
    const { handle } = await waiting(async (ctx) => ctx.ask("when", { schema: z.date() }));
    expect(await codeOf(() => handle.result())).toBe("agent.bad_option");
  });
});

describe("what is waited for at once", () => {
  test("comes in whatever order, over restarts, and each goes on as it comes", async () => {
    const done: string[] = [];
    const first = await waiting(async (ctx) =>
      ctx.all({
        time: async (b) => {
          await b.sleep(60_000);
          return b.step("time", () => void done.push("time"));
        },
        said: async (b) => {
          const said = await b.waitFor("go");
          await b.step("said", () => void done.push("said"));
          return said;
        },
        answered: async (b) => {
          const { value } = await b.ask("why");
          await b.step("answered", () => void done.push("answered"));
          return value;
        },
      }),
    );
    await first.sentient.answer(first.id, "main/all#1.answered/why#1", "because", { by: "ada" });
    await played(await first.restarted());
    await later(await first.restarted(), 60_000);
    await first.sentient.signal(first.id, "go", "went");
    await played(await first.restarted());
    expect(await first.handle.result()).toEqual({ time: null, said: "went", answered: "because" });
    expect(done).toEqual(["answered", "time", "said"]);
  });

  test("is not more than a run can say it waits for: that is refused, and the run fails rather than being tried for ever", async () => {
    const flow = flowOf(async (ctx) =>
      ctx.all(Array.from({ length: 1_001 }, () => (b: Context<undefined>) => b.waitFor("go"))),
    );
    const process = await freshProcess({ workflows: [flow] });
    const handle = await process.sentient.start(flow);
    await played(process);
    expect(await failureOf(() => handle.result())).toMatchObject({ code: "agent.bad_option" });
  });
});
