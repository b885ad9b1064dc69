// Memory in runs: what a step says is there with its result or not at all, once, and a replay is told the same.

import { NonRetryable, type Context, type Message } from "@sentient/agent-core";
import { surql, type Database } from "@sentient/db-pool";
import { sabotage, VirtualClock } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { localEmbedder, type MemoryStore } from "../src/memory/index.ts";
import { freshMemory } from "./support/memories.ts";
import { agent, diesAt, LEASE_MS, processOn } from "./support/mortals.ts";

const said = (text: string): Message => ({ role: "user", content: [{ type: "text", text }] });

const TABLES = [
  "memory",
  "memory_message",
  "memory_from",
  "memory_told",
  "memory_tagged",
  "memory_gave",
  "memory_recalled",
];

async function countsOf(db: Database): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const table of [...TABLES, "memory_near_local_64"])
    counts[table] = await db.query(surql<number>`RETURN count(SELECT VALUE id FROM type::table(${table}))`);
  return counts;
}

/** Says, remembers, recalls and reads. */
const talk = (memory: MemoryStore) => async (ctx: Context) => {
  const [first] = await memory.say(ctx, "t", [said("I like milk"), said("and honey")]);
  await memory.remember(ctx, { text: "the guest likes milk", tags: ["guest"], messages: [first!] });
  const hits = await memory.recall(ctx, { query: "milk" });
  await memory.say(ctx, "t", [said("good night")]);
  const thread = await memory.thread(ctx, "t");
  return {
    hits: hits.map(({ text }) => text),
    thread: thread.map(({ n, message }) => [n, message.content[0]]),
  };
};

const EXPECTED = {
  hits: ["the guest likes milk"],
  thread: ["I like milk", "and honey", "good night"].map((text, i) => [i + 1, { type: "text", text }]),
};

async function played(db: Database, memory: MemoryStore, death?: { at: number; when: "before" | "after" }) {
  const clock = new VirtualClock();
  const host = agent(talk(memory));
  const first = await processOn(db, clock, [host]);
  const handle = await first.sentient.start(host);
  if (death) {
    const died = diesAt(first, death.at, death.when);
    void first.worker.tick().catch(() => {});
    await died;
    const counts = await countsOf(db);
    const journal = new Set((await first.sentient.state.journal(handle.id)).keys());
    expect(counts).toMatchObject({
      memory: journal.has("main/remember#1") ? 1 : 0,
      memory_near_local_64: journal.has("main/remember#1") ? 1 : 0,
      memory_message: (journal.has("main/say#1") ? 2 : 0) + (journal.has("main/say#2") ? 1 : 0),
      memory_recalled: journal.has("main/recall#1") ? 1 : 0,
    });
    await clock.advance(LEASE_MS + 2_000);
  }
  const second = await processOn(db, clock, [host]);
  for (let i = 0; i < 5 && (await handle.status()) !== "completed"; i++) {
    await second.worker.tick();
    await clock.advance(1_000);
  }
  return second.sentient.handle(handle.id).result();
}

