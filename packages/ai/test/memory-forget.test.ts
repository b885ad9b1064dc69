// Where memories come from, and that what is forgotten is gone.

import type { Context, Message } from "@sentient/agent-core";
import { RecordId, surql, type Database } from "@sentient/db-pool";
import { sabotage, VirtualClock } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import { localEmbedder, type MemoryStore } from "../src/memory/index.ts";
import { freshMemory, tracesOf } from "./support/memories.ts";
import { agent, processOn } from "./support/mortals.ts";

const said = (text: string): Message => ({ role: "user", content: [{ type: "text", text }] });
const SECRET = "the lighthouse keeper collects porcelain owls";

/** Its words as code of their own make them, so that no input or result of a run has them. */
const read = (memory: MemoryStore) => async (ctx: Context) => {
  const [message] = await memory.say(ctx, "t", [said(SECRET)], { sources: ["https://example.org/owls"] });
  return memory.remember(ctx, { text: `They say: ${SECRET}`, tags: ["owls"], messages: [message!] });
};

async function ran(db: Database, what: (ctx: Context) => Promise<unknown>) {
  const host = agent(what);
  const { sentient, worker } = await processOn(db, new VirtualClock(), [host]);
  const handle = await sentient.start(host);
  await worker.tick();
  return { id: handle.id, result: await handle.result() };
}

describe("why", () => {
  test("leads from a memory over its message, step and run to the source", async () => {
    const { db, memory } = await freshMemory();
    const { id: run, result } = await ran(db, read(memory));
    const because = (step: string) => [
      {
        source: "https://example.org/owls",
        at: expect.any(String) as string,
        by: {
          run,
          step,
          name: "host",
          status: "completed",
          startedAt: expect.any(String) as string,
          endedAt: expect.any(String) as string,
        },
      },
    ];
    expect(await memory.why(result as string)).toEqual({
      id: result,
      text: `They say: ${SECRET}`,
      because: because("main/remember#1"),
      messages: [
        {
          id: expect.any(String) as string,
          thread: "t",
          n: 1,
          message: said(SECRET),
          because: because("main/say#1"),
        },
      ],
    });
    expect(await memory.why("0".repeat(32))).toBeUndefined();
  });

  test("tells each of several sources, and of an import without a run that it was one", async () => {
    const { db, memory } = await freshMemory();
    await memory.import([{ text: "owls hoot", sources: ["book"] }]);
    const { id: run, result } = await ran(db, (ctx) => memory.remember(ctx, { text: "Owls hoot" }));
    const why = await memory.why(result as string);
    expect(why?.because.map(({ source, by }) => [source, by?.run]).toSorted()).toEqual([
      ["book", undefined],
      [`run:${run}`, run],
    ]);
  });

  test("is in the graph too, and outlives what is kept of the run", async () => {
    const { db, memory } = await freshMemory();
    const { id: run, result } = await ran(db, read(memory));
    const id = new RecordId("memory", result as string);
    expect(await db.query(surql`RETURN ${id}<-memory_gave<-run`)).toEqual([new RecordId("run", run)]);
    await db.query(surql`DELETE ${new RecordId("run", run)}`);
    expect((await memory.why(result as string))?.because[0]).toMatchObject({
      source: "https://example.org/owls",
      by: { run, step: "main/remember#1" },
    });
  });
});

