// Code that is about to meet recorded runs: whether it still goes the way they went, and that nothing is done to find out.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import {
  defineAgent,
  defineWorkflow,
  NonRetryable,
  replayCheck,
  type Context,
  type Definition,
} from "../src/index.ts";
import { rehearse } from "../src/rehearsal.ts";
import { createTestSentient, type TestOptions, type TestSentient } from "../src/testing/index.ts";

const HOUR = 3_600_000;

async function freshSentient(options: TestOptions): Promise<TestSentient> {
  const sentient = await createTestSentient(options);
  onTestFinished(() => sentient.close());
  return sentient;
}

async function linesOf(sentient: TestSentient, run: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of sentient.state.export(run)) lines.push(line);
  return lines;
}

type Handler = (ctx: Context) => Promise<unknown>;
const flow = (run: Handler, options: { version?: string; compatible?: string[] } = {}) =>
  defineWorkflow({ name: "flow", run, ...options });

/** A run of the first code, checked against the second. */
async function checkChange(before: Handler, after: Handler) {
  const sentient = await freshSentient({ workflows: [flow(before)] });
  const { id } = await sentient.start("flow");
  await sentient.settle();
  const { ok, runs } = await replayCheck([flow(after)], [await linesOf(sentient, id)]);
  expect(runs).toHaveLength(1);
  expect(ok).toBe(runs[0]!.result !== "diverged");
  return runs[0]!;
}

let done = 0;
const part = defineAgent({
  name: "part",
  input: z.number(),
  run: (ctx, n) =>
    ctx.step("part", () => {
      done++;
      return n * 2;
    }),
});
const everything = defineWorkflow({
  name: "everything",
  input: z.object({ fails: z.boolean().default(false) }),
  state: z.object({ seen: z.array(z.string()).default([]) }),
  retry: { attempts: 2, delay: 0 },
  run: async (ctx, { fails }) => {
    ctx.compensate("undo", () => void done++);
    const first = await ctx.step("first", ({ attempt }) => {
      done++;
      if (attempt === 1) throw new Error("once more");
      ctx.state.seen.push("within a step");
      return ctx.state.seen.length;
    });
    for (let i = 0; i < 250; i++) ctx.log.info(`line ${i}`);
    ctx.state.seen.push("between steps");
    const failed = await ctx
      .step("fails", () => {
        throw new NonRetryable("never");
      })
      .catch((error: Error) => error.message);
    await ctx.sleep(HOUR);
    const { value } = await ctx.ask("name");
    const said = await ctx.waitFor("said", { timeout: HOUR });
    const unheard = await ctx.waitFor("unheard", { timeout: HOUR });
    const called = await ctx.call(part, 1);
    const child = await ctx.spawn(part, 2);
    const { winner } = await ctx.race({
      slow: (branch) => branch.sleep(2 * HOUR),
      quick: (branch) => branch.step("quick", () => done++),
    });
    const all = await ctx.all([
      (branch) => branch.call(part, 3),
      (branch) => branch.step("one", () => done++),
    ]);
    const mapped = await ctx.map([1, 2, 3], (branch, n) => branch.step("double", () => n * 2), {
      concurrency: 2,
    });
    await ctx.emit("flow.marked");
    await ctx.checkpoint("marked");
    const isPatched = await ctx.patch("later");
    if (ctx.random() < 2 && ctx.uuid() !== "") await ctx.step(`at-${ctx.now().getTime()}`, () => done++);
    if (fails) throw new Error("in the end");
    if (said === "stay") await ctx.waitFor("end");
    return {
      first,
      failed,
      value,
      said,
      unheard,
      called,
      winner,
      mapped,
      isPatched,
      all: all[0],
      child: await child.result(),
      seen: ctx.state.seen,
    };
  },
});
const script = { agents: [part], workflows: [everything], answers: { name: "Ada" } };