describe("a run", () => {
  test("that dies at any of its commits ends as it would have, and has said everything once", async () => {
    const { db, memory } = await freshMemory({ embedder: localEmbedder({ dimension: 64 }) });
    expect(await played(db, memory)).toEqual(EXPECTED);
    const expected = await countsOf(db);
    expect(expected).toMatchObject({ memory: 1, memory_message: 3, memory_recalled: 1, memory_gave: 4 });
    for (const when of ["before", "after"] as const)
      for (const at of [1, 2, 3, 4, 5]) {
        const again = await freshMemory({ embedder: localEmbedder({ dimension: 64 }) });
        expect(await played(again.db, again.memory, { at, when }), `${when} commit ${at}`).toEqual(EXPECTED);
        expect(await countsOf(again.db), `${when} commit ${at}`).toEqual(expected);
      }
  });

  test("that writes beside its step leaves what nobody remembers: the control of the test above", async () => {
    const { db, memory } = await freshMemory({ embedder: localEmbedder({ dimension: 64 }) });
    const beside = Object.assign(Object.create(memory) as MemoryStore, {
      remember: (ctx: Context, { text }: { text: string }) =>
        ctx.step("remember", async () => void (await memory.import([{ text }]))),
    });
    await sabotage("rows that are not committed with the step", () =>
      played(db, beside, { at: 2, when: "before" }),
    );
  });

  test("whose step fails has said nothing of what that step would have", async () => {
    const written = async (fails: boolean): Promise<number> => {
      const { db, memory } = await freshMemory();
      const host = agent((ctx) =>
        ctx.step("both", async (step) => {
          const inner = {
            run: ctx.run,
            now: () => ctx.now(),
            step: (_: string, work: (s: typeof step) => unknown) => work(step),
          };
          await memory.remember(inner as never, { text: "never" });
          if (fails) throw new NonRetryable("no");
        }),
      );
      const { sentient, worker } = await processOn(db, new VirtualClock(), [host]);
      await sentient.start(host);
      await worker.tick();
      return rowsOf(db);
    };
    expect(await written(true)).toBe(0);
    expect(await written(false)).toBeGreaterThan(1);
  });

  test("is told at a replay what it was told, although memory has changed", async () => {
    const { db, memory } = await freshMemory();
    await memory.import([{ text: "the door is open", sources: ["guard"] }]);
    const clock = new VirtualClock();
    const seen: string[][] = [];
    const host = agent(async (ctx) => {
      const hits = await memory.recall(ctx, { query: "door" });
      const thread = await memory.thread(ctx, "t");
      seen.push([...hits.map(({ text }) => text), `${thread.length}`]);
      await ctx.sleep(60_000);
      return seen.length;
    });
    const first = await processOn(db, clock, [host]);
    const handle = await first.sentient.start(host);
    await first.worker.tick();
    await memory.forgetSource("guard");
    await memory.import([{ text: "the door is shut" }]);
    await clock.advance(60_000);
    const second = await processOn(db, clock, [host]);
    await second.worker.tick();
    expect(await second.sentient.handle(handle.id).result()).toBe(2);
    expect(seen).toEqual([
      ["the door is open", "0"],
      ["the door is open", "0"],
    ]);
  });

  test("that was put back, and says the same again, has said it once", async () => {
    const { db, memory } = await freshMemory();
    const clock = new VirtualClock();
    const host = agent(async (ctx) => {
      await ctx.checkpoint("begin");
      await memory.say(ctx, "t", [said("hello")]);
      await memory.remember(ctx, { text: "somebody said hello" });
      await ctx.waitFor("go");
      return null;
    });
    const { sentient, worker } = await processOn(db, clock, [host]);
    const handle = await sentient.start(host);
    await worker.tick();
    const before = await rowsOf(db);
    await sentient.pause(handle.id);
    await worker.tick();
    await sentient.restore(handle.id, { checkpoint: "begin" });
    await sentient.resume(handle.id);
    await worker.tick();
    expect(await rowsOf(db)).toBe(before);
    expect(await db.query(surql`SELECT VALUE said FROM memory`)).toEqual([1]);
    expect(await memory.messages("t")).toHaveLength(1);
  });
});

/** Rows of memory in all. */
async function rowsOf(db: Database): Promise<number> {
  let all = 0;
  for (const table of TABLES)
    all += await db.query(surql<number>`RETURN count(SELECT VALUE id FROM type::table(${table}))`);
  return all;
}

