// What a run tells of itself: once, however often it is replayed, and whoever dies meanwhile.

import { RecordId, surql } from "@sentient/db-pool";
import type { Chunk } from "@sentient/state";
import { describe, expect, test, vi } from "vitest";
import { defineWorkflow, type Context } from "../src/index.ts";
import { Memory } from "../src/memory.ts";
import {
  dies,
  eventsOf,
  fresh,
  freshProcess,
  gate,
  later,
  LEASE_MS,
  played,
  processOn,
  storyOf,
  type Process,
} from "./support/fresh.ts";

const flowOf = (run: (ctx: Context<undefined>) => Promise<unknown>) =>
  defineWorkflow({ name: "flow", retry: { attempts: 1 }, run });

async function started(flow: ReturnType<typeof flowOf>) {
  const first = await freshProcess({ workflows: [flow] });
  const handle = await first.sentient.start(flow);
  const next = (): Promise<Process> => processOn(first.db, first.clock, { workflows: [flow] });
  return { first, handle, next, id: handle.id };
}

/** The data of what a run streams, without what was streamed in vain. */
function streamed(chunks: readonly Chunk[]): unknown[] {
  const kept: Chunk[] = [];
  for (const chunk of chunks)
    if (chunk.kind === "reset") kept.splice(0, Infinity, ...kept.filter(({ step }) => step !== chunk.step));
    else if (chunk.kind === "data") kept.push(chunk);
  return kept.map((chunk) => (chunk as { data: unknown }).data);
}

async function chunksOf({ sentient }: Pick<Process, "sentient">, id: string): Promise<Chunk[]> {
  return sentient.state.chunks.read(id, { limit: 1_000 });
}

/** Tells everything that can be told, before each wait and behind the last. */
const telling = flowOf(async (ctx) => {
  const tell = async (c: Context<undefined>, what: string) => {
    c.log.info(`log ${what}`, { what });
    c.chunk(`chunk ${what}`);
    c.progress(1, 2, `progress ${what}`);
  };
  await tell(ctx, "at first");
  await ctx.step("a", () => 1);
  await tell(ctx, "before the sleep");
  await ctx.sleep(60_000);
  await ctx.emit("custom.event", { n: 1 });
  await tell(ctx, "before the branches");
  await ctx.all({
    says: async (c) => {
      await tell(c, "in a branch");
      await c.waitFor("go");
      await tell(c, "in a branch, later");
    },
    other: async (c) => {
      await tell(c, "in the other");
      await c.sleep(120_000);
      await tell(c, "in the other, later");
      await c.sleep(60_000);
    },
  });
  await ctx.checkpoint("half", { by: "test" });
  await tell(ctx, "at the end");
  return "told";
});

const TOLD = [
  "at first",
  "before the sleep",
  "before the branches",
  "in a branch",
  "in the other",
  "in a branch, later",
  "in the other, later",
  "at the end",
];

describe("what a run tells", () => {
  test("is told once over waits, pauses and hand-overs, each time in another process", async () => {
    const { first, handle, next, id } = await started(telling);
    await played(first);
    await first.sentient.pause(id);
    await first.sentient.resume(id);
    await played(await next());
    await later(await next(), 60_000);
    await first.sentient.signal(id, "go");
    await played(await next());
    await later(await next(), 120_000);
    await later(await next(), 60_000);
    expect(await handle.result()).toBe("told");
    expectToldOnce(await eventsOf(first.sentient, id), await chunksOf(first, id));
  });

  test.each(Array.from({ length: 14 }, (_, i) => [1 + (i >> 1), i % 2 === 0 ? "before" : "after"] as const))(
    "is told once where its process dies at its commit %i, %s it",
    async (at, when) => {
      const { first, handle, next, id } = await started(telling);
      await first.sentient.signal(id, "go");
      const { dead } = dies(first, { at, when });
      const life = async (process: Process) => {
        for (const ms of [0, 60_000, 120_000, 60_000]) await later(process, ms);
      };
      await Promise.race([dead, life(first)]);
      await later(await next(), LEASE_MS);
      await life(await next());
      expect(await handle.result()).toBe("told");
      expectToldOnce(await eventsOf(first.sentient, id), await chunksOf(first, id));
    },
  );

  /** Tells, and dies in the step behind that. @returns how often it was told in the end */
  async function toldAndDied(): Promise<{ logs: number; chunks: unknown[] }> {
    const hold = gate();
    let tries = 0;
    const { first, handle, next, id } = await started(
      flowOf(async (ctx) => {
        ctx.log.info("before");
        ctx.chunk("before");
        await ctx.step("s", () => (tries++ === 0 ? hold.pass() : undefined));
      }),
    );
    void played(first);
    await hold.reached;
    await first.clock.advance(300); // it is told soon, though the step goes on
    await until(async () => (await storyOf(first.sentient, id)).includes("log.info"));
    dies(first, { at: 1, when: "before" });
    await later(await next(), LEASE_MS);
    await handle.result();
    const logs = (await storyOf(first.sentient, id)).filter((type) => type === "log.info").length;
    return { logs, chunks: streamed(await chunksOf(first, id)) };
  }

  test("and its process dies right behind it is told once: how much was told is remembered with it", async () => {
    expect(await toldAndDied()).toEqual({ logs: 1, chunks: ["before"] });
  });

  test("control: it is told twice if nobody remembers that", async () => {
    const told = vi.spyOn(Memory.prototype, "told").mockReturnValue(0);
    try {
      expect(await toldAndDied()).toEqual({ logs: 2, chunks: ["before"] });
    } finally {
      told.mockRestore();
    }
  });
});

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo()));
}

