import { afterEach, expect, test, vi } from "vitest";
import { sabotage, seeded } from "../src/index.ts";

afterEach(() => vi.unstubAllEnvs());

test("the same seed gives the same numbers, another seed others", () => {
  expect(draw(42)).toEqual(draw(42));
  expect(draw(42)).not.toEqual(draw(43));
});

function draw(seed: number): number[] {
  const random = seeded(seed);
  return Array.from({ length: 5 }, () => random.next());
}

test("the numbers are those of mulberry32", () => {
  const random = seeded(42);
  expect([random.next(), random.next(), random.next()]).toEqual([
    0.6011037519201636, 0.44829055899754167, 0.8524657934904099,
  ]);
});

test("the seed comes from the environment when none is given, and is reported", () => {
  vi.stubEnv("SEED", "7");
  expect(seeded().seed).toBe(7);
  expect(seeded(8).seed).toBe(8);
  vi.stubEnv("SEED", "");
  expect(seeded().seed).not.toBe(seeded().seed);
  vi.stubEnv("SEED", "seven");
  expect(() => seeded()).toThrow('SEED must be a whole number, not "seven"');
});

test("whole numbers and picks stay in range and reach all of it", () => {
  const random = seeded(1);
  const drawn = new Set(Array.from({ length: 200 }, () => random.int(5)));
  expect(drawn).toEqual(new Set([0, 1, 2, 3, 4]));
  const picked = new Set(Array.from({ length: 200 }, () => random.pick(["a", "b", "c"])));
  expect(picked).toEqual(new Set(["a", "b", "c"]));
});

test("there is nothing to draw from an empty range", () => {
  expect(() => seeded(1).int(0)).toThrow(RangeError);
  expect(() => seeded(1).pick([])).toThrow(RangeError);
});

test("sabotage hands back the failure it asked for", async () => {
  const failure = new Error("two results for one step");
  expect(await sabotage("fencing off", () => Promise.reject(failure))).toBe(failure);
  const thrown = await sabotage("fencing off", () => {
    throw failure;
  });
  expect(thrown).toBe(failure);
});

test("sabotage fails when the check still passes", async () => {
  await expect(sabotage("fencing off", async () => "fine")).rejects.toThrow(
    'sabotage control "fencing off" did not fail',
  );
});
