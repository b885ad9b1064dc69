import { expect, test } from "vitest";
import { backoff } from "./backoff.ts";

const almostOne = () => 1 - Number.EPSILON;

test("the ceiling doubles with each attempt until it is reached", () => {
  const ceilings = [0, 1, 2, 3, 4, 5].map((attempt) =>
    Math.round(backoff(attempt, { first: 100, max: 1_000, random: almostOne })),
  );
  expect(ceilings).toEqual([100, 200, 400, 800, 1_000, 1_000]);
});

test("any delay up to the ceiling may come, so that those who failed together come back apart", () => {
  for (const random of [0, 0.25, 0.5, 0.75]) {
    expect(backoff(2, { first: 100, max: 1_000, random: () => random })).toBe(400 * random);
  }
});

test("however many attempts were made, it stays a delay that a timer can keep", () => {
  for (const attempt of [30, 31, 1_000, 1e9, Number.MAX_SAFE_INTEGER]) {
    expect(Math.round(backoff(attempt, { first: 100, max: 5_000, random: almostOne }))).toBe(5_000);
  }
});

test("left to itself it begins within 100 ms and never exceeds 5 s", () => {
  const firsts = Array.from({ length: 1_000 }, () => backoff(0));
  const lasts = Array.from({ length: 1_000 }, () => backoff(100));
  expect(Math.max(...firsts)).toBeLessThan(100);
  expect(Math.max(...lasts)).toBeLessThan(5_000);
  expect(new Set(firsts).size).toBeGreaterThan(990);
});
