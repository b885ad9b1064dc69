// T02. A run whose process dies at any point, and that another goes on with, ends as one whose process never died.

import { sabotage, seeded, VirtualClock } from "@sentient/testkit";
import { expect, test } from "vitest";
import { freshDatabase, sentientOn } from "./support/fresh.ts";
import { leftOf, play, programs, type Point, type Stage } from "./support/program.ts";

/** Some of the points, by chance; every one on demand. */
const DEATHS = Number(process.env.SENTIENT_KILLS ?? (process.env.SENTIENT_LONG === undefined ? 24 : 1_000));
const TEST_MS = 120_000 + DEATHS * 15_000;

const idOf = ({ when, what, nth }: Point) => `${when.padEnd(6)} ${what} #${nth}`;

async function house({ isTorn = false } = {}) {
  const db = await freshDatabase();
  const clock = new VirtualClock();
  const outside = await sentientOn(db, { clock, worker: false, agents: programs });
  let stages = 0;
  const stage = (): Stage => ({ db, outside, clock, name: `s${++stages}`, effects: [], isTorn });
  const whole = stage();
  const points = new Map<string, Point>();
  await play(whole, (point) => {
    points.set(idOf(point), point);
    return false;
  });
  return { stage, golden: await leftOf(whole), points: [...points.values()], whole };
}

interface Outcome {
  left: unknown;
  /** What was done more than once, and what should have been. */
  twice: string[];
  forgotten: string[];
}

async function dieAt(point: Point, stage: Stage): Promise<Outcome> {
  const forgotten = await play(stage, (other) => idOf(other) === idOf(point));
  const twice = stage.effects.filter((effect, i) => stage.effects.indexOf(effect) < i);
  return { left: await leftOf(stage), twice, forgotten };
}

const short = (effect: string) => effect.slice(effect.indexOf("/") + 1);

test(
  "a run whose process dies anywhere ends like one whose process did not",
  { timeout: TEST_MS },
  async () => {
    const { stage, golden, points, whole } = await house();
    const random = seeded();
    console.log(`SEED=${random.seed}, ${points.length} points`);
    expect(Object.values(golden)).toHaveLength(6);
    expect(new Set(whole.effects).size).toBe(whole.effects.length);
    const drawn = points.map((point, i) => ({ point, i, lot: random.next() })).sort((a, b) => a.lot - b.lot);
    const table: string[] = [];
    for (const { point } of drawn.slice(0, DEATHS).sort((a, b) => a.i - b.i)) {
      const { left, twice, forgotten } = await dieAt(point, stage());
      const isSame = JSON.stringify(left) === JSON.stringify(golden);
      table.push(`${idOf(point).padEnd(60)} ${isSame ? "same" : "OTHER"}  ${twice.map(short).join(", ")}`);
      expect.soft(left, idOf(point)).toEqual(golden);
      expect.soft(twice.toSorted(), idOf(point)).toEqual(forgotten.toSorted()); // and nothing but that
    }
    console.log(table.map((line) => line.trimEnd()).join("\n"));
    expect(points.length).toBeGreaterThanOrEqual(80);
  },
);

test("control: one that takes a signal and remembers it apart does not", { timeout: TEST_MS }, async () => {
  const { stage, golden, points } = await house({ isTorn: true });
  const taken = points.find(({ what, when }) => what.endsWith("takes") && when === "after");
  await sabotage("no one commit", async () => expect((await dieAt(taken!, stage())).left).toEqual(golden));
});
