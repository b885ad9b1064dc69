// Memory outside of runs: what is remembered is found, by whom it may be, and the older the later.

import { fileURLToPath } from "node:url";
import { check, isGenerated } from "@sentient/schema";
import { VirtualClock } from "@sentient/testkit";
import { openDatabase, surql } from "@sentient/db-pool";
import { describe, expect, onTestFinished, test } from "vitest";
import { createMemory, localEmbedder, type Embedder, type Hit, type NewMemory } from "../src/memory/index.ts";
import * as tables from "../src/memory/tables.ts";
import { migrationsIn } from "../src/places.ts";
import { freshDatabase, freshMemory } from "./support/memories.ts";

const DAY = 86_400_000;
const textsOf = (hits: readonly Hit[]) => hits.map(({ text }) => text);

const codeOf = async (work: () => unknown): Promise<string | undefined> => {
  try {
    await work();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return undefined;
};

const DRINKS: NewMemory[] = [
  { text: "Ada prefers green tea in the morning", tags: ["ada", "drinks"], sources: ["chat.md"] },
  { text: "Bob drinks coffee, never tea", tags: ["bob", "drinks"], sources: ["chat.md", "notes.md"] },
  { text: "The harbour opens at nine", sources: ["notes.md"] },
];

describe("what is remembered", () => {
  test("is found by its words, whatever their endings, and says where it stands", async () => {
    const { memory } = await freshMemory();
    expect(await memory.import(DRINKS)).toBe(3);
    const [first, ...rest] = await memory.search({ query: "who was preferring teas?" });
    expect(first).toMatchObject({
      text: DRINKS[0]!.text,
      tags: ["ada", "drinks"],
      sources: ["chat.md"],
      ranks: { words: 1 },
    });
    expect(rest[0]?.text).toBe(DRINKS[1]!.text);
    expect(await memory.search({ query: "zeppelin" })).toEqual([]);
    expect(await memory.search({ query: "?!" })).toEqual([]);
  });

  test("is found by its direction too, where there is an embedder, also if it is spelled otherwise", async () => {
    const { memory } = await freshMemory({ embedder: localEmbedder() });
    await memory.import(DRINKS);
    const [first] = await memory.search({ query: "harbor openings" }, { by: ["vector"] });
    expect(first).toMatchObject({ text: DRINKS[2]!.text, ranks: { vector: 1 } });
    const [both] = await memory.search({ query: "green tea" });
    expect(both?.ranks).toMatchObject({ words: 1, vector: 1 });
  });

  test("brings what is tied to it: by a source, by what it is about", async () => {
    const { memory } = await freshMemory();
    await memory.import([
      { text: "Grace moved to Lisbon", tags: ["grace"], sources: ["letter"] },
      { text: "she is allergic to nuts", tags: ["grace"], sources: ["call"] },
      { text: "it rained all day", sources: ["letter"] },
      { text: "somebody else likes nuts", sources: ["other"] },
    ]);
    const hits = await memory.search({ query: "Lisbon" });
    expect(textsOf(hits)).toEqual(
      ["Grace moved to Lisbon", "it rained all day", "she is allergic to nuts"].toSorted(
        (a, b) => textsOf(hits).indexOf(a) - textsOf(hits).indexOf(b),
      ),
    );
    expect(hits[1]?.ranks).toEqual({ neighbours: expect.any(Number) as number });
    expect(await memory.search({ query: "Lisbon" }, { by: ["words"] })).toHaveLength(1);
  });

  test("by a crowd is no tie", async () => {
    const { memory } = await freshMemory();
    const crowd = Array.from({ length: 40 }, (_, i) => ({ text: `line number ${i}`, sources: ["corpus"] }));
    await memory.import([...crowd, { text: "a whale surfaced", sources: ["corpus"] }]);
    expect(textsOf(await memory.search({ query: "whale" }))).toEqual(["a whale surfaced"]);
  });

  test("is narrowed by agent, thread, time and tags", async () => {
    const clock = new VirtualClock();
    for (const embedder of [undefined, localEmbedder()]) {
      const { memory } = await freshMemory({ clock, embedder });
      await memory.import([{ text: "tea is served", agent: "host", thread: "t1", tags: ["a", "b"] }]);
      await clock.advance(DAY);
      const then = new Date(clock.now());
      await memory.import([
        { text: "tea is sold out", agent: "host", thread: "t2", tags: ["b"] },
        { text: "tea is cold", agent: "guest" },
        { text: "tea is for everybody" },
      ]);
      const found = async (filter: object) =>
        textsOf(await memory.search({ query: "tea", ...filter })).toSorted();
      expect(await found({})).toHaveLength(4);
      expect(await found({ agent: "host" })).toEqual(["tea is served", "tea is sold out"]);
      expect(await found({ agent: "host", thread: "t2" })).toEqual(["tea is sold out"]);
      expect(await found({ thread: "t1" })).toEqual(["tea is served"]);
      expect(await found({ before: then })).toEqual(["tea is served"]);
      expect(await found({ after: then })).toHaveLength(3);
      expect(await found({ tags: ["b"] })).toEqual(["tea is served", "tea is sold out"]);
      expect(await found({ tags: ["a", "b"] })).toEqual(["tea is served"]);
      expect(await found({ agent: "nobody" })).toEqual([]);
      expect(await found({ agent: null })).toEqual(["tea is for everybody"]);
      expect(await found({ thread: null })).toEqual(["tea is cold", "tea is for everybody"]);
      expect(await found({ agent: "guest", thread: null })).toEqual(["tea is cold"]);
      const host = { agent: "host", thread: "t1", shared: true };
      expect(await found(host)).toEqual(["tea is for everybody", "tea is served"]);
      expect(await found({ thread: "t2", shared: true })).toHaveLength(3);
      expect(await memory.search({ query: "tea", limit: 2 })).toHaveLength(2);
    }
  });

  test("is found among thousands, also by words that stand in each of them", async () => {
    const { memory } = await freshMemory();
    await memory.import(Array.from({ length: 2_500 }, (_, i) => ({ text: `common ground, parcel ${i}` })));
    const [first] = await memory.search({ query: "what of the common parcel 1234?" });
    expect(first?.text).toBe("common ground, parcel 1234");
    expect(await memory.search({ query: "common ground" })).toHaveLength(10);
  });

  test("is found among thousands of the same agent, with words that are common and with words that are not", async () => {
    const { memory } = await freshMemory({ embedder: localEmbedder({ dimension: 16 }) });
    await memory.import([
      ...Array.from({ length: 2_100 }, (_, i) => ({ text: `common ground, parcel ${i}`, agent: "host" })),
      ...Array.from({ length: 10 }, (_, i) => ({ text: `common cold ${i}`, agent: "guest" })),
    ]);
    const found = async (query: string, agent: string) =>
      textsOf(await memory.search({ query, agent, limit: 50 }));
    expect((await found("parcel 1234", "host"))[0]).toBe("common ground, parcel 1234");
    expect(await found("common", "guest")).toHaveLength(10);
    expect(await found("common cold", "host")).toHaveLength(50);
  });
});

test("a corpus may be as large in an engine in memory, where large transactions take very long", async () => {
  const db = await openDatabase({ url: "mem://" });
  onTestFinished(() => db.close());
  const memory = createMemory(db);
  await memory.migrate();
  expect(await memory.import(Array.from({ length: 600 }, (_, i) => ({ text: `fact ${i}` })))).toBe(600);
  expect((await memory.search({ query: "fact 377" }))[0]?.text).toBe("fact 377");
});

describe("the same words", () => {
  test("are one memory, whatever their case and spaces, and another one of another agent or thread", async () => {
    const { db, memory } = await freshMemory();
    await memory.import([{ text: "Ada likes tea", tags: ["a"], sources: ["one"] }]);
    await memory.import([{ text: "  ada LIKES\n tea", tags: ["b"], sources: ["two"], importance: 0.9 }]);
    const [hit, ...others] = await memory.search({ query: "tea" });
    expect(hit).toMatchObject({ text: "Ada likes tea", sources: ["one", "two"], importance: 0.9 });
    expect(hit?.tags.toSorted()).toEqual(["a", "b"]);
    expect(others).toEqual([]);
    await memory.import([
      { text: "Ada likes tea", agent: "host" },
      { text: "Ada likes tea", thread: "t" },
    ]);
    expect(await memory.search({ query: "tea" })).toHaveLength(3);
    expect(await db.query(surql`SELECT VALUE text FROM memory`)).toHaveLength(3);
  });

  test("imported again change nothing", async () => {
    const { db, memory } = await freshMemory({ embedder: localEmbedder() });
    await memory.import(DRINKS);
    const rows = () => db.query(surql`SELECT id, said, recalled, tags, text FROM memory ORDER BY id`);
    const before = await rows();
    await memory.import([...DRINKS, ...DRINKS]);
    expect(await rows()).toEqual(before);
  });
});

describe("time", () => {
  test("leaves half of a memory after each half-life, and all of it findable", async () => {
    const clock = new VirtualClock();
    const { memory } = await freshMemory({ clock, halfLife: 10 * DAY });
    await memory.import([{ text: "the code is 1111" }]);
    await clock.advance(20 * DAY);
    await memory.import([{ text: "the code is 2222" }]);
    const hits = await memory.search({ query: "code" });
    expect(textsOf(hits)).toEqual(["the code is 2222", "the code is 1111"]);
    expect(hits.map(({ freshness }) => freshness)).toEqual([1, 0.25]);
  });

  test("counts less for what matters more", async () => {
    const clock = new VirtualClock();
    const { memory } = await freshMemory({ clock, halfLife: 100 * DAY });
    await memory.import([{ text: "the code is 1111", importance: 1 }]);
    await clock.advance(DAY);
    await memory.import([{ text: "the code is 2222", importance: 0.1 }]);
    expect(textsOf(await memory.search({ query: "code" }))[0]).toBe("the code is 1111");
  });

  test("takes nothing away by itself; compact does, but what is fresh or matters entirely", async () => {
    const clock = new VirtualClock();
    const { memory } = await freshMemory({ clock, halfLife: DAY, embedder: localEmbedder() });
    await memory.import([
      { text: "old hat", sources: ["attic"] },
      { text: "old gold", importance: 1 },
    ]);
    await clock.advance(30 * DAY);
    await memory.import([{ text: "new hat", sources: ["shop"] }]);
    expect(await memory.search({ query: "old hat gold new" })).toHaveLength(3);
    expect(await memory.compact()).toEqual({ memories: 1, messages: 0, kept: 0, seenBy: [] });
    expect(textsOf(await memory.search({ query: "old hat gold new" })).toSorted()).toEqual([
      "new hat",
      "old gold",
    ]);
    expect(await memory.compact()).toMatchObject({ memories: 0 });
  });
});

describe("memory refuses", () => {
  test("what says nothing, is too large, or is asked for wrongly, and writes none of it", async () => {
    const { db, memory } = await freshMemory();
    const fine = { text: "fine" };
    expect(await codeOf(() => memory.import([fine, { text: " \n" }]))).toBe("ai.bad_option");
    expect(await codeOf(() => memory.import([fine, { text: "é".repeat(8_193) }]))).toBe(
      "ai.memory_too_large",
    );
    expect(await codeOf(() => memory.import([{ text: "x", importance: 2 }]))).toBe("ai.bad_option");
    expect(await codeOf(() => memory.import([{ text: "x", word: 1 } as never]))).toBe("ai.bad_option");
    expect(await codeOf(() => memory.search({ query: "" }))).toBe("ai.bad_option");
    expect(await codeOf(() => memory.search({ query: "x", limit: 51 }))).toBe("ai.bad_option");
    expect(await codeOf(() => createMemory(db, { halfLife: 0 }))).toBe("ai.bad_option");
    expect(await db.query(surql`SELECT * FROM memory`)).toEqual([]);
    await memory.import([{ text: "é".repeat(8_192) }]);
  });

  test("vectors that are not what their embedder says", async () => {
    const embedder = (vectors: (count: number) => number[][]): Embedder => ({
      name: "odd",
      dimension: 2,
      embed: async (texts) => vectors(texts.length),
    });
    for (const odd of [() => [], () => [[1]], () => [[1, Number.NaN]]]) {
      const { db, memory } = await freshMemory({ embedder: embedder(odd) });
      expect(await codeOf(() => memory.import([{ text: "x" }]))).toBe("ai.bad_embedding");
      expect(await db.query(surql`SELECT * FROM memory`)).toEqual([]);
    }
  });

  test("no text that points nowhere: it is found by its words", async () => {
    const nowhere: Embedder = {
      name: "nowhere",
      dimension: 2,
      embed: async (texts) => texts.map(() => [0, 0]),
    };
    const { memory } = await freshMemory({ embedder: nowhere });
    await memory.import(DRINKS);
    expect(textsOf(await memory.search({ query: "harbour" }))[0]).toBe(DRINKS[2]!.text);
  });
});

test("another embedder begins with vectors of its own, and leaves those of the one before", async () => {
  const db = await freshDatabase();
  const first = createMemory(db, { embedder: localEmbedder({ dimension: 64 }) });
  await first.migrate();
  await first.import(DRINKS);
  const second = createMemory(db, { embedder: localEmbedder({ dimension: 32 }) });
  await Promise.all([second.migrate(), second.migrate()]);
  expect(await second.search({ query: "green tea" }, { by: ["vector"] })).toEqual([]);
  expect(await second.embed()).toBe(3);
  expect(await second.embed()).toBe(0);
  for (const memory of [first, second])
    expect(textsOf(await memory.search({ query: "green tea" }, { by: ["vector"] }))[0]).toBe(DRINKS[0]!.text);
  await second.forgetSource("chat.md");
  for (const memory of [first, second])
    expect(textsOf(await memory.search({ query: "green tea" }, { by: ["vector"] }))).not.toContain(
      DRINKS[0]!.text,
    );
});

test("memories that had no embedder get vectors, and are narrowed by them as by words", async () => {
  const { db, memory } = await freshMemory();
  await memory.import(DRINKS.map((drink) => ({ ...drink, agent: "host" })));
  expect(await codeOf(() => memory.embed())).toBe("ai.bad_option");
  const pointed = createMemory(db, { embedder: localEmbedder({ dimension: 64 }) });
  await pointed.migrate();
  expect(await pointed.embed()).toBe(3);
  const found = (agent: string, tags?: string[]) =>
    pointed.search({ query: "tea in the morning", agent, tags }, { by: ["vector"] });
  expect((await found("host"))[0]?.text).toBe(DRINKS[0]!.text);
  expect(textsOf(await found("host", ["bob"]))).toEqual([DRINKS[1]!.text]);
  expect(await found("guest")).toEqual([]);
});

test("the tables of memory are what its migrations make", async () => {
  const { db } = await freshMemory();
  const described = Object.values(tables);
  expect(await isGenerated({ folder: fileURLToPath(migrationsIn("surql/")), tables: described })).toBe(true);
  expect(await check(db, described, { others: false })).toEqual([]);
});