test("runs that do everything there is fit the code that made them, wherever they are, and nothing is done", async () => {
  const sentient = await freshSentient({ ...script, signals: { said: "hello" } });
  const completed = await sentient.start(everything, {});
  const failed = await sentient.start(everything, { fails: true });
  for (const { id } of [completed, failed]) await sentient.runToEnd(id);
  const staying = await freshSentient({ ...script, signals: { said: "stay" } });
  const [open, cancelled] = [await staying.start(everything, {}), await staying.start(everything, {})];
  for (const { id } of [open, cancelled])
    await expect(staying.runToEnd(id)).rejects.toThrow("the signal end");
  await staying.cancel(cancelled.id);
  expect(await staying.runToEnd(cancelled)).toMatchObject({ status: "cancelled" });
  expect(await completed.result()).toMatchObject({
    first: 1,
    child: 4,
    seen: ["within a step", "between steps"],
  });

  const folder = await mkdtemp(join(tmpdir(), "sentient-replay-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, "run.jsonl");
  await sentient.state.exportToFile(completed.id, file);
  const sources = [
    file,
    sentient.state.export(failed.id),
    await linesOf(staying, open.id),
    { run: await staying.get(cancelled.id), ...(await staying.state.replay(cancelled.id, { state: true })) },
  ];
  const before = done;
  const { ok, runs } = await replayCheck([everything, part], sources);
  expect(done).toBe(before);
  expect(runs.filter(({ result }) => result !== "ok")).toEqual([]);
  expect(ok).toBe(true);
  expect(runs.filter(({ name }) => name === "everything").map(({ run }) => run)).toEqual(
    [completed, failed, open, cancelled].map(({ id }) => id),
  );
  expect(runs.filter(({ name }) => name === "part")).toHaveLength(9);
}, 240_000);

const twoSteps: Handler = async (ctx) => {
  await ctx.step("a", () => 1);
  await ctx.step("b", () => 2);
  await ctx.waitFor("go");
};

test.for<[what: string, after: Handler, recorded: string, attempted: string | null]>([
  ["asks for another step", async (ctx) => ctx.step("c", () => 1), "main/a#1", "main/c#1"],
  [
    "leaves out the first",
    async (ctx) => ctx.step("b", () => 2).then(() => ctx.waitFor("go")),
    "main/a#1",
    "main/signal:go#1",
  ],
  [
    "puts one between",
    async (ctx) => ctx.step("a", () => 1).then(() => ctx.step("new", () => 1)),
    "main/b#1",
    "main/new#1",
  ],
  ["comes to its end before", async (ctx) => ctx.step("a", () => 1), "main/b#1", null],
])("code that %s has diverged, and both are told", async ([, after, recorded, attempted]) => {
  const checked = await checkChange(twoSteps, after);
  expect(checked).toMatchObject({ result: "diverged", recorded: { key: recorded }, attempted });
});

test("code that does more after what a run remembers fits as long as the run is under way", async () => {
  const more: Handler = async (ctx) => {
    await ctx.step("a", () => 1);
    await ctx.step("b", () => 2);
    await ctx.step("more", () => 3);
  };
  expect(await checkChange(twoSteps, more)).toMatchObject({ result: "ok" });
  expect(await checkChange(twoSteps, twoSteps)).toMatchObject({ result: "ok" });
  const short: Handler = async (ctx) => {
    await ctx.step("a", () => 1);
    await ctx.step("b", () => 2);
  };
  expect(await checkChange(short, more)).toMatchObject({
    result: "diverged",
    recorded: { completed: null },
    attempted: { key: "main/more#1" },
  });
  const patched: Handler = async (ctx) => {
    await short(ctx);
    if (await ctx.patch("more")) await ctx.step("more", () => 3);
  };
  expect(await checkChange(short, patched)).toMatchObject({ result: "ok" });
});

test("code that gives something else than a run has given, or fails where it did not, has diverged", async () => {
  const gives =
    (output: unknown): Handler =>
    async (ctx) => {
      await ctx.step("a", () => 1);
      return output;
    };
  expect(await checkChange(gives(1), gives(1))).toMatchObject({ result: "ok" });
  expect(await checkChange(gives(1), gives(2))).toMatchObject({
    result: "diverged",
    recorded: { completed: 1 },
    attempted: { completed: 2 },
  });
  const fails: Handler = async (ctx) => {
    await ctx.step("a", () => 1);
    throw new Error("broken");
  };
  expect(await checkChange(gives(1), fails)).toMatchObject({
    result: "diverged",
    attempted: { failed: "broken" },
  });
  expect(await checkChange(fails, gives(1))).toMatchObject({ result: "ok" }); // what has failed is mended
});

test("a step that works on something else than what is remembered has diverged", async () => {
  const works =
    (input: number): Handler =>
    async (ctx) =>
      ctx.step("a", () => 1, { input });
  expect(await checkChange(works(1), works(1))).toMatchObject({ result: "ok" });
  const checked = await checkChange(works(1), works(2));
  expect(checked).toMatchObject({
    result: "diverged",
    recorded: { key: "main/a#1" },
    attempted: { key: "main/a#1" },
  });
});

test("runs of a version that this code does not serve are left to theirs", async () => {
  const sentient = await freshSentient({ workflows: [flow(twoSteps)] });
  const { id } = await sentient.start("flow");
  await sentient.settle();
  const lines = await linesOf(sentient, id);
  const other: Handler = async (ctx) => ctx.step("c", () => 1);
  const checkWith = async (...definitions: Definition[]) => (await replayCheck(definitions, [lines])).runs;
  expect(await checkWith()).toMatchObject([
    { result: "skipped", message: "there is no flow@1 among the definitions" },
  ]);
  expect(await checkWith(flow(other, { version: "2" }))).toMatchObject([{ result: "skipped" }]);
  expect(await checkWith(flow(other, { version: "2" }), flow(twoSteps))).toMatchObject([{ result: "ok" }]);
  expect(await checkWith(flow(other, { version: "2", compatible: ["1"] }))).toMatchObject([
    { result: "diverged" },
  ]);
});

test("a run whose input is secret is checked as far as it can be", async () => {
  const options = { name: "secretive", secrets: ["code"] } as const;
  const run = async (ctx: Context<undefined>, input: unknown) => ctx.step("a", () => input);
  const loose = defineAgent({
    ...options,
    input: z.object({ code: z.union([z.number(), z.string()]) }),
    run,
  });
  const sentient = await freshSentient({ agents: [loose] });
  const handle = await sentient.start(loose, { code: 7 });
  await handle.result();
  const lines = await linesOf(sentient, handle.id);
  expect((await replayCheck([loose], [lines])).runs).toMatchObject([{ result: "ok" }]);
  const strict = defineAgent({ ...options, input: z.object({ code: z.number() }), run });
  expect((await replayCheck([strict], [lines])).runs).toMatchObject([{ result: "skipped" }]);
});

test("a handler that waits for something of its own is told of, and not waited for", async () => {
  const sentient = await freshSentient({ workflows: [flow(twoSteps)] });
  const { id } = await sentient.start("flow");
  await sentient.settle();
  const replay = await sentient.state.replay(id);
  const hanging = flow(() => new Promise(() => {}));
  const run = await sentient.get(id);
  expect(await rehearse(run, hanging as Definition, replay, 200)).toEqual({ status: "hung" });
  expect(await rehearse(run, flow(twoSteps) as Definition, replay)).toMatchObject({ status: "beyond" });
});

test("what is no export is refused", async () => {
  await expect(replayCheck([], [["{}"]])).rejects.toMatchObject({ code: "state.bad_export" });
  await expect(replayCheck([], ["/nowhere/at/all.jsonl"])).rejects.toMatchObject({ code: "ENOENT" });
});