describe("runs beside each other", () => {
  test("that remember the same at once have one memory, which stands on both", async () => {
    const { db, memory } = await freshMemory({ embedder: localEmbedder({ dimension: 64 }) });
    const host = agent((ctx) => memory.remember(ctx, { text: "the sea is calm", sources: [ctx.run.id] }));
    const clock = new VirtualClock();
    const processes = await Promise.all([processOn(db, clock, [host]), processOn(db, clock, [host])]);
    const handles = await Promise.all(
      Array.from({ length: 12 }, (_, i) => processes[i % 2]!.sentient.start(host)),
    );
    await Promise.all(processes.map(({ worker }) => worker.tick()));
    const ids = await Promise.all(handles.map((handle) => handle.result()));
    expect(new Set(ids).size).toBe(1);
    const why = await memory.why(ids[0] as string);
    expect(why?.because.map(({ source }) => source).toSorted()).toEqual(
      handles.map(({ id }) => id).toSorted(),
    );
    expect(why?.because.every(({ by, source }) => by?.run === source)).toBe(true);
    expect(await db.query(surql`SELECT said, text FROM memory`)).toEqual([
      { said: 12, text: "the sea is calm" },
    ]);
  });

  test("that recall the same at once are all told, and each is noted", async () => {
    const { db, memory } = await freshMemory();
    await memory.import([{ text: "the sea is calm" }]);
    const host = agent(async (ctx) => (await memory.recall(ctx, { query: "sea" })).length);
    const clock = new VirtualClock();
    const processes = await Promise.all([processOn(db, clock, [host]), processOn(db, clock, [host])]);
    const handles = await Promise.all(
      Array.from({ length: 20 }, (_, i) => processes[i % 2]!.sentient.start(host)),
    );
    await Promise.all(processes.map(({ worker }) => worker.tick()));
    expect(await Promise.all(handles.map((handle) => handle.result()))).toEqual(Array(20).fill(1));
    expect(await db.query(surql`SELECT VALUE recalled FROM memory`)).toEqual([20]);
    expect(await db.query(surql`SELECT VALUE id FROM memory_recalled`)).toHaveLength(20);
  });

  test("that speak in one thread at once each say theirs together, and the thread has no gaps", async () => {
    const { db, memory } = await freshMemory();
    const host = agent((ctx) =>
      memory.say(
        ctx,
        "t",
        ["a", "b", "c"].map((part) => said(`${ctx.run.id}/${part}`)),
      ),
    );
    const clock = new VirtualClock();
    const processes = await Promise.all([processOn(db, clock, [host]), processOn(db, clock, [host])]);
    await Promise.all(Array.from({ length: 10 }, (_, i) => processes[i % 2]!.sentient.start(host)));
    await Promise.all(processes.map(({ worker }) => worker.tick()));
    const thread = await memory.messages("t", { last: 100 });
    expect(thread.map(({ n }) => n)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    const texts = thread.map(({ message }) => (message.content[0] as { text: string }).text);
    for (let i = 0; i < 30; i += 3) {
      const run = texts[i]!.split("/")[0];
      expect(texts.slice(i, i + 3)).toEqual(["a", "b", "c"].map((part) => `${run}/${part}`));
    }
    expect((await memory.messages("t", { last: 4 })).map(({ n }) => n)).toEqual([27, 28, 29, 30]);
  });
});

test("what is recalled lasts longer than what is not", async () => {
  const clock = new VirtualClock();
  const { db, memory } = await freshMemory({ clock, halfLife: 86_400_000 });
  await memory.import([{ text: "the first code is 1111" }, { text: "the second code is 2222" }]);
  const host = agent((ctx) => memory.recall(ctx, { query: "1111", limit: 1 }));
  const { sentient, worker } = await processOn(db, clock, [host]);
  await sentient.start(host);
  await worker.tick();
  await clock.advance(86_400_000);
  const hits = await memory.search({ query: "code" });
  expect(hits.map(({ text }) => text)).toEqual(["the first code is 1111", "the second code is 2222"]);
  expect(hits[1]!.freshness).toBe(0.5);
  expect(hits[0]!.freshness).toBeCloseTo(2 ** -0.5, 5);
});

test("a message of more than 64 KiB is refused, and so is what is no message", async () => {
  const { db, memory } = await freshMemory();
  const codes: unknown[] = [];
  const host = agent(async (ctx) => {
    for (const message of [said("x".repeat(65_536)), "hello" as never])
      await memory.say(ctx, "t", [message]).catch(({ code }) => codes.push(code));
    return memory.say(ctx, "t", []);
  });
  const { sentient, worker } = await processOn(db, new VirtualClock(), [host]);
  const handle = await sentient.start(host);
  await worker.tick();
  expect(await handle.result()).toEqual([]);
  expect(codes).toEqual(["ai.memory_too_large", "ai.bad_option"]);
  expect(await memory.messages("t")).toEqual([]);
});

test("a thread and a recall give no more than a step may: of the thread the last, of the recall the best", async () => {
  const { db, memory } = await freshMemory();
  const quotes = '"'.repeat(16_000); // twice as long in JSON
  await memory.import(Array.from({ length: 50 }, (_, i) => ({ text: `${i} owl ${quotes}` })));
  const host = agent(async (ctx) => {
    for (let i = 0; i < 20; i++) await memory.say(ctx, "t", [said(`${i} ${"x".repeat(65_000)}`)]);
    const thread = await memory.thread(ctx, "t");
    const hits = await memory.recall(ctx, { query: "owl", limit: 50 });
    return [thread.length, thread.at(-1)!.n, hits.length];
  });
  const { sentient, worker } = await processOn(db, new VirtualClock(), [host]);
  const handle = await sentient.start(host);
  await worker.tick();
  const [messages, last, hits] = (await handle.result()) as number[];
  expect([messages, last]).toEqual([16, 20]);
  expect(hits).toBeGreaterThan(25);
  expect(hits).toBeLessThan(50);
  expect(await memory.search({ query: "owl", limit: 50 })).toHaveLength(50);
});

test("many memories at once are as many steps as they take", async () => {
  const { db, memory } = await freshMemory();
  const many = Array.from({ length: 250 }, (_, i) => ({ text: `fact ${i}` }));
  const host = agent(async (ctx) => (await memory.rememberAll(ctx, many)).length);
  const { sentient, worker } = await processOn(db, new VirtualClock(), [host]);
  const handle = await sentient.start(host);
  await worker.tick();
  expect(await handle.result()).toBe(250);
  expect([...(await sentient.state.journal(handle.id)).keys()]).toEqual([
    "main/remember#1",
    "main/remember#2",
    "main/remember#3",
  ]);
  expect((await memory.search({ query: "fact 177" }))[0]?.text).toBe("fact 177");
});
