// T04. A worker whose event loop stands still beyond its lease: others have its run, and nothing of it commits.

import { sabotage } from "@sentient/testkit";
import { expect, test } from "vitest";
import { allEvents, expectOneStory, typesOf } from "./support/checks.ts";
import { expireLeases, house, until, untilCompleted, type House } from "./support/house.ts";

const LEASE_MS = 30_000;
const TEST_MS = 180_000;

/** One stands still in a step until another has taken over and come to the end. */
async function block(where: "in a step" | "between steps", isUnfenced = false) {
  const at = await house({ worker: { lease: LEASE_MS } });
  const handle = await at.sentient.start(at.jobs.block, { where });
  const zombie = await at.worker({ isUnfenced, blocks: true });
  await zombie.message(({ blocking }) => blocking === handle.id, 60_000);
  await expireLeases(at);
  const other = await at.worker();
  await untilCompleted(at, [handle]);
  const before = await allEvents(at.sentient.events);
  at.openGate();
  return { at, handle, zombie, other, before };
}

const timesOf = ({ ledger }: House, run: string, name: string) =>
  ledger.read().effects.filter((effect) => effect.run === run && effect.key === `main/${name}#1`).length;

test.each(["in a step", "between steps"] as const)(
  "what blocks its process beyond the lease commits nothing any more: %s",
  { timeout: TEST_MS },
  async (where) => {
    const { at, handle, zombie, other, before } = await block(where);
    await zombie.message(({ log, run }) => run === handle.id && log === "a run is lost", 60_000);
    expect(await allEvents(at.sentient.events)).toEqual(before);
    expectOneStory(before.filter(({ run }) => run === handle.id));
    expect(["first", "block", "after"].map((name) => timesOf(at, handle.id, name))).toEqual([
      1,
      where === "in a step" ? 2 : 1,
      1,
    ]);
    await other.kill();
    const next = await at.sentient.start(at.jobs.count, { steps: 3 });
    await untilCompleted(at, [handle, next]); // the one that stood still works on
  },
);

test("control: without a fence it tells of what it did", { timeout: TEST_MS }, async () => {
  const { at, handle, before } = await block("between steps", true);
  const mine = async () => (await typesOf(at.sentient.events, handle.id)).length;
  const length = before.filter(({ run }) => run === handle.id).length;
  await until(async () => (await mine()) > length, { what: "something of the zombie" });
  await sabotage("no fence", async () =>
    expectOneStory((await allEvents(at.sentient.events)).filter(({ run }) => run === handle.id)),
  );
});