function expectToldOnce(events: { type: string; data: unknown }[], chunks: Chunk[]): void {
  const of = (type: string) => events.filter((event) => event.type === type).map(({ data }) => data);
  expect(of("log.info").map((data) => (data as { data: { what: string } }).data.what)).toEqual(TOLD);
  expect(streamed(chunks).map(String).toSorted()).toEqual(TOLD.map((what) => `chunk ${what}`).toSorted());
  expect(chunks.every(({ kind }) => kind === "data")).toBe(true);
  expect(of("custom.event")).toEqual([{ n: 1 }]);
  expect(of("checkpoint.created")).toMatchObject([{ name: "half" }]);
  const progress = of("progress.reported") as { note: string }[];
  expect(progress.at(-1)!.note).toBe("progress at the end");
  expect(new Set(progress.map(({ note }) => note)).size).toBe(progress.length);
}

describe("a step that streams", () => {
  test("and is done again says first that what it streamed before does not count", async () => {
    const hold = gate();
    const { first, handle, next, id } = await started(
      flowOf(async (ctx) =>
        ctx.step(
          "say",
          async ({ chunk, attempt }) => {
            chunk(`one ${tries}`);
            if (attempt === 1) throw new Error("not yet");
            if (tries++ === 0) await hold.pass();
            chunk("two");
            return "said";
          },
          { retry: { attempts: 2, delay: 0 } },
        ),
      ),
    );
    let tries = 0;
    void played(first);
    await hold.reached;
    await first.clock.advance(30);
    await until(async () => (await chunksOf(first, id)).length === 3);
    await later(await next(), LEASE_MS);
    expect(await handle.result()).toBe("said");
    const chunks = await chunksOf(first, id);
    expect(chunks.map(({ kind }) => kind)).toEqual(["data", "reset", "data", "reset", "data", "data", "end"]);
    expect(streamed(chunks)).toEqual(["one 1", "two"]);
    expect(chunks.map(({ n }) => n)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  test("hears of what was still on its way from who held its run before, and does not count that", async () => {
    const hold = gate();
    let tries = 0;
    const { first, handle, next, id } = await started(
      flowOf((ctx) =>
        ctx.step("say", async ({ chunk }) => {
          chunk(`one ${tries}`);
          if (tries++ === 0) await hold.pass();
          return "said";
        }),
      ),
    );
    void played(first);
    await hold.reached;
    await first.clock.advance(30);
    await until(async () => (await chunksOf(first, id)).length === 1);
    const second = await next();
    const { chunks } = second.sentient.state;
    const counts = chunks.counts.bind(chunks);
    const row = { step: "main/say#1", attempt: 1, kind: "data", data: '"late"', at: new Date() };
    vi.spyOn(chunks, "counts").mockImplementationOnce(async (run) => {
      const found = await counts(run);
      await first.db.query(surql`INSERT INTO chunk ${[{ ...row, id: new RecordId("chunk", [id, 2]) }]}`);
      return found;
    });
    await later(second, LEASE_MS);
    expect(await handle.result()).toBe("said");
    const found = await chunksOf(first, id);
    expect(found.map(({ kind }) => kind)).toEqual(["data", "data", "reset", "data", "end"]);
    expect(streamed(found)).toEqual(["one 1"]);
  });

  test("streams nothing that is no JSON or too large, and says so", async () => {
    const flow = flowOf(async (ctx) => [
      await ctx.step("map", ({ chunk }) => chunk(new Map() as never)).catch((e: Error) => e.name),
      await ctx
        .step("large", ({ chunk }) => chunk("x".repeat(70_000)))
        .catch((e: { code: string }) => e.code),
      await ctx.step("fits", ({ chunk }) => (chunk("x"), "well")), // control
    ]);
    const sentient = await fresh({ workflows: [flow] });
    expect(await sentient.execute(flow)).toEqual(["NonRetryable", "schema.limit", "well"]);
  });
});

describe("what cannot be told", () => {
  test.each([
    [
      "an event of the runtime's own",
      (ctx: Context<undefined>) => ctx.emit("run.completed"),
      "state.bad_change",
    ],
    [
      "an event with what is no JSON",
      (ctx: Context<undefined>) => ctx.emit("e", new Map() as never),
      undefined,
    ],
    [
      "an event that is too large",
      (ctx: Context<undefined>) => ctx.emit("e", "x".repeat(300_000)),
      "schema.limit",
    ],
    [
      "a checkpoint of a name that is taken",
      (ctx: Context<undefined>) => ctx.checkpoint("a"),
      "state.checkpoint_exists",
    ],
    ["how far no number is", async (ctx: Context<undefined>) => ctx.progress(Number.NaN), "agent.bad_option"],
    [
      "a log that is too large",
      async (ctx: Context<undefined>) => ctx.log.info("x".repeat(300_000)),
      "schema.limit",
    ],
  ])(
    "as %s fails where it is said, and what comes after it is told, also when it is replayed",
    async (_, tell, code) => {
      const { first, handle, next } = await started(
        flowOf(async (ctx) => {
          await ctx.checkpoint("a");
          const error = await tell(ctx).then(
            () => "no error",
            (failure: Error & { code?: string }) => failure.code ?? failure.name,
          );
          await ctx.step("after", () => 1);
          await ctx.sleep(60_000);
          return error;
        }),
      );
      await played(first);
      await later(await next(), 60_000);
      expect(await handle.result()).toBe(code ?? "NonRetryable");
    },
  );
});
