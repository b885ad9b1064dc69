// What is too large for a row.

import { surql, type Database } from "@sentient/db-pool";
import { hashOf, type Json } from "@sentient/schema";
import { expect, test } from "vitest";
import { contentOf, INLINE_BYTES, readContents } from "../src/blobs.ts";
import { freshState } from "./support/fresh.ts";
import { done, failure, held, running } from "./support/runs.ts";

const usesOf = (db: Database) => db.query(surql<unknown[]>`SELECT VALUE record::id(id) FROM blob_use`);
const blobsOf = (db: Database) => db.query(surql<string[]>`SELECT VALUE record::id(id) FROM blob`);

test("text goes into a blob when its bytes are more than a row holds", () => {
  expect(contentOf("a".repeat(INLINE_BYTES))).toBeUndefined();
  expect(contentOf("ü".repeat(INLINE_BYTES / 2))).toBeUndefined();
  const text = "ü".repeat(INLINE_BYTES / 2 + 1);
  expect(contentOf(text)).toEqual({ hash: hashOf(text), text });
});

test("a result of any size comes back as it was", async () => {
  const { state, db } = await freshState();
  const lease = await running(state, { id: "one" });
  const results: Json[] = [
    "x".repeat(INLINE_BYTES - 2), // with its quotes just a row
    "x".repeat(INLINE_BYTES - 1),
    { text: "ü\u2028😀".repeat(20_000) },
    Array.from({ length: 20_000 }, (_, i) => i),
    "y".repeat(1024 * 1024 - 2),
  ];
  await state.commit(lease, { steps: results.map((result, i) => done(`s#${i}`, result)) });
  const journal = await state.journal("one");
  expect(results.map((_, i) => (journal.get(`s#${i}`) as { result: Json }).result)).toEqual(results);
  expect(await blobsOf(db)).toHaveLength(4);
});

test("the same content is stored once, and every run that refers to it counts as a user once", async () => {
  const { state, db } = await freshState();
  const large = "l".repeat(70_000);
  const lease = await running(state, { id: "one" });
  await state.commit(lease, { steps: [done("a", large), done("b", large)], state: large });
  await state.commit(lease, { steps: [done("c", large)], end: { complete: null } });
  const other = await running(state, { id: "two" });
  await Promise.all([0, 1].map((i) => state.commit(other, { steps: [done(`d${i}`, large)] })));
  const hash = hashOf(JSON.stringify(large));
  expect(await blobsOf(db)).toEqual([hash]);
  expect(await usesOf(db)).toEqual([
    [hash, "one"],
    [hash, "two"],
  ]);
  expect(await db.query(surql`SELECT VALUE size FROM blob`)).toEqual([70_002]);
  expect((await readContents(db, [hash, hash, hashOf("other")])).get(hash)).toBe(JSON.stringify(large));
});

test("a step that was tried before may end with a large result, and a large state is one too", async () => {
  const { state } = await freshState();
  const large = "l".repeat(70_000);
  const lease = await running(state, { id: "one" });
  const step = { key: "a#1", name: "a" };
  await state.commit(lease, {
    steps: [{ ...step, status: "retrying", error: failure, retryAt: new Date() }],
  });
  await state.commit(lease, {
    steps: [{ ...step, status: "completed", attempts: 2, result: large }],
    state: { large, n: 1 },
  });
  await state.commit(lease, { state: { large, n: 2 } });
  expect((await state.journal("one")).get("a#1")).toMatchObject({ attempts: 2, result: large });
  const { events } = await state.history("one");
  expect(await state.stateAt("one", { n: events.at(-2)!.n })).toEqual({ large, n: 1 });
  expect(await state.stateAt("one")).toEqual({ large, n: 2 });
});

test("many large results are read a few at a time", async () => {
  const { state, db } = await freshState();
  const lease = await running(state, { id: "one" });
  const keys = Array.from({ length: 40 }, (_, i) => `s#${i}`);
  await state.commit(lease, { steps: keys.map((key) => done(key, key.repeat(20_000))) });
  const query = db.query.bind(db);
  let most = 0;
  db.query = (async (...args: Parameters<typeof query>) => {
    const answer = await query(...args);
    if (Array.isArray(answer)) most = Math.max(most, answer.filter((row) => "content" in Object(row)).length);
    return answer;
  }) as typeof query;
  const journal = await state.journal("one");
  expect(keys.every((key) => (journal.get(key) as { result: Json }).result === key.repeat(20_000))).toBe(
    true,
  );
  expect(most).toBeLessThan(40);
});

test("a worker that takes a run over finds what its predecessor has stored", async () => {
  const { state } = await freshState();
  const large = "l".repeat(70_000);
  const lease = await running(state, { id: "one" });
  await state.commit(lease, { steps: [done("a", large)], state: { large } });
  await state.release(lease);
  const next = await held(state, "w2");
  expect((await state.journal(next)).get("a")).toMatchObject({ result: large });
  await state.commit(next, { state: { large, more: 1 } });
  expect(await state.stateAt("one")).toEqual({ large, more: 1 });
});
