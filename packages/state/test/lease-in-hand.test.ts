// A lease as who claims has it in hand.

import { VirtualClock } from "@sentient/testkit";
import { describe, expect, test } from "vitest";
import type { Lease, State } from "../src/index.ts";
import { freshState } from "./support/fresh.ts";
import { done, failureOf, held, running, started } from "./support/runs.ts";

const copied = (lease: Lease): Lease => ({
  run: lease.run,
  token: lease.token,
  until: lease.until,
  over: lease.over,
  isInDoubt: lease.isInDoubt,
});

test("a lease says until when it is, also after it was renewed and after commits", async () => {
  const clock = new VirtualClock(Date.now());
  const { state } = await freshState({ clock });
  const begun = clock.now();
  await started(state);
  const lease = await held(state, "w1", { lease: 3_000 });
  expect(lease.until.getTime()).toBe(begun + 3_000);
  await clock.advance(2_000);
  await state.renew([lease], { lease: 5_000 });
  expect(lease.until.getTime()).toBe(begun + 7_000);
  await state.commit(lease, { steps: [done("a")] });
  expect(lease.until.getTime()).toBe(begun + 7_000);
  expect(lease.run).toEqual(await state.load(lease.run.id));
});

test("a lease that was not renewed in time says no later time", async () => {
  const clock = new VirtualClock(Date.now());
  const { state } = await freshState({ clock });
  const lease = await running(state);
  const { until } = lease;
  await clock.advance(15_000);
  await held(state, "w2");
  expect((await state.renew([lease])).lost).toEqual([lease]);
  expect(lease.until).toEqual(until);
});

describe("what did not come from a claim", () => {
  const uses: [string, (state: State, lease: Lease) => Promise<unknown>][] = [
    ["a commit", (state, lease) => state.commit(lease, { steps: [done("a")] })],
    ["a release", (state, lease) => state.release(lease)],
    ["a renewal", (state, lease) => state.renew([lease])],
    ["a journal", (state, lease) => state.journal(lease)],
    ["a look for a signal", (state, lease) => state.nextSignal(lease, "go")],
    ["a start", (state, lease) => state.start({ name: "child", parent: lease.run.id, lease })],
  ];

  test.each(uses)("is no lease for %s", async (_, use) => {
    const { state } = await freshState();
    const lease = await running(state);
    const failure = await failureOf(() => use(state, copied(lease)));
    expect(failure).toMatchObject({ code: "state.bad_option" });
    expect(failure.message).toContain("no lease that `claim` has granted");
    await use(state, lease);
  });

  test("is no lease if it is nothing at all", async () => {
    const { state } = await freshState();
    for (const nothing of [undefined, null, {}])
      expect(await failureOf(() => state.commit(nothing as never, { state: 1 }))).toMatchObject({
        code: "state.bad_option",
      });
  });
});

test("a change of nothing is refused, and what may stand in one is said", async () => {
  const { state } = await freshState();
  const lease = await running(state);
  for (const nothing of [{}, { steps: undefined }]) {
    const failure = await failureOf(() => state.commit(lease, nothing));
    expect(failure).toMatchObject({ code: "state.bad_change" });
    expect(failure.message).toMatch(/steps, state, checkpoint, takes, asks, .*, end$/);
  }
  await state.commit(lease, { end: { complete: 1 } });
});
