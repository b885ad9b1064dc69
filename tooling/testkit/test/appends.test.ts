import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type Append, checkAppends, seeded } from "../src/index.ts";

const acked: Append[] = [
  { writer: "a", value: "a1" },
  { writer: "b", value: "b1" },
  { writer: "a", value: "a2" },
  { writer: "a", value: "a3" },
];

test("every append once and each writer's in order passes, however the writers interleave", () => {
  expect(checkAppends(acked, ["b1", "a1", "a2", "a3"])).toEqual([]);
  expect(checkAppends(acked, ["a1", "a2", "a3", "b1"])).toEqual([]);
  expect(checkAppends([], [])).toEqual([]);
});

test("a value nobody acknowledged may be there, once", () => {
  expect(checkAppends(acked, ["a1", "b1", "maybe", "a2", "a3"])).toEqual([]);
  expect(checkAppends(acked, ["a1", "maybe", "b1", "maybe", "a2", "a3"])).toMatchObject([
    { kind: "duplicate" },
  ]);
});

test("a lost append is found", () => {
  expect(checkAppends(acked, ["a1", "b1", "a3"])).toEqual([
    { kind: "lost", text: "a2 of a was acknowledged and is not there" },
  ]);
});

test("a duplicate is found", () => {
  expect(checkAppends(acked, ["a1", "b1", "a2", "a2", "a3"])).toEqual([
    { kind: "duplicate", text: "a2 is there 2 times, at 2, 3" },
  ]);
});

test("a reordering within one writer is found", () => {
  expect(checkAppends(acked, ["a2", "b1", "a1", "a3"])).toEqual([
    { kind: "reordered", text: "a2 of a is at 0, before a1 at 2" },
  ]);
});

test("any merge of the writers passes; dropping, repeating or swapping one append does not", () => {
  const counts = fc.array(fc.integer({ min: 2, max: 10 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.integer(), counts, (seed, perWriter) => {
      const random = seeded(seed);
      const queues = perWriter.map((count, writer) =>
        Array.from({ length: count }, (_, index) => ({ writer: `w${writer}`, value: `w${writer}-${index}` })),
      );
      const log: Append[] = [];
      while (queues.some(({ length }) => length > 0))
        log.push(random.pick(queues.filter((q) => q.length > 0)).shift()!);
      const final = log.map(({ value }) => value);
      expect(checkAppends(log, final)).toEqual([]);

      const victim = random.int(final.length);
      expect(checkAppends(log, final.toSpliced(victim, 1))).toMatchObject([{ kind: "lost" }]);
      expect(checkAppends(log, [...final, final[victim]!])).toMatchObject([{ kind: "duplicate" }]);
      const [one, two] = [final.indexOf("w0-0"), final.indexOf("w0-1")];
      const swapped = final.with(one, "w0-1").with(two, "w0-0");
      expect(checkAppends(log, swapped).map(({ kind }) => kind)).toContain("reordered");
    }),
  );
});
