import * as fc from "fast-check";
import { expect, test } from "vitest";
import { checkVersionChain, seeded, type VersionedRead, type VersionedWrite } from "../src/index.ts";

const write = (
  version: number,
  invoked: number,
  completed: number,
  parent = version - 1,
): VersionedWrite => ({
  version,
  parent,
  invoked,
  completed,
});
const read = (version: number, invoked: number, completed: number): VersionedRead => ({
  version,
  invoked,
  completed,
});

const kinds = (writes: VersionedWrite[], reads: VersionedRead[] = []) =>
  checkVersionChain(writes, reads).map(({ kind }) => kind);

test("a chain passes, in whatever order its writes are given", () => {
  expect(kinds([write(3, 7, 9), write(1, 1, 3), write(2, 2, 6)])).toEqual([]);
  expect(kinds([])).toEqual([]);
  expect(kinds([write(41, 1, 2), write(42, 3, 4)], [read(40, 0, 1.5)])).toEqual([]);
});

test("a double-granted version is found", () => {
  expect(checkVersionChain([write(1, 1, 3), write(1, 2, 4)])).toEqual([
    { kind: "duplicate version", text: "version 1 was written twice" },
  ]);
});

test("a lost update is found: two writes replaced the same version", () => {
  expect(checkVersionChain([write(1, 1, 2), write(2, 3, 5), write(3, 4, 6, 1)])).toEqual([
    { kind: "wrong parent", text: "version 3 replaced 1, not 2" },
  ]);
});

test("a missing version is found", () => {
  expect(checkVersionChain([write(1, 1, 2), write(4, 3, 4)])).toEqual([
    { kind: "gap", text: "no write made the versions between 1 and 4" },
  ]);
});

test("a write that went back behind a completed one is found, a concurrent one is not", () => {
  expect(checkVersionChain([write(2, 1, 2), write(1, 3, 4)])).toEqual([
    { kind: "reordered write", text: "version 1 began at 3, after 2 had completed" },
  ]);
  expect(kinds([write(2, 1, 4), write(1, 3, 5)])).toEqual([]);
});

test("a stale read is found, a concurrent one may see either version", () => {
  const writes = [write(1, 1, 2), write(2, 3, 6)];
  expect(checkVersionChain(writes, [read(1, 7, 8)])).toEqual([
    { kind: "stale read", text: "a read from 7 to 8 saw version 1, though 2 had completed" },
  ]);
  expect(kinds(writes, [read(1, 4, 8), read(2, 4, 5)])).toEqual([]);
});

test("a read of what was not yet written, or never, is found", () => {
  const writes = [write(1, 1, 2), write(2, 5, 6)];
  expect(kinds(writes, [read(2, 3, 4)])).toEqual(["future read"]);
  expect(kinds(writes, [read(9, 3, 4)])).toEqual(["unknown version"]);
});

test("a write nobody saw acknowledged fills its place and bounds nothing", () => {
  const writes = [write(1, 1, 2), write(2, 3, Infinity), write(3, 4, 5)];
  expect(kinds(writes, [read(1, 3, 3.5)])).toEqual([]);
  expect(kinds([writes[0]!, writes[2]!])).toEqual(["gap"]);
});

test("chains that really ran pass, and swapping two versions in real-time order is found", () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 2, max: 60 }), (seed, count) => {
      const { writes, reads } = runChain(seed, count);
      expect(checkVersionChain(writes, reads)).toEqual([]);
      const [first, last] = [writes[0]!, writes.at(-1)!];
      fc.pre(first.completed < last.invoked);
      const swapped = [
        { ...last, version: first.version },
        ...writes.slice(1, -1),
        { ...first, version: last.version },
      ];
      expect(checkVersionChain(swapped)).not.toEqual([]);
    }),
  );
});

// It takes half a second; to compare each write with every other takes many minutes.
test("two hundred thousand writes are not compared each with every other", { timeout: 60_000 }, () => {
  const { writes, reads } = runChain(1, 200_000);
  expect(checkVersionChain(writes, reads)).toEqual([]);
});

/** Writes and reads that took effect at one moment each, and lasted a random while around it. */
function runChain(seed: number, count: number) {
  const random = seeded(seed);
  const around = (moment: number) => ({
    invoked: moment - random.next() * 5,
    completed: moment + random.next() * 5,
  });
  const writes: VersionedWrite[] = [];
  const reads: VersionedRead[] = [];
  for (let version = 1; version <= count; version++) {
    writes.push({ version, parent: version - 1, ...around(2 * version) });
    reads.push({ version, ...around(2 * version + 1) });
  }
  return { writes, reads };
}
