import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDatabase } from "@sentient/db-pool";
import { sabotage } from "@sentient/testkit";
import { expect, onTestFinished, test } from "vitest";
import { DIMENSION, embed } from "../../src/research/embedding.ts";
import { Library } from "../../src/research/library.ts";
import { cut } from "../../src/research/passages.ts";

const NOTES = {
  "checkpoints.md": "# Points\n\nA checkpoint names a moment of a run, and it can be restored later.",
  "leases.md": "# Leases\n\nA lease is the right to advance something, for some seconds.",
  "billing.md": "# Billing\n\nInvoices are written at the end of each month, and sent by mail.",
};

async function library(name = "/notes") {
  const folder = await mkdtemp(join(tmpdir(), "library-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const db = await openDatabase({ url: `rocksdb://${folder}` }); // mem:// inserts nothing where it has deleted in one transaction
  onTestFinished(() => db.close());
  await Library.prepare(db);
  const filled = new Library(db, name);
  await filled.put(
    Object.entries(NOTES).map(([file, text]) => ({ file, hash: "0", cuts: cut(file, text, "whole") })),
  );
  return { db, library: filled };
}

const filesOf = (found: readonly { file: string }[]) => found.map(({ file }) => file);

test("what speaks of the words, and is near to them besides, comes first", async () => {
  const { library: notes } = await library();
  expect(filesOf(await notes.search("restore a checkpoint", 3))[0]).toBe("checkpoints.md");
  expect(filesOf(await notes.search("invoices by mail", 3))[0]).toBe("billing.md");
  expect(await notes.search("invoices by mail", 1)).toHaveLength(1);
});

test("what is spelled otherwise is found by what it is near to", async () => {
  const { library: notes } = await library();
  const words = "chekpoints restauration";
  expect(await notes.frequencies(words.split(" "))).toEqual([0, 0]); // nobody speaks of them
  expect(filesOf(await notes.search(words, 3))[0]).toBe("checkpoints.md");
});

test("nothing is found of another folder, nor under another heading", async () => {
  const { db, library: notes } = await library();
  expect(await new Library(db, "/other").search("restore a checkpoint", 3)).toEqual([]);
  expect(filesOf(await notes.search("a checkpoint, a lease", 3, "Leases"))).toEqual(["leases.md"]);
});

test("a text that is read again is there once, and one that is gone is not found", async () => {
  const { library: notes } = await library();
  const again = { file: "leases.md", hash: "1", cuts: cut("leases.md", NOTES["leases.md"], "whole") };
  await notes.put([again]);
  expect(filesOf(await notes.search("lease", 9)).filter((file) => file === "leases.md")).toHaveLength(1);
  await notes.forget(["leases.md"]);
  expect(filesOf(await notes.search("lease", 9))).not.toContain("leases.md");
});

test("texts point the same way every time, and closer to what shares their words", async () => {
  const towards = (a: string, b: string) =>
    embed(a)!.reduce((sum, value, i) => sum + value * embed(b)![i]!, 0);
  expect(embed("a lease of a run")).toHaveLength(DIMENSION);
  expect(towards("a lease of a run", "a lease of a run")).toBeCloseTo(1);
  expect(towards("checkpoint", "chekpoints")).toBeGreaterThan(0.3);
  await sabotage("nothing in common", () => expect(towards("checkpoint", "invoice")).toBeGreaterThan(0.3));
  expect(embed("of the and")).toBeUndefined();
});
