// Cron. A schedule starts a run at each of its times, once, however many processes sweep; of times that were missed, one.
// The clock here is one that the page moves, as a test would: three days are over at once. In production nothing is
// different but that nobody moves it.
//
//   npm run example cron
//
// prints
//
//   03:00 in Berlin, from Friday to Monday:
//   2026-03-28T02:00:00.000Z
//   2026-03-29T01:00:00.000Z
//   2026-03-30T01:00:00.000Z
//   paused on Monday, and nothing on Tuesday: 3 runs

import { defineAgent } from "@sentient/agent-core";
import { createTestSentient, VirtualClock } from "@sentient/agent-core/testing";

const DAY = 86_400_000;

const report = defineAgent({
  name: "report",
  run: (ctx) => ctx.step("write", () => ctx.now().toISOString()),
});

const clock = new VirtualClock(new Date("2026-03-27T12:00:00Z"));
await using sentient = await createTestSentient({ agents: [report], clock });

// 03:00 stays 03:00 where summer time begins, as it does on that Sunday.
await sentient.schedules.put("nightly", report, null, { cron: "0 3 * * *", timeZone: "Europe/Berlin" });

await sentient.advance(3 * DAY);
console.log("03:00 in Berlin, from Friday to Monday:");
for (const time of await reports()) console.log(time);

await sentient.schedules.pause("nightly");
await sentient.advance(DAY);
console.log(`paused on Monday, and nothing on Tuesday: ${(await reports()).length} runs`);

async function reports(): Promise<string[]> {
  const { runs } = await sentient.list({ name: "report", status: "completed" });
  const results = await Promise.all(runs.map(({ id }) => sentient.handle<string>(id).result()));
  return results.toReversed(); // the newest comes first
}
