// Chaos: workers, their database and the lines between them fail at random, while runs of all kinds go on; then it is checked
// that nothing was lost, doubled, reordered or stuck.

import { inspect } from "node:util";
import { openDatabase } from "@sentient/db-pool";
import { until } from "@sentient/testkit";
import { createSentient, type Sentient } from "../src/index.ts";
import { allEvents } from "../test/support/all-events.ts";
import { checkEffects } from "./check-effects.ts";
import { checkLog } from "./check-log.ts";
import { checkRuns, see } from "./check-runs.ts";
import { drive, type Driving } from "./drive.ts";
import { openHouse, untilWhole, type House } from "./house.ts";
import { optionsFrom, USAGE, type Options } from "./options.ts";
import { planFaults } from "./plan.ts";
import { table, type Outcome } from "./report.ts";
import { heal, noticeSlowness, strikeAll, type Struck } from "./strike.ts";
import { worksOf } from "./work.ts";

/** How long after the last fault all runs have to come to their ends, in milliseconds. */
const END_MS = 180_000;
const OPEN = ["queued", "running", "waiting", "paused", "parked"] as const;

/** @returns the exit code */
async function main(): Promise<number> {
  const options = optionsFrom(process.argv.slice(2), process.env);
  if (options === "help") return say(USAGE, 0);
  const { seed, minutes, workers, lease, sabotage, isPlanOnly } = options;
  const plan = planFaults(seed, minutes * 60_000);
  if (isPlanOnly) return say(plan.map((each) => inspect(each, { breakLength: Infinity })).join("\n"), 0);
  console.log(
    `SEED=${seed}, ${minutes} min, ${workers} workers, lease ${lease} ms, ${plan.length} faults planned${sabotage ? `, without ${sabotage}` : ""}`,
  );
  const house = await openHouse(options);
  try {
    const outcome = await play(house, options, (driving) =>
      strikeAll(house, plan, lease).finally(driving.stop),
    );
    return say(table(outcome), outcome.findings.length + outcome.problems.length > 0 ? 1 : 0);
  } finally {
    await house.close();
  }
}

async function play(
  house: House,
  { seed, lease }: Options,
  strike: (driving: Driving) => Promise<Struck[]>,
): Promise<Outcome> {
  await untilWhole(house);
  const works = worksOf(house.ledger);
  const agents = works.all;
  await using driver = await createSentient({ ...house.over(house.lanes.at(-1)!), agents, worker: false });
  await using db = await openDatabase(house.direct);
  await using direct = await createSentient({ database: db, agents, worker: false });
  const end = new AbortController();
  const noticing = noticeSlowness(db, lease, end.signal);
  const driving = drive(driver, works, seed);
  const planned = await strike(driving);
  await heal(house);
  console.log(`${planned.length} faults struck; healed`);
  await untilOver(direct, driving);
  await driving.end();
  end.abort();
  const struck = [...planned, ...(await noticing)];
  const { told } = driving;
  const events = await allEvents(direct.events);
  const seen = await see(direct);
  const { effects, torn } = house.ledger.read();
  const findings = [
    ...checkLog(events, told.heard),
    ...checkRuns(seen, events, told),
    ...checkEffects(effects, seen, struck, lease),
  ];
  const problems = [...told.problems, ...house.crashes, ...torn.map((line) => `a torn note: ${line}`)];
  return { events, seen, effects, struck, findings, problems, said: house.said };
}

/** What was parked, as it was struck too often in a row, is told to go on as people would. Who is stuck is found later. */
async function untilOver(sentient: Sentient, { told }: Driving): Promise<void> {
  const isOver = async () => {
    const { runs } = await sentient.list({ status: [...OPEN], limit: 100 });
    for (const { id, status } of runs) if (status === "parked") await sentient.resume(id, { by: "chaos" });
    const { events } = await sentient.events.history({ order: "desc", limit: 1 });
    return runs.length === 0 && told.heard.at(-1)?.position === events[0]?.position;
  };
  await until(isOver, { deadline: END_MS, every: 500 }).catch(() => {});
}

function say(text: string, code: number): number {
  console.log(text);
  return code;
}

process.exitCode = await main();
