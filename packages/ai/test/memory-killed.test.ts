// Memory whose process is killed: what was acknowledged is there, whole, and is found by who opens the folder next.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sabotage, spawnChild, type Message } from "@sentient/testkit";
import { expect, onTestFinished, test } from "vitest";

const CHILD = new URL("fixtures/memory-child.ts", import.meta.url);

const PATIENCE_MS = 120_000;

interface Found extends Message {
  /** Rows by table. */
  counts: Record<string, number>;
  words: string[];
  vector: string[];
}

/** Each memory has one of each, and a batch is there or not. */
function expectWhole(counts: Record<string, number>, acknowledged: number): void {
  expect(counts.memory).toBeGreaterThanOrEqual(acknowledged);
  expect(counts.memory! % 20).toBe(0);
  expect(new Set(Object.values(counts)).size).toBe(1);
}

test("a process that is killed as it fills memory leaves no part of a memory, and loses none that was there", async () => {
  const folder = await mkdtemp(join(tmpdir(), "sentient-memory-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  const url = `rocksdb://${folder}/data`;
  let acknowledged = 0;
  for (const batches of [2, 5]) {
    await using child = spawnChild(CHILD, { args: ["fill", url] });
    const last = await child.message((message) => message.acknowledged === batches * 20, PATIENCE_MS);
    acknowledged = last.acknowledged as number;
    await child.kill();
  }
  await using reader = spawnChild(CHILD, { args: ["look", url] });
  const { counts, words, vector } = await reader.message<Found>(
    (message) => "counts" in message,
    PATIENCE_MS,
  );
  expectWhole(counts, acknowledged);
  expect(words[0]).toBe("parcel 17");
  expect(vector[0]).toBe("parcel 17");
  for (const table of Object.keys(counts))
    await sabotage(`a ${table} that is missing`, () =>
      expectWhole({ ...counts, [table]: counts[table]! - 1 }, acknowledged),
    );
});
