// Sleep and timers. A run that sleeps is a row with a time in it: it holds no worker, and a worker with two slots has as many
// of them as there is room on disk. A wait for a signal can have a timeout, which is remembered: a restart does not prolong it.
//
//   npm run example sleep-and-timers
//
// prints
//
//   40 runs sleep for an hour, and a worker with 2 slots holds 0 of them
//   one has slept for 1500 ms
//   paid in time: yes
//   paid in time: no, sent a reminder

import { setTimeout as pause } from "node:timers/promises";
import { createSentient, defineWorkflow } from "@sentient/agent-core";
import { z } from "zod";

const nap = defineWorkflow({
  name: "nap",
  input: z.number(),
  run: async (ctx, ms) => {
    await ctx.sleep(ms); // or a Date; months will do
    return `one has slept for ${ms} ms`;
  },
});

const invoice = defineWorkflow({
  name: "invoice",
  input: z.number(),
  output: z.string(),
  signals: { paid: z.object({ total: z.number() }) },
  run: async (ctx, patience) => {
    const paid = await ctx.waitFor("paid", { timeout: patience });
    return paid ? "yes" : ctx.step("remind", () => "no, sent a reminder");
  },
});

await using sentient = await createSentient({
  url: "mem://",
  workflows: [nap, invoice],
  worker: { slots: 2 },
});

const naps = await Promise.all(Array.from({ length: 40 }, () => sentient.start(nap, 3_600_000)));
const countOf = async (status: "waiting" | "running") =>
  (await sentient.list({ name: "nap", status })).runs.length;
while ((await countOf("waiting")) < naps.length) await pause(20);
console.log(`40 runs sleep for an hour, and a worker with 2 slots holds ${await countOf("running")} of them`);
console.log(await sentient.execute(nap, 1_500));

const prompt = await sentient.start(invoice, 60_000);
await sentient.signal(prompt.id, "paid", { total: 12 });
const late = await sentient.start(invoice, 2_000);
for (const each of [prompt, late]) console.log(`paid in time: ${await each.result()}`);
