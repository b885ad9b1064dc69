// Whatever is done to runs, in whatever order, they are what a model of a few lines says.

import { sabotage, VirtualClock } from "@sentient/testkit";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { State } from "../src/index.ts";
import { freshState, stateOn, type Fresh } from "./support/fresh.ts";
import { Lane } from "./support/lane.ts";
import { LEASE_MS, type Command, type Kind } from "./support/model.ts";
import { eventsOf, expectNothing, range } from "./support/runs.ts";

/** How many sequences of commands; 10,000 on demand. */
const SEQUENCES = Number(process.env.SENTIENT_RUNS ?? 2_000);
/** Runs to which something is done at the same time. */
const LANES = 24;

/** What happens at the same time, and how long it is quiet then. */
interface Round {
  commands: Command[];
  ms: number;
  sweep: boolean;
}
const often: Record<Kind, number> = {
  claim: 9,
  step: 8,
  take: 2,
  sleep: 2,
  await: 2,
  complete: 1,
  fail: 1,
  release: 2,
  stop: 1,
  pause: 2,
  resume: 3,
  cancel: 1,
  force: 1,
  signal: 2,
  renew: 1,
  nothing: 1,
};
const command = fc.record<Command>({
  kind: fc.oneof(
    ...Object.entries(often).map(([kind, weight]) => ({ arbitrary: fc.constant(kind as Kind), weight })),
  ),
  key: fc.constantFrom("a", "b", "c", "d", "e", "f"),
  back: fc.oneof(
    { arbitrary: fc.constant(0), weight: 4 },
    { arbitrary: fc.integer({ min: 1, max: 2 }), weight: 1 },
  ),
  who: fc.nat(1),
});
const round = fc.record<Round>({
  commands: fc.array(command, { minLength: LANES, maxLength: LANES }),
  ms: fc.oneof(
    { arbitrary: fc.constant(0), weight: 5 },
    { arbitrary: fc.constantFrom(5_000, 10_000, LEASE_MS), weight: 2 },
  ),
  sweep: fc.oneof({ arbitrary: fc.constant(false), weight: 4 }, { arbitrary: fc.constant(true), weight: 1 }),
});
async function follow(
  rounds: readonly Round[],
  { bus }: Fresh,
  states: State[],
  clock: VirtualClock,
): Promise<void> {
  const all = range(LANES).map(() => new Lane(states, clock));
  await Promise.all(all.map((lane) => lane.start()));
  for (const [i, { commands, ms, sweep }] of rounds.entries()) {
    await Promise.all(all.map((lane, which) => lane.do(commands[which]!)));
    await clock.advance(ms);
    if (sweep) {
      await states[0]!.sweep();
      for (const { model } of all) model.sweep(clock.now());
    }
    if (i % 4 === 3 || i === rounds.length - 1) await Promise.all(all.map((lane) => lane.expectSame()));
  }
  for (const { id } of all) {
    const events = await eventsOf(bus, id);
    expect(events.map(({ n }) => n)).toEqual(range(events.length, 1));
  }
}

async function expectAsModelled(sequences: number, endOnFailure: boolean): Promise<void> {
  const clock = new VirtualClock(Date.now());
  const at = await freshState({ clock });
  const states = [at.state, (await stateOn(at.db, { clock })).state];
  await fc.assert(
    fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 24 }), (rounds) =>
      follow(rounds, at, states, clock),
    ),
    { numRuns: Math.ceil(sequences / LANES), endOnFailure },
  );
}

const timeout = 60_000 + SEQUENCES * 2_000;

test(
  `${SEQUENCES} sequences of commands end as the model says`,
  { timeout },
  () => expectAsModelled(SEQUENCES, process.env.CI !== undefined), // to shrink one takes an hour
);

test("control: without the fence they do not", { timeout }, async () => {
  expectNothing((await freshState()).bus);
  await sabotage("no fence", () => expectAsModelled(SEQUENCES, true));
});
