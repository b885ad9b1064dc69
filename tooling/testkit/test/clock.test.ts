import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { VirtualClock } from "../src/index.ts";

test("timers fire in time order, and each sees the time it was due", async () => {
  const clock = new VirtualClock(1_000);
  const fired: [string, number][] = [];
  clock.after(30, () => fired.push(["late", clock.now()]));
  clock.after(10, () => fired.push(["early", clock.now()]));
  clock.after(10, () => fired.push(["early too", clock.now()]));
  await clock.advance(30);
  expect(fired).toEqual([
    ["early", 1_010],
    ["early too", 1_010],
    ["late", 1_030],
  ]);
  expect(clock.now()).toBe(1_030);
});

test("a timer fires no earlier than it is due, and once", async () => {
  const clock = new VirtualClock();
  let fired = 0;
  clock.after(10, () => fired++);
  await clock.advance(9);
  expect(fired).toBe(0);
  await clock.advance(1);
  await clock.advance(100);
  expect(fired).toBe(1);
});

test("a cancelled timer never fires", async () => {
  const clock = new VirtualClock();
  const cancel = clock.after(10, () => expect.unreachable());
  expect(clock.pending).toBe(1);
  cancel();
  expect(clock.pending).toBe(0);
  await clock.advance(10);
});

test("code that arms its next timer in a continuation is followed within one advance", async () => {
  const clock = new VirtualClock();
  const beats: number[] = [];
  const started = clock.now();
  const heartbeat = async () => {
    for (;;) {
      await new Promise<void>((resolve) => void clock.after(1_000, resolve));
      await Promise.resolve();
      await setImmediate();
      beats.push(clock.now() - started);
    }
  };
  void heartbeat();
  await clock.advance(3_500);
  expect(beats).toEqual([1_000, 2_000, 3_000]);
});

test("advanceToNext moves to the next timer, and says undefined when none is armed", async () => {
  const clock = new VirtualClock(0);
  clock.after(70, () => {});
  clock.after(70, () => {});
  clock.after(90, () => {});
  expect(await clock.advanceToNext()).toBe(70);
  expect(clock.pending).toBe(1);
  expect(await clock.advanceToNext()).toBe(90);
  expect(await clock.advanceToNext()).toBeUndefined();
});

test("what a timer throws rejects the advance", async () => {
  const clock = new VirtualClock();
  clock.after(1, () => {
    throw new Error("boom");
  });
  await expect(clock.advance(1)).rejects.toThrow("boom");
});

test("timers that keep firing at one instant are reported, not followed for ever", async () => {
  const clock = new VirtualClock();
  const again = () => void clock.after(0, again);
  again();
  await expect(clock.advance(1)).rejects.toThrow("time stands still");
});

test("time neither runs backwards nor waits for something that is not a number", async () => {
  const clock = new VirtualClock();
  await expect(clock.advance(-1)).rejects.toThrow(RangeError);
  expect(() => clock.after(Number.NaN, () => {})).toThrow(RangeError);
  expect(() => clock.after(Infinity, () => {})).toThrow(RangeError);
});
