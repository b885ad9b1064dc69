// Who takes which: workers that want the same runs divide them, and none is left because it is somebody's who does not come.

import { sabotage, VirtualClock } from "@sentient/testkit";
import { expect, onTestFinished, test, vi } from "vitest";
import * as fleet from "../src/fleet.ts";
import { LIVE_MS } from "../src/workers.ts";
import { idsOf, startMany, take } from "./support/claiming.ts";
import { freshState, stateOn } from "./support/fresh.ts";

const beat = (id: string, { queues = ["default"], running = 0 } = {}) => ({
  id,
  host: "here",
  pid: 1,
  release: "1",
  queues,
  serves: ["a@1"],
  slots: 8,
  running,
});

/** Two workers that know of each other claim at once. @returns how many of their tries met the other's */
async function metEachOther(runs: number, max: number): Promise<number> {
  const { state, db } = await freshState();
  const others = await Promise.all([stateOn(db), stateOn(db)]);
  await startMany(state, runs);
  for (const id of ["w-1", "w-2"]) await state.workers.beat(beat(id));
  const tried = others.map(({ bus }) => vi.spyOn(bus.log, "append"));
  const claims = await Promise.all(others.map((each, i) => take(each.state, max, `w-${i + 1}`)));
  const ids = claims.flatMap(idsOf);
  expect(new Set(ids).size).toBe(ids.length);
  return tried.reduce((sum, { mock }) => sum + mock.calls.length, 0) - ids.length;
}

async function expectApart(): Promise<void> {
  expect(await metEachOther(120, 20)).toBe(0);
}

test("two workers that know of each other do not want the same", expectApart);

test("control: where each takes all for its own they do", async () => {
  const spy = vi.spyOn(fleet.Fleet.prototype, "shareOf").mockResolvedValue({ ...fleet.ALL, workers: 1 });
  onTestFinished(() => spy.mockRestore());
  await sabotage("no shares", expectApart);
});

test("a worker that is alone takes all it wants", async () => {
  const { state } = await freshState();
  await startMany(state, 30);
  await state.workers.beat(beat("w-1"));
  expect(await take(state, 30, "w-1")).toHaveLength(30);
});

test.each([
  ["is full", beat("w-2", { running: 8 })],
  ["is at other queues", beat("w-2", { queues: ["other"] })],
])("nothing is left to one that %s", async (_, other) => {
  const { state } = await freshState();
  await startMany(state, 40);
  for (const each of [beat("w-1"), other]) await state.workers.beat(each);
  expect(await take(state, 40, "w-1")).toHaveLength(40);
});

test("nothing is left to one that is not heard of any more", async () => {
  const clock = new VirtualClock();
  const { state } = await freshState({ clock });
  await startMany(state, 40);
  await state.workers.beat(beat("w-2"));
  await clock.advance(LIVE_MS);
  await state.workers.beat(beat("w-1"));
  expect(await take(state, 40, "w-1")).toHaveLength(40);
});

test("what is somebody's who does not take it is taken too, some at a time, once one's own are done", async () => {
  const { state } = await freshState();
  await startMany(state, 40);
  for (const id of ["w-1", "w-2"]) await state.workers.beat(beat(id));
  const sizes: number[] = [];
  for (let taken = -1; taken !== 0; sizes.push(taken)) taken = (await take(state, 40, "w-1")).length;
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(40);
  expect(sizes.length).toBeGreaterThan(2);
});

test("a higher priority goes first, whosever it is", async () => {
  const { state } = await freshState();
  const high = await startMany(state, 8, { priority: 1 });
  await startMany(state, 100);
  for (const id of ["w-1", "w-2"]) await state.workers.beat(beat(id));
  expect(idsOf(await take(state, 12, "w-1"))).toEqual(expect.arrayContaining(high));
});

test("what was begun, and whoever's it is does not come for, is taken by any other soon", async () => {
  const clock = new VirtualClock();
  const { state } = await freshState({ clock });
  for (const id of ["w-1", "w-2", "w-3", "w-4"]) await state.workers.beat(beat(id)); // and only one of them comes
  await startMany(state, 40);
  const leases = await take(state, 40, "w-0");
  await Promise.all(leases.map((lease) => state.release(lease)));
  const own = await take(state, 40, "w-1");
  expect(own.length).toBeLessThan(40);
  await clock.advance(250);
  expect(await take(state, 40, "w-1")).toHaveLength(40 - own.length);
});
