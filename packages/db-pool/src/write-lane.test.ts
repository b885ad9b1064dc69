import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { WriteLane } from "./write-lane.ts";

test("one writes at a time, in the order they came", async () => {
  const lane = new WriteLane();
  const log: string[] = [];
  const write = (name: string) =>
    lane.run(async () => {
      log.push(`${name} begins`);
      await turn();
      log.push(`${name} ends`);
      return name;
    });
  expect(await Promise.all([write("a"), write("b"), write("c")])).toEqual(["a", "b", "c"]);
  expect(log).toEqual(["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]);
});

test("who fails is told so, and holds up nobody", async () => {
  const lane = new WriteLane();
  const failing = lane.run(() => Promise.reject(new Error("no")));
  const next = lane.run(() => Promise.resolve("written"));
  await expect(failing).rejects.toThrow("no");
  expect(await next).toBe("written");
});

test("who throws before it begins holds up nobody either", async () => {
  const lane = new WriteLane();
  const failing = lane.run(() => {
    throw new Error("no");
  });
  await expect(failing).rejects.toThrow("no");
  expect(await lane.run(() => Promise.resolve("written"))).toBe("written");
});

test("held, it lets nobody in until it is let go, and keeps its place in the line", async () => {
  const lane = new WriteLane();
  const log: string[] = [];
  const write = (name: string) => lane.run(async () => void log.push(name));
  const before = write("before");
  const holding = lane.hold();
  const after = write("after");
  const release = await holding;
  await before;
  await turn();
  expect(log).toEqual(["before"]);
  log.push("held");
  release();
  await after;
  expect(log).toEqual(["before", "held", "after"]);
});