describe("a source that is forgotten", () => {
  test("takes with it all that stands on it alone: no table has a trace of it", async () => {
    const { db, memory } = await freshMemory({ embedder: localEmbedder({ dimension: 64 }) });
    const { result } = await ran(db, read(memory));
    const traces = [SECRET, result as string, "example.org", "owls"];
    expect((await tracesOf(db, ...traces)).length).toBeGreaterThanOrEqual(7);
    expect(await memory.forgetSource("https://example.org/owls")).toEqual({
      memories: 1,
      messages: 1,
      kept: 0,
      seenBy: [],
    });
    // The journal of the run has the ids of what it said, as any run keeps what its steps gave; it has none of the words.
    expect(await tracesOf(db, ...traces)).toEqual(["run", "step"]);
    expect(await tracesOf(db, SECRET, "porcelain", "example.org", "owls")).toEqual([]);
    expect(await memory.search({ query: SECRET })).toEqual([]);
    expect(await memory.messages("t")).toEqual([]);
  });

  test.each([
    [
      "an edge",
      surql`INSERT RELATION INTO memory_tagged { id: memory_tagged:left, in: memory:gone, out: memory_tag:owls }`,
    ],
    ["a vector", surql`INSERT INTO memory_near_local_64 { id: "left", tags: ["owls"] }`],
    [
      "a source",
      surql`INSERT INTO memory_source { id: "left", name: "https://example.org/owls", at: time::now(), said: 1 }`,
    ],
  ])("would be found by that scan if it left %s", async (_, leaving) => {
    const { db, memory } = await freshMemory({ embedder: localEmbedder({ dimension: 64 }) });
    await ran(db, read(memory));
    await memory.forgetSource("https://example.org/owls");
    expect(await tracesOf(db, "owls")).toEqual([]);
    await db.query(leaving);
    await sabotage("something that is left", async () => expect(await tracesOf(db, "owls")).toEqual([]));
  });

  test("leaves what stands on others too, and those alone", async () => {
    const { db, memory } = await freshMemory();
    await memory.import([
      { text: "owls hoot", sources: ["a", "b"] },
      { text: "owls fly", sources: ["a"] },
      { text: "owls sleep", sources: ["b"] },
    ]);
    expect(await memory.forgetSource("a")).toEqual({ memories: 1, messages: 0, kept: 1, seenBy: [] });
    const left = await memory.search({ query: "owls" });
    expect(left.map(({ text, sources }) => `${text}: ${sources.join()}`).toSorted()).toEqual([
      "owls hoot: b",
      "owls sleep: b",
    ]);
    expect(await memory.forgetSource("a")).toEqual({ memories: 0, messages: 0, kept: 0, seenBy: [] });
    expect(await memory.forgetSource("b")).toMatchObject({ memories: 2 });
    expect(await db.query(surql`SELECT * FROM memory_from`)).toEqual([]);
    expect(await db.query(surql`SELECT * FROM memory_source`)).toEqual([]);
  });

  test("may be one of very many memories", async () => {
    const { db, memory } = await freshMemory({ embedder: localEmbedder({ dimension: 64 }) });
    await memory.import(Array.from({ length: 650 }, (_, i) => ({ text: `owl ${i}`, sources: ["corpus"] })));
    await memory.import([{ text: "wren", sources: ["other"] }]);
    expect(await memory.forgetSource("corpus")).toMatchObject({ memories: 650 });
    expect(await tracesOf(db, "owl ", "corpus")).toEqual([]);
    expect(await db.query(surql`SELECT VALUE id FROM memory_near_local_64`)).toHaveLength(1);
    expect((await memory.search({ query: "owl wren" })).map(({ text }) => text)).toEqual(["wren"]);
  });

  test("names the runs that were told, and a run is a source of what it said without one", async () => {
    const { db, memory } = await freshMemory();
    const { id: speaker } = await ran(db, (ctx) => memory.remember(ctx, { text: "owls hoot" }));
    const { id: listener } = await ran(db, (ctx) => memory.recall(ctx, { query: "owls" }));
    expect(await memory.forgetSource(`run:${speaker}`)).toEqual({
      memories: 1,
      messages: 0,
      kept: 0,
      seenBy: [listener],
    });
    expect(await db.query(surql`SELECT * FROM memory_recalled`)).toEqual([]);
  });

  test("leaves a gap in its thread, behind which the last messages are still found", async () => {
    const { db, memory } = await freshMemory();
    await ran(db, async (ctx) => {
      await memory.say(ctx, "t", [said("one"), said("two")]);
      await memory.say(ctx, "t", [said("three"), said("four")], { sources: ["wrong"] });
      return memory.say(ctx, "t", [said("five")]);
    });
    await memory.forgetSource("wrong");
    expect((await memory.messages("t", { last: 2 })).map(({ n }) => n)).toEqual([2, 5]);
    expect((await memory.messages("t")).map(({ n }) => n)).toEqual([1, 2, 5]);
  });
});

