// T06. A run that ends whatever process advances it: it is parked with the cause, and takes nobody with it.

import { sabotage } from "@sentient/testkit";
import { expect, test } from "vitest";
import { range, typesOf } from "./support/checks.ts";
import { expireLeases, house, until, untilCompleted, type House } from "./support/house.ts";

const LONG = process.env.SENTIENT_LONG !== undefined;
const GOOD = LONG ? 500 : 40;
const TEST_MS = 300_000;

/** Workers, one after another, until the condition holds. @returns how many were killed by what they did */
async function superviseUntil(at: House, condition: () => Promise<boolean>): Promise<number> {
  let deaths = 0;
  for (;;) {
    const child = await at.worker().catch(() => undefined); // it may have died before it said that it began
    const death = child?.exited.then(() => "died" as const);
    const end = until(condition).then(() => "done" as const);
    if ((await Promise.race([death ?? "died", end])) === "done") {
      await child?.kill();
      return deaths;
    }
    deaths++;
    await expireLeases(at);
  }
}

async function poisoned(maxAttempts?: number) {
  const at = await house({ worker: { lease: 60_000, slots: 32 } });
  const { sentient, jobs } = at;
  const good = await Promise.all(range(GOOD).map(() => sentient.start(jobs.count, { steps: 3, pause: 100 })));
  const options = { priority: 10, ...(maxAttempts === undefined ? {} : { maxAttempts }) };
  const deadly = await sentient.start(jobs.deadly, null as never, options);
  return { at, good, deadly };
}

const isOver = async ({ sentient }: House): Promise<boolean> =>
  (await sentient.list({ status: ["queued", "running", "waiting"], limit: 1 })).runs.length === 0;

test(
  "a run that kills its process is parked after its attempts, and all others are done",
  { timeout: TEST_MS },
  async () => {
    const { at, good, deadly } = await poisoned();
    const deaths = await superviseUntil(at, () => isOver(at));
    expect(deaths).toBe(5);
    const run = await at.sentient.get(deadly.id);
    expect(run).toMatchObject({
      status: "parked",
      parkedFor: "attempts_exhausted",
      attempts: 5,
      problem: {
        code: "attempts_exhausted",
        message: expect.stringContaining("was not heard of again") as string,
      },
    });
    const starts = (await typesOf(at.sentient.events, deadly.id)).filter((type) => type === "run.started");
    expect(starts).toHaveLength(5);
    expect(at.ledger.countBy(({ run: id }) => id).get(deadly.id)).toBe(5);
    await untilCompleted(at, good);
    at.openGate();
    await at.sentient.resume(deadly.id, { by: "ada" });
    const worker = await at.worker();
    await deadly.result({ timeout: 60_000 });
    expect(await worker.kill("SIGTERM")).toEqual({ code: 0, signal: null });
  },
);

test("control: one whose attempts have no end is never parked", { timeout: TEST_MS }, async () => {
  const { at, deadly } = await poisoned(1_000_000);
  const isGoingOn = () => (at.ledger.countBy(({ run }) => run).get(deadly.id) ?? 0) >= 8;
  await sabotage("no end of attempts", async () => {
    const deaths = await superviseUntil(at, async () => isGoingOn() || (await isOver(at)));
    expect(deaths).toBe(5);
  });
});
