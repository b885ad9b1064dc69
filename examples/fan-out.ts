// Fan out. A workflow has an agent look up many cities, five at a time, and takes the first of two who can tell the time.
// Each call is a run of its own, in whichever process has room; the workflow remembers which answers it has.
//
//   npm run example fan-out
//
// prints
//
//   Rome 14°, Oslo -3°, Cairo 20°, Lima 19°, Kyoto 8°, Accra 31°, Quito 13°
//   the quick clock was first

import { createSentient, defineAgent, defineWorkflow } from "@sentient/agent-core";
import { z } from "zod";

const DEGREES: Record<string, number> = {
  Rome: 14,
  Oslo: -3,
  Cairo: 20,
  Lima: 19,
  Kyoto: 8,
  Accra: 31,
  Quito: 13,
};

const weather = defineAgent({
  name: "weather",
  input: z.object({ city: z.string() }),
  output: z.object({ city: z.string(), degrees: z.number() }),
  run: async (ctx, { city }) => ({
    city,
    degrees: await ctx.step("look-up", () => DEGREES[city] ?? 0),
  }),
});

const report = defineWorkflow({
  name: "report",
  input: z.object({ cities: z.array(z.string()) }),
  output: z.object({ text: z.string(), clock: z.string() }),
  run: async (ctx, { cities }) => {
    const all = await ctx.map(cities, (branch, city) => branch.call(weather, { city }), { concurrency: 5 });
    const { winner } = await ctx.race({
      slow: (branch) => branch.sleep(60_000),
      quick: (branch) => branch.step("ask", () => "noon"),
    });
    return { text: all.map(({ city, degrees }) => `${city} ${degrees}°`).join(", "), clock: winner };
  },
});

await using sentient = await createSentient({ url: "mem://", agents: [weather], workflows: [report] });

const { text, clock } = await sentient.execute(report, { cities: Object.keys(DEGREES) });
console.log(text);
console.log(`the ${clock} clock was first`);