describe("a thread that is forgotten", () => {
  const tell =
    (memory: MemoryStore, more: (ctx: Context, message: string) => Promise<unknown>) => (ctx: Context) =>
      memory.say(ctx, "ada", [said(SECRET)]).then(([message]) => more(ctx, message!));

  test("takes with it what was said in it and what is remembered of it: no table has a trace of it", async () => {
    const { db, memory } = await freshMemory({ embedder: localEmbedder({ dimension: 64 }) });
    const { id: speaker } = await ran(
      db,
      tell(memory, async (ctx, message) => {
        await memory.remember(ctx, { text: `They say: ${SECRET}`, tags: ["owls"], messages: [message] });
        await memory.remember(ctx, { text: `Of ada: ${SECRET}`, thread: "ada", sources: ["owls.md"] });
        return "said";
      }),
    );
    const { id: listener } = await ran(db, async (ctx) => {
      await memory.recall(ctx, { query: "wrens", thread: "ada" });
      return (await memory.recall(ctx, { query: SECRET, thread: "ada" })).length;
    });
    await memory.import([{ text: "wrens sing", sources: ["wrens.md"] }]);
    expect((await tracesOf(db, SECRET, "owls")).length).toBeGreaterThanOrEqual(6);
    expect(await memory.forgetThread("ada")).toEqual({
      memories: 2,
      messages: 1,
      kept: 0,
      seenBy: [speaker, listener].toSorted(),
    });
    // What a run was told stands in its journal, until that is removed.
    expect(await tracesOf(db, "porcelain", "owls")).toEqual(["step"]);
    for (const table of [
      "memory_message",
      "memory_thread",
      "memory_told",
      "memory_tagged",
      "memory_recalled",
    ])
      expect(await db.query(surql`SELECT * FROM type::table(${table})`), table).toEqual([]);
    for (const table of ["memory", "memory_near_local_64", "memory_from", "memory_source"])
      expect(await db.query(surql`SELECT * FROM type::table(${table})`), table).toHaveLength(1);
    expect(await memory.forgetThread("ada")).toEqual({ memories: 0, messages: 0, kept: 0, seenBy: [] });
  });

  test("leaves what was taken from another too, or stands on something else, and other threads", async () => {
    const { db, memory } = await freshMemory();
    await ran(
      db,
      tell(memory, async (ctx, message) => {
        const [other] = await memory.say(ctx, "bob", [said("owls hoot")]);
        await memory.remember(ctx, { text: "owls of both", messages: [message, other!] });
        await memory.remember(ctx, { text: "owls of a book", messages: [message], sources: ["book"] });
        await memory.remember(ctx, { text: "owls of bob", thread: "bob" });
        return memory.remember(ctx, { text: "owls of ada", thread: "ada", agent: "host" });
      }),
    );
    expect(await memory.forgetThread("ada")).toMatchObject({ memories: 1, messages: 1, kept: 2 });
    const left = (await memory.search({ query: "owls" })).map(({ text }) => text).toSorted();
    expect(left).toEqual(["owls of a book", "owls of bob", "owls of both"]);
    expect((await memory.why((await memory.search({ query: "both" }))[0]!.id))?.messages).toMatchObject([
      { thread: "bob" },
    ]);
    expect(await memory.messages("bob")).toHaveLength(1);
  });

  test("may be very long, and begins anew with who speaks in it again", async () => {
    const { db, memory } = await freshMemory();
    const speak = (ctx: Context) =>
      memory.say(
        ctx,
        "ada",
        Array.from({ length: 450 }, (_, i) => said(`${i} ${SECRET}`)),
      );
    await memory.import(Array.from({ length: 250 }, (_, i) => ({ text: `owl ${i}`, thread: "ada" })));
    await ran(db, async (ctx) => void (await speak(ctx)));
    expect(await memory.forgetThread("ada")).toMatchObject({ memories: 250, messages: 450 });
    expect(await tracesOf(db, "porcelain", "owl ")).toEqual([]);
    await ran(db, (ctx) => memory.say(ctx, "ada", [said("hello")]));
    expect(await memory.messages("ada")).toMatchObject([{ n: 1, message: said("hello") }]);
  });

  test("and spoken in at once has all of what was said after, or nothing", async () => {
    const { db, memory } = await freshMemory();
    for (let round = 0; round < 3; round++) {
      await ran(db, (ctx) => memory.say(ctx, "ada", [said("one"), said("two")]));
      await Promise.all([
        memory.forgetThread("ada"),
        ran(db, (ctx) => memory.say(ctx, "ada", [said("three"), said("four")])),
      ]);
      const ns = (await memory.messages("ada")).map(({ n }) => n);
      expect([[], [1, 2]]).toContainEqual(ns);
      await memory.forgetThread("ada");
    }
  });
});

test("threads are listed page by page, with what was said in them and when", async () => {
  const { db, memory } = await freshMemory();
  const names = Array.from({ length: 5 }, (_, i) => `thread-${i}`);
  await ran(db, async (ctx) => {
    for (const name of names) await memory.say(ctx, name, [said("one"), said("two")]);
    await memory.say(ctx, "thread-4", [said("three")]);
    return memory.say(ctx, "wrong", [said("four")], { sources: ["wrong"] });
  });
  await memory.forgetSource("wrong");
  const first = await memory.threads({ limit: 4 });
  const at = expect.stringMatching(/^2026-01-01T/) as string;
  expect(first.threads[0]).toEqual({ id: "thread-0", count: 2, firstAt: at, lastAt: at });
  expect(first.next).toBe("thread-3");
  expect(await memory.threads({ limit: 4, after: first.next! })).toEqual({
    threads: [
      { id: "thread-4", count: 3, firstAt: at, lastAt: at },
      { id: "wrong", count: 0 },
    ],
  });
  await memory.forgetThread("wrong");
  expect((await memory.threads()).threads.map(({ id }) => id)).toEqual(names);
  expect(() => memory.threads({ limit: 0 })).toThrow(/a page of threads/);
});

test("a memory may name a message that is forgotten by now, and does not stand on it", async () => {
  const { db, memory } = await freshMemory();
  const { id: run, result } = await ran(db, async (ctx) => {
    const [message] = await memory.say(ctx, "t", [said(SECRET)], { sources: ["wrong"] });
    await ctx.step("forget", async () => void (await memory.forgetSource("wrong")));
    return memory.remember(ctx, { text: "somebody said something", messages: [message!] });
  });
  expect(await memory.why(result as string)).toMatchObject({
    because: [{ source: `run:${run}` }],
    messages: [],
  });
  expect(await db.query(surql`SELECT * FROM memory_told`)).toEqual([]);
});

test("one memory is forgotten by its id, and is another one when it is said again", async () => {
  const { db, memory } = await freshMemory({ embedder: localEmbedder({ dimension: 64 }) });
  await memory.import([{ text: SECRET, sources: ["a"], tags: ["owls"] }]);
  const [hit] = await memory.search({ query: "owls" });
  expect(await memory.forget(hit!.id)).toBe(true);
  expect(await memory.forget(hit!.id)).toBe(false);
  expect(await tracesOf(db, SECRET, hit!.id, "owls")).toEqual([]);
  await memory.import([{ text: SECRET, sources: ["b"] }]);
  expect((await memory.search({ query: "owls" }))[0]).toMatchObject({
    id: hit!.id,
    tags: [],
    sources: ["b"],
  });
});

test("a memory that is forgotten once it was recalled, and before that is committed, does not come back, nor a trace of it", async () => {
  const { db, memory } = await freshMemory();
  await memory.import([{ text: SECRET, sources: ["a"] }]);
  const host = agent((ctx) => memory.recall(ctx, { query: "owls" }));
  const { sentient, worker } = await processOn(db, new VirtualClock(), [host]);
  const commit = sentient.state.commit.bind(sentient.state);
  sentient.state.commit = async (...args) => {
    await memory.forgetSource("a");
    return commit(...args);
  };
  const handle = await sentient.start(host);
  await worker.tick();
  expect(await handle.result()).toMatchObject([{ text: SECRET }]);
  for (const table of ["memory", "memory_from", "memory_recalled", "memory_source"])
    expect(await db.query(surql`SELECT * FROM type::table(${table})`), table).toEqual([]);
});

test("memories that are forgotten and said at once are there or gone, and never in part", async () => {
  const { db, memory } = await freshMemory({ embedder: localEmbedder({ dimension: 64 }) });
  const all = Array.from({ length: 20 }, (_, i) => ({ text: `owl ${i}`, sources: ["a"], tags: ["owls"] }));
  for (let round = 0; round < 5; round++) {
    await memory.import(all);
    const others = all.map((one) => ({ ...one, sources: ["b"] }));
    await Promise.all([memory.import(all), memory.forgetSource("a"), memory.import(others)]);
    const count = (await db.query(surql<unknown[]>`SELECT VALUE id FROM memory`)).length;
    for (const table of ["memory_near_local_64", "memory_tagged"])
      expect(await db.query(surql`SELECT VALUE id FROM type::table(${table})`), table).toHaveLength(count);
    expect(await db.query(surql`SELECT VALUE id FROM memory_from WHERE out.name IS NONE`)).toEqual([]);
    const ends = await db.query(surql<string[]>`RETURN array::distinct(SELECT VALUE in FROM memory_from)`);
    expect(ends).toHaveLength(count);
    expect(count).toBe(20); // who said it of b has said it
    await memory.forgetSource("a");
    await memory.forgetSource("b");
  }
});
